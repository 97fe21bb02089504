"""fal's balance is looked at before a training is sent: what it cannot pay waits, and nothing else does."""

from datetime import UTC, datetime, timedelta

import pytest

from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import OverBudgetError
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.status import Status
from lora_drop.ports import Submission
from lora_drop.services.account_balance import KEPT, AccountBalance, AccountLimit
from tests.support.builders import NOW, make_job
from tests.support.queue import codes, dropped, later, states
from tests.support.world import World

COST = 2.40  # of the trainings here
PORTRAIT = {"steps": "1000"}


@pytest.fixture
def world() -> World:
    world = World(limits=Limits(3, monthly_usd=100.0, job_usd=25.0))
    world.answer(lambda: Submission(f"request-{len(world.fal.posts)}"))
    return world


def drop(world: World, *names: str) -> list[DatasetVersion]:
    return [
        world.drop(f"{name}.zip", metadata=PORTRAIT | {"trigger_phrase": name}) for name in names
    ]


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_unpaid_job_is_held_until_top_up(world: World) -> None:
    """A training that fal's balance cannot pay is held before it is sent, and goes on by itself once it can."""
    world.balances.left = 1.20
    held = world.submit(*drop(world, "a"))

    assert (held.status, codes(held)) == (Status.HELD, ["fal_balance_too_low"])
    assert world.fal.posts == []
    assert held.charge is None
    text = world.results.text(held, "ERROR.txt") or ""
    for said in ("fal's balance is $1.20", "costs about $2.40", f"lora-drop approve {held.job_id}"):
        assert said in text
    later(world, after=timedelta(hours=1))
    assert states(world, [held]) == [Status.HELD]
    world.balances.left = COST
    later(world, after=timedelta(hours=1))
    assert states(world, [held]) == [Status.SUBMITTED]
    assert world.results.text(held, "ERROR.txt") is None


def test_two_jobs_never_count_the_same_dollars(world: World) -> None:
    world.balances.left = 2 * COST - 0.01
    first, second = (world.submit(each) for each in drop(world, "a", "b"))

    assert [first.status, second.status] == [Status.SUBMITTED, Status.HELD]
    assert "$4.79, $2.40 of it for trainings that run" in second.problems[0].message
    # The balance that was known counts on, less what was spent since.
    world.balances.left = 100.0
    assert world.submit(*drop(world, "c")).status is Status.SUBMITTED


def test_last_months_trainings_keep_their_dollars(world: World) -> None:
    """What was reserved before the month turned is not free for a job of the new one."""
    world.balances.left = COST
    world.clock.now = datetime(2026, 11, 30, 23, 55, tzinfo=UTC)
    first = world.submit(*drop(world, "a"))
    world.clock.now = datetime(2026, 12, 1, 0, 5, tzinfo=UTC)
    second = world.submit(*drop(world, "b"))

    assert [first.status, second.status] == [Status.SUBMITTED, Status.HELD]
    assert codes(second) == ["fal_balance_too_low"]


def test_dollars_are_compared_in_the_write_itself(world: World) -> None:
    """Two submitters that have seen the same balance send one training between them."""
    world.balances.left = COST
    jobs = [
        world.holds(make_job(Status.READY, job_id=name, estimated_cost_usd=COST)) for name in "ab"
    ]
    seen = [AccountBalance(world.balances, world.jobs).limit_for(job, NOW) for job in jobs]

    def intend(job: Job, limit: AccountLimit | None) -> Job:
        assert limit
        limits = limit.within(world.limits)
        return world.record.intend(job, Status.SUBMITTING, limits=limits, unchanged=())

    assert intend(jobs[0], seen[0]).status is Status.SUBMITTING
    with pytest.raises(OverBudgetError):
        intend(jobs[1], seen[1])


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("left", [None, 2.40, 1e6])
def test_unknown_balance_holds_nothing(world: World, left: float | None) -> None:
    """A balance that cannot be seen, or that suffices, holds no training."""
    world.balances.left = left
    assert world.submit(*drop(world, "a")).status is Status.SUBMITTED


def test_person_leaves_it_to_fal(world: World) -> None:
    world.balances.left = 0.0
    held = world.submit(*drop(world, "a"))
    world.manual_actions.approve(held.job_id, by="ada")
    world.work()
    assert states(world, [held]) == [Status.SUBMITTED]
    # It overrides no limit of the stack.
    assert not world.job(held.job_id).approved


def test_own_budget_comes_first(world: World) -> None:
    world.limits = Limits(3, monthly_usd=1.0)
    world.balances.left = 2.0
    assert codes(world.submit(*drop(world, "a"))) == ["budget_exhausted"]


def test_burst_asks_once_a_minute(world: World) -> None:
    world.balances.left = 100.0
    balance = AccountBalance(world.balances, world.jobs)
    job = world.submit(*drop(world, "a"))
    world.balances.asked = 0
    for seconds in (0, 1, 59, 61):
        balance.limit_for(job, world.clock() + timedelta(seconds=seconds))
    assert (world.balances.asked, KEPT) == (2, timedelta(minutes=1))


def test_held_job_stops_the_queue(world: World) -> None:
    world.balances.left = 0.5
    jobs = dropped(world, "a", "b", "c")
    assert states(world, jobs)[0] is Status.HELD
    assert world.fal.posts == []
