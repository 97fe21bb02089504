"""Dollars are reserved, spent and released in the same write as the job, to the cent."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import NoSlotError, OverBudgetError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import TRANSITIONS, Status
from lora_drop.ports import JobStore
from tests.contracts.builders import DECEMBER, LIMITS, NOVEMBER, money, moved, sent, slots, waiting
from tests.support.builders import NOW, learnt, make_job
from tests.support.memory_jobs import MemoryJobs
from tests.support.sweeps import sweep

NEXT_MONTH = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize(
    ("costs", "last", "fits"),
    [
        ((3.33, 3.33), 3.34, True),
        ((3.33, 3.33), 3.35, False),
        ((0.1, 0.2, 9.69), 0.01, True),
        ((0.1, 0.2, 9.7), 0.01, False),
        ((), 10.0, True),
        ((), 10.01, False),
        ((), 0.0, True),
    ],
)
def test_budget_is_kept_to_the_cent(
    jobs: JobStore,
    costs: tuple[float, ...],
    last: float,
    fits: bool,  # noqa: FBT001  # a table's column
) -> None:
    """The monthly budget is kept to the cent."""
    limits = Limits(max_in_flight=9, monthly_usd=10.0)
    for number, usd in enumerate(costs):
        sent(jobs, number, usd=usd, limits=limits)
    job, before = waiting(jobs, 9, usd=last), jobs.account(NOVEMBER)
    if fits:
        moved(jobs, job, Status.SUBMITTING, limits=limits)
        assert jobs.account(NOVEMBER).committed_usd == pytest.approx(sum(costs) + last)
    else:
        with pytest.raises(OverBudgetError):
            moved(jobs, job, Status.SUBMITTING, limits=limits)
        assert jobs.account(NOVEMBER) == before
        assert jobs.get(job.job_id) == job


def test_ten_dimes_are_a_dollar(jobs: JobStore) -> None:
    limits = Limits(max_in_flight=1, monthly_usd=1.0)
    for number in range(10):
        job = sent(jobs, number, usd=0.1, limits=limits)
        moved(jobs, job, Status.SUBMITTED, Status.STORING, Status.SUCCEEDED)
    assert money(jobs) == (0.0, 1.0, 0.0)
    with pytest.raises(OverBudgetError):
        sent(jobs, 10, usd=0.01, limits=limits)


def test_no_budget_has_no_limit(jobs: JobStore) -> None:
    sent(jobs, 1, usd=1_000_000.0, limits=Limits(max_in_flight=1))
    assert money(jobs) == (1_000_000.0, 0.0, 0.0)


@pytest.mark.parametrize("before", [0, 1])
def test_zero_budget_lets_nothing_through(jobs: JobStore, before: int) -> None:
    for number in range(before):
        sent(jobs, number, usd=2.4)
    with pytest.raises(OverBudgetError):
        sent(jobs, 9, usd=0.01, limits=Limits(max_in_flight=9, monthly_usd=0.0))


def test_approved_job_counts_against_budget(jobs: JobStore) -> None:
    """An approved job passes the budget, and its cost counts against it."""
    sent(jobs, 1, usd=25.0, limits=LIMITS, approved=True)
    assert money(jobs) == (25.0, 0.0, 0.0)
    with pytest.raises(OverBudgetError):
        sent(jobs, 2, usd=0.01, limits=LIMITS)


def test_approval_is_no_slot(jobs: JobStore) -> None:
    sent(jobs, 1, limits=Limits(max_in_flight=1))
    with pytest.raises(NoSlotError):
        sent(jobs, 2, limits=Limits(max_in_flight=1), approved=True)


def test_unknown_cost_reserves_no_money(jobs: JobStore) -> None:
    job = sent(jobs, 1, usd=None)
    assert (money(jobs), slots(jobs)) == ((0.0, 0.0, 0.0), (job.job_id,))


@pytest.mark.parametrize(
    ("steps", "billed", "figures"),
    [
        # not sent, refused, and a person who says that it never arrived
        ([Status.READY], True, (0.0, 0.0, 0.0)),
        ([Status.HELD], True, (0.0, 0.0, 0.0)),
        ([Status.FAILED], True, (0.0, 0.0, 0.0)),
        ([Status.SUBMIT_UNKNOWN], True, (3.0, 0.0, 0.0)),
        ([Status.SUBMIT_UNKNOWN, Status.READY], True, (0.0, 0.0, 0.0)),
        # at fal
        ([Status.SUBMITTED], True, (3.0, 0.0, 0.0)),
        ([Status.SUBMITTED, Status.TRAINING], True, (3.0, 0.0, 0.0)),
        # a result
        ([Status.SUBMITTED, Status.STORING], True, (0.0, 3.0, 0.0)),
        ([Status.SUBMITTED, Status.STORING, Status.SUCCEEDED], True, (0.0, 3.0, 0.0)),
        # none
        ([Status.SUBMITTED, Status.FAILED], True, (0.0, 3.0, 3.0)),
        ([Status.SUBMITTED, Status.CANCELLED], True, (0.0, 3.0, 3.0)),
        ([Status.SUBMITTED, Status.EXPIRED], True, (0.0, 3.0, 3.0)),
        ([Status.SUBMITTED, Status.READY], True, (0.0, 3.0, 3.0)),
        ([Status.SUBMITTED, Status.HELD], True, (0.0, 3.0, 3.0)),
        ([Status.SUBMITTED, Status.STORING, Status.FAILED], True, (0.0, 3.0, 3.0)),
        ([Status.SUBMITTED, Status.STORING, Status.EXPIRED], True, (0.0, 3.0, 3.0)),
        # none, and fal says that it is free
        ([Status.SUBMITTED, Status.FAILED], False, (0.0, 0.0, 0.0)),
        ([Status.SUBMITTED, Status.TRAINING, Status.CANCELLED], False, (0.0, 0.0, 0.0)),
        ([Status.SUBMITTED, Status.READY], False, (0.0, 0.0, 0.0)),
    ],
)
def test_money_follows_the_job(
    jobs: JobStore,
    steps: list[Status],
    billed: bool,  # noqa: FBT001  # a table's column
    figures: tuple[float, float, float],
) -> None:
    job = sent(jobs, 1)
    moved(jobs, job, *steps, billed=billed)
    assert money(jobs) == figures


def test_wasted_money_still_counts(jobs: JobStore) -> None:
    """Money that was wasted still counts when the job is paid for once more."""
    job = moved(jobs, sent(jobs, 1), Status.SUBMITTED, Status.HELD, Status.READY)
    again = moved(jobs, job, Status.SUBMITTING, limits=LIMITS)
    assert money(jobs) == (3.0, 3.0, 3.0)
    moved(jobs, again, Status.SUBMITTED, Status.STORING, Status.SUCCEEDED)
    assert money(jobs) == (0.0, 6.0, 3.0)
    with pytest.raises(OverBudgetError):
        sent(jobs, 2, usd=4.01, limits=LIMITS)
    sent(jobs, 3, usd=4.0, limits=LIMITS)


def test_resumed_job_was_not_wasted(jobs: JobStore) -> None:
    job = moved(jobs, sent(jobs, 1), Status.SUBMITTED, Status.EXPIRED)
    assert money(jobs) == (0.0, 3.0, 3.0)
    moved(jobs, job, Status.STORING)
    assert money(jobs) == (0.0, 3.0, 0.0)
    assert slots(jobs) == ()
    assert [each.job_id for each in jobs.unfinished()] == [job.job_id]


def test_new_month_has_whole_budget(jobs: JobStore) -> None:
    """A new month has its whole budget, and an older job ends in its own month."""
    old = sent(jobs, 1, usd=10.0, limits=LIMITS)
    with pytest.raises(OverBudgetError):
        sent(jobs, 2, usd=10.0, limits=LIMITS)
    new = moved(jobs, waiting(jobs, 3, usd=10.0), Status.SUBMITTING, limits=LIMITS, now=NEXT_MONTH)
    moved(jobs, old, Status.SUBMITTED, Status.FAILED, now=NEXT_MONTH)
    assert money(jobs, NOVEMBER) == (0.0, 10.0, 10.0)
    assert money(jobs, DECEMBER) == (10.0, 0.0, 0.0)
    assert slots(jobs) == (new.job_id,)


def test_job_may_cost_in_two_months(jobs: JobStore) -> None:
    job = moved(jobs, sent(jobs, 1), Status.SUBMITTED, Status.HELD)
    moved(jobs, job, Status.READY, Status.SUBMITTING, Status.SUBMITTED, now=NEXT_MONTH)
    assert (money(jobs, NOVEMBER), money(jobs, DECEMBER)) == ((0.0, 3.0, 3.0), (3.0, 0.0, 0.0))


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("seed", sweep(range(6), sample=2))
def test_figures_follow_from_the_jobs(jobs: JobStore, seed: int) -> None:
    """After any sequence of steps the account is what follows from the jobs."""
    chance = random.Random(seed)  # noqa: S311  # a walk, no secret
    counted = MemoryJobs()
    both: tuple[JobStore, ...] = (jobs, counted)
    for number in range(5):
        job = make_job(
            job_id=f"job-{number}", created_at=NOW + timedelta(seconds=chance.randrange(3))
        )
        for store in both:
            assert store.add(job)
    limits, now = Limits(max_in_flight=2, monthly_usd=30.0), NOW
    for _ in range(70):
        now += timedelta(hours=chance.choice([1, 60]))
        job = chance.choice(list(counted.rows.values()))
        steps = sorted(TRANSITIONS[job.status])
        if not steps:
            continue
        step = chance.choice(steps)
        changes = learnt(step)
        if step is Status.READY:
            changes |= {"estimated_cost_usd": chance.choice([0.01, 3.33, 9.99, 25.0, None])}
        after = job.move(step, now=now, billed=chance.random() < 0.5, **changes)
        outcomes = {_outcome(store, job, after, limits) for store in both}
        assert len(outcomes) == 1
    for month in (NOVEMBER, DECEMBER, "2027-01", "2027-02"):
        assert jobs.account(month) == counted.account(month)
    assert jobs.next_waiting() == counted.next_waiting()
    assert list(jobs.unfinished()) == list(counted.unfinished())


def _outcome(store: JobStore, before: Job, after: Job, limits: Limits) -> str:
    try:
        store.replace(before, after, limits=limits)
    except (NoSlotError, OverBudgetError) as refusal:
        return type(refusal).__name__
    return "written"
