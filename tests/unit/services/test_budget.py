"""A job that there is no money for is held, for free, and goes on by itself once there is."""

from datetime import UTC, datetime, timedelta

import pytest

from lora_drop.fal.status import Failed, Finished
from lora_drop.fal.trainers.trainer import Price
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import ActionNotAllowedError, SubmissionRefusedError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import ADA, ARTIFACTS, BAD_IMAGE, LOCKED, make_jpeg
from tests.support.queue import codes, later
from tests.support.world import World

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def world(busy: World) -> World:
    return busy


def dropped(world: World, name: str = "a", *, steps: int = 1500) -> Job:
    """A dataset of its own; $3.60 where nothing else is said."""
    photo = {f"{name}.jpg": make_jpeg(name)}
    return world.submit(world.drop(f"{name}.zip", members=photo, metadata={"steps": str(steps)}))


@pytest.mark.promise("never pay twice")
def test_dear_training_waits_for_a_person(world: World) -> None:
    """A training dearer than any may be is held for a person; it may cost exactly the most."""
    world.limits = Limits(max_in_flight=2, job_usd=3.59)
    held = dropped(world)

    assert (held.status, codes(held)) == (Status.HELD, ["job_over_limit"])
    text = world.results.text(held, "ERROR.txt") or ""
    assert all(part in text for part in ("$3.60", "$3.59", "lora-drop approve"))
    assert world.fal.posts == []
    later(world, after=timedelta(days=60))
    assert world.job(held.job_id).status is Status.HELD
    world.limits = Limits(max_in_flight=2, job_usd=3.6)
    assert dropped(world, "b").status is Status.SUBMITTED


def test_exhausted_month_holds_a_training(world: World) -> None:
    world.limits = Limits(max_in_flight=9, monthly_usd=7.19)
    dropped(world, "a")
    held = dropped(world, "b")
    assert (held.status, codes(held)) == (Status.HELD, ["budget_exhausted"])
    text = world.results.text(held, "ERROR.txt") or ""
    assert all(part in text for part in ("$3.60", "$7.19"))
    assert len(world.fal.posts) == 1


@pytest.mark.parametrize(
    ("month", "steps", "statuses"),
    [
        (7.2, (1500, 1500, 1500), [Status.SUBMITTED, Status.SUBMITTED, Status.HELD]),
        (6.0, (4000, 1000), [Status.HELD, Status.SUBMITTED]),
    ],
    ids=["to its last cent", "a cheaper one passes"],
)
def test_month_is_spent_to_its_cent(
    world: World, month: float, steps: tuple[int, ...], statuses: list[Status]
) -> None:
    """The month is spent to its last cent, and a cheaper training passes a dear one."""
    world.limits = Limits(max_in_flight=9, monthly_usd=month)
    jobs = [dropped(world, name, steps=number) for name, number in zip("abc", steps, strict=False)]
    assert [job.status for job in jobs] == statuses


@pytest.mark.promise("never get stuck")
def test_new_month_sends_held_jobs(world: World) -> None:
    """A new month sends the jobs that the old one could not pay."""
    world.limits = Limits(max_in_flight=9, monthly_usd=4.0)
    dropped(world, "a")
    held = dropped(world, "b")
    world.clock.now = DECEMBER - timedelta(seconds=1)
    later(world, after=timedelta(0))
    assert world.job(held.job_id).status is Status.HELD
    later(world, after=timedelta(seconds=1))

    assert world.job(held.job_id).status is Status.SUBMITTED
    assert world.results.text(held, "ERROR.txt") is None
    assert world.jobs.account("2026-12").reserved_usd == 3.6


@pytest.mark.parametrize(
    ("billed", "after", "wasted"),
    [(False, Status.SUBMITTED, 0.0), (None, Status.HELD, 3.6)],
    ids=["not billed", "unknown"],
)
def test_returned_money_sends_held_jobs(
    world: World, *, billed: bool | None, after: Status, wasted: float
) -> None:
    """Money that is given back sends the job that was held for it; wasted money is not given back."""
    world.limits = Limits(max_in_flight=9, monthly_usd=4.0)
    first, held = dropped(world, "a"), dropped(world, "b")
    later(world)
    assert world.job(held.job_id).status is Status.HELD
    world.fal_updates.receive(first.job_id, Failed("request-1", BAD_IMAGE, billed=billed))
    later(world)

    assert world.job(held.job_id).status is after
    assert world.jobs.account("2026-11").wasted_usd == wasted


def test_larger_budget_sends_held_jobs(world: World) -> None:
    world.limits = Limits(max_in_flight=9, monthly_usd=1.0)
    held = dropped(world)
    world.limits = Limits(max_in_flight=9, monthly_usd=3.6)
    later(world)
    assert world.job(held.job_id).status is Status.SUBMITTED


@pytest.mark.parametrize(
    ("first", "second", "both"), [(1000, 1209, 5.31), (1000, 1627, 6.31), (1000, 1693, 6.47)]
)
def test_money_to_the_cent_is_enough(world: World, first: int, second: int, both: float) -> None:
    # In binary the two cost a bit more than their sum: 2.4 + 2.91 > 5.31.
    world.limits = Limits(max_in_flight=9, monthly_usd=round(both - 0.01, 2))
    dropped(world, "a", steps=first)
    held = dropped(world, "b", steps=second)
    later(world)
    assert world.job(held.job_id) == held
    world.limits = Limits(max_in_flight=9, monthly_usd=both)
    later(world)

    assert world.job(held.job_id).status is Status.SUBMITTED


def test_money_sends_as_many_as_possible(world: World) -> None:
    """Of several held jobs, those go on that there is money for."""
    world.limits = Limits(max_in_flight=9, monthly_usd=3.6)
    names = "abcd"
    jobs = [dropped(world, name) for name in names]
    world.limits = Limits(max_in_flight=9, monthly_usd=2 * 3.6)
    for _ in range(4):
        later(world)

    assert [world.job(job.job_id).at_fal for job in jobs] == [True, True, False, False]
    assert [world.job(job.job_id).status for job in jobs[2:]] == [Status.HELD, Status.HELD]
    # No job is held and released without end.
    assert len(world.job(jobs[3].job_id).history) <= len(jobs[3].history) + 2


def unpriced(world: World, application: str = "fal-ai/qwen-image-trainer") -> Job:
    """A dataset for a trainer of unknown price."""
    submitter = world.submitter
    object.__setattr__(submitter, "application", application)
    return submitter.submit_dataset(world.drop()).job


@pytest.mark.parametrize(
    "limits", [Limits(9, monthly_usd=100.0), Limits(9, job_usd=100.0), Limits(9, 100.0, 100.0)]
)
def test_unknown_price_is_held(world: World, limits: Limits) -> None:
    world.limits = limits
    held = unpriced(world)
    assert (held.status, codes(held)) == (Status.HELD, ["price_unknown"])
    assert "fal-ai/qwen-image-trainer" in (world.results.text(held, "ERROR.txt") or "")
    assert world.fal.posts == []


def test_without_limits_price_is_no_matter(world: World) -> None:
    world.limits = Limits(9)
    assert unpriced(world).status is Status.SUBMITTED


def test_fals_current_price_counts(world: World) -> None:
    world.fal.asks = Price(0.01, 1000)
    world.limits = Limits(9, job_usd=14.99)
    held = dropped(world)
    assert (held.status, held.estimated_cost_usd) == (Status.HELD, 15.0)


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(
    "limits", [Limits(9, job_usd=1.0), Limits(9, monthly_usd=1.0), Limits(9, 0.0, 0.0)]
)
def test_approval_overrides_every_limit(world: World, limits: Limits) -> None:
    """An approval goes over every limit for one job alone, and is kept with its name."""
    world.limits = limits
    held, other = dropped(world), dropped(world, "b")
    ready = world.manual_actions.approve(held.job_id, by=ADA)
    world.work()

    job = world.job(held.job_id)
    assert (ready.status, ready.approved, ready.history[-1].by) == (Status.READY, True, ADA)
    assert (job.status, job.approved) == (Status.SUBMITTED, True)
    assert world.jobs.account("2026-11").reserved_usd == 3.6
    assert world.job(other.job_id).status is Status.HELD
    with pytest.raises(ActionNotAllowedError):
        world.manual_actions.approve(held.job_id, by=ADA)


def test_approval_overrides_an_unknown_price(world: World) -> None:
    held = unpriced(world)
    world.manual_actions.approve(held.job_id, by=ADA)
    world.work()
    assert world.job(held.job_id).status is Status.SUBMITTED


def test_approved_job_waits_for_a_slot(world: World) -> None:
    world.limits = Limits(1, job_usd=3.6)
    held, first = dropped(world, "a", steps=2000), dropped(world, "b")
    world.manual_actions.approve(held.job_id, by=ADA)
    world.work()
    assert world.job(held.job_id).status is Status.READY
    world.fal_updates.receive(first.job_id, Finished("request-1", ARTIFACTS))
    world.work()

    assert world.job(held.job_id).status is Status.SUBMITTED


def test_other_approval_is_none_of_price(world: World) -> None:
    """An approval of something else is no approval of the price."""
    world.limits = Limits(2)
    world.answer(SubmissionRefusedError(LOCKED, held=True))
    job = world.submit(world.drop())
    world.limits = Limits(2, monthly_usd=100.0, job_usd=1.0)
    world.manual_actions.approve(job.job_id, by="ada")
    world.dispatcher.submit_waiting(began=world.clock())

    held = world.job(job.job_id)
    assert (held.status, held.problems[0].code) == (Status.HELD, "job_over_limit")
