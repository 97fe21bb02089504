"""What has to be mended is sent as a clean copy; the original stays as it is."""

import io
import json
import zipfile
from typing import Any

import pytest

from lora_drop.datasets.images.header import Flaw, ImageHeader, InvalidImageError
from lora_drop.datasets.images.pictures import ImageInspection, Mended
from lora_drop.fal.status import Failed
from lora_drop.jobs.errors import ConflictError, NotSubmittedError, SubmissionUnknownError
from lora_drop.jobs.evidence import points_at
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from tests.support.builders import make_jpeg, with_exif
from tests.support.memory_jobs import MemoryJobs
from tests.support.pictures import BlindPictures
from tests.support.world import LATE_AFTER, World

NESTED = {f"album/{number}.jpg": make_jpeg(number) for number in range(12)}
FAILED = Problem(code="fal_image_load_error", message="One of the images cannot be read.")


def drop(world: World, key: str = "portrait/ada.zip", **how: Any) -> Job:
    """A dataset whose photos lie in a folder beside others, submitted."""
    members = {**NESTED, "loose.jpg": make_jpeg(99), **how.pop("members", {})}
    return world.submit(world.drop(key, images=0, members=members, **how))


def copy_of(world: World, job: Job) -> zipfile.ZipFile:
    assert job.clean
    return zipfile.ZipFile(io.BytesIO(world.results.files[job.clean.key]))


def report(world: World, job: Job) -> Any:
    return json.loads(world.results.text(job, "report.json") or "")


@pytest.mark.promise("nothing leaks")
def test_fal_gets_the_clean_copy(world: World) -> None:
    """fal gets the clean copy and not the dataset, which stays as it was."""
    dataset = world.drop(images=0, members=NESTED | {"loose.jpg": make_jpeg(99)})
    before = [version.data for version in world.datasets.objects[dataset.key]]
    job = world.submit(dataset)
    [(_, arguments, _)] = world.fal.posts
    assert job.clean
    assert job.clean.key == f"{job.prefix}dataset.zip"
    assert arguments["images_data_url"] == f"https://models.example/{job.prefix}dataset.zip"
    assert [version.data for version in world.datasets.objects[dataset.key]] == before


def test_the_copy_holds_photos_and_captions(world: World) -> None:
    job = drop(world, members={"album/3.txt": "Zo\u00eb".encode("cp1252")})
    copy = copy_of(world, job)
    assert set(copy.namelist()) == {*(f"{n}.jpg" for n in range(12)), "loose.jpg", "3.txt"}
    assert copy.read("3.jpg") == NESTED["album/3.jpg"]
    assert copy.read("3.txt").decode() == "Zo\u00eb"


def test_a_good_dataset_is_passed_on(world: World) -> None:
    job = world.submit(world.drop())
    assert (job.clean, job.sent) == (None, job.dataset)
    assert world.results.text(job, "dataset.zip") is None
    assert "datasets.example" in world.fal.posts[0][1]["images_data_url"]


@pytest.mark.promise("never pay twice")
def test_a_lost_submission_is_searched_for(world: World) -> None:
    """A lost submission is searched for under the address of the copy."""
    world.answer(SubmissionUnknownError("no answer"))
    job = drop(world)
    world.clock.now += LATE_AFTER
    world.reconciler.reconcile()

    sent = world.fal.posts[0][1]["images_data_url"]
    assert world.fal.listed
    assert {version for version, _ in world.fal.listed} == {"null"}
    assert points_at(f"https://models.s3.us-east-1.amazonaws.com/{job.prefix}dataset.zip", job.sent)
    assert points_at(sent.replace("models.example", "models.s3.amazonaws.com"), job.sent)
    assert not points_at(sent, job.dataset)


def test_a_retry_sends_the_same_copy(world: World) -> None:
    job = drop(world)
    world.fal_updates.receive(job.job_id, Failed(job.request_id or "", FAILED, billed=True))
    retried = world.retry_service.retry(job.job_id, resume=False, by="ada")
    world.work()
    assert retried.clean == job.clean
    first, second = (arguments["images_data_url"] for _, arguments, _ in world.fal.posts)
    assert first == second
    assert world.results.text(retried, "dataset.zip") is None


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_a_missing_copy_holds_the_job(world: World) -> None:
    """A copy that is gone holds the job, and nothing is paid."""
    world.answer(NotSubmittedError("no connection"))
    job = drop(world)
    assert job.clean
    world.fal.posts.clear()
    world.results.remove(job.clean.key)
    held = world.submit(job.dataset)
    assert (held.status, held.problems[0].code) == (Status.HELD, "clean_copy_missing")
    assert world.fal.posts == []


def test_a_duplicate_makes_no_copy(busy: World) -> None:
    trained = busy.train(drop(busy))
    given = drop(busy, "portrait/again.zip")
    assert (given.status, given.duplicate_of) == (Status.SUCCEEDED, trained.job_id)
    assert given.clean is None
    assert busy.results.text(given, "dataset.zip") is None


class Counting(BlindPictures):
    """How many pictures were looked at."""

    def __init__(self) -> None:
        self.looks = 0

    def look(self, data: bytes, header: ImageHeader) -> ImageInspection:
        self.looks += 1
        return super().look(data, header)


def test_a_waiting_duplicate_is_inspected_once(busy: World) -> None:
    running = drop(busy)
    waiting = drop(busy, "portrait/again.zip")
    pictures = Counting()
    busy.pictures = pictures
    for _ in range(5):
        busy.clock.now += LATE_AFTER
        busy.reconciler.reconcile()
        busy.work()
    assert pictures.looks == 0
    busy.fal_updates.receive(running.job_id, Failed(running.request_id or "", FAILED, billed=False))
    busy.submit(waiting.dataset)

    taken = busy.job(waiting.job_id)
    assert (taken.status, pictures.looks) == (Status.SUBMITTED, 13)
    assert taken.clean
    assert taken.clean.key.startswith(taken.prefix)


def test_a_deleted_duplicate_is_rejected(busy: World) -> None:
    drop(busy)
    waiting = drop(busy, "portrait/again.zip")
    busy.datasets.put("portrait/again.zip", None)
    assert busy.submit(waiting.dataset).problems[0].code == "dataset_missing"


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("images", [12, 3])
def test_every_verdict_has_its_report(world: World, images: int) -> None:
    """Each verdict is reported for people and for programs."""
    job = world.submit(world.drop(images=images))
    written = report(world, job)
    assert written["job_id"] == job.job_id
    assert written["images"] == images
    assert written["verdict"] == ("accepted" if images == 12 else "rejected")
    assert [each["code"] for each in written["errors"]] == [each.code for each in job.problems]
    page = world.results.text(job, "report.html") or ""
    assert page.startswith("<!doctype html>")
    assert "photo-00.jpg" in page


def test_a_row_holds_fifty_problems(world: World) -> None:
    texts = {f"{number:03}.jpg": b"I am a text, honestly" for number in range(200)}
    job = world.submit(world.drop(images=0, members=texts))
    assert len(job.problems) == 50
    assert job.problems[-1].code == "dataset_more_problems"
    assert len(report(world, job)["errors"]) == 201


@pytest.mark.promise("never get stuck")
def test_a_crash_before_the_verdict(world: World) -> None:
    """A crash between the report and the verdict is repaired by the next event."""

    class Dying(MemoryJobs):
        def replace(self, *_: Any, **__: Any) -> None:
            raise ConflictError("killed here")

    alive = world.jobs
    world.jobs = Dying(alive.rows, alive.contents)
    dataset = world.drop(images=0, members=NESTED | {"loose.jpg": make_jpeg(99)})
    with pytest.raises(ConflictError):
        world.submit(dataset)
    [left] = world.jobs.rows.values()
    first, copy = report(world, left), world.results.files[f"{left.prefix}dataset.zip"]
    assert (left.status, left.clean, world.fal.posts) == (Status.RECEIVED, None, [])
    world.jobs = alive
    job = world.submit(dataset)

    assert (job.status, len(world.fal.posts)) == (Status.SUBMITTED, 1)
    assert job.clean
    assert world.results.files[job.clean.key] == copy
    assert {**report(world, job), "seconds": 0} == {**first, "seconds": 0}


class Unmendable(BlindPictures):
    """Good to look at, and broken when it is to be mended."""

    def __init__(self, trouble: Exception) -> None:
        self.trouble = trouble

    def mend(self, *_: object, **__: object) -> Mended:
        raise self.trouble


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (InvalidImageError(Flaw.NOT_MENDED, "cannot be mended."), "image_not_mended"),
        (TypeError("ours"), "dataset_check_failed"),
    ],
)
def test_what_cannot_be_mended_costs_nothing(world: World, trouble: Exception, code: str) -> None:
    """A dataset that cannot be mended is refused and reported, and nothing is paid."""
    world.pictures = Unmendable(trouble)
    job = world.submit(world.drop(members={"IMG_1.jpg": with_exif(50)}))
    written = report(world, job)
    assert (job.status, written["verdict"]) == (Status.REJECTED, "rejected")
    assert [each["code"] for each in written["errors"]] == [code]
    assert [each.code for each in job.problems] == [code]
    assert world.fal.posts == []
    assert world.results.text(job, "dataset.zip") is None


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "mpo", "JFIF"])
def test_a_photo_gets_a_known_suffix(world: World, suffix: str) -> None:
    """A photo gets a suffix that trainers know: fal takes the files of a ZIP by their suffixes."""
    job = drop(world, members={f"anna.{suffix}": make_jpeg(50)})
    names = copy_of(world, job).namelist()
    assert "anna.jpg" in names
    assert f"anna.{suffix}" not in names


@pytest.mark.promise("nothing leaks")
def test_photos_expire_with_the_dataset(world: World) -> None:
    """What shows photos is kept no longer than the dataset."""
    job = drop(world)
    assert world.results.expiring == {f"{job.prefix}dataset.zip", f"{job.prefix}report.html"}
    assert f"{job.prefix}report.json" in world.results.files
