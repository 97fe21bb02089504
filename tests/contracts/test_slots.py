"""A slot at fal is taken and released in the same write as the job, also in a race."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lora_drop.jobs.budget import Account, Limits
from lora_drop.jobs.errors import ConflictError, NoSlotError, OverBudgetError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import AT_FAL, TRANSITIONS, Status
from lora_drop.ports import Claim, JobStore
from tests.contracts.builders import LIMITS, NOVEMBER, WIDE, money, moved, sent, slots, waiting
from tests.support.builders import NOW

WAYS_OUT = [
    (before, to) for before in Status for to in sorted(TRANSITIONS[before]) if before in AT_FAL
]


def at(jobs: JobStore, status: Status) -> Job:
    """Return a job that has come to this state at fal."""
    job = sent(jobs, 1)
    on_the_way = {Status.SUBMITTING: (), Status.TRAINING: (Status.SUBMITTED, Status.TRAINING)}
    return moved(jobs, job, *on_the_way.get(status, (status,)))


def test_waiting_job_has_no_slot(jobs: JobStore) -> None:
    moved(jobs, waiting(jobs, 1), Status.HELD)
    waiting(jobs, 2)
    assert jobs.account(NOVEMBER) == Account(NOVEMBER)


def test_submission_takes_slot_and_money(jobs: JobStore) -> None:
    sent(jobs, 1, usd=3.6)
    assert jobs.account(NOVEMBER) == Account(NOVEMBER, reserved_usd=3.6, in_flight=("job-01",))


@pytest.mark.promise("never pay twice")
def test_full_slots_write_nothing(jobs: JobStore) -> None:
    """Where every slot is taken a submission writes nothing."""
    sent(jobs, 1, limits=LIMITS)
    sent(jobs, 2, limits=LIMITS)
    third, before = waiting(jobs, 3), jobs.account(NOVEMBER)
    with pytest.raises(NoSlotError):
        moved(jobs, third, Status.SUBMITTING, limits=LIMITS)
    assert jobs.account(NOVEMBER) == before
    assert jobs.get(third.job_id) == third
    assert jobs.next_waiting() == third


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(("before", "to"), WAYS_OUT)
def test_every_way_out_releases_the_slot(jobs: JobStore, before: Status, to: Status) -> None:
    """A slot is held while the job is at fal, and released on every way out."""
    job, other = at(jobs, before), sent(jobs, 2)
    moved(jobs, job, to)
    assert slots(jobs) == ((job.job_id, other.job_id) if to in AT_FAL else (other.job_id,))


def test_several_steps_out_release_the_slot(jobs: JobStore) -> None:
    job = at(jobs, Status.SUBMIT_UNKNOWN)
    after = job.move(Status.SUBMITTED, now=NOW).move(Status.STORING, now=NOW)
    jobs.replace(job, after)
    assert slots(jobs) == ()
    assert money(jobs) == (0.0, 3.0, 0.0)


def test_released_slot_serves_the_next_job(jobs: JobStore) -> None:
    first, _ = sent(jobs, 1, limits=LIMITS), sent(jobs, 2, limits=LIMITS)
    third = waiting(jobs, 3)
    moved(jobs, first, Status.READY)
    moved(jobs, third, Status.SUBMITTING, limits=LIMITS)
    assert slots(jobs) == ("job-02", "job-03")


def test_stale_write_changes_no_slot(jobs: JobStore) -> None:
    """A write that comes too late takes no slot and releases none."""
    job, other = sent(jobs, 1), sent(jobs, 2)
    submitted = moved(jobs, job, Status.SUBMITTED)
    before = jobs.account(NOVEMBER)
    for stale in (Status.READY, Status.FAILED, Status.SUBMITTED):
        with pytest.raises(ConflictError):
            moved(jobs, job, stale)
    assert jobs.account(NOVEMBER) == before
    assert slots(jobs) == (submitted.job_id, other.job_id)


@pytest.mark.parametrize(("stale", "error"), [(True, ConflictError), (False, NoSlotError)])
def test_conflict_comes_first_then_the_slot(
    jobs: JobStore, error: type[Exception], *, stale: bool
) -> None:
    """A write over an old job is a conflict, whatever slots say; and they come before money."""
    job = waiting(jobs, 1, usd=1000.0)
    sent(jobs, 2)
    if stale:
        moved(jobs, job, Status.CANCELLED)
    with pytest.raises(error):
        moved(jobs, job, Status.SUBMITTING, limits=Limits(max_in_flight=1, monthly_usd=1.0))


def test_smaller_limit_lets_running_jobs_finish(jobs: JobStore) -> None:
    first, second = sent(jobs, 1), sent(jobs, 2)
    third, one = waiting(jobs, 3), Limits(max_in_flight=1)
    moved(jobs, first, Status.SUBMITTED, Status.STORING)
    with pytest.raises(NoSlotError):
        moved(jobs, third, Status.SUBMITTING, limits=one)
    moved(jobs, second, Status.FAILED)
    assert slots(jobs) == ()
    moved(jobs, third, Status.SUBMITTING, limits=one)


ON_MINISTACK = pytest.mark.parametrize("backend", ["ministack"], indirect=True)


@pytest.mark.promise(
    "never pay twice", "Of many jobs that race for the last slots as many win as there are slots."
)
@pytest.mark.promise("never pay twice", "Of many jobs that race for the last dollars one wins.")
@ON_MINISTACK
@pytest.mark.parametrize(
    ("slot_limit", "usd", "lost", "won"),
    [
        (1, 1000.0, "NoSlotError", 1),
        (3, 1000.0, "NoSlotError", 3),
        (100, 5.0, "OverBudgetError", 1),
    ],
)
def test_race_for_last_slots_or_dollars(
    jobs: JobStore, slot_limit: int, usd: float, lost: str, won: int
) -> None:
    limits = Limits(max_in_flight=slot_limit, monthly_usd=usd)
    racers = [waiting(jobs, number) for number in range(8)]
    outcomes = _race([_move(jobs, job, Status.SUBMITTING, limits=limits) for job in racers])
    assert sorted(outcomes) == [lost] * (8 - won) + ["written"] * won
    assert len(slots(jobs)) == won
    assert money(jobs) == (3.0 * won, 0.0, 0.0)


@pytest.mark.promise("never pay twice")
@ON_MINISTACK
def test_race_to_submit_one_job(jobs: JobStore) -> None:
    """Of many processes that submit the same job one does."""
    job = waiting(jobs, 1)
    outcomes = _race([_move(jobs, job, Status.SUBMITTING, limits=WIDE)] * 8)
    assert sorted(outcomes) == ["ConflictError"] * 7 + ["written"]
    assert jobs.account(NOVEMBER) == Account(NOVEMBER, reserved_usd=3.0, in_flight=("job-01",))


@ON_MINISTACK
def test_race_to_claim_one_content(jobs: JobStore) -> None:
    """Of many jobs that claim the same content one has it."""
    racers = [waiting(jobs, number, content_digest="d") for number in range(8)]
    outcomes = _race([_move(jobs, job, Status.HELD, claim=Claim(None)) for job in racers])
    assert sorted(outcomes) == ["ConflictError"] * 7 + ["written"]
    [owner] = [job.job_id for job in racers if jobs.get(job.job_id) != job]
    assert jobs.owner("d") == owner


@ON_MINISTACK
def test_race_to_release_slots(jobs: JobStore) -> None:
    """Jobs that release their slots at one moment all release them."""
    running = [sent(jobs, number) for number in range(8)]
    outcomes = _race([_move(jobs, job, Status.FAILED) for job in running])
    assert outcomes == ["written"] * 8
    assert jobs.account(NOVEMBER) == Account(NOVEMBER)


def _move(jobs: JobStore, job: Job, to: Status, **how: Any) -> Callable[[], str]:
    def attempt() -> str:
        try:
            jobs.replace(job, job.move(to, now=NOW), **how)
        except (ConflictError, NoSlotError, OverBudgetError) as lost:
            return type(lost).__name__
        return "written"

    return attempt


def _race(attempts: list[Callable[[], str]]) -> list[str]:
    with ThreadPoolExecutor(len(attempts)) as pool:
        return [each.result() for each in [pool.submit(attempt) for attempt in attempts]]
