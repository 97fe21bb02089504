"""The line in front of fal: the oldest first, and never more than there are slots and money."""

from datetime import UTC, datetime, timedelta

import pytest

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import NotSubmittedError, SubmissionUnknownError
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.ports import OpenDataset, Submission
from lora_drop.services.dispatch import PATIENCE
from tests.support.builders import ARTIFACTS, NOW
from tests.support.memory import MemoryDatasets
from tests.support.memory_jobs import MemoryJobs
from tests.support.queue import dropped, free, states
from tests.support.world import LATE_AFTER, World

BAD = Problem(code="fal_bad_request", message="fal could not make sense of it.")


@pytest.fixture
def world(busy: World) -> World:
    return busy


def codes(job: Job) -> list[str]:
    return [problem.code for problem in job.problems]


def test_no_more_are_sent_than_there_are_slots(world: World) -> None:
    jobs = dropped(world, "a", "b", "c", "d")

    assert states(world, jobs) == [Status.SUBMITTED] * 2 + [Status.READY] * 2
    assert world.paid == [job.job_id for job in jobs[:2]]


def test_whoever_waits_says_so_beside_its_files(world: World) -> None:
    *_, waiting = dropped(world, "a", "b", "c")

    assert '"READY"' in (world.results.text(waiting, "status.json") or "")
    assert world.results.text(waiting, "ERROR.txt") is None


ENDS: list[FalStatus] = [
    Finished("request-1", ARTIFACTS),
    Failed("request-1", BAD),
    Gone("request-1"),
]


@pytest.mark.parametrize("fact", ENDS, ids=lambda fact: type(fact).__name__)
def test_a_slot_is_handed_on_at_once_to_the_oldest_that_waits(
    world: World, fact: FalStatus
) -> None:
    first, *others = dropped(world, "a", "b", "c", "d")

    for doubted in (False, True):  # fal has to say twice that it has no such request
        world.fal_updates.receive(first.job_id, fact, asked=True, doubted=doubted)
    announced = list(world.queue.datasets)
    world.work()

    assert [each.key for each in announced] == ["portrait/c.zip"]
    assert states(world, others) == [Status.SUBMITTED, Status.SUBMITTED, Status.READY]


def test_a_fact_that_frees_no_slot_calls_nobody(world: World) -> None:
    first, *_ = dropped(world, "a", "b", "c")

    world.fal_updates.receive(first.job_id, Running("request-1", started=True))
    assert world.queue.datasets == []
    world.fal_updates.receive(first.job_id, Finished("request-1", ARTIFACTS))
    world.queue.datasets.clear()
    world.fal_updates.receive(first.job_id, Finished("request-1", ARTIFACTS))
    world.fal_updates.receive(first.job_id, Gone("request-1"))

    assert world.queue.datasets == []


def test_where_nobody_waits_nobody_is_called(world: World) -> None:
    [job] = dropped(world, "a")

    world.train(job)

    assert world.queue.datasets == []


def test_a_call_that_was_lost_is_made_again_by_the_reconciler(world: World) -> None:
    jobs = dropped(world, "a", "b", "c", "d")
    for job in jobs[:2]:
        world.train(job)
    world.queue.datasets.clear()
    world.clock.now += LATE_AFTER

    world.reconciler.reconcile()
    assert [each.key for each in world.queue.datasets] == ["portrait/c.zip"]
    world.work()

    assert states(world, jobs[2:]) == [Status.SUBMITTED] * 2


def test_any_event_sends_whoever_is_oldest_and_not_whom_it_speaks_of(world: World) -> None:
    world.limits = Limits(max_in_flight=1)
    first, second = dropped(world, "a", "b")
    world.train(first)
    world.queue.datasets.clear()

    [third] = dropped(world, "c")

    assert states(world, [second, third]) == [Status.SUBMITTED, Status.READY]


def test_a_job_whose_submission_is_in_doubt_keeps_its_slot(world: World) -> None:
    world.limits = Limits(max_in_flight=1)
    world.answer(SubmissionUnknownError("ReadTimeout"))

    first, second = dropped(world, "a", "b")

    assert states(world, [first, second]) == [Status.SUBMIT_UNKNOWN, Status.READY]
    assert len(world.paid) == 1


def test_a_submitter_that_has_not_long_to_live_leaves_the_rest_to_the_next(world: World) -> None:
    free(world)
    world.answer(NotSubmittedError("no connection"))
    jobs = dropped(world, "a", "b", "c")
    world.fal.posts.clear()

    def slowly() -> Submission:
        world.clock.now += PATIENCE + timedelta(seconds=1)
        return Submission(f"request-{len(world.fal.posts)}")

    world.answer(slowly)
    world.dispatcher.submit_waiting()

    assert states(world, jobs) == [Status.SUBMITTED, Status.READY, Status.READY]
    assert [each.key for each in world.queue.datasets] == ["portrait/b.zip"]
    world.work()
    assert states(world, jobs) == [Status.SUBMITTED] * 3


def test_patience_lasts_for_as_many_as_go_quickly(world: World) -> None:
    free(world)
    world.answer(NotSubmittedError("no connection"))
    jobs = dropped(world, *"abcde")

    def quickly() -> Submission:
        world.clock.now += PATIENCE / 5
        return Submission(f"request-{len(world.fal.posts)}")

    world.answer(quickly)
    world.dispatcher.submit_waiting()

    assert states(world, jobs) == [Status.SUBMITTED] * 5


def test_a_dataset_that_was_deleted_before_it_was_sent_is_not_paid_for(world: World) -> None:
    world.limits = Limits(max_in_flight=1)
    first, second, third = dropped(world, "a", "b", "c")
    world.datasets.put("portrait/b.zip", None)

    world.train(first)
    world.work()

    assert states(world, [second, third]) == [Status.CANCELLED, Status.SUBMITTED]
    assert codes(world.job(second.job_id)) == ["dataset_missing"]
    assert len(world.fal.posts) == 2


def test_a_newer_version_of_a_dataset_leaves_the_one_that_waits_alone(world: World) -> None:
    world.limits = Limits(max_in_flight=1)
    first, second = dropped(world, "a", "b")
    world.drop("portrait/b.zip", images=30)

    world.train(first)
    world.work()

    assert world.job(second.job_id).status is Status.SUBMITTED
    assert world.fal.posts[1][1]["images_data_url"].endswith("b.zip?versionId=v1")


def test_a_job_that_somebody_stops_in_this_very_moment_is_passed_over(world: World) -> None:
    world.limits = Limits(max_in_flight=1)
    first, second, third = dropped(world, "a", "b", "c")

    class Stopping(MemoryJobs):
        def next_waiting(self) -> Job | None:
            found = super().next_waiting()
            if found and found.job_id == second.job_id:
                self.rows[found.job_id] = found.move(Status.CANCELLED, now=NOW)
            return found

    world.train(first)
    world.jobs = Stopping(world.jobs.rows)
    world.dispatcher.submit_waiting()

    assert states(world, [second, third]) == [Status.CANCELLED, Status.SUBMITTED]


def test_what_is_paid_is_booked(world: World) -> None:
    world.clock.now = datetime(2027, 1, 31, 23, 59, 58, tzinfo=UTC)
    first, second = dropped(world, "a", "b")
    world.train(first)

    assert (first.estimated_cost_usd, second.estimated_cost_usd) == (3.6, 3.6)
    assert world.jobs.account("2027-01").spent_usd == 3.6
    assert world.jobs.account("2027-02").reserved_usd == 3.6


def test_a_check_that_took_long_leaves_the_sending_to_the_next(world: World) -> None:
    class Slow(MemoryDatasets):
        def open(self, dataset: DatasetVersion) -> OpenDataset:
            world.clock.now += PATIENCE + timedelta(seconds=1)
            return super().open(dataset)

    quick, world.datasets = world.datasets, Slow(world.datasets.objects)
    job = world.submit(world.drop())
    world.datasets = quick

    assert (job.status, world.fal.posts) == (Status.READY, [])
    assert world.queue.datasets == [job.dataset]
    world.work()
    assert world.job(job.job_id).status is Status.SUBMITTED
