"""What a trainer would fail on, known before it is paid."""

import pytest

from shared.domain.problems import Problem
from shared.domain.trainers.demands import masks_in, unmet_demands
from shared.domain.trainers.fields import Value
from shared.domain.trainers.flux import FAST, KREA, PORTRAIT
from shared.domain.trainers.flux_2 import FLUX_2
from shared.domain.trainers.table import TRAINERS
from shared.domain.trainers.trainer import Captions, Trainer

PHOTOS = [f"{number:02}.jpg" for number in range(12)]
CAPTIONS = [f"{number:02}.txt" for number in range(12)]


def unmet(
    trainer: Trainer = FLUX_2,
    *,
    images: list[str] = PHOTOS,
    captions: list[str] = CAPTIONS,
    phrase: str | None = None,
) -> list[Problem]:
    values: dict[str, Value] = {"steps": 1000}
    if phrase:
        values["trigger_phrase"] = phrase
    return unmet_demands(trainer, values, images=images, captions=captions, min_images=10)


@pytest.mark.parametrize("trainer", TRAINERS.values(), ids=lambda each: each.short_name)
def test_without_a_caption_or_a_default_one_it_is_refused_where_it_would_fail(
    trainer: Trainer,
) -> None:
    codes = [problem.code for problem in unmet(trainer, captions=[])]

    assert codes == (["caption_missing"] if trainer.captions is Captions.NEEDED else [])
    assert unmet(trainer) == unmet(trainer, captions=[], phrase="a photo of ada") == []


def test_one_missing_caption_is_enough_and_is_named() -> None:
    [problem] = unmet(captions=CAPTIONS[:-1])

    assert (problem.code, problem.member) == ("caption_missing", "11.jpg")
    assert "1 photo has no caption (11.jpg)" in problem.message
    assert "flux-2-trainer" in problem.message
    assert "default_caption" in problem.message


def test_many_missing_captions_are_one_problem() -> None:
    [problem] = unmet(captions=[])

    assert "12 photos have no caption (00.jpg, 01.jpg, 02.jpg, …)" in problem.message


@pytest.mark.parametrize(
    ("photo", "caption", "fits"),
    [
        ("a/ada.jpg", "a/ada.txt", True),
        ("ada.lovelace.jpeg", "ada.lovelace.txt", True),
        ("a/ada.jpg", "ada.txt", False),
        ("a/ada.jpg", "b/ada.txt", False),
        ("ada.jpg", "ada.jpg.txt", False),
        ("Ada.jpg", "ada.txt", False),
    ],
)
def test_a_caption_belongs_to_the_photo_with_its_path(
    photo: str,
    caption: str,
    fits: bool,  # noqa: FBT001
) -> None:
    problems = unmet(images=[*PHOTOS, photo], captions=[*CAPTIONS, caption])

    assert (problems == []) == fits


MASKS = [f"{number:02}_mask.png" for number in range(12)]


def test_masks_are_no_photos_for_who_takes_masks() -> None:
    [problem] = unmet(FAST, images=PHOTOS[:9] + MASKS[:9])

    assert problem.code == "dataset_insufficient_images"
    assert "9 of the images are masks, and photos are 9" in problem.message
    assert unmet(FAST, images=PHOTOS[:10] + MASKS) == []
    assert unmet(PORTRAIT, images=PHOTOS[:9] + MASKS[:9]) == []
    assert unmet(KREA, images=PHOTOS[:9] + MASKS[:9]) == []


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (["a.jpg", "a_mask.jpg"], {"a_mask.jpg": "a.jpg"}),
        (["a_mask.png", "a.webp"], {"a_mask.png": "a.webp"}),
        (["x/a.jpg", "x/a_mask.jpg"], {"x/a_mask.jpg": "x/a.jpg"}),
        (["x/a.jpg", "a_mask.jpg"], {}),
        (["a_mask.jpg"], {}),
        (["mask.jpg", "a_masked.jpg", "_mask.jpg"], {}),
    ],
)
def test_a_mask_belongs_to_the_photo_with_its_path(
    images: list[str], masks: dict[str, str]
) -> None:
    assert masks_in(FAST, images) == masks
    assert masks_in(PORTRAIT, images) == {}
