"""A dataset's verdict: what refuses it, what is advised, what becomes of each of its files."""

import itertools
from collections.abc import Mapping

import pytest

from lora_drop.datasets.report import ImageOutcome, Report, Verdict
from tests.support.builders import JPEG, PNG, WEBP, make_archive, make_jpeg, make_png, with_exif
from tests.support.checking import checked, errors, good
from tests.support.memory_files import MemoryRange

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


def test_a_dataset_that_needs_nothing_is_left_as_it_is() -> None:
    found = checked(make_archive(training={}, members={"photo-00.txt": b"[trigger]"}))

    assert found.good is not None
    assert found.good.plan == ()
    assert not found.report.mended
    assert found.report.changes == ()
    assert set(fates(found.report).values()) == {ImageOutcome.KEPT}


def test_one_folder_that_holds_everything_is_the_root() -> None:
    archive = make_archive(folder="ada/", training={"steps": 1007})

    assert good(archive).resolved.values.steps == 1007


@pytest.mark.parametrize(
    "junk", ["__MACOSX/._photo-00.jpg", "._x.jpg", ".DS_Store", "Thumbs.db", "sub/desktop.ini"]
)
def test_junk_is_neither_counted_nor_refused_and_dropped(junk: str) -> None:
    assert errors(make_archive(images=9, members={junk: b"junk"})) == [
        "dataset_insufficient_images"
    ]
    found = checked(make_archive(images=10, members={junk: b"junk"}))
    assert found.good is not None
    assert [change.code for change in found.report.changes] == ["dataset_junk_dropped"]
    assert len(found.good.plan) == 10


def test_nine_images_are_too_few_and_ten_are_enough() -> None:
    assert errors(make_archive(images=9)) == ["dataset_insufficient_images"]
    assert len(good(make_archive(images=10)).dataset.images) == 10


def test_twenty_are_advised() -> None:
    few, enough = checked(make_archive(images=19)), checked(make_archive(images=20))

    assert "dataset_few_images" in [each.code for each in few.report.warnings]
    assert "dataset_few_images" not in [each.code for each in enough.report.warnings]


def test_a_text_named_jpg_is_found_out() -> None:
    found = report({"fake.jpg": TEXT})

    assert [problem.code for problem in found.errors] == ["image_invalid_format"]
    assert fates(found)["fake.jpg"] is ImageOutcome.REFUSED


def test_a_photo_is_known_by_its_bytes_whatever_it_is_called() -> None:
    found = checked(make_archive(members={"scan": make_png(1), "b.dat": make_jpeg(100)}))

    assert found.good is not None
    assert {each.name for each in found.good.plan} >= {"scan.png", "b.jpg"}
    codes = [each.code for each in found.report.warnings]
    assert codes.count("image_wrong_extension") == 2


def test_a_raw_file_is_named_with_what_to_do() -> None:
    [problem] = report({"IMG_1.CR2": RAW}).errors

    assert problem.code == "image_unsupported_format"
    assert "IMG_1.CR2" in problem.message
    assert "JPEG" in problem.message


@pytest.mark.parametrize("name", ["notes.pdf", "clip.mov", "readme.md", "list.csv"])
def test_what_is_no_photo_and_was_never_meant_to_be_is_left_out(name: str) -> None:
    found = report({name: b"%PDF-1.7 whatever"})

    assert (found.verdict, fates(found)[name]) == (Verdict.ACCEPTED, ImageOutcome.DROPPED)
    assert "dataset_other_file" in [each.code for each in found.warnings]


def test_every_problem_is_told_at_once() -> None:
    members = {"fake.jpg": TEXT, "IMG_1.CR2": RAW, "photo-00.txt": b"\x00\x01", "empty.png": b""}
    archive = make_archive(images=3, members=members, training={"stepz": 7})

    assert sorted(errors(archive)) == [
        "caption_unreadable",
        "dataset_insufficient_images",
        "image_empty",
        "image_invalid_format",
        "image_unsupported_format",
        "parameter_unknown",
    ]


def test_more_files_than_anybody_trains_on_are_refused_without_looking_at_each() -> None:
    archive = MemoryRange(make_archive(images=1001))

    assert errors(archive) == ["dataset_too_many_images"]
    assert archive.requests <= 8


def test_exact_duplicates_are_used_once_and_count_once() -> None:
    found = checked(make_archive(images=10, members={"photo-03 (1).jpg": make_jpeg(3)}))

    assert found.good is not None
    assert len(found.good.dataset.images) == len(found.good.plan) == 10
    assert fates(found.report)["photo-03 (1).jpg"] is ImageOutcome.DROPPED
    assert errors(make_archive(images=9, members={"photo-03 (1).jpg": make_jpeg(3)})) == [
        "dataset_insufficient_images"
    ]


def test_what_a_phone_writes_into_a_photo_is_a_need() -> None:
    members = {"IMG_1.jpg": with_exif(50)}

    found = checked(make_archive(members=members))
    kept = checked(make_archive(members=members), keep_metadata=True)

    assert found.good is not None
    assert [each.code for each in found.report.changes] == ["image_metadata_removed"]
    assert fates(found.report)["IMG_1.jpg"] is ImageOutcome.MENDED
    assert kept.good is not None
    assert kept.good.plan == ()


def test_folders_are_flattened_and_no_two_names_are_alike() -> None:
    members = {
        "a/1.jpg": make_jpeg(50),
        "b/1.jpg": make_jpeg(51),
        "b/1.txt": b"the second",
        "c/1.JPG": make_jpeg(52),
        "d/e/1.png": make_png(53),
    }
    found = checked(make_archive(members=members))

    assert found.good is not None
    plan = {each.photo.member.name: each for each in found.good.plan}
    names = {old: each.name for old, each in plan.items() if "/" in old}
    assert names == {
        "a/1.jpg": "1.jpg",
        "b/1.jpg": "1-2.jpg",
        "c/1.JPG": "1-3.JPG",
        "d/e/1.png": "1-4.png",
    }
    assert (plan["b/1.jpg"].caption_name, plan["b/1.jpg"].caption) == ("1-2.txt", "the second")
    assert plan["a/1.jpg"].caption is None


def test_a_mask_stays_with_its_photo_under_its_new_name() -> None:
    members = {"a/1.jpg": make_jpeg(50), "a/1_mask.png": make_png(1), "b/1.jpg": make_jpeg(51)}
    archive = make_archive(members={**members, "b/1_mask.png": make_png(1)})

    found = good(archive, application="fal-ai/flux-lora-fast-training")

    names = {each.photo.member.name: each.name for each in found.plan}
    assert (names["a/1_mask.png"], names["b/1_mask.png"]) == ("1_mask.png", "1-2_mask.png")


def test_a_trainer_that_fails_without_captions_is_not_paid() -> None:
    assert errors(make_archive(), application="fal-ai/flux-2-trainer") == ["caption_missing"]


def test_a_check_that_takes_too_long_ends_with_a_verdict() -> None:
    moments = itertools.count(step=20.0)

    found = checked(make_archive(), now=lambda: next(moments), patience=100.0)

    assert found.report.errors[0].code == "dataset_check_too_long"
    assert set(fates(found.report).values()) == {ImageOutcome.KEPT, ImageOutcome.REFUSED}


@pytest.mark.parametrize("hidden", [".thumb.jpg", ".trash/a.jpg", "x/.cache/a.jpg", ".a\\b.jpg"])
def test_hidden_files_are_no_images_as_for_the_trainer(hidden: str) -> None:
    assert errors(make_archive(images=9, members={hidden: JPEG})) == ["dataset_insufficient_images"]


@pytest.mark.parametrize("name", ["training.json", "Training.JSON", "TRAINING.json"])
def test_parameters_are_found_in_the_root_in_any_case(name: str) -> None:
    found = good(make_archive(members={name: b'{"steps": 1007}'}))

    assert found.resolved.values.steps == 1007
    assert found.plan == ()


@pytest.mark.parametrize("name", ["sub/training.json", "sub\\training.json", "a/b/Training.json"])
def test_parameters_that_would_not_be_used_are_refused(name: str) -> None:
    assert errors(make_archive(members={name: b"{}"})) == ["parameter_file_misplaced"]


def test_parameters_beside_the_one_folder_are_misplaced_only_if_not_in_the_root() -> None:
    archive = make_archive(folder="photos/", training={}, members={"notes/readme.txt": b"x"})

    assert errors(archive) == ["parameter_file_misplaced"]


def test_a_training_json_that_is_no_list_of_parameters_is_told_its_size() -> None:
    archive = make_archive(members={"training.json": b" " * 65_537})

    assert "parameter_file_too_large" in errors(archive)


def test_a_picture_of_more_pixels_than_anybody_has_memory_for_is_refused_by_its_header() -> None:
    huge = make_png(1, side=50_000)

    assert errors(make_archive(members={"huge.png": huge})) == ["image_too_many_pixels"]


def test_a_photo_that_does_not_unpack_is_refused_by_name_and_the_others_are_judged() -> None:
    data = bytearray(make_archive(compression=0))
    at = data.find(b"photo 5") + 3
    data[at] ^= 0xFF

    found = checked(bytes(data)).report

    assert [(each.code, each.member) for each in found.errors] == [
        ("archive_crc_mismatch", "photo-05.jpg")
    ]
    assert fates(found)["photo-05.jpg"] is ImageOutcome.REFUSED
    assert found.images == 11


def test_the_report_has_the_parameters_and_who_decided_them() -> None:
    found = checked(make_archive(training={"steps": 1200}), metadata={"learning-rate": "0.0001"})

    told = {each.name: (each.value, each.source) for each in found.report.parameters}
    assert told["steps"] == (1200, "training.json")
    assert told["learning_rate"] == (0.0001, "metadata")
    assert told["subject_crop"] == (True, "preset")
    assert told["trigger_phrase"] == ("TOK_01234567", "generated")
    assert (found.report.trainer, found.report.preset) == (
        "fal-ai/flux-lora-portrait-trainer",
        "portrait",
    )


def test_a_refused_archive_has_a_report_as_well() -> None:
    found = checked(b"not a ZIP").report

    assert (found.verdict, found.images, found.photos) == (Verdict.REJECTED, 0, ())
    assert [each.code for each in found.errors] == ["archive_invalid_format"]
    assert found.bytes_read == 9
