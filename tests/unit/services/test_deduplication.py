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
from tests.support.builders import BAD_IMAGE
from tests.support.duplicates import PHOTOS, RENAMED, again, first
from tests.support.memory_jobs import MemoryJobs
from tests.support.queue import codes, later
from tests.support.world import World


@pytest.fixture
def world(busy: World) -> World:
    return busy


def shown(world: World, job: Job, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(world.results.text(job, name) or "")
    return loaded


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("drop", [again, first], ids=["another key", "the same ZIP"])
def test_trained_content_costs_nothing(world: World, drop: Callable[[World], Job]) -> None:
    """Content that was trained before is given its files and costs nothing."""
    trained = world.train(first(world))
    given = drop(world)
    assert given.job_id != trained.job_id
    assert (given.status, given.duplicate_of) == (Status.SUCCEEDED, trained.job_id)
    assert given.files == trained.files != ()
    assert (given.charges, len(world.fal.posts)) == ((), 1)
    assert [step.status for step in given.history] == [Status.RECEIVED, Status.SUCCEEDED]
    assert world.jobs.account("2026-11").committed_usd == 3.6
    assert world.submit(given.dataset) == given
    third = again(world, "portrait/third.zip")
    assert (third.duplicate_of, third.files) == (trained.job_id, trained.files)


@pytest.mark.promise("it can be operated")
def test_duplicate_is_described_beside_its_dataset(world: World) -> None:
    """Beside a duplicate's dataset lie its LoRA's origin, files and parameters."""
    trained = world.train(first(world))
    given = again(world)

    written, status = shown(world, given, "job.json"), shown(world, given, "status.json")
    assert written["duplicate_of"] == status["duplicate_of"] == trained.job_id
    assert written["request_id"] == "request-1"
    assert written["files"] == [stored.model_dump(mode="json") for stored in trained.files]
    folders = {file["key"].rsplit("/", 1)[0] for file in written["files"]}
    assert folders == {trained.prefix.rstrip("/")}
    assert written["dataset"]["key"] == "portrait/copy.zip"
    assert world.results.text(given, "ERROR.txt") is None
    assert given.parameters == trained.parameters
    assert given.parameters
    assert given.parameters.trigger_phrase == f"TOK_{trained.job_id[-10:-2]}"
    assert (given.images, given.preset) == (12, "portrait")


def test_other_parameters_are_another_training(world: World) -> None:
    world.train(first(world))
    other = again(world, metadata={"steps": "1600"})
    assert (other.status, other.duplicate_of) == (Status.SUBMITTED, None)


@pytest.mark.promise(
    "never pay twice", "The same photos under another name wait for the training of the first ones."
)
@pytest.mark.promise(
    "never get stuck", "A duplicate that waited gets the files once they are there."
)
def test_duplicate_waits_for_running_training(world: World) -> None:
    """A duplicate waits while the same is being trained; waiting adds nothing to its history."""
    running, waiting = first(world), again(world)
    assert (waiting.status, waiting.charges) == (Status.RECEIVED, ())
    [problem] = waiting.problems
    assert problem.code == "duplicate_in_progress"
    assert running.job_id in problem.message
    assert shown(world, waiting, "status.json")["problems"][0]["code"] == "duplicate_in_progress"
    assert world.results.text(waiting, "ERROR.txt") is None
    for _ in range(20):
        later(world)
    assert world.job(waiting.job_id) == waiting
    trained = world.train(running)
    later(world)
    given = world.job(waiting.job_id)
    assert (given.status, given.duplicate_of) == (Status.SUCCEEDED, trained.job_id)
    assert (given.problems, given.files) == ((), trained.files)
    assert len(world.fal.posts) == 1


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("billed", [True, False, None])
def test_failed_first_is_replaced(world: World, *, billed: bool | None) -> None:
    """When the first job fails, the duplicate that waited takes over."""
    running, waiting, last = first(world), again(world), again(world, "portrait/last.zip")
    world.fal_updates.receive(running.job_id, Failed("request-1", BAD_IMAGE, billed=billed))
    later(world)
    taken, behind = world.job(waiting.job_id), world.job(last.job_id)
    assert (taken.status, taken.problems) == (Status.SUBMITTED, ())
    assert world.jobs.owner(taken.content_digest or "") == taken.job_id
    assert (behind.status, behind.problems[0].code) == (Status.RECEIVED, "duplicate_in_progress")
    assert taken.job_id in behind.problems[0].message
    assert world.paid == [running.job_id, taken.job_id]


@pytest.mark.parametrize(
    ("limits", "status"),
    [(Limits(max_in_flight=0), Status.READY), (Limits(2, monthly_usd=1.0), Status.HELD)],
    ids=["no slot", "no money"],
)
def test_cancelled_first_is_replaced(world: World, limits: Limits, status: Status) -> None:
    world.limits = limits
    queued, waiting = first(world), again(world)
    world.manual_actions.cancel(queued.job_id, by="ada")
    later(world)
    assert (queued.status, waiting.status) == (status, Status.RECEIVED)
    assert world.job(waiting.job_id).status is status


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(
    ("name", "left"),
    [("lora.safetensors", None), ("config.json", None), ("lora.safetensors", b"cut")],
)
def test_missing_file_is_trained_again(world: World, name: str, left: bytes | None) -> None:
    """When a file of the first job is gone or has another size, the dataset is trained again."""
    trained = world.train(first(world))
    [gone] = [stored for stored in trained.files if stored.name == name]
    world.results.remove(gone.key)
    if left:
        world.results.files[gone.key] = left
    retrained = again(world)
    assert (retrained.status, retrained.duplicate_of) == (Status.SUBMITTED, None)
    assert world.jobs.owner(retrained.content_digest or "") == retrained.job_id
    world.train(retrained)
    given = again(world, "portrait/third.zip")
    assert (given.status, given.duplicate_of) == (Status.SUCCEEDED, retrained.job_id)


@pytest.mark.promise("never pay twice")
def test_simultaneous_duplicates_pay_once(world: World) -> None:
    """Of two duplicates that come at the same moment one is paid."""
    second: DatasetVersion = world.drop("portrait/copy.zip", images=0, members=RENAMED)

    class Meanwhile(MemoryJobs):
        def owner(self, content_digest: str) -> str | None:
            found = super().owner(content_digest)
            world.jobs = MemoryJobs(self.rows, self.contents)
            world.submit(second)
            return found

    world.jobs = Meanwhile(world.jobs.rows, world.jobs.contents)
    dataset = world.drop("portrait/ada.zip", images=0, members=PHOTOS)
    with pytest.raises(ConflictError):
        world.submit(dataset)
    redelivered = world.submit(dataset)

    assert (redelivered.status, redelivered.problems[0].code) == (
        Status.RECEIVED,
        "duplicate_in_progress",
    )
    assert len(world.fal.posts) == 1


def test_waiting_duplicate_is_cancelled_for_free(world: World) -> None:
    running, waiting = first(world), again(world)
    world.manual_actions.cancel(waiting.job_id, by="ada")
    world.train(running)
    later(world)
    assert world.job(waiting.job_id).status is Status.CANCELLED
    assert len(world.fal.posts) == 1


@pytest.mark.parametrize("over", [True, False], ids=["trained", "training"])
def test_force_pays_whatever_was_trained(world: World, *, over: bool) -> None:
    """``force`` pays whatever was trained before, or is being trained; the next duplicate is its."""
    earlier = first(world)
    if over:
        world.train(earlier)
    forced = again(world, metadata={"force": "true"})
    assert (forced.status, forced.duplicate_of) == (Status.SUBMITTED, None)
    assert len(world.fal.posts) == 2
    assert "force" not in world.fal.posts[1][1]
    world.train(forced)
    assert again(world, "third.zip", metadata={"preset": "portrait"}).duplicate_of == forced.job_id


def test_invalid_force_is_refused_for_free(world: World) -> None:
    """``force=false`` forces nothing; a value that is neither true nor false is refused for free."""
    refused = again(world, "x.zip", metadata={"force": "yes"})
    assert (refused.status, codes(refused)) == (Status.REJECTED, ["parameter_invalid_type"])
    assert world.fal.posts == []
    world.train(first(world))
    assert again(world, metadata={"force": "false"}).status is Status.SUCCEEDED


@pytest.mark.promise("never lose a result")
def test_failed_force_hides_no_lora(world: World) -> None:
    """A forced job that comes to nothing does not hide an earlier LoRA."""
    first = world.submit(world.drop("a.zip"))
    world.train(first)
    world.answer(NotSubmittedError("no connection"))
    forced = world.submit(world.drop("b.zip", metadata={"force": "true"}))
    world.manual_actions.cancel(forced.job_id, by="ada")
    again = world.submit(world.drop("c.zip"))
    assert (again.status, again.duplicate_of) == (Status.SUCCEEDED, first.job_id)
