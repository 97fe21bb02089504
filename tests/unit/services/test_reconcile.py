from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running
from lora_drop.jobs.errors import (
    ConflictError,
    FalUnavailableError,
    ForeignRequestError,
    NotSubmittedError,
)
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_files import status_text
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.ports import DatasetPage
from lora_drop.services.reconcile import SUBMIT_DEADLINE, RoundCounts, RoundIncompleteError
from lora_drop.services.record import SETTLED_AFTER
from tests.support.builders import APPLICATION, ARTIFACTS, NOW, REQUEST_ID, make_dataset, make_job
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


@pytest.mark.parametrize(
    ("fact", "after"),
    [
        (Running(REQUEST_ID, started=True), Status.TRAINING),
        (Finished(REQUEST_ID, ARTIFACTS), Status.STORING),
        (Failed(REQUEST_ID, PROBLEM), Status.FAILED),
        (Gone(REQUEST_ID), Status.SUBMITTED),
    ],
    ids=["running", "finished", "failed", "gone"],
)
def test_fal_is_asked_about_a_late_job_and_its_answer_goes_through_the_same_door(
    late: World, fact: FalStatus, after: Status
) -> None:
    job = late.holds(make_job(Status.SUBMITTED))
    late.fal.facts[REQUEST_ID] = fact

    counts = late.reconciler.reconcile()

    assert counted(counts) == RoundCounts(open=1, late=1, unanswered=0, doubtful=0)
    assert late.fal.asked == [REQUEST_ID]
    assert late.job(job.job_id).status is after
    assert late.queue.handed == ([job.job_id] if after is Status.STORING else [])


def test_a_job_ends_as_expired_when_fal_denies_it_in_two_late_rounds(late: World) -> None:
    job = late.holds(make_job(Status.SUBMITTED))
    late.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)

    late.reconciler.reconcile()
    late.reconciler.reconcile()  # not late again yet
    early = late.job(job.job_id).status
    late.clock.now += LATE
    late.reconciler.reconcile()

    assert early is Status.SUBMITTED
    assert late.job(job.job_id).status is Status.EXPIRED


def test_a_job_in_training_is_asked_about_as_well(late: World) -> None:
    job = late.holds(make_job(Status.TRAINING))
    late.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)

    late.reconciler.reconcile()

    assert late.job(job.job_id).status is Status.STORING


@pytest.mark.parametrize("status", [status for status in Status if not status.terminal])
def test_a_job_that_is_not_late_is_left_alone(world: World, status: Status) -> None:
    job = world.holds(make_job(status))
    world.clock.now = job.updated_at + LATE_AFTER - timedelta(seconds=1)

    counts = world.reconciler.reconcile()

    held = int(status is Status.HELD)
    assert counted(counts) == RoundCounts(open=1, late=0, unanswered=0, doubtful=0, held=held)
    assert world.fal.asked == []
    assert world.queue.datasets == []
    assert world.queue.handed == []
    assert world.job(job.job_id) == job


def test_what_has_ended_is_not_looked_at(late: World) -> None:
    for status in Status:
        if status.terminal:
            late.holds(make_job(status, job_id=f"{status}-0000000000"))

    assert counted(late.reconciler.reconcile()) == RoundCounts(
        open=0, late=0, unanswered=0, doubtful=0
    )


@pytest.mark.parametrize("status", [Status.RECEIVED, Status.READY])
def test_a_job_that_was_never_sent_is_announced_again(late: World, status: Status) -> None:
    job = late.holds(make_job(status))

    late.reconciler.reconcile()

    assert late.queue.datasets == [job.dataset]
    assert late.fal.posts == []


def test_an_announced_job_goes_on_by_itself(late: World) -> None:
    dataset = late.drop()
    late.holds(Job.receive(dataset, application=APPLICATION, now=NOW))

    late.reconciler.reconcile()

    assert [late.submit(announced).status for announced in late.queue.datasets] == [
        Status.SUBMITTED
    ]


def test_a_result_that_nobody_stores_is_handed_over_again(late: World) -> None:
    job = late.holds(make_job(Status.STORING))

    late.reconciler.reconcile()

    assert late.queue.handed == [job.job_id]
    assert late.fal.asked == []


def test_a_submitter_that_died_leaves_a_doubtful_job_and_nothing_is_paid(world: World) -> None:
    job = world.holds(make_job(Status.SUBMITTING))
    world.clock.now = job.updated_at + SUBMIT_DEADLINE

    world.reconciler.reconcile()

    assert world.job(job.job_id).status is Status.SUBMIT_UNKNOWN
    assert world.fal.posts == []
    assert "nothing is paid twice" in (world.results.text(job, "ERROR.txt") or "")


def test_a_submitter_that_may_still_live_is_left_alone(world: World) -> None:
    job = world.holds(make_job(Status.SUBMITTING))
    world.clock.now = job.updated_at + SUBMIT_DEADLINE - timedelta(seconds=1)

    world.reconciler.reconcile()

    assert world.job(job.job_id) == job


@pytest.mark.parametrize("status", [Status.HELD, Status.SUBMIT_UNKNOWN])
def test_a_job_that_waits_for_a_person_says_so_again(late: World, status: Status) -> None:
    job = late.holds(make_job(status))

    late.reconciler.reconcile()

    assert late.job(job.job_id) == job
    assert late.results.text(job, "ERROR.txt")
    assert late.fal.posts == []


@pytest.mark.parametrize(
    "trouble",
    [FalUnavailableError("503"), ConflictError("overtaken"), ForeignRequestError("not ours")],
    ids=lambda trouble: type(trouble).__name__,
)
def test_a_job_that_cannot_be_helped_now_never_stops_the_others(
    late: World, trouble: Exception
) -> None:
    troubled = late.holds(another("a", Status.SUBMITTED, request_id="a"))
    helped = late.holds(another("b", Status.SUBMITTED, request_id="b"))
    late.fal.facts = {"a": trouble, "b": Finished("b", ARTIFACTS)}

    counts = late.reconciler.reconcile()

    assert counted(counts) == RoundCounts(open=2, late=2, unanswered=1, doubtful=0)
    assert late.job(troubled.job_id) == troubled
    assert late.job(helped.job_id).status is Status.STORING


def test_even_a_bug_about_one_job_never_stops_the_others_and_is_not_hidden(late: World) -> None:
    late.holds(another("a", Status.SUBMITTED, request_id="a"))
    helped = late.holds(another("b", Status.SUBMITTED, request_id="b"))
    late.fal.facts = {"a": AttributeError("a bug"), "b": Finished("b", ARTIFACTS)}

    with pytest.raises(ExceptionGroup) as raised:
        late.reconciler.reconcile()

    assert [str(error) for error in raised.value.exceptions] == ["a bug"]
    assert late.job(helped.job_id).status is Status.STORING


def test_a_job_that_vanishes_meanwhile_never_stops_the_others(late: World) -> None:
    class Vanishing(MemoryJobs):
        def get(self, job_id: str) -> Job | None:
            return None if job_id.startswith("a-") else super().get(job_id)

    late.holds(another("a", Status.SUBMITTED, request_id="a"))
    helped = late.holds(another("b", Status.SUBMITTED, request_id="b"))
    late.fal.facts = {name: Finished(name, ARTIFACTS) for name in "ab"}
    late.jobs = Vanishing(late.jobs.rows)

    counts = late.reconciler.reconcile()

    assert counted(counts) == RoundCounts(open=2, late=2, unanswered=1, doubtful=0)
    assert late.job(helped.job_id).status is Status.STORING


def test_an_end_is_told_once_more_when_nobody_can_stand_in_an_older_state_any_more(
    late: World,
) -> None:
    job = late.holds(make_job(Status.SUBMITTED))
    late.fal.facts[REQUEST_ID] = Failed(REQUEST_ID, PROBLEM)
    late.reconciler.reconcile()
    ended = late.job(job.job_id)

    at_once = late.reconciler.reconcile()
    late.results.files[job.prefix + "status.json"] = b"an older state, by one who died of it"
    late.clock.now += SETTLED_AFTER
    later = late.reconciler.reconcile()
    after_that = late.reconciler.reconcile()

    assert [counts.open for counts in (at_once, later, after_that)] == [1, 1, 0]
    assert late.job(job.job_id) == ended
    assert late.results.text(job, "status.json") == status_text(ended)


@pytest.mark.parametrize(
    ("status", "minutes", "overdue"),
    [
        (Status.SUBMITTED, 179, 0),
        (Status.SUBMITTED, 180, 1),
        (Status.TRAINING, 180, 1),
        (Status.STORING, 180, 1),
        (Status.READY, 6000, 0),
        (Status.SUBMIT_UNKNOWN, 6000, 0),
    ],
)
def test_after_three_hours_at_fal_a_person_is_called(
    world: World, status: Status, minutes: int, overdue: int
) -> None:
    job = world.holds(make_job(status))
    world.fal.facts[REQUEST_ID] = Running(REQUEST_ID, started=status is not Status.SUBMITTED)
    world.clock.now = job.since + timedelta(minutes=minutes)

    assert world.reconciler.reconcile().overdue == overdue


def test_a_job_that_waits_for_a_person_or_for_money_is_counted(late: World) -> None:
    late.holds(another("a", Status.HELD, request_id="a"))
    late.holds(another("b", Status.TRAINING, request_id="b"))
    late.fal.facts["b"] = Running("b", started=True)

    assert counted(late.reconciler.reconcile()) == RoundCounts(
        open=2, late=2, unanswered=0, doubtful=0, overdue=0, held=1
    )


def test_however_many_wait_the_line_is_woken_once_by_the_oldest(late: World) -> None:
    for name in "cab":
        late.holds(another(name, Status.READY, request_id=name))

    late.reconciler.reconcile()

    assert [dataset.key for dataset in late.queue.datasets] == ["a.zip"]


def test_a_person_is_called_for_a_fal_that_nobody_reaches_however_many_wait(world: World) -> None:
    world.answer(NotSubmittedError("down"))
    for name in ("a", "b", "c"):
        world.submit(world.drop(f"{name}.zip", metadata={"steps": str(1000 + ord(name))}))

    called = 0
    for _ in range(60):
        world.clock.now += timedelta(minutes=5)
        called += world.reconciler.reconcile().overdue > 0
        world.work()

    assert called >= 20
    assert {job.status for job in world.jobs.rows.values()} == {Status.READY}


def test_whoever_is_to_be_called_is_called_whatever_else_goes_wrong_in_a_round(
    world: World,
) -> None:
    world.holds(make_job(Status.SUBMIT_UNKNOWN))
    world.clock.now = NOW + timedelta(hours=1)

    class Locked(MemoryDatasets):
        def list_page(self, after: str | None) -> DatasetPage:
            raise PermissionError(after)

    world.datasets = Locked()

    with pytest.raises(RoundIncompleteError) as raised:
        world.reconciler.reconcile()

    assert raised.value.counts.doubtful == 1


def test_a_round_that_gets_too_long_has_looked_after_what_is_at_fal(world: World) -> None:
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
