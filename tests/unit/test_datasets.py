import pytest

from shared.domain.datasets import inspect
from shared.domain.errors import RejectedDataset
from tests.builders import JPEG, PNG, WEBP, make_archive
from tests.memory import MemoryRange


def codes_of(data: bytes) -> list[str]:
    with pytest.raises(RejectedDataset) as rejected:
        inspect(MemoryRange(data))
    return [problem.code for problem in rejected.value.problems]


def test_images_captions_and_parameters_are_found() -> None:
    members = {"a.png": PNG, "b.webp": WEBP, "a.txt": b"a [trigger]"}

    dataset = inspect(MemoryRange(make_archive(training={"steps": 7}, members=members)))

    assert len(dataset.images) == 14
    assert [caption.name for caption in dataset.captions] == ["a.txt"]
    assert dataset.training_json == b'{"steps": 7}'


def test_one_folder_that_holds_everything_is_the_root() -> None:
    members = {"__MACOSX/ada/._photo.jpg": b"fork"}

    dataset = inspect(MemoryRange(make_archive(folder="ada/", training={}, members=members)))

    assert dataset.training_json == b"{}"


@pytest.mark.parametrize(
    "junk", ["__MACOSX/._photo-00.jpg", "._x.jpg", ".DS_Store", "Thumbs.db", "sub/desktop.ini"]
)
def test_junk_is_neither_counted_nor_refused(junk: str) -> None:
    assert codes_of(make_archive(images=9, members={junk: b"junk"})) == [
        "dataset_insufficient_images"
    ]
    assert len(inspect(MemoryRange(make_archive(images=10, members={junk: b"x"}))).images) == 10


def test_nine_images_are_too_few_and_ten_are_enough() -> None:
    assert codes_of(make_archive(images=9)) == ["dataset_insufficient_images"]
    assert len(inspect(MemoryRange(make_archive(images=10))).images) == 10


def test_a_text_named_jpg_is_found_out() -> None:
    assert codes_of(make_archive(members={"fake.jpg": b"I am a text, honestly"})) == [
        "image_invalid_format"
    ]


def test_a_phone_photo_is_named_with_what_to_do() -> None:
    with pytest.raises(RejectedDataset, match="Convert it to JPEG"):
        inspect(MemoryRange(make_archive(members={"IMG_1.HEIC": JPEG})))


def test_every_problem_is_told_at_once() -> None:
    members = {"fake.jpg": b"text", "IMG_1.heic": b"x"}

    assert codes_of(make_archive(images=3, members=members)) == [
        "image_invalid_format",
        "image_unsupported_format",
        "dataset_insufficient_images",
    ]


def test_more_images_than_anybody_trains_on_are_refused_without_looking_at_each() -> None:
    archive = MemoryRange(make_archive(images=1001))

    with pytest.raises(RejectedDataset, match="dataset_too_many_images"):
        inspect(archive)

    assert archive.requests <= 3


def test_a_thousand_problems_are_told_as_fifty() -> None:
    with pytest.raises(RejectedDataset) as rejected:
        inspect(MemoryRange(make_archive(members={f"{n}.heic": b"x" for n in range(1000)})))

    problems = rejected.value.problems
    assert len(problems) == 50
    assert problems[-1].code == "dataset_more_problems"
    assert "951 more" in problems[-1].message


@pytest.mark.parametrize("hidden", [".thumb.jpg", ".trash/a.jpg", "x/.cache/a.jpg", ".a\\b.jpg"])
def test_hidden_files_are_no_images_as_for_the_trainer(hidden: str) -> None:
    assert codes_of(make_archive(images=9, members={hidden: JPEG})) == [
        "dataset_insufficient_images"
    ]


@pytest.mark.parametrize("name", ["training.json", "Training.JSON", "TRAINING.json"])
def test_parameters_are_found_in_the_root_in_any_case(name: str) -> None:
    dataset = inspect(MemoryRange(make_archive(members={name: b'{"steps": 7}'})))

    assert dataset.training_json == b'{"steps": 7}'


@pytest.mark.parametrize("name", ["sub/training.json", "sub\\training.json", "a/b/Training.json"])
def test_parameters_that_would_not_be_used_are_refused(name: str) -> None:
    assert codes_of(make_archive(members={name: b"{}"})) == ["parameter_file_misplaced"]


def test_parameters_beside_the_one_folder_are_misplaced_only_if_not_in_the_root() -> None:
    archive = make_archive(folder="photos/", training={}, members={"notes/readme.txt": b"x"})

    assert codes_of(archive) == ["parameter_file_misplaced"]


def test_a_training_json_that_is_no_list_of_parameters_is_told_its_size() -> None:
    archive = make_archive(members={"training.json": b" " * 65_537})

    assert codes_of(archive) == ["parameter_file_too_large"]
