"""Masks and regularization sets are known from the photos of the person."""

from pathlib import Path

import pytest
from PIL import Image

from tests.support.builders import make_archive
from tests.support.field_photos import SET, field, files_of, report
from tests.support.photos import encoded, picture

FAST = "fal-ai/flux-lora-fast-training"


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    ("case", "code", "left"),
    [
        ("onetrainer-masklabel", "image_mask_unused", 12),
        ("captions-and-masks-folders", "image_mask_unused", 12),
        ("kohya-reg-folder", "image_regularization_unused", 24),
    ],
)
def test_images_that_are_not_the_person_are_left_out(
    corpora: Path, case: str, code: str, left: int
) -> None:
    """Masks and a regularization set are not trained as the person."""
    found = report(field(corpora, case), metadata={"trigger_phrase": "anya"})
    assert (found.errors, found.images) == ((), 12)
    codes = [each.code for each in found.warnings]
    assert codes.count(code) == left
    assert "caption_orphan" not in codes


@pytest.mark.parametrize("case", ["onetrainer-masklabel", "captions-and-masks-folders"])
def test_masks_are_used_by_a_trainer_that_takes_them(corpora: Path, case: str) -> None:
    names = set(files_of(field(corpora, case), application=FAST, metadata={"trigger_phrase": "x"}))
    assert {f"{number:02}_mask.png" for number in range(12)} < names


def mask(size: tuple[int, int] = (600, 512)) -> Image.Image:
    shape = Image.new("L", size)
    shape.paste(255, (150, 100, 450, 400))
    return shape


GREY = picture(600, 512, "L", seed=40)
OTHERS = {f"{{}}/{number:02}.jpg": encoded(picture(600, 512, seed=50 + number), "JPEG") for number in range(3)}  # fmt: skip


@pytest.mark.parametrize(
    ("more", "left"),
    [
        ({"00_mask.png": encoded(mask(), "PNG")}, 1),
        ({"00-mask.jpg": encoded(mask(), "JPEG")}, 1),
        ({"Masks/01.webp": encoded(mask(), "WEBP")}, 1),
        ({"segmentation/else.png": encoded(mask(), "PNG")}, 1),
        ({"alpha/01.png": encoded(mask(), "PNG")}, 1),  # by its content, name and size
        ({"alpha/01.png": encoded(mask((640, 640)), "PNG")}, 0),
        ({"logo.png": encoded(mask(), "PNG")}, 0),
        ({"00_mask.jpg": encoded(picture(600, 512, seed=41), "JPEG")}, 0),  # a photo with a mask
        ({"anna-mask.jpg": encoded(GREY, "JPEG")}, 0),  # a grey photo, of no other
        ({"masks/venice.jpg": encoded(GREY, "JPEG")}, 0),
        ({name.format("reg"): data for name, data in OTHERS.items()}, 3),
        ({name.format("set/Regularization/1_man"): data for name, data in OTHERS.items()}, 3),
        ({name.format("class"): data for name, data in OTHERS.items()}, 0),  # of a school
        ({name.format("class_images"): data for name, data in OTHERS.items()}
         | {"instance_images/a.jpg": encoded(picture(600, 512, seed=60), "JPEG")}, 3),
    ],
)  # fmt: skip
def test_auxiliary_images(more: dict[str, bytes], left: int) -> None:
    data = make_archive(images=0, members=SET | more)
    found = report(data)
    codes = ("image_mask_unused", "image_regularization_unused")
    unused = [each for each in found.warnings if each.code in codes and "left out" in each.message]
    assert (len(unused), found.images) == (left, len(SET) + len(more) - left)


def test_a_folder_reg_alone_is_the_dataset() -> None:
    members = {f"reg/{name}": data for name, data in SET.items()}
    assert report(make_archive(images=0, members=members)).images == len(SET)
