"""Jobs that wait come out oldest first; changes of state wait in the outbox."""

from datetime import timedelta

import pytest

from lora_drop.jobs.status import TRANSITIONS, Status
from lora_drop.ports import JobStore
from tests.contracts.builders import moved, waiting
from tests.support.builders import NOW, make_job

OUT_OF_THE_LINE = sorted(TRANSITIONS[Status.READY])
NOT_WAITING = [status for status in Status if status is not Status.READY]


@pytest.mark.promise("never get stuck")
def test_oldest_job_is_next(jobs: JobStore) -> None:
    """The oldest job that waits is next, in whatever order the jobs became ready."""
    waiting(jobs, 2)
    oldest = waiting(jobs, 1)
    waiting(jobs, 3)
    assert jobs.next_waiting() == oldest


def test_equal_age_has_stable_order(jobs: JobStore) -> None:
    for number in (2, 1, 3):
        waiting(jobs, number, created_at=NOW)
    found = [jobs.next_waiting() for _ in range(3)]
    assert [job and job.job_id for job in found] == ["job-01"] * 3


@pytest.mark.parametrize("microsecond", [0, 1, 999_999])
def test_age_counts_in_microseconds(jobs: JobStore, microsecond: int) -> None:
    later = NOW.replace(microsecond=microsecond)
    waiting(jobs, 1, created_at=later)
    earlier = waiting(jobs, 2, created_at=later - timedelta(microseconds=1))
    assert jobs.next_waiting() == earlier


@pytest.mark.parametrize("to", OUT_OF_THE_LINE)
def test_job_that_left_is_not_next(jobs: JobStore, to: Status) -> None:
    first, second = waiting(jobs, 1), waiting(jobs, 2)
    moved(jobs, first, to)
    assert jobs.next_waiting() == second


@pytest.mark.promise("never get stuck")
def test_queue_is_served_to_its_end(jobs: JobStore) -> None:
    """Every job that waits is served, each once and oldest first."""
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
def test_returning_job_keeps_its_place(jobs: JobStore, way: list[Status]) -> None:
    first, _ = waiting(jobs, 1), waiting(jobs, 2)
    back = moved(jobs, first, *way)
    assert jobs.next_waiting() == back


@pytest.mark.parametrize("status", NOT_WAITING)
def test_only_ready_jobs_wait(jobs: JobStore, status: Status) -> None:
    assert jobs.add(make_job(status))
    assert jobs.next_waiting() is None


def test_new_job_may_be_ready(jobs: JobStore) -> None:
    job = waiting(jobs, 1)
    assert jobs.next_waiting() == job
    assert list(jobs.unfinished()) == [job]


def test_skipped_ready_state_leaves_no_row(jobs: JobStore) -> None:
    """Several steps past READY in one write leave no row in the queue."""
    job = make_job()
    assert jobs.add(job)
    jobs.replace(job, job.move(Status.READY, now=NOW).move(Status.HELD, now=NOW))
    assert jobs.next_waiting() is None


@pytest.mark.promise("never lose a result")
def test_new_job_is_in_the_outbox(jobs: JobStore) -> None:
    """A new job is in the outbox by the write that makes it."""
    job = make_job()
    jobs.add(job)
    again = jobs.add(job)
    assert (jobs.outbox(), again) == ({job.job_id: job.version}, False)


def test_newer_change_replaces_older_in_outbox(jobs: JobStore) -> None:
    """Each change of state replaces the one before it in the outbox."""
    job = waiting(jobs, 1)
    after = moved(jobs, job, Status.SUBMITTING, Status.SUBMITTED)
    assert jobs.outbox() == {job.job_id: after.version}


def test_unchanged_state_is_not_published(jobs: JobStore) -> None:
    job = waiting(jobs, 1)
    jobs.mark_published(job.job_id, job.version)
    jobs.replace(job, job.model_copy(update={"version": job.version + 1, "images": 7}))
    assert jobs.outbox() == {}


@pytest.mark.parametrize("later", [0, 3])
def test_published_change_leaves_the_outbox(jobs: JobStore, later: int) -> None:
    """A change leaves the outbox once its version or a later one is published, also twice."""
    first, second = waiting(jobs, 1), waiting(jobs, 2)
    for _ in range(2):
        jobs.mark_published(first.job_id, first.version + later)
    assert jobs.outbox() == {second.job_id: second.version}


def test_older_version_keeps_newer_change(jobs: JobStore) -> None:
    """Publishing an older state leaves the newer one in the outbox."""
    job = waiting(jobs, 1)
    held = job.move(Status.HELD, now=NOW)
    jobs.replace(job, held)
    jobs.mark_published(job.job_id, job.version)
    assert jobs.outbox() == {job.job_id: held.version}
