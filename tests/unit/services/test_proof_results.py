"""What comes of a proof sheet: its numbers, its files, its event; and that nothing of a face is kept."""

import json
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lora_drop.datasets.faces.face import Similarities
from lora_drop.datasets.images.header import ImageHeader
from lora_drop.datasets.images.pictures import ImageInspection
from lora_drop.datasets.reports.proof_sheet import ProofReport
from lora_drop.fal.trainers.parameters import TrainingParameters
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.errors import (
    DatasetRejectedError,
    DatasetUnreadableError,
    EventsUnavailableError,
)
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.services.proof_report import SHOWN_PHOTOS
from lora_drop.services.proof_results import GONE, MOST_PHOTOS, NOTHING_MADE
from tests.support.likeness import ADA, FacePictures, LabelComparer, photos_of, trained

OWN, STRANGERS = ("ada 20", "ada 21", "ada 22"), ("bob 20", "bob 21", "bob 22")


class BrokenComparer(LabelComparer):
    """A comparer with a mistake in it."""

    def similarities(self, crops: Any) -> Similarities:
        raise ZeroDivisionError(crops[0])


def advice(sheet: Any) -> str:
    assert sheet.likeness is not None
    return str(sheet.likeness.advice)


@pytest.mark.promise("it can be operated")
def test_own_pictures_reach_the_photos() -> None:
    """A LoRA whose pictures show the person is said to look like the photos."""
    sheet = trained(*OWN).measure()

    assert sheet.likeness is not None
    assert sheet.likeness.likeness is not None
    assert sheet.likeness.likeness > 0.8
    assert sheet.likeness.advice == ""
    assert sheet.pictures == tuple(f"ada-{n:010x}" for n in (1, 2, 3))
    assert sheet.done_at is None  # the caller's


@pytest.mark.promise("it can be operated")
def test_strangers_pictures_are_named_low() -> None:
    """A LoRA whose pictures show a stranger has a low likeness, and its sheet says what helps."""
    training = trained(*STRANGERS)
    sheet = training.measure()

    assert sheet.likeness is not None
    assert sheet.likeness.likeness is not None
    assert sheet.likeness.likeness < 0.3
    assert "The pictures seem to show another person" in advice(sheet)
    assert "more photos (it had 12; 20 to 50 are best)" in advice(sheet)
    assert "captions" in advice(sheet)
    assert "The pictures seem to show another person" in training.file("proof.html")


def test_copied_photo_is_named() -> None:
    training = trained("ada 20", ADA[2])

    assert f"{ADA[2]}.jpg" in advice(training.measure())
    report = json.loads(training.file("proof.json"))
    assert [each["copy_of"] for each in report["pictures"]] == [None, f"{ADA[2]}.jpg"]


def test_files_say_the_same(root: Any) -> None:
    training = trained(*OWN)
    sheet = training.measure()

    report = json.loads(training.file("proof.json"))
    schema = json.loads((root / "docs" / "proof.schema.json").read_text())
    assert list(Draft202012Validator(schema).iter_errors(report)) == []
    assert sheet.likeness is not None
    assert report["likeness"] == sheet.likeness.likeness
    assert [each["file"] for each in report["pictures"]] == [f"{n}/picture.jpg" for n in (1, 2, 3)]
    assert [each["seed"] for each in report["pictures"]] == [1001, 1002, 1003]
    assert {each["name"] for each in report["photos"]} == {f"{label}.jpg" for label in ADA}
    page = training.file("proof.html")
    assert sheet.likeness.words in page
    assert 'href="2/picture.jpg"' in page
    assert page.count("data:image/jpeg") == 3 + SHOWN_PHOTOS
    story = json.loads(training.world.results.text(training.job, "job.json") or "")
    assert story["proof"]["likeness"]["likeness"] == sheet.likeness.likeness


@pytest.mark.promise("nothing leaks")
def test_page_with_photos_expires() -> None:
    """A proof sheet that shows photos of the dataset is kept no longer than the dataset."""
    training, without = trained(*OWN), trained(*OWN, preset="style")
    training.measure()
    without.measure()

    assert training.world.results.expiring == {f"{training.job.prefix}proof/proof.html"}
    assert without.world.results.expiring == set()


@pytest.mark.promise("nothing leaks")
def test_event_has_numbers_alone() -> None:
    """The event of a proof sheet has its numbers, and no prompt, no name of a photo and no advice."""
    training = trained("ada 20", ADA[2], reference="order 4711")
    sheet = training.measure()

    [event] = training.world.events.sheets
    assert sheet.likeness is not None
    assert event.model_dump(mode="json") == {
        "schema_version": 1,
        "job_id": training.job.job_id,
        "ordered": 2,
        "made": 2,
        "likeness": sheet.likeness.likeness,
        "among_photos": sheet.likeness.among_photos,
        "copies": 1,
        "application": training.job.application,
        "bucket": "models",
    }


@pytest.mark.promise("never lose a result")
def test_lost_event_is_tried_again() -> None:
    """A proof sheet whose event could not be sent is not done: the same call sends it later."""
    training = trained(*OWN)
    training.world.events.refuses = EventsUnavailableError("down")
    with pytest.raises(EventsUnavailableError):
        training.measure()
    training.world.events.refuses = None

    assert training.measure() == training.measure()
    assert len(training.world.events.sheets) == 2


@pytest.mark.parametrize(
    "style",
    [
        {"preset": "style"},
        {"parameters": TrainingParameters.model_validate({"steps": 1000, "is_style": True})},
    ],
    ids=["preset", "the trainer's own switch"],
)
def test_style_has_pictures_alone(style: dict[str, Any]) -> None:
    training = trained(*OWN, **style)

    assert training.measure().likeness is None
    report = json.loads(training.file("proof.json"))
    assert (report["likeness"], report["photos"], report["advice"]) == (None, [], "")
    assert all(each["file"] for each in report["pictures"])
    assert training.world.datasets.objects  # they are there, and not looked at
    assert len(_looked(training)) == 3


def _looked(training: Any) -> list[str]:
    pictures = training.results.pictures
    assert isinstance(pictures, FacePictures)
    return pictures.looked


@pytest.mark.promise("nothing leaks")
def test_no_face_where_switched_off() -> None:
    """With FaceCheck=false no photo is looked at for a proof sheet."""
    training = trained(*OWN)

    training.results = replace(training.results, pictures=FacePictures(off=True), faces=None)

    assert training.measure().likeness is None
    assert len(_looked(training)) == 3


@pytest.mark.promise("never get stuck")
def test_deleted_dataset_leaves_the_pictures() -> None:
    """A proof sheet whose dataset is gone has its pictures, and says why it has no likeness."""
    training = trained(*OWN)
    training.world.datasets.put(training.job.dataset.key, None)

    assert advice(training.measure()) == GONE
    assert len(json.loads(training.file("proof.json"))["pictures"]) == 3


def test_broken_archive_leaves_the_pictures() -> None:
    assert advice(trained(*OWN, archive=b"PK no archive").measure()) == GONE


@pytest.mark.promise("never get stuck")
def test_mistake_of_ours_ends_the_sheet() -> None:
    """A mistake in the comparison does not come back for ever, and says nothing of the photos."""
    said = advice(trained(*OWN, comparer=BrokenComparer()).measure())

    assert "ZeroDivisionError" in said
    assert "ada" not in said


@pytest.mark.parametrize(
    ("preset", "steps", "said"),
    [
        ("portrait", 1500, ""),
        ("portrait", 1000, "more steps (it had 1,000; 1,500 are usual)"),
        ("fast", 1000, ""),
        (None, 1500, "more steps (it had 1,500; 2,500 are usual)"),
    ],
)
def test_presets_own_steps_are_enough(preset: str | None, steps: int, said: str) -> None:
    """A training with its preset's steps is not advised to take more, and one with fewer is."""
    training = trained(*STRANGERS, preset=preset, parameters=TrainingParameters(steps=steps))
    words = advice(training.measure())

    assert ("more steps" in words) == bool(said)
    assert said in words


def test_faceless_pictures_show_no_other() -> None:
    words = advice(trained("nobody 1", "nobody 2").measure())

    assert words.startswith("The pictures have no face that can be compared.")
    assert "another person" not in words


@pytest.mark.parametrize(
    ("pictures", "seen"),
    [
        (("nobody 1", "nobody 2"), "The pictures have no face that can be compared."),
        (STRANGERS, "The pictures seem to show another person than the photos."),
        ((ADA[2],), f"Picture 1 is nearly the same as the photo {ADA[2]}.jpg."),
    ],
    ids=["drawn", "strangers", "copy"],
)
def test_simulator_says_nothing_of_the_lora(pictures: tuple[str, ...], seen: str) -> None:
    """A simulator's pictures are named as such on the sheet, and nothing is advised for the LoRA."""
    training = trained(*pictures)
    training.results = replace(training.results, simulated="A simulator drew them.")

    assert advice(training.measure()) == seen
    assert json.loads(training.file("proof.json"))["simulated"] == "A simulator drew them."
    page = training.file("proof.html")
    assert page.index("A simulator drew them.") < page.index(seen)


def test_clean_copy_is_compared() -> None:
    training = trained(*OWN)
    key = f"{training.job.prefix}dataset.zip"
    training.world.results.files[key] = photos_of(*(f"bob {n}" for n in range(1, 7)))
    clean: StoredFile = training.world.results.reread(key)
    training.job = training.job.model_copy(update={"clean": clean})
    training.world.datasets.put(training.job.dataset.key, None)  # no longer needed

    assert "another person" in advice(training.measure())
    training.world.results.remove(key)
    assert advice(training.measure()) == GONE


def test_unmade_and_black_pictures_are_said() -> None:
    training = trained("ada 20", "ada 21", "ada 22 black", failed={2: Status.FAILED})
    why = Problem(code="fal_error", message="fal had no room.")
    training.pictures = tuple(
        each if each.status is Status.SUCCEEDED else each.model_copy(update={"problems": (why,)})
        for each in training.pictures
    )
    sheet = training.measure()

    assert sheet.likeness is not None
    assert [each.number for each in sheet.likeness.pictures] == [1]
    report = ProofReport.model_validate_json(training.file("proof.json"))
    assert [each.blackened for each in report.pictures] == [False, False, True]
    assert [each.problem for each in report.pictures] == [
        None,
        "It was not made: fal had no room.",
        None,
    ]
    page = training.file("proof.html")
    assert "safety checker has made it black" in page
    assert "Proof sheet: 2 of 3 pictures" in page
    [event] = training.world.events.sheets
    assert (event.ordered, event.made) == (3, 2)


@pytest.mark.parametrize("labels", [("ada 20 black",), ("ada 20",)])
def test_sheet_without_pictures_says_so(labels: tuple[str, ...]) -> None:
    failed = {} if "black" in labels[0] else {1: Status.CANCELLED}
    training = trained(*labels, failed=failed)

    assert advice(training.measure()) == NOTHING_MADE
    assert len(_looked(training)) <= 1


def test_stored_picture_may_be_gone() -> None:
    training = trained(*OWN)
    training.world.results.remove(f"{training.job.prefix}proof/1/picture.jpg")
    training.measure()

    report = json.loads(training.file("proof.json"))
    assert report["pictures"][0]["file"] is None
    assert report["pictures"][0]["problem"] == "It was made, and its file can no longer be read."


class Archived:
    """A stored picture that cannot be read at the moment."""

    size = 10

    def __init__(self, trouble: Exception) -> None:
        self._trouble = trouble

    def read(self, *_: int) -> bytes:
        raise self._trouble


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("trouble", [DatasetUnreadableError("archived"), DatasetRejectedError([])])
def test_unreadable_picture_is_said(trouble: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stored picture that cannot be read is named on the sheet, which is made without it."""
    training = trained(*OWN)
    whole = training.world.results.reader

    def reader(stored: StoredFile) -> Any:
        return Archived(trouble) if "/proof/1/" in stored.key else whole(stored)

    monkeypatch.setattr(training.world.results, "reader", reader)
    sheet = training.measure()

    assert sheet.likeness is not None
    assert [each.number for each in sheet.likeness.pictures] == [2, 3]
    report = json.loads(training.file("proof.json"))
    assert report["pictures"][0]["problem"] == "It was made, and its file can no longer be read."


class BrokenPictures(FacePictures):
    """A decoder with a mistake in it."""

    def look(self, data: bytes, header: ImageHeader) -> ImageInspection:
        raise ZeroDivisionError(data, header)


@pytest.mark.promise("never get stuck")
def test_broken_look_leaves_a_plain_sheet() -> None:
    """Where our own mistake keeps the pictures from being looked at, the sheet has them alone, and says so."""
    training = trained("ada 20", "ada 21", failed={2: Status.FAILED})
    training.results = replace(training.results, pictures=BrokenPictures())

    assert "ZeroDivisionError" in advice(training.measure())
    report = json.loads(training.file("proof.json"))
    assert [each["file"] for each in report["pictures"]] == ["1/picture.jpg", None]
    assert [each["problem"] is None for each in report["pictures"]] == [True, False]
    assert 'href="1/picture.jpg"' in training.file("proof.html")
    [event] = training.world.events.sheets
    assert (event.ordered, event.made) == (2, 1)


def test_unclear_faces_do_not_count() -> None:
    photos = (*ADA[:4], "ada 5 small", "ada 6 blurred", "nobody 7", "ada 8 group")
    training = trained("ada 20", "ada 21 small", photos=photos)
    sheet = training.measure()

    assert sheet.likeness is not None
    assert [each.likeness is None for each in sheet.likeness.pictures] == [False, True]
    report = json.loads(training.file("proof.json"))
    assert [each["name"] for each in report["photos"]] == [f"{label}.jpg" for label in ADA[:4]]


def test_large_dataset_is_sampled() -> None:
    comparer = LabelComparer()
    photos = [f"ada {number}" for number in range(3 * MOST_PHOTOS)]
    training = trained("ada 999", photos=photos, comparer=comparer)
    training.measure()

    looked = _looked(training)
    assert len(looked) == MOST_PHOTOS + 1
    assert looked[-1] == f"ada {3 * MOST_PHOTOS - 3}"
    assert comparer.calls == 1


@pytest.mark.promise("never get stuck")
def test_slow_photos_end_the_looking() -> None:
    """A proof sheet is done within the function's time, with the photos that were looked at by then."""

    seconds = iter(range(0, 1000, 50))
    training = trained(*OWN)
    training.results = replace(training.results, patience=300, now=lambda: float(next(seconds)))
    training.measure()

    photos = json.loads(training.file("proof.json"))["photos"]
    assert 4 <= len(photos) < len(ADA)


def test_measured_twice_is_the_same() -> None:
    training = trained(*OWN)
    first, files = training.measure(), dict(training.world.results.files)

    assert (training.measure(), training.world.results.files) == (first, files)


def test_picture_jobs_need_no_order() -> None:
    training = trained("ada 20")
    bare: Job = training.pictures[0].model_copy(update={"picture": None})
    training.pictures = (bare,)
    training.measure()

    assert json.loads(training.file("proof.json"))["pictures"][0]["prompt"] == ""
