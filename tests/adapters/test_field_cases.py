"""Datasets that people have complained about in public, and sets of masks, each with the verdict that is right for it."""

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_drop.client.check import check_dataset
from lora_drop.datasets.report import Report, Verdict
from tests.support.builders import make_archive
from tests.support.field_photos import SET, field, files_of, report
from tests.support.photos import encoded, picture

# One name a folder of corpora/field. The pictures' own cases are further down the tuple.
COVERED = (
    "caption-vertical-tab",
    "captions-and-masks-folders",
    "captions-cp1250",
    "captions-cp1251",
    "captions-with-another-token",
    "exiftool-original",
    "explorer-cp862",
    "explorer-cp866",
    "hf-metadata-jsonl",
    "icloud-same-name",
    "ok-caption-encodings",
    "ok-onedrive-zip64",
    "ok-upper-case",
    "parallel-trees",
    "s3-metadata-rfc2047",
    "training-json-utf16",
    "whatsapp-chat-txt",
)
# What the sentence `wanted` of a case asks for beyond its figures, as codes that have to be there.
WANTED = {
    "captions-cp1250": ["caption_encoding_guessed"],
    "captions-cp1251": ["caption_encoding_guessed"],
    "captions-with-another-token": ["caption_trigger_untrained"],
    "explorer-cp862": ["archive_name_encoding_guessed"],
    "explorer-cp866": ["archive_name_encoding_guessed"],
    "icloud-same-name": ["archive_duplicate_name"],
    "whatsapp-chat-txt": ["caption_orphan"],
}
OPTIONS = {"--trigger": "trigger_phrase"}


def report_on(case: Path, expected: dict[str, Any]) -> Report:
    """The report that `lora-drop check` makes of the case, with its options and its object's metadata."""
    options = expected["options"]
    given = {OPTIONS[name]: value for name, value in zip(options[::2], options[1::2], strict=True)}
    return check_dataset(
        case / "dataset.zip", metadata={**given, **expected.get("object_metadata", {})}
    )


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("name", COVERED)
def test_field_case(name: str, corpora: Path) -> None:
    """A dataset as people really have it gets the verdict, the images and the captions that are right for it."""
    case = corpora / "field" / name
    if not case.is_dir():
        pytest.skip(f"no case {name} in {case.parent}")
    whole = json.loads((case / "expected.json").read_text())
    expected, found = whole["expected"], report_on(case, whole)
    problems = (*found.errors, *found.warnings)
    codes = {each.code for each in problems} | {each.code for each in found.changes}

    assert expected["verdict"] in ("any", found.verdict.value), found.errors
    assert expected["images"] in (None, found.images)
    assert codes >= {*expected["codes"], *WANTED.get(name, [])}
    assert not codes & {*expected["never_codes"]}
    texts = {photo.member: photo.caption_text for photo in found.photos}
    captions = expected.get("captions", {})
    assert {member: texts.get(member) for member in captions} == captions


def test_rfc_2047_metadata_is_the_phrase(corpora: Path) -> None:
    """A trigger phrase that S3 returns as RFC 2047 is the phrase that the person wrote."""
    case = corpora / "field" / "s3-metadata-rfc2047"
    found = report_on(case, json.loads((case / "expected.json").read_text()))
    assert {each.name: each.value for each in found.parameters}["trigger_phrase"] == "Zoë"


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


def test_photos_of_the_benchmark_differ(root: Path, tmp_path: Path) -> None:
    """The dataset that benchmarks.submit measures is of as many different photos as it says."""
    packed = tmp_path / "photos.zip"
    words = [sys.executable, "-m", "benchmarks.photos", str(packed), "12", "0.4"]
    subprocess.run(words, cwd=root, check=True, capture_output=True)  # noqa: S603  # our own words
    with zipfile.ZipFile(packed) as archive:
        digests = {hashlib.sha256(archive.read(name)).digest() for name in archive.namelist()}
    found = check_dataset(packed)
    assert (found.verdict, found.images, len(digests)) == (Verdict.ACCEPTED, 12, 12)
    codes = [*(each.code for each in found.warnings), *(each.code for each in found.changes)]
    assert not [code for code in codes if "duplicate" in code]
