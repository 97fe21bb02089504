"""A dataset's verdict: what refuses it, what is advised, what becomes of each of its files."""

import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest

from lora_drop.datasets.images.header import ImageHeader
from lora_drop.datasets.images.pictures import ImageInspection
from lora_drop.datasets.report import ImageOutcome, Report, Verdict
from lora_drop.datasets.reports import json_text
from tests.support.builders import JPEG, PNG, WEBP, make_archive, make_jpeg, make_png, with_exif
from tests.support.checking import checked, errors, good
from tests.support.memory_files import MemoryRange
from tests.support.pictures import BlindPictures

TEXT = b"I am a text, honestly"
RAW = b"II*\x00\x10\x00\x00\x00CR\x02\x00" + bytes(64)


def report(members: Mapping[str, bytes], **archive: object) -> Report:
    return checked(make_archive(members=members, **archive)).report  # type: ignore[arg-type]  # its own


def fates(found: Report) -> dict[str, ImageOutcome]:
    return {photo.member: photo.fate for photo in found.photos}


def test_photos_captions_and_parameters_are_found() -> None:
    members = {"a.png": PNG, "b.webp": WEBP, "a.txt": b"a [trigger]"}
    found = good(make_archive(training={"steps": 1007}, members=members))
    assert len(found.dataset.images) == 14
    assert [caption.name for caption in found.dataset.captions.values()] == ["a.txt"]
    assert found.resolved.values.steps == 1007
    assert found.cost_usd == 2.42


def test_a_good_dataset_is_left_alone() -> None:
    found = checked(make_archive(training={}, members={"photo-00.txt": b"[trigger]"}))
    assert found.good is not None
    assert found.good.plan == ()
    assert not found.report.mended
    assert found.report.changes == ()
    assert set(fates(found.report).values()) == {ImageOutcome.KEPT}


@pytest.mark.parametrize(
    "archive",
    [
        {"folder": "ada/", "training": {"steps": 1007}},
        *(
            {"members": {name: b'{"steps": 1007}'}}
            for name in ("training.json", "Training.JSON", "TRAINING.json")
        ),
    ],
)
def test_parameters_lie_in_the_root(archive: dict[str, Any]) -> None:
    """One folder that holds everything is the root; the file's name may have any case."""
    assert good(make_archive(**archive)).resolved.values.steps == 1007


@pytest.mark.parametrize(
    "junk", ["__MACOSX/._photo-00.jpg", "._x.jpg", ".DS_Store", "Thumbs.db", "sub/desktop.ini"]
)
def test_junk_is_dropped(junk: str) -> None:
    too_few = make_archive(images=9, members={junk: b"junk"})
    found = checked(make_archive(images=10, members={junk: b"junk"}))
    assert errors(too_few) == ["dataset_insufficient_images"]
    assert found.good is not None
    assert [change.code for change in found.report.changes] == ["dataset_junk_dropped"]
    assert len(found.good.plan) == 10


def test_ten_images_are_enough() -> None:
    """Ten images are enough, and twenty are advised."""
    found = {count: checked(make_archive(images=count)) for count in (10, 19, 20)}
    few = {n: any(w.code == "dataset_few_images" for w in found[n].report.warnings) for n in found}
    assert few == {10: True, 19: True, 20: False}
    assert all(each.good for each in found.values())


def test_a_photo_is_known_by_bytes() -> None:
    found = checked(make_archive(members={"scan": make_png(1), "b.dat": make_jpeg(100)}))
    assert found.good is not None
    assert {each.name for each in found.good.plan} >= {"scan.png", "b.jpg"}
    codes = [each.code for each in found.report.warnings]
    assert codes.count("image_wrong_extension") == 2


def test_a_raw_file_has_its_advice() -> None:
    [problem] = report({"IMG_1.CR2": RAW}).errors
    assert problem.code == "image_unsupported_format"
    assert "IMG_1.CR2" in problem.message
    assert "JPEG" in problem.message


@pytest.mark.parametrize("name", ["notes.pdf", "clip.mov", "readme.md", "list.csv"])
def test_other_files_are_left_out(name: str) -> None:
    found = report({name: b"%PDF-1.7 whatever"})
    assert (found.verdict, fates(found)[name]) == (Verdict.ACCEPTED, ImageOutcome.DROPPED)
    assert "dataset_other_file" in [each.code for each in found.warnings]


HIDDEN = (".thumb.jpg", ".trash/a.jpg", "x/.cache/a.jpg", ".a\\b.jpg")
MISPLACED = ("sub/training.json", "sub\\training.json", "a/b/Training.json")
NOTES = {"notes/readme.txt": b"x"}
UNUSABLE: list[tuple[str, dict[str, Any]]] = [
    ("dataset_insufficient_images", {"images": 9}),
    *(("dataset_insufficient_images", {"images": 9, "members": {each: JPEG}}) for each in HIDDEN),
    ("image_invalid_format", {"members": {"fake.jpg": TEXT}}),
    # More pixels than fit into memory are refused by the header.
    ("image_too_many_pixels", {"members": {"huge.png": make_png(1, side=50_000)}}),
    *(("parameter_file_misplaced", {"members": {each: b"{}"}}) for each in MISPLACED),
    ("parameter_file_misplaced", {"folder": "photos/", "training": {}, "members": NOTES}),
]


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(("code", "archive"), UNUSABLE)
def test_unusable_datasets_are_refused(code: str, archive: dict[str, Any]) -> None:
    """A dataset that cannot be trained on is refused with the code of its problem."""
    found = checked(make_archive(**archive)).report
    assert [problem.code for problem in found.errors] == [code]
    assert fates(found).get("fake.jpg", ImageOutcome.REFUSED) is ImageOutcome.REFUSED


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_missing_captions_are_refused() -> None:
    """A trainer that fails without captions is not paid, nor is one with a huge training.json."""
    huge = make_archive(members={"training.json": b" " * 65_537})
    assert errors(make_archive(), application="fal-ai/flux-2-trainer") == ["caption_missing"]
    assert "parameter_file_too_large" in errors(huge)


@pytest.mark.promise("never get stuck")
def test_too_many_images_are_refused() -> None:
    """More images than any training takes are refused without a look at each."""
    archive = MemoryRange(make_archive(images=1001))
    assert errors(archive) == ["dataset_too_many_images"]
    assert archive.requests <= 8


@pytest.mark.promise("it can be operated")
def test_all_problems_are_reported_at_once() -> None:
    """All problems of a dataset are reported at once."""
    members = {"fake.jpg": TEXT, "IMG_1.CR2": RAW, "photo-00.txt": b"\x00\x01", "empty.png": b""}
    archive = make_archive(images=3, members=members, training={"stepz": 7})
    assert sorted(errors(archive)) == [
        *("caption_unreadable", "dataset_insufficient_images", "image_empty"),
        *("image_invalid_format", "image_unsupported_format", "parameter_unknown"),
    ]


def test_exact_duplicates_count_once() -> None:
    twice = {"photo-03 (1).jpg": make_jpeg(3)}
    found = checked(make_archive(images=10, members=twice))
    assert found.good is not None
    assert len(found.good.dataset.images) == len(found.good.plan) == 10
    assert fates(found.report)["photo-03 (1).jpg"] is ImageOutcome.DROPPED
    assert errors(make_archive(images=9, members=twice)) == ["dataset_insufficient_images"]


class LookAlike(BlindPictures):
    """Takes the WebP of an archive for the same picture as its first JPEG."""

    def look(self, data: bytes, header: ImageHeader) -> ImageInspection:
        return super().look(make_jpeg(0) if data == WEBP else data, header)


def test_a_photo_names_its_like() -> None:
    """A photo that is the same file as another one, or looks like it, names that one in the report."""
    members = {"photo-03 (1).jpg": make_jpeg(3), "b/same.webp": WEBP}
    found = checked(make_archive(members=members), pictures=LookAlike()).report
    alike = {each.member: each.similar_to for each in found.photos if each.similar_to}
    assert alike == {"photo-03 (1).jpg": "photo-03.jpg", "b/same.webp": "photo-00.jpg"}
    assert {each.code for each in found.warnings} >= {
        *("image_exact_duplicate", "image_near_duplicate")
    }
    older = json.loads(json_text(found))
    for photo in older["photos"]:
        del photo["similar_to"]
    assert {each.similar_to for each in Report.model_validate(older).photos} == {None}


@pytest.mark.promise("nothing leaks")
def test_a_phones_metadata_is_removed() -> None:
    """What a phone writes into a photo is removed, unless it is to be kept."""
    members = {"IMG_1.jpg": with_exif(50)}
    found = checked(make_archive(members=members))
    kept = checked(make_archive(members=members), keep_metadata=True)
    assert found.good is not None
    assert [each.code for each in found.report.changes] == ["image_metadata_removed"]
    assert fates(found.report)["IMG_1.jpg"] is ImageOutcome.MENDED
    assert kept.good is not None
    assert kept.good.plan == ()


def test_folders_are_flattened() -> None:
    """Folders are flattened, and no two names are alike."""
    photos = {"a/1.jpg": make_jpeg(50), "b/1.jpg": make_jpeg(51), "c/1.JPG": make_jpeg(52)}
    found = good(make_archive(members=photos | {"b/1.txt": b"second", "d/e/1.png": make_png(53)}))
    assert {
        each.photo.member.name: (each.name, each.caption_name, each.caption)
        for each in found.plan
        if "/" in each.photo.member.name
    } == {
        "a/1.jpg": ("1.jpg", "1.txt", None),
        "b/1.jpg": ("1-2.jpg", "1-2.txt", "second"),
        "c/1.JPG": ("1-3.jpg", "1-3.txt", None),
        "d/e/1.png": ("1-4.png", "1-4.txt", None),
    }


def test_a_mask_follows_its_renamed_photo() -> None:
    members = {"a/1.jpg": make_jpeg(50), "a/1_mask.png": make_png(1), "b/1.jpg": make_jpeg(51)}
    archive = make_archive(members={**members, "b/1_mask.png": make_png(1)})
    found = good(archive, application="fal-ai/flux-lora-fast-training")
    names = {each.photo.member.name: each.name for each in found.plan}
    assert (names["a/1_mask.png"], names["b/1_mask.png"]) == ("1_mask.png", "1-2_mask.png")


@pytest.mark.promise("never get stuck")
def test_an_overlong_check_ends() -> None:
    """A check that takes too long ends with a verdict."""
    moments = itertools.count(step=20.0)
    found = checked(make_archive(), now=lambda: next(moments), patience=100.0)
    assert found.report.errors[0].code == "dataset_check_too_long"
    assert set(fates(found.report).values()) == {ImageOutcome.KEPT, ImageOutcome.REFUSED}


def test_a_broken_member_is_named() -> None:
    data = bytearray(make_archive(compression=0))
    data[data.find(b"photo 5") + 3] ^= 0xFF
    found = checked(bytes(data)).report
    broken = [("archive_crc_mismatch", "photo-05.jpg")]
    assert [(each.code, each.member) for each in found.errors] == broken
    assert fates(found)["photo-05.jpg"] is ImageOutcome.REFUSED
    assert found.images == 11


@pytest.mark.promise("it can be operated")
def test_the_report_names_parameter_sources() -> None:
    """The report has the parameters and where each comes from."""
    archive = make_archive(training={"steps": 1200})
    report = checked(archive, metadata={"learning-rate": "0.0001"}).report
    known = {each.name: (each.value, each.source) for each in report.parameters}
    assert (
        known.items()
        >= {
            "steps": (1200, "training.json"),
            "learning_rate": (0.0001, "metadata"),
            "subject_crop": (True, "preset"),
            "trigger_phrase": ("TOK_01234567", "generated"),
        }.items()
    )
    assert (report.trainer, report.preset) == ("fal-ai/flux-lora-portrait-trainer", "portrait")


def test_a_refused_archive_has_a_report() -> None:
    found = checked(b"not a ZIP").report
    assert (found.verdict, found.images, found.photos) == (Verdict.REJECTED, 0, ())
    assert [each.code for each in found.errors] == ["archive_invalid_format"]
    assert found.bytes_read == 9
