"""A job that was given up gets its result while another, for the same content, waits to be paid for."""

from collections.abc import Callable
from typing import Any

import pytest

from lora_drop.fal.status import Failed, Finished, Gone
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.services.record import Record
from tests.support.builders import ARTIFACTS
from tests.support.duplicates import again, first
from tests.support.world import LATE_AFTER, World

ADA = "arn:aws:iam::123456789012:user/ada"
BAD = Problem(code="fal_image_load_error", message="One of the images cannot be read.")


@pytest.fixture
def world(busy: World) -> World:
    return busy


def full(world: World, *, full: bool) -> None:
    """Whether there is no slot left."""
    world.limits = Limits(0 if full else 2, 100.0, 25.0)


def expired(world: World, job: Job) -> Job:
    for doubted in (False, True):
        world.fal_updates.receive(
            job.job_id, Gone(job.request_id or ""), asked=True, doubted=doubted
        )
    return world.job(job.job_id)


def failed(world: World, job: Job) -> Job:
    return world.fal_updates.receive(job.job_id, Failed(job.request_id or "", BAD, billed=False))


def round_made(world: World) -> None:
    world.clock.now += LATE_AFTER
    world.reconciler.reconcile()
    world.work()


def duplicate(world: World, ended: Callable[[World, Job], Job]) -> tuple[Job, Job]:
    """A job that ended, and its duplicate, which waits for a slot now."""
    given_up = first(world)
    waiting = again(world)
    full(world, full=True)
    given_up = ended(world, given_up)
    round_made(world)
    return given_up, world.job(waiting.job_id)


def retried(world: World, ended: Callable[[World, Job], Job]) -> tuple[Job, Job]:
    """A job that ended, and its retry, which waits for a slot now."""
    given_up = ended(world, first(world))
    full(world, full=True)
    retry = world.retry_service.retry(given_up.job_id, resume=False, by=ADA)
    world.work()
    return given_up, world.job(retry.job_id)


BOTH = pytest.mark.parametrize("standing_in", [duplicate, retried], ids=["duplicate", "retry"])
ENDS = pytest.mark.parametrize("ended", [expired, failed], ids=["expired", "failed"])
type StandingIn = Callable[[World, Callable[[World, Job], Job]], tuple[Job, Job]]


@BOTH
@ENDS
def test_what_stands_in_for_a_job_whose_result_came_after_all_is_not_paid_for(
    world: World, standing_in: StandingIn, ended: Callable[[World, Job], Job]
) -> None:
    given_up, waiting = standing_in(world, ended)
    assert waiting.status is Status.READY
    world.clock.now += LATE_AFTER
    world.fal_updates.receive(given_up.job_id, Finished(given_up.request_id or "", ARTIFACTS))
    full(world, full=False)

    round_made(world)

    held = world.job(waiting.job_id)
    assert (held.status, [each.code for each in held.problems]) == (
        Status.HELD,
        ["earlier_result_came"],
    )
    assert given_up.job_id in held.problems[0].message
    assert (held.charges, len(world.fal.posts)) == ((), 1)


@BOTH
def test_a_person_may_want_it_trained_anew_all_the_same(
    world: World, standing_in: StandingIn
) -> None:
    given_up, waiting = standing_in(world, expired)
    world.clock.now += LATE_AFTER
    world.fal_updates.receive(given_up.job_id, Finished(given_up.request_id or "", ARTIFACTS))
    full(world, full=False)
    round_made(world)
    world.clock.now += LATE_AFTER

    world.manual_actions.approve(waiting.job_id, by=ADA)
    world.work()

    sent = world.job(waiting.job_id)
    assert (sent.status, sent.approved) == (Status.SUBMITTED, False)


@BOTH
def test_no_clock_lets_it_go_on(world: World, standing_in: StandingIn) -> None:
    given_up, waiting = standing_in(world, expired)
    world.clock.now += LATE_AFTER
    world.fal_updates.receive(given_up.job_id, Finished(given_up.request_id or "", ARTIFACTS))
    full(world, full=False)

    for _ in range(30):
        round_made(world)

    assert world.job(waiting.job_id).status is Status.HELD
    assert len(world.fal.posts) == 1


@BOTH
def test_what_stands_in_for_a_job_that_stays_ended_is_paid_for(
    world: World, standing_in: StandingIn
) -> None:
    _, waiting = standing_in(world, expired)
    full(world, full=False)

    round_made(world)

    assert world.job(waiting.job_id).status is Status.SUBMITTED


@BOTH
def test_a_result_that_comes_in_this_very_moment_stops_the_payment(
    world: World, standing_in: StandingIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up, waiting = standing_in(world, expired)
    full(world, full=False)
    world.clock.now += LATE_AFTER
    result = Finished(given_up.request_id or "", ARTIFACTS)
    intend = Record.intend

    def just_before(self: Record, *args: Any, **how: Any) -> Job:
        world.fal_updates.receive(given_up.job_id, result)
        return intend(self, *args, **how)

    monkeypatch.setattr(Record, "intend", just_before)

    world.dispatcher.submit_waiting()

    assert world.job(waiting.job_id).status is Status.HELD
    assert len(world.fal.posts) == 1
