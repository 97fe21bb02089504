"""Whoever changes a job tells others so, or leaves it to the reconciler; nobody is kept from his work."""

from datetime import timedelta

import pytest

from lora_drop.jobs.errors import EventsUnavailableError, SubmissionRefusedError
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.services.sweep import PATIENCE, Outbox
from tests.support.builders import REQUEST_ID, make_job
from tests.support.world import World

DOWN = EventsUnavailableError("the bus is down")


def test_every_change_of_state_is_told_with_its_version(world: World) -> None:
    job = world.record.open(make_job())

    ready = world.record.move(job, Status.READY)

    assert [(each.status, each.version) for each in world.events.changes] == [
        (Status.RECEIVED, job.version),
        (Status.READY, ready.version),
    ]
    assert world.jobs.outbox() == {}


def test_what_is_learnt_of_a_job_where_it_stands_is_no_event(world: World) -> None:
    job = world.record.move(world.record.open(make_job()), Status.READY)

    world.record.set_problems(job, Problem(code="x", message="X."))
    world.record.publish_files(world.job(job.job_id))

    assert [status for _, status in world.events.told()] == ["RECEIVED", "READY"]


def test_nothing_is_told_before_the_post_and_the_next_event_has_it(world: World) -> None:
    job = world.holds(make_job(Status.READY))
    intended = world.record.intend(job, Status.SUBMITTING, limits=world.limits, unchanged=())
    before = list(world.events.changes)

    world.record.move(intended, Status.SUBMITTED, request_id=REQUEST_ID)

    [told] = world.events.changes
    assert before == []
    assert [step.status for step in told.history][-2:] == [Status.SUBMITTING, Status.SUBMITTED]


def test_a_bus_that_is_down_stops_nobody_and_the_reconciler_tells_it_later(world: World) -> None:
    world.events.refuses = DOWN
    job = world.record.move(world.record.open(make_job()), Status.READY)
    kept = world.jobs.outbox()
    world.events.refuses = None
    world.clock.now += timedelta(minutes=5)

    tally = world.reconciler.reconcile()

    assert kept == {job.job_id: job.version}
    assert world.events.told() == [(job.job_id, "READY")]
    assert (tally.untold, world.jobs.outbox()) == (0, {})


def test_whoever_dies_before_telling_leaves_it_to_the_reconciler(world: World) -> None:
    job = world.holds(make_job(Status.SUBMITTED))
    world.jobs.replace(job, job.move(Status.FAILED, now=world.clock()))  # and dies here
    world.clock.now += timedelta(minutes=1)

    world.reconciler.reconcile()
    world.reconciler.reconcile()

    assert world.events.told() == [(job.job_id, "FAILED")]


def test_what_was_told_twice_is_the_same_event(world: World) -> None:
    job = world.record.open(make_job())

    world.record.publish_event(job)

    assert len(world.events.changes) == 2
    assert len(set(world.events.changes)) == 1


def test_whoever_has_just_written_a_change_is_left_to_tell_it(world: World) -> None:
    job = world.holds(make_job(Status.READY))
    world.jobs.replace(job, job.move(Status.HELD, now=world.clock()))

    world.reconciler.reconcile()

    assert world.events.changes == []


def test_the_newest_state_is_told_and_an_older_teller_takes_nothing_out(world: World) -> None:
    job = world.holds(make_job(Status.READY))
    held = job.move(Status.HELD, now=world.clock())
    world.jobs.replace(job, held)
    again = held.move(Status.READY, now=world.clock())
    world.jobs.replace(held, again)

    world.record.publish_event(held)
    world.clock.now += timedelta(minutes=1)
    world.reconciler.reconcile()

    assert [each.version for each in world.events.changes] == [held.version, again.version]


def test_while_nobody_listens_it_is_tried_once_a_round_and_counted(world: World) -> None:
    for number in range(3):
        world.jobs.add(make_job(job_id=f"job-{number}"))
    world.clock.now += timedelta(minutes=1)
    world.events.refuses = DOWN

    tally = world.reconciler.reconcile()

    assert (tally.untold, world.events.refused) == (3, 1)


def test_a_round_reads_no_more_jobs_than_it_has_time_for(world: World) -> None:
    for number in range(100):
        world.jobs.add(make_job(job_id=f"job-{number}"))
    world.clock.now += timedelta(minutes=1)
    ticks = iter(range(1000))

    left = Outbox(world.record, lambda: float(next(ticks))).publish_left()

    assert len(world.events.changes) < PATIENCE
    assert left + len(world.events.changes) == 100


LOCKED, SPENT = "fal_account_locked", "budget_exhausted"


@pytest.mark.parametrize(
    ("by", "then", "again"),
    [("the clock", LOCKED, True), ("the clock", SPENT, False), ("a person", LOCKED, False)],
)
def test_only_a_job_that_is_held_for_the_same_as_before_is_no_news(
    world: World, by: str, then: str, *, again: bool
) -> None:
    world.answer(SubmissionRefusedError(Problem(code=LOCKED, message="x"), held=True))
    job = world.submit(world.drop())
    world.clock.now += timedelta(hours=2)
    world.answer(SubmissionRefusedError(Problem(code=then, message="x"), held=True))

    if by == "a person":
        world.manual_actions.approve(job.job_id, by="ada")
    else:
        world.reconciler.reconcile()
    world.work()

    held = [each for each in world.events.changes if each.status is Status.HELD]
    assert [each.again for each in held] == [False, again]


def test_nobody_hears_of_a_job_that_is_no_more(world: World) -> None:
    job = make_job()
    world.jobs.add(job)
    del world.jobs.rows[job.job_id]

    world.reconciler.reconcile()

    assert (world.events.changes, world.jobs.outbox()) == ([], {})


@pytest.mark.parametrize("status", list(Status))
def test_an_event_says_nothing_personal(world: World, status: Status) -> None:
    job = make_job(
        status,
        problems=(Problem(code="image_damaged", message="anna.jpg is cut.", member="anna.jpg"),),
        cancel_by="arn:aws:iam::123456789012:user/ada",
    )
    job = job.model_copy(
        update={"history": tuple(s.model_copy(update={"by": "ada"}) for s in job.history)}
    )

    world.record.publish_event(job)

    [told] = world.events.changes
    text = told.model_dump_json()
    assert told.problems == ("image_damaged",)
    assert [word for word in ("anna", "arn:", '"by"', "https:", "TOK_") if word in text] == []
