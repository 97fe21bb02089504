"""Whoever writes at one moment: the last slot, the last dollar and the job itself have one winner.

Only ministack is asked: moto undoes a transaction by putting the whole table back as it was, and
with it what others have written meanwhile.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lora_drop.jobs.budget import Account, Limits
from lora_drop.jobs.errors import ConflictError, NoSlotError, OverBudgetError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.ports import Claim, JobStore
from tests.contracts.kept import NOVEMBER, WIDE, money, sent, slots, waiting
from tests.support.builders import NOW

pytestmark = pytest.mark.parametrize("backend", ["ministack"], indirect=True)


@pytest.mark.parametrize("free", [1, 3])
def test_of_many_who_race_for_the_last_slots_as_many_win_as_there_are(
    jobs: JobStore, free: int
) -> None:
    limits = Limits(max_in_flight=free, monthly_usd=1000.0)
    racers = [waiting(jobs, number) for number in range(8)]

    outcomes = _race([_submission(jobs, job, limits) for job in racers])

    assert sorted(outcomes) == ["NoSlotError"] * (8 - free) + ["written"] * free
    assert len(slots(jobs)) == free
    assert money(jobs) == (3.0 * free, 0.0, 0.0)


def test_of_many_who_race_for_the_last_dollars_one_wins(jobs: JobStore) -> None:
    limits = Limits(max_in_flight=100, monthly_usd=5.0)
    racers = [waiting(jobs, number) for number in range(8)]

    outcomes = _race([_submission(jobs, job, limits) for job in racers])

    assert sorted(outcomes) == ["OverBudgetError"] * 7 + ["written"]
    assert money(jobs) == (3.0, 0.0, 0.0)


def test_of_many_who_send_the_same_job_one_does(jobs: JobStore) -> None:
    job = waiting(jobs, 1)

    outcomes = _race([_submission(jobs, job, WIDE)] * 8)

    assert sorted(outcomes) == ["ConflictError"] * 7 + ["written"]
    assert jobs.account(NOVEMBER) == Account(NOVEMBER, reserved_usd=3.0, in_flight=("job-01",))


def test_of_many_who_claim_the_same_content_one_has_it(jobs: JobStore) -> None:
    racers = [waiting(jobs, number, content_digest="d") for number in range(8)]

    outcomes = _race([_move(jobs, job, Status.HELD, claim=Claim(None)) for job in racers])

    assert sorted(outcomes) == ["ConflictError"] * 7 + ["written"]
    [owner] = [job.job_id for job in racers if jobs.get(job.job_id) != job]
    assert jobs.owner("d") == owner


def test_those_who_give_back_at_one_moment_all_give_back(jobs: JobStore) -> None:
    running = [sent(jobs, number) for number in range(8)]

    outcomes = _race([_move(jobs, job, Status.FAILED) for job in running])

    assert outcomes == ["written"] * 8
    assert jobs.account(NOVEMBER) == Account(NOVEMBER)


def _submission(jobs: JobStore, job: Job, limits: Limits) -> Callable[[], str]:
    return _move(jobs, job, Status.SUBMITTING, limits=limits)


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
