"""A job that there is no money for is held, for free, and goes on by itself once there is."""

from datetime import UTC, datetime, timedelta

import pytest

from lora_drop.fal.status import Failed, Finished
from lora_drop.fal.trainers.trainer import Price
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import ActionNotAllowedError
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from tests.support.builders import ARTIFACTS, NOW, make_jpeg
from tests.support.world import LATE_AFTER, World

ADA = "arn:aws:iam::123456789012:user/ada"
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def world(busy: World) -> World:
    return busy


def dropped(world: World, name: str = "a", *, steps: int = 1500) -> Job:
    """A dataset of its own; $3.60 where nothing else is said."""
    photo = {f"{name}.jpg": make_jpeg(name)}
    return world.submit(world.drop(f"{name}.zip", members=photo, metadata={"steps": str(steps)}))


def code(job: Job) -> str:
    [problem] = job.problems
    return problem.code


def round_(world: World, *, after: timedelta = LATE_AFTER) -> None:
    """Time passes, the reconciler comes, and the inbox is emptied."""
    world.clock.now += after
    world.reconciler.reconcile()
    world.work()


def test_a_training_dearer_than_any_may_be_is_held_for_a_person(world: World) -> None:
    world.limits = Limits(max_in_flight=2, job_usd=3.59)

    held = dropped(world)

    assert (held.status, code(held)) == (Status.HELD, "job_over_limit")
    told = world.results.text(held, "ERROR.txt") or ""
    assert "$3.60" in told
    assert "$3.59" in told
    assert "lora-drop approve" in told
    assert world.fal.posts == []
    round_(world, after=timedelta(days=60))
    assert world.job(held.job_id).status is Status.HELD


def test_a_training_may_cost_exactly_the_most_that_one_may(world: World) -> None:
    world.limits = Limits(max_in_flight=2, job_usd=3.6)

    assert dropped(world).status is Status.SUBMITTED


def test_a_training_that_the_month_has_no_money_for_is_held(world: World) -> None:
    world.limits = Limits(max_in_flight=9, monthly_usd=7.19)
    dropped(world, "a")

    held = dropped(world, "b")

    assert (held.status, code(held)) == (Status.HELD, "budget_exhausted")
    told = world.results.text(held, "ERROR.txt") or ""
    assert "$3.60" in told
    assert "$7.19" in told
    assert len(world.fal.posts) == 1


def test_the_month_is_spent_to_its_last_cent(world: World) -> None:
    world.limits = Limits(max_in_flight=9, monthly_usd=7.2)

    assert [dropped(world, name).status for name in "abc"] == [
        Status.SUBMITTED,
        Status.SUBMITTED,
        Status.HELD,
    ]


def test_a_cheaper_training_is_not_held_behind_a_dear_one(world: World) -> None:
    world.limits = Limits(max_in_flight=9, monthly_usd=6.0)

    dear, cheap = dropped(world, "a", steps=4000), dropped(world, "b", steps=1000)

    assert (dear.status, cheap.status) == (Status.HELD, Status.SUBMITTED)


def test_a_new_month_sends_what_the_old_one_could_not_pay(world: World) -> None:
    world.limits = Limits(max_in_flight=9, monthly_usd=4.0)
    dropped(world, "a")
    held = dropped(world, "b")

    world.clock.now = DECEMBER - timedelta(seconds=1)
    round_(world, after=timedelta(0))
    assert world.job(held.job_id).status is Status.HELD
    round_(world, after=timedelta(seconds=1))

    assert world.job(held.job_id).status is Status.SUBMITTED
    assert world.results.text(held, "ERROR.txt") is None
    assert world.jobs.account("2026-12").reserved_usd == 3.6


def test_money_that_is_given_back_sends_whoever_was_held_for_it(world: World) -> None:
    world.limits = Limits(max_in_flight=9, monthly_usd=4.0)
    first, held = dropped(world, "a"), dropped(world, "b")
    round_(world)
    assert world.job(held.job_id).status is Status.HELD
    down = Problem(code="fal_internal_error", message="m")

    world.fal_updates.receive(first.job_id, Failed("request-1", down, billed=False))
    round_(world)

    assert world.job(held.job_id).status is Status.SUBMITTED


def test_money_that_was_wasted_is_not_given_back(world: World) -> None:
    world.limits = Limits(max_in_flight=9, monthly_usd=4.0)
    first, held = dropped(world, "a"), dropped(world, "b")

    world.fal_updates.receive(first.job_id, Failed("request-1", Problem(code="fal_x", message="m")))
    round_(world)

    assert world.job(held.job_id).status is Status.HELD
    assert world.jobs.account("2026-11").wasted_usd == 3.6


def test_a_larger_budget_sends_whoever_was_held(world: World) -> None:
    world.limits = Limits(max_in_flight=9, monthly_usd=1.0)
    held = dropped(world)

    world.limits = Limits(max_in_flight=9, monthly_usd=3.6)
    round_(world)

    assert world.job(held.job_id).status is Status.SUBMITTED


@pytest.mark.parametrize(
    ("first", "second", "both"), [(1000, 1209, 5.31), (1000, 1627, 6.31), (1000, 1693, 6.47)]
)
def test_what_is_left_to_the_cent_is_enough(
    world: World, first: int, second: int, both: float
) -> None:
    # In binary the two cost a bit more than their sum: 2.4 + 2.91 > 5.31.
    world.limits = Limits(max_in_flight=9, monthly_usd=round(both - 0.01, 2))
    dropped(world, "a", steps=first)
    held = dropped(world, "b", steps=second)
    round_(world)
    assert world.job(held.job_id) == held

    world.limits = Limits(max_in_flight=9, monthly_usd=both)
    round_(world)

    assert world.job(held.job_id).status is Status.SUBMITTED


def test_of_several_who_are_held_those_go_on_that_there_is_money_for(world: World) -> None:
    world.limits = Limits(max_in_flight=9, monthly_usd=3.6)
    names = "abcd"
    jobs = [dropped(world, name) for name in names]

    world.limits = Limits(max_in_flight=9, monthly_usd=2 * 3.6)
    for _ in range(4):
        round_(world)

    assert [world.job(job.job_id).at_fal for job in jobs] == [True, True, False, False]
    assert [world.job(job.job_id).status for job in jobs[2:]] == [Status.HELD, Status.HELD]
    # Nobody walks in and out for ever.
    assert len(world.job(jobs[3].job_id).history) <= len(jobs[3].history) + 2


def unpriced(world: World, application: str = "fal-ai/qwen-image-trainer") -> Job:
    """A dataset for a trainer that nobody knows the price of."""
    submitter = world.submitter
    object.__setattr__(submitter, "application", application)
    return submitter.submit_dataset(world.drop()).job


@pytest.mark.parametrize(
    "limits", [Limits(9, monthly_usd=100.0), Limits(9, job_usd=100.0), Limits(9, 100.0, 100.0)]
)
def test_a_training_of_unknown_price_is_held_wherever_there_is_a_limit(
    world: World, limits: Limits
) -> None:
    world.limits = limits

    held = unpriced(world)

    assert (held.status, code(held)) == (Status.HELD, "price_unknown")
    assert "fal-ai/qwen-image-trainer" in (world.results.text(held, "ERROR.txt") or "")
    assert world.fal.posts == []


def test_without_limits_a_price_does_not_matter(world: World) -> None:
    world.limits = Limits(9)

    assert unpriced(world).status is Status.SUBMITTED


def test_fals_price_of_the_moment_is_the_one_that_counts(world: World) -> None:
    world.fal.asks = Price(0.01, 1000)
    world.limits = Limits(9, job_usd=14.99)

    held = dropped(world)

    assert (held.status, held.estimated_cost_usd) == (Status.HELD, 15.0)


@pytest.mark.parametrize(
    "limits", [Limits(9, job_usd=1.0), Limits(9, monthly_usd=1.0), Limits(9, 0.0, 0.0)]
)
def test_an_approval_goes_over_every_limit_and_is_kept_with_its_name(
    world: World, limits: Limits
) -> None:
    world.limits = limits
    held = dropped(world)

    ready = world.manual_actions.approve(held.job_id, by=ADA)
    world.work()

    job = world.job(held.job_id)
    assert (ready.status, ready.approved, ready.history[-1].by) == (Status.READY, True, ADA)
    assert (job.status, job.approved) == (Status.SUBMITTED, True)
    assert world.jobs.account("2026-11").reserved_usd == 3.6


def test_an_approval_of_an_unknown_price_is_one_as_well(world: World) -> None:
    held = unpriced(world)

    world.manual_actions.approve(held.job_id, by=ADA)
    world.work()

    assert world.job(held.job_id).status is Status.SUBMITTED


def test_an_approved_job_waits_for_a_slot_like_everybody(world: World) -> None:
    world.limits = Limits(1, job_usd=3.6)
    held, first = dropped(world, "a", steps=2000), dropped(world, "b")

    world.manual_actions.approve(held.job_id, by=ADA)
    world.work()
    assert world.job(held.job_id).status is Status.READY
    world.fal_updates.receive(first.job_id, Finished("request-1", ARTIFACTS))
    world.work()

    assert world.job(held.job_id).status is Status.SUBMITTED


def test_an_approval_is_for_one_job_alone(world: World) -> None:
    world.limits = Limits(9, monthly_usd=4.0)
    first, second = dropped(world, "a", steps=2000), dropped(world, "b", steps=2000)

    world.manual_actions.approve(first.job_id, by=ADA)
    world.work()

    assert world.job(second.job_id).status is Status.HELD
    with pytest.raises(ActionNotAllowedError):
        world.manual_actions.approve(first.job_id, by=ADA)
    assert world.clock.now == NOW
