"""A slot at fal is taken and given back in the same write as the job, and never one too many."""

import pytest

from lora_drop.jobs.budget import Account, Limits
from lora_drop.jobs.errors import ConflictError, NoSlotError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import AT_FAL, TRANSITIONS, Status
from lora_drop.ports import JobStore
from tests.contracts.kept import LIMITS, NOVEMBER, money, moved, sent, slots, waiting
from tests.support.builders import NOW

WAYS_OUT = [
    (before, to) for before in Status for to in sorted(TRANSITIONS[before]) if before in AT_FAL
]


def at(jobs: JobStore, status: Status) -> Job:
    """A job that has come to this state at fal."""
    job = sent(jobs, 1)
    on_the_way = {Status.SUBMITTING: (), Status.TRAINING: (Status.SUBMITTED, Status.TRAINING)}
    return moved(jobs, job, *on_the_way.get(status, (status,)))


def test_a_job_that_waits_has_neither_slot_nor_money(jobs: JobStore) -> None:
    moved(jobs, waiting(jobs, 1), Status.HELD)
    waiting(jobs, 2)

    assert jobs.account(NOVEMBER) == Account(NOVEMBER)


def test_a_submission_takes_a_slot_and_its_money(jobs: JobStore) -> None:
    sent(jobs, 1, usd=3.6)

    assert jobs.account(NOVEMBER) == Account(NOVEMBER, reserved_usd=3.6, in_flight=("job-01",))


def test_where_every_slot_is_taken_nothing_is_written(jobs: JobStore) -> None:
    sent(jobs, 1, limits=LIMITS)
    sent(jobs, 2, limits=LIMITS)
    third, before = waiting(jobs, 3), jobs.account(NOVEMBER)

    with pytest.raises(NoSlotError):
        moved(jobs, third, Status.SUBMITTING, limits=LIMITS)

    assert jobs.account(NOVEMBER) == before
    assert jobs.get(third.job_id) == third
    assert jobs.next_waiting() == third


@pytest.mark.parametrize(("before", "to"), WAYS_OUT)
def test_a_slot_is_held_at_fal_and_given_back_on_every_way_out(
    jobs: JobStore, before: Status, to: Status
) -> None:
    job, other = at(jobs, before), sent(jobs, 2)

    moved(jobs, job, to)

    assert slots(jobs) == ((job.job_id, other.job_id) if to in AT_FAL else (other.job_id,))


def test_several_steps_out_in_one_write_give_it_back_as_well(jobs: JobStore) -> None:
    job = at(jobs, Status.SUBMIT_UNKNOWN)
    after = job.move(Status.SUBMITTED, now=NOW).move(Status.STORING, now=NOW)

    jobs.replace(job, after)

    assert slots(jobs) == ()
    assert money(jobs) == (0.0, 3.0, 0.0)


def test_a_slot_that_was_given_back_is_the_next_ones(jobs: JobStore) -> None:
    first, _ = sent(jobs, 1, limits=LIMITS), sent(jobs, 2, limits=LIMITS)
    third = waiting(jobs, 3)
    moved(jobs, first, Status.READY)

    moved(jobs, third, Status.SUBMITTING, limits=LIMITS)

    assert slots(jobs) == ("job-02", "job-03")


def test_whoever_comes_too_late_takes_nothing_and_gives_nothing_back(jobs: JobStore) -> None:
    job, other = sent(jobs, 1), sent(jobs, 2)
    submitted = moved(jobs, job, Status.SUBMITTED)
    before = jobs.account(NOVEMBER)

    for stale in (Status.READY, Status.FAILED, Status.SUBMITTED):
        with pytest.raises(ConflictError):
            moved(jobs, job, stale)

    assert jobs.account(NOVEMBER) == before
    assert slots(jobs) == (submitted.job_id, other.job_id)


def test_who_has_read_an_old_job_hears_of_that_and_not_of_slots_or_money(jobs: JobStore) -> None:
    job = waiting(jobs, 1, usd=1000.0)
    sent(jobs, 2)
    moved(jobs, job, Status.CANCELLED)

    with pytest.raises(ConflictError):
        moved(jobs, job, Status.SUBMITTING, limits=Limits(max_in_flight=1, monthly_usd=1.0))


def test_without_a_slot_nobody_is_held_for_money(jobs: JobStore) -> None:
    sent(jobs, 1)
    job = waiting(jobs, 2, usd=1000.0)

    with pytest.raises(NoSlotError):
        moved(jobs, job, Status.SUBMITTING, limits=Limits(max_in_flight=1, monthly_usd=1.0))


def test_a_smaller_limit_lets_those_finish_who_are_there(jobs: JobStore) -> None:
    first, second = sent(jobs, 1), sent(jobs, 2)
    third, one = waiting(jobs, 3), Limits(max_in_flight=1)

    moved(jobs, first, Status.SUBMITTED, Status.STORING)
    with pytest.raises(NoSlotError):
        moved(jobs, third, Status.SUBMITTING, limits=one)
    moved(jobs, second, Status.FAILED)

    assert slots(jobs) == ()
    moved(jobs, third, Status.SUBMITTING, limits=one)
