"""Captions and masks: which photo they belong to, how they are read, what a trainer needs of them."""

from collections.abc import Sequence

import pytest

from lora_drop.datasets.caption_names import PhotoNames
from lora_drop.datasets.captions import paired
from lora_drop.fal.trainers.demands import mask_warnings, masks_in, unmet_demands
from lora_drop.fal.trainers.fields import Value
from lora_drop.fal.trainers.late_rows import FLUX_2
from lora_drop.fal.trainers.table import FAST, PORTRAIT, TRAINERS
from lora_drop.fal.trainers.trainer import Captions, Trainer
from lora_drop.jobs.problems import Problem
from tests.support.builders import make_archive, make_jpeg
from tests.support.checking import checked, errors, warnings


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("Zoë im Grünen", "Zoë im Grünen".encode("cp1252")),
        *(("Zoë", "\ufeffZoë".encode()), ("Zoë", "Zoë".encode("utf-16"))),
    ],
)
def test_captions_become_utf_8(data: bytes, text: str) -> None:
    found = checked(make_archive(members={"photo-00.txt": data}))
    assert found.good is not None
    assert found.good.plan[0].caption == text
    assert [each.code for each in found.report.changes] == ["caption_encoding"]


def test_captions_are_looked_after() -> None:
    members = {"orphan.txt": b"x", "photo-00.txt": b"a", "photo-01.txt": b" "}
    assert warnings(make_archive(members=members)) == [
        "caption_orphan",
        "caption_empty",
        "caption_absent",
    ]
    assert errors(make_archive(members={"photo-00.txt": b"x" * 20_000})) == ["caption_too_long"]


def test_soft_breaks_become_line_ends() -> None:
    found = checked(make_archive(members={"photo-00.txt": b"in a garden\x0bblue dress"}))
    assert found.good is not None
    assert found.good.plan[0].caption == "in a garden\nblue dress"


@pytest.mark.parametrize(
    "text",
    [b"12.03.24, 10:00 - Ada: hello " * 900, b"\x00\x01 no text", b"\x81\x8d" * 9_000],
    ids=["long", "no text", "both"],
)
@pytest.mark.parametrize("name", ["_chat.txt", "docs/LICENSE.txt", "readme.caption"])
def test_a_text_of_no_photo_refuses_nothing(name: str, text: bytes) -> None:
    archive = make_archive(members={name: text})
    assert errors(archive) == []
    assert "caption_orphan" in warnings(archive)


def test_a_caption_trigger_needs_a_phrase() -> None:
    archive = make_archive(members={f"photo-{n:02}.txt": b"[trigger]" for n in range(12)})
    assert warnings(archive) == []
    assert warnings(archive, application="fal-ai/z-image-trainer") == ["caption_trigger_unset"]


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    ("captions", "photos", "pairs"),
    [
        (
            ["captions/in/0.txt", "captions/out/0.txt"],
            ["images/in/0.jpg", "images/out/0.jpg"],
            {"images/in/0.jpg": "captions/in/0.txt", "images/out/0.jpg": "captions/out/0.txt"},
        ),
        (["c/in/0.txt", "d/in/0.txt"], ["i/in/0.jpg"], {}),
        (["a/ada.txt"], ["a/ada.jpg"], {"a/ada.jpg": "a/ada.txt"}),
        (["a.b.txt"], ["a.b.jpeg"], {"a.b.jpeg": "a.b.txt"}),
        (["ada.TXT"], ["ada.jpg"], {"ada.jpg": "ada.TXT"}),
        (["ada.caption"], ["ada.jpg"], {"ada.jpg": "ada.caption"}),
        (["ada.caption", "ada.txt"], ["ada.jpg"], {"ada.jpg": "ada.txt"}),
        (["ada.jpg.txt"], ["ada.jpg"], {"ada.jpg": "ada.jpg.txt"}),
        (["ada.txt"], ["Ada.JPG"], {"Ada.JPG": "ada.txt"}),
        (["J\u00fcrgen.txt"], ["Ju\u0308rgen.jpg"], {"Ju\u0308rgen.jpg": "J\u00fcrgen.txt"}),
        (["captions/ada.txt"], ["images/ada.jpg"], {"images/ada.jpg": "captions/ada.txt"}),
        (["ada.txt"], ["ada.jpg", "ada.png"], {"ada.jpg": "ada.txt", "ada.png": "ada.txt"}),
    ],
)
def test_a_caption_finds_its_photo(
    captions: list[str], photos: list[str], pairs: dict[str, str]
) -> None:
    """A caption finds its photo wherever a person sees that it belongs there, and nowhere else."""
    assert paired(captions, photos) == pairs


@pytest.mark.parametrize(
    ("captions", "photos"),
    [
        (["notes.txt"], ["ada.jpg"]),
        (["c/ada.txt"], ["x/ada.jpg", "y/ada.jpg"]),
        (["c/ada.txt", "d/ada.txt"], ["x/ada.jpg"]),
        (["ADA.txt"], ["ada.jpg", "Ada.jpg"]),
    ],
)
def test_an_ambiguous_caption_has_no_photo(captions: list[str], photos: list[str]) -> None:
    assert paired(captions, photos) == {}


def test_an_exact_name_comes_first() -> None:
    pairs = {"ada.jpg": "ada.txt", "y/ada.jpg": "x/ada.txt"}
    assert paired(["x/ada.txt", "ada.txt"], [*pairs]) == pairs


PHOTOS = [f"{number:02}.jpg" for number in range(12)]


def unmet(
    trainer: Trainer = FLUX_2, *, bare: Sequence[str] = (), phrase: str | None = None
) -> list[Problem]:
    values: dict[str, Value] = {"steps": 1000}
    if phrase:
        values["trigger_phrase"] = phrase
    return unmet_demands(trainer, values, bare=bare)


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("trainer", TRAINERS.values(), ids=lambda each: each.short_name)
def test_needed_captions_are_asked_for(trainer: Trainer) -> None:
    """A photo without a caption is refused where the trainer would fail, unless there is a default one."""
    codes = [problem.code for problem in unmet(trainer, bare=PHOTOS)]
    assert codes == ([] if trainer.captions is Captions.OPTIONAL else ["caption_missing"])
    assert unmet(trainer) == unmet(trainer, bare=PHOTOS, phrase="a photo of ada") == []


@pytest.mark.promise("it can be operated")
def test_missing_captions_are_one_problem() -> None:
    """Missing captions are one problem that names the photos."""
    [one], [many] = unmet(bare=["11.jpg"]), unmet(bare=PHOTOS)
    assert (one.code, one.member) == ("caption_missing", "11.jpg")
    assert "1 photo has no caption (11.jpg)" in one.message
    assert "flux-2-trainer" in one.message
    assert "default_caption" in one.message
    assert "12 photos have no caption (00.jpg, 01.jpg, 02.jpg, …)" in many.message


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
def test_a_mask_belongs_to_its_photo(images: list[str], masks: dict[str, str]) -> None:
    assert masks_in(FAST, images) == masks
    assert masks_in(PORTRAIT, images) == {}


def test_masks_that_do_not_fit() -> None:
    """A mask that does not fit its photo, or that the trainer does not take, is a warning."""
    sizes = {"a.jpg": (600, 800), "a_mask.jpg": (800, 600), "b.jpg": (9, 9), "b_mask.png": (9, 9)}
    masks = {"a_mask.jpg": "a.jpg", "b_mask.png": "b.jpg"}
    fitting = {"a.jpg": (9, 9), "a_mask.jpg": (9, 9), "b_mask.jpg": (9, 9)}
    [differs] = mask_warnings(FAST, sizes, masks)
    [unused] = mask_warnings(PORTRAIT, fitting, {})
    assert (differs.code, differs.member) == ("image_mask_differs", "a_mask.jpg")
    assert (unused.code, unused.member) == ("image_mask_unused", "a_mask.jpg")
    assert list(mask_warnings(FAST, fitting, {"a_mask.jpg": "a.jpg"})) == []


def test_backups_of_exiftool_are_left_out() -> None:
    photo = make_jpeg("one")
    members = {"ada.jpg": photo, "ada.jpg_original": photo, "bob.jpg_original": make_jpeg("two")}
    found = checked(make_archive(members=members))
    left_out = [each.member for each in found.report.changes if each.code == "dataset_junk_dropped"]
    assert left_out == ["ada.jpg_original"]


@pytest.mark.parametrize(
    ("caption", "photos", "meant"),
    [
        ("photo01.txt", ["photo_01.jpg", "photo_02.jpg"], "photo_01.jpg"),
        ("Photo-1.txt", ["in/photo_01.jpg"], "in/photo_01.jpg"),
        ("phtoo_1.txt", ["photo_01.jpg", "photo_02.jpg"], "photo_01.jpg"),
        ("photo_3.txt", ["photo_01.jpg", "photo_02.jpg"], None),
        ("photo_1.txt", ["photo_01.jpg", "photo-01.png"], None),
        ("notes.txt", ["anna.jpg"], None),
    ],
)
def test_misnamed_caption_names_its_photo(
    caption: str, photos: list[str], meant: str | None
) -> None:
    assert PhotoNames(photos).meant_by(caption) == meant


def test_warning_says_which_photo_is_meant() -> None:
    found = checked(make_archive(members={"photo2.txt": b"x"})).report.warnings
    [said] = [each.message for each in found if each.code == "caption_orphan"]
    assert "Did you mean the one of photo-02.jpg? Then call it photo-02.txt." in said
