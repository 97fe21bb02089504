"""What breaks while faces are looked for or compared costs their advice alone: no dataset, and no sheet that is paid."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, NoSuchFile, RuntimeException

from lora_drop.datasets.faces.face import Similarities
from lora_drop.datasets.images.header import ImageHeader
from lora_drop.datasets.images.pictures import ImageInspection
from lora_drop.datasets.report import Report
from lora_drop.jobs.errors import FacesBrokenError
from lora_drop.jobs.status import Status
from lora_drop.services.internal_errors import place_of
from lora_drop.services.proof_sheets import ProofSheets
from lora_drop.services.submit import Submitter
from tests.support.likeness import ADA, FacePictures, LabelComparer, photos_of, trained
from tests.support.pictures import BlindPictures
from tests.support.world import World

CODE = "dataset_face_check_failed"
SECRET = "[0.1, 0.2]"  # what a mistake's text might have of a face
MISTAKES = [
    RuntimeException(SECRET),
    Fail(SECRET),
    NoSuchFile(SECRET),
    MemoryError(SECRET),
    ImportError(SECRET),
    ZeroDivisionError(SECRET),
    OSError(SECRET),
]
BREAKS = pytest.mark.parametrize("mistake", MISTAKES, ids=lambda each: type(each).__name__)


@dataclass
class BreakingComparer(LabelComparer):
    mistake: Exception = MISTAKES[0]

    def similarities(self, crops: Sequence[bytes]) -> Similarities:  # noqa: ARG002  # it breaks
        raise self.mistake


class BreakingPictures(FacePictures):
    """Pictures in the third of which the search for faces breaks."""

    def look(self, data: bytes, header: ImageHeader) -> ImageInspection:
        look = super().look(data, header)
        if len(self.looked) == 3:
            raise FacesBrokenError from RuntimeException(SECRET)
        return look


def submitter(world: World, failed: list[Exception], **how: object) -> Submitter:
    usual = world.submitter
    given = {"faces": LabelComparer(), "pictures_of_style": BlindPictures(), **how}
    checker = replace(usual.checker, faces_failed=failed.append, **given)  # type: ignore[arg-type]  # by their names
    return replace(usual, checker=checker)


def check_report(world: World, job_prefix: str, *, refused: bool) -> None:
    text = world.results.files[job_prefix + "report.json"].decode()
    report = Report.model_validate_json(text)
    found = report.errors if refused else report.warnings
    assert CODE in {each.code for each in found}
    assert (report.accepted, report.faces_checked) == (not refused, False)
    assert {photo.faces for photo in report.photos} == {None}
    assert SECRET not in text


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("strict", [False, True])
@BREAKS
def test_broken_comparison_goes_on_without(mistake: Exception, strict: bool) -> None:  # noqa: FBT001
    """A dataset is trained without the advice on faces where comparing them breaks; RequireOnePerson refuses it."""
    world, failed = World(pictures=FacePictures()), list[Exception]()
    faces = BreakingComparer(mistake=mistake)
    how = submitter(world, failed, faces=faces, require_one_person=strict)
    job = how.submit_dataset(world.drop(data=photos_of(*ADA))).job
    assert job.status is (Status.REJECTED if strict else Status.SUBMITTED)
    assert failed == [mistake]
    assert CODE in {each.code for each in job.problems} or not strict
    check_report(world, job.prefix, refused=strict)


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("strict", [False, True])
def test_broken_search_goes_on_without(strict: bool) -> None:  # noqa: FBT001
    """Where looking for faces breaks in one photo, none are looked for from there on, and nothing is said of any."""
    world, failed = World(pictures=BreakingPictures()), list[Exception]()
    how = submitter(world, failed, require_one_person=strict)
    job = how.submit_dataset(world.drop(data=photos_of(*ADA))).job
    assert job.status is (Status.REJECTED if strict else Status.SUBMITTED)
    assert [place_of(each).split()[0] for each in failed] == ["RuntimeException"]
    check_report(world, job.prefix, refused=strict)


@pytest.mark.promise("never lose a result")
@BREAKS
def test_broken_comparison_ends_the_sheet(mistake: Exception) -> None:
    """A sheet that is paid is done with its pictures, and a sentence in place of the number."""
    training = trained("ada 20", "ada 21", comparer=BreakingComparer(mistake=mistake))
    failed = list[Exception]()
    world = training.world
    for each in (training.job, *training.pictures):
        world.holds(each)
    results = replace(training.results, failed=failed.append)
    done = ProofSheets(world.record, results).finish(training.job.job_id)
    assert not done.proof_open
    assert done.proof
    assert done.proof.likeness
    assert type(mistake).__name__ in done.proof.likeness.advice
    assert len(failed) == 1
    for name in ("proof.json", "proof.html"):
        assert "2/picture.jpg" in training.file(name)
        assert SECRET not in training.file(name)
