"""What a trainer would fail on, known before it is paid."""

from collections.abc import Sequence

import pytest

from lora_drop.fal.trainers.demands import mask_warnings, masks_in, unmet_demands
from lora_drop.fal.trainers.fields import Value
from lora_drop.fal.trainers.table import FAST, FLUX_2, PORTRAIT, TRAINERS
from lora_drop.fal.trainers.trainer import Captions, Trainer
from lora_drop.jobs.problems import Problem

PHOTOS = [f"{number:02}.jpg" for number in range(12)]


def unmet(
    trainer: Trainer = FLUX_2,
    *,
    bare: Sequence[str] = (),
    phrase: str | None = None,
) -> list[Problem]:
    values: dict[str, Value] = {"steps": 1000}
    if phrase:
        values["trigger_phrase"] = phrase
    return unmet_demands(trainer, values, bare=bare)


@pytest.mark.parametrize("trainer", TRAINERS.values(), ids=lambda each: each.short_name)
def test_without_a_caption_or_a_default_one_it_is_refused_where_it_would_fail(
    trainer: Trainer,
) -> None:
    codes = [problem.code for problem in unmet(trainer, bare=PHOTOS)]

    assert codes == (["caption_missing"] if trainer.captions is Captions.NEEDED else [])
    assert unmet(trainer) == unmet(trainer, bare=PHOTOS, phrase="a photo of ada") == []


def test_one_missing_caption_is_enough_and_is_named() -> None:
    [problem] = unmet(bare=["11.jpg"])

    assert (problem.code, problem.member) == ("caption_missing", "11.jpg")
    assert "1 photo has no caption (11.jpg)" in problem.message
    assert "flux-2-trainer" in problem.message
    assert "default_caption" in problem.message


def test_many_missing_captions_are_one_problem() -> None:
    [problem] = unmet(bare=PHOTOS)

    assert "12 photos have no caption (00.jpg, 01.jpg, 02.jpg, …)" in problem.message


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


def test_a_mask_that_does_not_fit_its_photo_is_told() -> None:
    sizes = {"a.jpg": (600, 800), "a_mask.jpg": (800, 600), "b.jpg": (9, 9), "b_mask.png": (9, 9)}
    masks = {"a_mask.jpg": "a.jpg", "b_mask.png": "b.jpg"}

    [problem] = mask_warnings(FAST, sizes, masks)

    assert (problem.code, problem.member) == ("image_mask_differs", "a_mask.jpg")


def test_a_mask_for_who_takes_none_is_told() -> None:
    sizes = {"a.jpg": (9, 9), "a_mask.jpg": (9, 9), "b_mask.jpg": (9, 9)}

    [problem] = mask_warnings(PORTRAIT, sizes, {})

    assert (problem.code, problem.member) == ("image_mask_unused", "a_mask.jpg")
    assert list(mask_warnings(FAST, sizes, {"a_mask.jpg": "a.jpg"})) == []
