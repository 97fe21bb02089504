"""The same photos, captions and parameters are paid for once, whatever they are called."""

import json
from typing import Any

import pytest

from lora_drop.fal.status import Failed
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import ConflictError
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from tests.support.duplicates import PHOTOS, RENAMED, again, first
from tests.support.memory_jobs import MemoryJobs
from tests.support.world import LATE_AFTER, World

BAD = Problem(code="fal_image_load_error", message="One of the images cannot be read.")


@pytest.fixture
def world(busy: World) -> World:
    return busy


def later(world: World) -> None:
    """A round of the reconciler, and what it announces."""
    world.clock.now += LATE_AFTER
    world.reconciler.reconcile()
    world.work()


def told(world: World, job: Job, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(world.results.text(job, name) or "")
    return loaded


def test_what_was_trained_before_is_given_its_files_and_costs_nothing(world: World) -> None:
    trained = world.train(first(world))

    given = again(world)

    assert given.job_id != trained.job_id
    assert (given.status, given.duplicate_of) == (Status.SUCCEEDED, trained.job_id)
    assert given.files == trained.files != ()
    assert (given.charges, len(world.fal.posts)) == ((), 1)
    assert [step.status for step in given.history] == [Status.RECEIVED, Status.SUCCEEDED]
    assert world.jobs.account("2026-11").committed_usd == 3.6


def test_a_duplicate_tells_its_story_beside_its_own_dataset(world: World) -> None:
    trained = world.train(first(world))

    given = again(world)

    story, status = told(world, given, "job.json"), told(world, given, "status.json")
    assert story["duplicate_of"] == status["duplicate_of"] == trained.job_id
    assert story["request_id"] == "request-1"
    assert story["files"] == [stored.model_dump(mode="json") for stored in trained.files]
    assert {file["key"].rsplit("/", 1)[0] for file in story["files"]} == {
        trained.prefix.rstrip("/")
    }
    assert story["dataset"]["key"] == "portrait/copy.zip"
    assert world.results.text(given, "ERROR.txt") is None


def test_a_duplicate_shows_the_parameters_its_lora_was_trained_with(world: World) -> None:
    trained = world.train(first(world))

    given = again(world)

    assert given.parameters == trained.parameters
    assert given.parameters
    assert given.parameters.trigger_phrase == f"TOK_{trained.job_id[-10:-2]}"
    assert (given.images, given.preset) == (12, "portrait")


def test_the_event_of_a_duplicate_again_changes_nothing(world: World) -> None:
    world.train(first(world))
    given = again(world)

    repeated = world.submit(given.dataset)

    assert repeated == given


def test_the_same_zip_dropped_twice_under_one_key_is_trained_once(world: World) -> None:
    world.train(first(world))

    given = first(world)

    assert (given.status, len(world.fal.posts)) == (Status.SUCCEEDED, 1)
    assert given.dataset.version_id == "v2"


def test_other_parameters_are_another_training(world: World) -> None:
    world.train(first(world))

    other = again(world, metadata={"steps": "1600"})

    assert (other.status, other.duplicate_of) == (Status.SUBMITTED, None)


def test_a_duplicate_waits_while_the_same_is_being_trained(world: World) -> None:
    running = first(world)

    waiting = again(world)

    assert (waiting.status, waiting.charges) == (Status.RECEIVED, ())
    [problem] = waiting.problems
    assert problem.code == "duplicate_in_progress"
    assert running.job_id in problem.message
    assert told(world, waiting, "status.json")["problems"][0]["code"] == "duplicate_in_progress"
    assert world.results.text(waiting, "ERROR.txt") is None
    assert len(world.fal.posts) == 1


def test_waiting_is_told_once_and_leaves_no_trace_in_the_jobs_story(world: World) -> None:
    first(world)
    waiting = again(world)

    for _ in range(20):
        later(world)

    now = world.job(waiting.job_id)
    assert now == waiting
    assert len(now.history) == 1


def test_a_duplicate_that_waited_gets_the_files_once_they_are_there(world: World) -> None:
    running, waiting = first(world), again(world)
    later(world)

    trained = world.train(running)
    later(world)

    given = world.job(waiting.job_id)
    assert (given.status, given.duplicate_of, given.problems) == (
        Status.SUCCEEDED,
        trained.job_id,
        (),
    )
    assert given.files == trained.files
    assert len(world.fal.posts) == 1


@pytest.mark.parametrize("billed", [True, False, None])
def test_when_the_first_fails_the_one_that_waited_takes_over(
    world: World,
    billed: bool | None,  # noqa: FBT001  # a table's column
) -> None:
    running, waiting, last = first(world), again(world), again(world, "portrait/last.zip")

    world.fal_updates.receive(running.job_id, Failed("request-1", BAD, billed=billed))
    later(world)

    taken, behind = world.job(waiting.job_id), world.job(last.job_id)
    assert (taken.status, taken.problems) == (Status.SUBMITTED, ())
    assert world.jobs.owner(taken.content_digest or "") == taken.job_id
    assert (behind.status, behind.problems[0].code) == (Status.RECEIVED, "duplicate_in_progress")
    assert taken.job_id in behind.problems[0].message
    assert world.paid == [running.job_id, taken.job_id]


def test_when_the_first_is_cancelled_the_one_that_waited_takes_over(world: World) -> None:
    world.limits = Limits(max_in_flight=1)
    world.submit(world.drop("other.zip", images=20))
    queued, waiting = first(world), again(world)

    world.manual_actions.cancel(queued.job_id, by="ada")
    later(world)

    assert world.job(waiting.job_id).status is Status.READY


@pytest.mark.parametrize("name", ["lora.safetensors", "config.json"])
def test_when_a_file_of_the_first_is_gone_it_is_trained_anew(world: World, name: str) -> None:
    trained = world.train(first(world))
    [gone] = [stored for stored in trained.files if stored.name == name]
    world.results.remove(gone.key)

    force_retrain = again(world)

    assert (force_retrain.status, force_retrain.duplicate_of) == (Status.SUBMITTED, None)
    assert world.jobs.owner(force_retrain.content_digest or "") == force_retrain.job_id


def test_when_a_file_of_the_first_has_another_size_it_is_trained_anew(world: World) -> None:
    trained = world.train(first(world))
    world.results.files[trained.files[0].key] = b"cut"

    assert again(world).status is Status.SUBMITTED


def test_after_it_was_trained_anew_the_new_files_count(world: World) -> None:
    trained = world.train(first(world))
    world.results.remove(trained.files[0].key)
    force_retrain = world.train(again(world))

    given = again(world, "portrait/third.zip")

    assert (given.status, given.duplicate_of) == (Status.SUCCEEDED, force_retrain.job_id)


def test_of_two_that_come_at_the_same_moment_one_is_paid(world: World) -> None:
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


def test_a_duplicate_of_a_duplicate_gets_the_files_of_the_one_that_was_trained(
    world: World,
) -> None:
    trained = world.train(first(world))
    again(world)

    third = again(world, "portrait/third.zip")

    assert (third.duplicate_of, third.files) == (trained.job_id, trained.files)


def test_a_duplicate_that_waits_can_be_cancelled_for_free(world: World) -> None:
    running, waiting = first(world), again(world)

    world.manual_actions.cancel(waiting.job_id, by="ada")
    world.train(running)
    later(world)

    assert world.job(waiting.job_id).status is Status.CANCELLED
    assert len(world.fal.posts) == 1


def test_a_job_that_is_held_for_money_is_waited_for_too(world: World) -> None:
    world.limits = Limits(max_in_flight=2, monthly_usd=1.0)
    held = first(world)

    waiting = again(world)
    world.manual_actions.cancel(held.job_id, by="ada")
    later(world)

    assert (held.status, waiting.status) == (Status.HELD, Status.RECEIVED)
    assert world.job(waiting.job_id).status is Status.HELD
