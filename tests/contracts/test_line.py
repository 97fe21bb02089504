"""Who waits comes out oldest first, and never twice."""

from datetime import timedelta

import pytest

from lora_drop.jobs.status import TRANSITIONS, Status
from lora_drop.ports import JobStore
from tests.contracts.kept import moved, waiting
from tests.support.builders import NOW, make_job

OUT_OF_THE_LINE = sorted(TRANSITIONS[Status.READY])
NOT_WAITING = [status for status in Status if status is not Status.READY]


def test_where_nobody_waits_nobody_is_next(jobs: JobStore) -> None:
    assert jobs.next_waiting() is None


def test_the_oldest_is_next_whoever_came_into_the_line_first(jobs: JobStore) -> None:
    waiting(jobs, 2)
    oldest = waiting(jobs, 1)
    waiting(jobs, 3)

    assert jobs.next_waiting() == oldest


def test_of_the_same_moment_one_is_always_the_same_next(jobs: JobStore) -> None:
    for number in (2, 1, 3):
        waiting(jobs, number, created_at=NOW)

    found = [jobs.next_waiting() for _ in range(3)]

    assert [job and job.job_id for job in found] == ["job-01"] * 3


@pytest.mark.parametrize("microsecond", [0, 1, 999_999])
def test_a_moment_is_told_from_the_next_to_the_microsecond(
    jobs: JobStore, microsecond: int
) -> None:
    later = NOW.replace(microsecond=microsecond)
    waiting(jobs, 1, created_at=later)
    earlier = waiting(jobs, 2, created_at=later - timedelta(microseconds=1))

    assert jobs.next_waiting() == earlier


@pytest.mark.parametrize("to", OUT_OF_THE_LINE)
def test_who_leaves_the_line_is_never_next(jobs: JobStore, to: Status) -> None:
    first, second = waiting(jobs, 1), waiting(jobs, 2)

    moved(jobs, first, to)

    assert jobs.next_waiting() == second


def test_the_line_is_served_to_its_end(jobs: JobStore) -> None:
    for number in (5, 1, 4, 2, 3):
        waiting(jobs, number)
    served = []

    while job := jobs.next_waiting():
        served.append(job.job_id)
        moved(jobs, job, Status.SUBMITTING)

    assert served == [f"job-{number:02}" for number in (1, 2, 3, 4, 5)]


@pytest.mark.parametrize(
    "way",
    [
        [Status.HELD, Status.READY],
        [Status.SUBMITTING, Status.READY],
        [Status.SUBMITTING, Status.SUBMIT_UNKNOWN, Status.READY],
        [Status.SUBMITTING, Status.SUBMITTED, Status.READY],
    ],
)
def test_who_comes_back_stands_in_the_old_place(jobs: JobStore, way: list[Status]) -> None:
    first, _ = waiting(jobs, 1), waiting(jobs, 2)

    back = moved(jobs, first, *way)

    assert jobs.next_waiting() == back


@pytest.mark.parametrize("status", NOT_WAITING)
def test_whoever_is_not_ready_is_not_in_the_line(jobs: JobStore, status: Status) -> None:
    assert jobs.add(make_job(status))

    assert jobs.next_waiting() is None


def test_a_new_job_may_be_ready_from_its_first_moment(jobs: JobStore) -> None:
    job = waiting(jobs, 1)

    assert jobs.next_waiting() == job
    assert list(jobs.unfinished()) == [job]


def test_several_steps_past_the_line_in_one_write_leave_nobody_in_it(jobs: JobStore) -> None:
    job = make_job()
    assert jobs.add(job)

    jobs.replace(job, job.move(Status.READY, now=NOW).move(Status.HELD, now=NOW))

    assert jobs.next_waiting() is None
