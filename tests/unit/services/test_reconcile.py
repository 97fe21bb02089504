"""A round of the reconciler helps each late job on, and calls a person where only a person can help."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from lora_drop.fal.status import Finished, Gone, Running
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import (
    ConflictError,
    FalUnavailableError,
    ForeignRequestError,
    NotSubmittedError,
)
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_problems import FAL_BUSY
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.jobs.time_limits import SUBMIT_DEADLINE
from lora_drop.ports import DatasetPage
from lora_drop.services.evidence import LIST_DEADLINE
from lora_drop.services.round_counts import RoundCounts, RoundIncompleteError
from tests.support.builders import ARTIFACTS, NOW, REQUEST_ID, make_dataset, make_job
from tests.support.memory import MemoryDatasets
from tests.support.memory_jobs import MemoryJobs
from tests.support.world import LATE_AFTER, World

PROBLEM = Problem(code="fal_internal_error", message="fal ended the training.")
LATE = LATE_AFTER + timedelta(seconds=1)


def counted(counts: RoundCounts) -> RoundCounts:
    """What a round has done and whom it calls, without what it has measured."""
    measured = RoundCounts(open=0, late=0, unanswered=0, doubtful=0)
    names = ("oldest_seconds", "budget_percent", "at_fal", "waiting", "ended")
    return replace(counts, **{name: getattr(measured, name) for name in names})


@pytest.fixture
def late(world: World) -> World:
    """A world in which every job of ``make_job`` is late."""
    world.clock.now = NOW + LATE
    return world


def another(name: str, status: Status, *, request_id: str) -> Job:
    """A job of its own, younger with every name."""
    return make_job(
        status,
        job_id=f"{name}-0000000000",
        dataset=make_dataset(f"{name}.zip"),
        request_id=request_id,
        created_at=NOW + timedelta(seconds=ord(name[0])),
    )


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("status", [Status.SUBMITTED, Status.TRAINING])
def test_late_job_is_asked_about(late: World, status: Status) -> None:
    """fal is asked about a late job, and its answer is received like any other."""
    job = late.holds(make_job(status))
    late.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
    counts = late.reconciler.reconcile()
    assert counted(counts) == RoundCounts(open=1, late=1, unanswered=0, doubtful=0)
    assert late.job(job.job_id).status is Status.STORING
    assert (late.fal.asked, late.queue.handed) == ([REQUEST_ID], [job.job_id])


@pytest.mark.promise("never lose a result")
def test_stored_result_is_taken_before_expiry(late: World) -> None:
    """A result that fal's queue has forgotten is taken from fal's list; an unreadable list ends nothing for a day."""
    job = late.holds(make_job(Status.SUBMITTED))
    late.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)
    late.fal.stored[REQUEST_ID] = FalUnavailableError("no answer")
    for _ in range(3):
        late.reconciler.reconcile()
        late.clock.now += LATE
    assert late.job(job.job_id).status is Status.SUBMITTED
    late.fal.stored[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
    late.reconciler.reconcile()
    assert late.job(job.job_id).status is Status.STORING
    assert late.job(job.job_id).artifacts == ARTIFACTS


def test_unreadable_list_keeps_no_slot_for_ever(late: World) -> None:
    job = late.holds(make_job(Status.SUBMITTED))
    late.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)
    late.fal.stored[REQUEST_ID] = FalUnavailableError("no answer")
    late.reconciler.reconcile()
    late.clock.now += LIST_DEADLINE
    late.reconciler.reconcile()
    assert late.job(job.job_id).status is Status.EXPIRED


@pytest.mark.parametrize("status", list(Status))
def test_timely_job_is_left_alone(world: World, status: Status) -> None:
    """A job that is not late is left alone, and one that has ended is not read at all."""
    job = world.holds(make_job(status))
    world.clock.now = job.updated_at + LATE_AFTER - timedelta(seconds=1)
    counts = world.reconciler.reconcile()
    held, is_open = int(status is Status.HELD), int(not status.terminal)
    assert counted(counts) == RoundCounts(is_open, late=0, unanswered=0, doubtful=0, held=held)
    assert (world.fal.asked, world.queue.datasets, world.queue.handed) == ([], [], [])
    assert world.job(job.job_id) == job


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("status", [Status.RECEIVED, Status.READY])
def test_unsent_job_is_announced_again(late: World, status: Status) -> None:
    """A job that was never sent is announced again, and goes on by that."""
    job = late.holds(make_job(status, dataset=late.drop()))
    late.clock.now = job.updated_at + (SUBMIT_DEADLINE if status is Status.RECEIVED else LATE)
    for name in "cab":  # the queue is woken once, by the oldest
        late.holds(another(name, Status.READY, request_id=name))
    late.reconciler.reconcile()
    woken = [] if status is Status.READY else ["a.zip"]
    assert [dataset.key for dataset in late.queue.datasets] == [*woken, job.dataset.key]
    assert late.fal.posts == []
    late.work()
    assert late.job(job.job_id).status is Status.SUBMITTED


def test_jobs_that_only_wait_are_counted_unread(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round wakes the line and counts who waits in it, without a read of those that wait for their turn alone."""
    for name in "abc":
        world.holds(another(name, Status.READY, request_id=name))
    read: list[str] = []
    unfinished = MemoryJobs.unfinished

    def noted(jobs: MemoryJobs, *, but: Collection[str] = ()) -> Iterable[Job]:
        found = list(unfinished(jobs, but=but))
        read.extend(job.job_id for job in found)
        return found

    monkeypatch.setattr(MemoryJobs, "unfinished", noted)
    busy = world.holds(
        another("d", Status.READY, request_id="d").model_copy(update={"problems": (FAL_BUSY,)})
    )
    world.clock.now = NOW + timedelta(hours=2)
    counts = world.reconciler.reconcile()
    assert read == [busy.job_id]
    assert (counts.open, counts.late, counts.waiting) == (4, 4, 4)
    assert counts.oldest_seconds == 7200 - ord("a")
    assert [dataset.key for dataset in world.queue.datasets] == ["a.zip"]


def test_a_check_at_work_is_left_alone(late: World) -> None:
    """While its submitter may live, a dataset is not checked a second time beside the first."""
    job = late.holds(make_job(Status.RECEIVED, dataset=late.drop()))
    late.clock.now = job.updated_at + SUBMIT_DEADLINE - timedelta(seconds=1)
    late.reconciler.reconcile()
    assert late.queue.datasets == []


@pytest.mark.promise("never get stuck")
def test_unstored_result_is_handed_over(late: World) -> None:
    """A result that no worker stores is handed over again."""
    job = late.holds(make_job(Status.STORING))
    late.reconciler.reconcile()
    assert late.queue.handed == [job.job_id]
    assert late.fal.asked == []


@pytest.mark.promise(
    "never pay twice",
    "A submission whose function died may have been paid, so it is marked and not sent again.",
)
@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize(
    ("seconds", "after"),
    [(-1, Status.SUBMITTING), (0, Status.SUBMIT_UNKNOWN)],
    ids=["lives", "died"],
)
def test_dead_submitter_leaves_doubt(world: World, seconds: int, after: Status) -> None:
    """A submitter that died leaves a job in doubt, and nothing is paid; one that may live is left alone."""
    job = world.holds(make_job(Status.SUBMITTING))
    world.clock.now = job.updated_at + SUBMIT_DEADLINE + timedelta(seconds=seconds)
    world.reconciler.reconcile()
    assert world.job(job.job_id).status is after
    assert world.fal.posts == []
    if after is Status.SUBMITTING:
        assert world.job(job.job_id) == job
    else:
        assert "nothing is paid twice" in (world.results.text(job, "ERROR.txt") or "")


@pytest.mark.parametrize("status", [Status.HELD, Status.SUBMIT_UNKNOWN])
def test_waiting_job_says_so_again(late: World, status: Status) -> None:
    job = late.holds(make_job(status))
    counts = late.reconciler.reconcile()
    held = int(status is Status.HELD)
    assert (counts.open, counts.late, counts.overdue, counts.held) == (1, 1, 0, held)
    assert late.job(job.job_id) == job
    assert late.results.text(job, "ERROR.txt")
    assert late.fal.posts == []


class Vanishing(MemoryJobs):
    def get(self, job_id: str) -> Job | None:
        return None if job_id.startswith("a-") else super().get(job_id)

    def replace(self, before: Job, after: Job, **given: Any) -> None:
        if before.request_id == "a":
            raise ConflictError(before.job_id)
        super().replace(before, after, **given)


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(
    "trouble",
    [
        *(FalUnavailableError("503"), ConflictError("overtaken"), ForeignRequestError("not ours")),
        None,
    ],
    ids=lambda trouble: type(trouble).__name__ if trouble else "vanished",
)
def test_troubled_job_stops_no_other(late: World, trouble: Exception | None) -> None:
    """A job that cannot be helped now, or vanishes meanwhile, never stops the others."""
    troubled = late.holds(another("a", Status.SUBMITTED, request_id="a"))
    helped = late.holds(another("b", Status.SUBMITTED, request_id="b"))
    late.fal.facts = {"a": trouble or Finished("a", ARTIFACTS), "b": Finished("b", ARTIFACTS)}
    late.jobs = late.jobs if trouble else Vanishing(late.jobs.rows)
    counts = late.reconciler.reconcile()
    assert counted(counts) == RoundCounts(open=2, late=2, unanswered=1, doubtful=0)
    assert late.job(troubled.job_id) == troubled
    assert late.job(helped.job_id).status is Status.STORING


def test_bug_stops_no_other_job(late: World) -> None:
    late.holds(another("a", Status.SUBMITTED, request_id="a"))
    helped = late.holds(another("b", Status.SUBMITTED, request_id="b"))
    late.fal.facts = {"a": AttributeError("a bug"), "b": Finished("b", ARTIFACTS)}
    with pytest.raises(ExceptionGroup) as raised:
        late.reconciler.reconcile()
    assert [str(error) for error in raised.value.exceptions] == ["a bug"]
    assert late.job(helped.job_id).status is Status.STORING


@pytest.mark.promise("it can be operated", "After three hours at fal a person is called.")
@pytest.mark.promise(
    "it can be operated", "After a quarter of an hour without evidence a person is called."
)
@pytest.mark.parametrize(
    ("status", "minutes", "overdue", "doubtful"),
    [
        *((Status.SUBMITTED, 179, 0, 0), (Status.SUBMITTED, 180, 1, 0)),
        *((Status.TRAINING, 180, 1, 0), (Status.STORING, 180, 1, 0), (Status.READY, 6000, 0, 0)),
        *((Status.SUBMIT_UNKNOWN, 14, 0, 0), (Status.SUBMIT_UNKNOWN, 15, 0, 1)),
        (Status.SUBMIT_UNKNOWN, 6000, 0, 1),
    ],
)
def test_overdue_job_calls_a_person(
    world: World, status: Status, minutes: int, overdue: int, doubtful: int
) -> None:
    job = world.holds(make_job(status))
    world.fal.facts[REQUEST_ID] = Running(REQUEST_ID, started=status is not Status.SUBMITTED)
    world.clock.now = job.since + timedelta(minutes=minutes)
    counts = world.reconciler.reconcile()
    assert (counts.overdue, counts.doubtful) == (overdue, doubtful)


@pytest.mark.promise(
    "it can be operated", "A person is called for a fal that cannot be reached, however many wait."
)
@pytest.mark.parametrize(("slots", "rounds"), [(2, 25), (0, 0)], ids=["unreachable", "no slot"])
def test_unreachable_fal_calls_a_person(world: World, slots: int, rounds: int) -> None:
    """Waiting for a slot calls no one."""
    world.limits = Limits(slots, monthly_usd=100.0, job_usd=25.0)
    world.answer(NotSubmittedError("down"))
    for name in ("a", "b", "c"):
        world.submit(world.drop(f"{name}.zip", metadata={"steps": str(1000 + ord(name))}))
    called = 0
    for _ in range(60):
        world.clock.now += timedelta(minutes=5)
        called += world.reconciler.reconcile().overdue > 0
        world.work()
    assert called == rounds
    assert {job.status for job in world.jobs.rows.values()} == {Status.READY}


@pytest.mark.promise("it can be operated")
def test_calls_survive_other_failures(world: World) -> None:
    """The call for a person goes out whatever else goes wrong in a round."""
    world.holds(make_job(Status.SUBMIT_UNKNOWN))
    world.clock.now = NOW + timedelta(hours=1)

    class Locked(MemoryDatasets):
        def list_page(self, after: str | None) -> DatasetPage:
            raise PermissionError(after)

    world.datasets = Locked()
    with pytest.raises(RoundIncompleteError) as raised:
        world.reconciler.reconcile()
    assert raised.value.counts.doubtful == 1


def test_long_round_serves_fal_first(world: World) -> None:
    held = [another(f"{n:03}h", Status.HELD, request_id="") for n in range(20)]
    for job in held:
        world.holds(job.model_copy(update={"request_id": None}))
    training = world.holds(another("z", Status.TRAINING, request_id="late"))
    world.fal.facts["late"] = Finished("late", ARTIFACTS)
    world.clock.now = NOW + timedelta(hours=1)
    ticks = count(step=30.0)
    counts = replace(world.reconciler, tick=lambda: next(ticks)).reconcile()
    assert world.job(training.job_id).status is Status.STORING
    assert counts.held == 20
