"""The same photos, captions and parameters are paid for once, unless a person forces a training."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from lora_drop.fal.status import Failed
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import ConflictError, NotSubmittedError
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.status import Status
from tests.support.builders import BAD_IMAGE, with_exif
from tests.support.memory_jobs import MemoryJobs
from tests.support.queue import PHOTOS, RENAMED, again, first, later
from tests.support.world import World


def shown(busy: World, job: Job, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(busy.results.text(job, name) or "")
    return loaded


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("drop", [again, first], ids=["another key", "the same ZIP"])
def test_trained_content_costs_nothing(busy: World, drop: Callable[[World], Job]) -> None:
    """Content that was trained before is given its files and costs nothing."""
    trained = busy.train(first(busy))
    given = drop(busy)
    assert given.job_id != trained.job_id
    assert (given.status, given.duplicate_of) == (Status.SUCCEEDED, trained.job_id)
    assert given.files == trained.files != ()
    assert (given.charges, len(busy.fal.posts)) == ((), 1)
    assert [step.status for step in given.history] == [Status.RECEIVED, Status.SUCCEEDED]
    assert busy.jobs.account("2026-11").committed_usd == 3.6
    assert busy.submit(given.dataset) == given
    third = again(busy, "portrait/third.zip")
    assert (third.duplicate_of, third.files) == (trained.job_id, trained.files)


@pytest.mark.promise("it can be operated")
def test_duplicate_is_described_beside_its_dataset(busy: World) -> None:
    """Beside a duplicate's dataset lie its LoRA's origin, files and parameters."""
    trained = busy.train(first(busy))
    given = again(busy)

    written, status = shown(busy, given, "job.json"), shown(busy, given, "status.json")
    assert written["duplicate_of"] == status["duplicate_of"] == trained.job_id
    assert written["request_id"] == "request-1"
    assert written["files"] == [stored.model_dump(mode="json") for stored in trained.files]
    folders = {file["key"].rsplit("/", 1)[0] for file in written["files"]}
    assert folders == {trained.prefix.rstrip("/")}
    assert written["dataset"]["key"] == "portrait/copy.zip"
    assert busy.results.text(given, "ERROR.txt") is None
    assert given.parameters == trained.parameters
    assert given.parameters
    assert given.parameters.trigger_phrase == f"TOK_{trained.job_id[-10:-2]}"
    assert (given.images, given.preset) == (12, "portrait")


def test_other_parameters_are_another_training(busy: World) -> None:
    busy.train(first(busy))
    other = again(busy, metadata={"steps": "1600"})
    assert (other.status, other.duplicate_of) == (Status.SUBMITTED, None)


@pytest.mark.promise(
    "never pay twice", "The same photos under another name wait for the training of the first ones."
)
@pytest.mark.promise(
    "never get stuck", "A duplicate that waited gets the files once they are there."
)
def test_duplicate_waits_for_running_training(busy: World) -> None:
    """A duplicate waits while the same is being trained; waiting adds nothing to its history."""
    running, waiting = first(busy), again(busy)
    assert (waiting.status, waiting.charges) == (Status.RECEIVED, ())
    [problem] = waiting.problems
    assert problem.code == "duplicate_in_progress"
    assert running.job_id in problem.message
    assert shown(busy, waiting, "status.json")["problems"][0]["code"] == "duplicate_in_progress"
    assert busy.results.text(waiting, "ERROR.txt") is None
    for _ in range(20):
        later(busy)
    assert busy.job(waiting.job_id) == waiting
    trained = busy.train(running)
    later(busy)
    given = busy.job(waiting.job_id)
    assert (given.status, given.duplicate_of) == (Status.SUCCEEDED, trained.job_id)
    assert (given.problems, given.files) == ((), trained.files)
    assert len(busy.fal.posts) == 1


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("billed", [True, False, None])
def test_failed_first_is_replaced(busy: World, *, billed: bool | None) -> None:
    """When the first job fails, the duplicate that waited takes over."""
    running, waiting, last = first(busy), again(busy), again(busy, "portrait/last.zip")
    busy.fal_updates.receive(running.job_id, Failed("request-1", BAD_IMAGE, billed=billed))
    later(busy)
    taken, behind = busy.job(waiting.job_id), busy.job(last.job_id)
    assert (taken.status, taken.problems) == (Status.SUBMITTED, ())
    assert busy.jobs.owner(taken.content_digest or "") == taken.job_id
    assert (behind.status, behind.problems[0].code) == (Status.RECEIVED, "duplicate_in_progress")
    assert taken.job_id in behind.problems[0].message
    assert busy.paid == [running.job_id, taken.job_id]


@pytest.mark.parametrize(
    ("limits", "status"),
    [(Limits(max_in_flight=0), Status.READY), (Limits(2, monthly_usd=1.0), Status.HELD)],
    ids=["no slot", "no money"],
)
def test_cancelled_first_is_replaced(busy: World, limits: Limits, status: Status) -> None:
    busy.limits = limits
    queued, waiting = first(busy), again(busy)
    busy.manual_actions.cancel(queued.job_id, by="ada")
    later(busy)
    assert (queued.status, waiting.status) == (status, Status.RECEIVED)
    assert busy.job(waiting.job_id).status is status


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(
    ("name", "left"),
    [("lora.safetensors", None), ("config.json", None), ("lora.safetensors", b"cut")],
)
def test_missing_file_is_trained_again(busy: World, name: str, left: bytes | None) -> None:
    """When a file of the first job is gone or has another size, the dataset is trained again."""
    trained = busy.train(first(busy))
    [gone] = [stored for stored in trained.files if stored.name == name]
    busy.results.remove(gone.key)
    if left:
        busy.results.files[gone.key] = left
    retrained = again(busy)
    assert (retrained.status, retrained.duplicate_of) == (Status.SUBMITTED, None)
    assert busy.jobs.owner(retrained.content_digest or "") == retrained.job_id
    busy.train(retrained)
    given = again(busy, "portrait/third.zip")
    assert (given.status, given.duplicate_of) == (Status.SUCCEEDED, retrained.job_id)


@pytest.mark.promise("never pay twice")
def test_simultaneous_duplicates_pay_once(busy: World) -> None:
    """Of two duplicates that come at the same moment one is paid."""
    second: DatasetVersion = busy.drop("portrait/copy.zip", images=0, members=RENAMED)

    class Meanwhile(MemoryJobs):
        def replace(self, before: Job, after: Job, **given: Any) -> None:
            if busy.jobs is self:
                busy.jobs = MemoryJobs(self.rows, self.contents)
                busy.submit(second)
            super().replace(before, after, **given)

    busy.jobs = Meanwhile(busy.jobs.rows, busy.jobs.contents)
    dataset = busy.drop("portrait/ada.zip", images=0, members=PHOTOS)
    for _ in range(2):
        waiting = busy.submit(dataset)
        assert (waiting.status, waiting.problems[0].code) == (
            Status.RECEIVED,
            "duplicate_in_progress",
        )
    assert len(busy.fal.posts) == 1


@pytest.mark.promise("never pay twice")
def test_duplicate_that_has_to_be_mended_pays_once(busy: World) -> None:
    """Of two duplicates at the same moment one is paid, also where a clean copy is made between the look and the write."""
    photos = [with_exif(number) for number in range(12)]
    one, other = (
        {f"{name}-{number}.jpg": photo for number, photo in enumerate(photos)} for name in "ab"
    )
    second: DatasetVersion = busy.drop("portrait/copy.zip", images=0, members=other)

    class Meanwhile(MemoryJobs):
        def owner(self, content_digest: str) -> str | None:
            found = super().owner(content_digest)
            busy.jobs = MemoryJobs(self.rows, self.contents)
            busy.submit(second)
            return found

    busy.jobs = Meanwhile(busy.jobs.rows, busy.jobs.contents)
    dataset = busy.drop("portrait/ada.zip", images=0, members=one)
    with pytest.raises(ConflictError):
        busy.submit(dataset)
    assert busy.submit(dataset).problems[0].code == "duplicate_in_progress"
    assert len(busy.fal.posts) == 1


def test_waiting_duplicate_is_cancelled_for_free(busy: World) -> None:
    running, waiting = first(busy), again(busy)
    busy.manual_actions.cancel(waiting.job_id, by="ada")
    busy.train(running)
    later(busy)
    assert busy.job(waiting.job_id).status is Status.CANCELLED
    assert len(busy.fal.posts) == 1


@pytest.mark.parametrize("over", [True, False], ids=["trained", "training"])
def test_force_pays_whatever_was_trained(busy: World, *, over: bool) -> None:
    """``force`` pays whatever was trained before, or is being trained; the next duplicate is its."""
    earlier = first(busy)
    if over:
        busy.train(earlier)
    forced = again(busy, metadata={"force": "true"})
    assert (forced.status, forced.duplicate_of) == (Status.SUBMITTED, None)
    assert len(busy.fal.posts) == 2
    assert "force" not in busy.fal.posts[1][1]
    busy.train(forced)
    assert again(busy, "third.zip", metadata={"preset": "portrait"}).duplicate_of == forced.job_id


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("over", [True, False], ids=["trained", "training"])
@pytest.mark.parametrize(
    ("key", "posts"), [(f"uploads/{'0a' * 16}/a.zip", 1), ("uploads/mine/a.zip", 2), ("a.zip", 2)]
)
def test_form_sent_twice_pays_once(
    busy: World, key: str, posts: int, *, over: bool, other: bool
) -> None:
    """A form with ``force`` that a browser sends twice pays once; elsewhere each version with ``force`` pays."""
    force = {"metadata": {"force": "true"}}
    one = again(busy, key, **force)
    if over:
        busy.train(one)
    if other:
        busy.train(again(busy, f"uploads/{'1b' * 16}/a.zip", **force))
    again(busy, key, **force)
    assert len(busy.fal.posts) == posts + other


@pytest.mark.promise("never lose a result")
def test_failed_force_hides_no_lora(busy: World) -> None:
    """A forced job that comes to nothing does not hide an earlier LoRA."""
    first = busy.submit(busy.drop("a.zip"))
    busy.train(first)
    busy.answer(NotSubmittedError("no connection"))
    forced = busy.submit(busy.drop("b.zip", metadata={"force": "true"}))
    busy.manual_actions.cancel(forced.job_id, by="ada")
    again = busy.submit(busy.drop("c.zip"))
    assert (again.status, again.duplicate_of) == (Status.SUCCEEDED, first.job_id)
