"""Jobs are read as they were written, changed by one writer, and listed page by page."""

from datetime import timedelta
from typing import Any

import pytest

from lora_drop.adapters.dynamodb_times import DynamoTrainingTimes
from lora_drop.jobs.budget import Charge, ChargeState
from lora_drop.jobs.errors import ConflictError, InvalidQueryError
from lora_drop.jobs.job import Job, Lease
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.progress import TrainingProgress
from lora_drop.jobs.status import Status
from lora_drop.jobs.training_times import KEPT, TrainingTime
from lora_drop.ports import JobStore, TrainingTimes
from tests.support.aws import Aws
from tests.support.builders import ARTIFACTS, NOW, REQUEST_ID, make_job
from tests.support.memory_jobs import MemoryTrainingTimes


def job_number(number: int, status: Status = Status.RECEIVED) -> Job:
    """Return a job; a higher number is a younger job."""
    return make_job(status, job_id=f"job-{number:02}", created_at=NOW + timedelta(seconds=number))


def added(jobs: JobStore, *all_: Job) -> None:
    for job in all_:
        assert jobs.add(job)


def ids(jobs: tuple[Job, ...]) -> list[str]:
    return [job.job_id for job in jobs]


def walked(jobs: JobStore, *, status: Status | None = None, limit: int) -> list[str]:
    """Return the ids of all jobs from the first page to the last."""
    page = jobs.page(status=status, limit=limit, cursor=None)
    found = ids(page.jobs)
    while page.cursor:
        page = jobs.page(status=status, limit=limit, cursor=page.cursor)
        assert len(page.jobs) <= limit
        found += ids(page.jobs)
    return found


@pytest.mark.parametrize("status", Status)
def test_job_is_read_as_written(jobs: JobStore, status: Status) -> None:
    job = make_job(status)
    added(jobs, job)
    assert jobs.get(job.job_id) == job


@pytest.mark.promise("never lose a result")
def test_every_field_comes_back(jobs: JobStore) -> None:
    """Every field that a job can have comes back as it was written."""
    job = make_job(
        Status.STORING,
        problems=(Problem(code="a", message="\u5199\u771f\n\U0001f600", member="m"),),
        estimated_cost_usd=3.6,
        preset="portrait",
        created_at=NOW.replace(microsecond=123456),
        charge=Charge(month="2026-11", usd=3.6, state=ChargeState.SPENT),
        past_charges=(Charge(month="2026-10", usd=0.01, state=ChargeState.WASTED),),
        approved=True,
        attempt=3,
        retry_of="a",
        resume_from="b",
        content_digest="0" * 64,
        duplicate_of="c",
        earlier_requests=("r1", "r2"),
        lease=Lease(owner="o", fence=2, until=NOW),
    )
    added(jobs, job)

    assert jobs.get(job.job_id) == job


@pytest.mark.promise("never pay twice")
def test_job_cannot_be_added_twice(jobs: JobStore) -> None:
    """The same job cannot be added twice."""
    job = make_job()
    added(jobs, job)
    again = jobs.add(job.model_copy(update={"images": 99}))
    assert (again, jobs.get(job.job_id)) == (False, job)
    rejected = job.move(Status.REJECTED, now=NOW)
    jobs.replace(job, rejected)
    assert jobs.add(job) is False, "also not in its first state"
    assert jobs.get(job.job_id) == rejected
    assert list(jobs.unfinished()) == [rejected]


def test_several_steps_may_be_one_write(jobs: JobStore) -> None:
    job = make_job(Status.SUBMIT_UNKNOWN)
    added(jobs, job)
    after = job.move(Status.SUBMITTED, now=NOW, request_id=REQUEST_ID)
    after = after.move(Status.STORING, now=NOW, artifacts=ARTIFACTS)
    jobs.replace(job, after)
    assert jobs.get(job.job_id) == after


@pytest.mark.promise("never pay twice")
def test_only_one_reader_writes(jobs: JobStore) -> None:
    """Of two processes that read the same state only one writes."""
    job = make_job(Status.READY)
    added(jobs, job)
    first = job.move(Status.SUBMITTING, now=NOW)
    jobs.replace(job, first)
    with pytest.raises(ConflictError):
        jobs.replace(job, job.move(Status.CANCELLED, now=NOW))
    assert jobs.get(job.job_id) == first
    assert ids(tuple(jobs.unfinished())) == [job.job_id]


def progress(step: int) -> TrainingProgress:
    return TrainingProgress(
        step=step, steps=2500, percent=step / 25, eta_seconds=1.5, at=NOW + timedelta(seconds=step)
    )


@pytest.mark.promise("it can be operated")
def test_progress_is_kept_beside_the_state(jobs: JobStore) -> None:
    """Keeping progress changes no version, so no decision about the job conflicts with it, and none loses it."""
    job = make_job(Status.TRAINING)
    added(jobs, job)
    assert jobs.keep_progress(job, progress(100), 2)
    first = jobs.get(job.job_id)
    assert first == job.model_copy(update={"progress": progress(100), "queue_position": 2})
    assert not jobs.keep_progress(job, progress(50), None), "read before the other was kept"
    assert jobs.keep_progress(first, progress(200), None)
    asked = job.model_copy(update={"version": job.version + 1, "cancel_by": "ada"})
    jobs.replace(job, asked)
    assert jobs.get(job.job_id) == asked.model_copy(update={"progress": progress(200)})
    storing = asked.move(Status.STORING, now=NOW, artifacts=ARTIFACTS)
    jobs.replace(asked, storing)
    kept = jobs.get(job.job_id)
    assert kept
    assert kept.progress
    assert (kept.status, kept.progress.percent) == (Status.STORING, 100)
    assert not jobs.keep_progress(kept, progress(300), None), "it is not at work any more"


@pytest.mark.parametrize("changes", [{"request_id": "another"}, {"status": Status.READY}])
def test_progress_is_kept_of_the_own_request(jobs: JobStore, changes: dict[str, Any]) -> None:
    job = make_job(Status.TRAINING)
    added(jobs, job.model_copy(update=changes))
    assert not jobs.keep_progress(job, progress(100), None)
    assert jobs.get(job.job_id) == job.model_copy(update=changes)


def test_jobs_before_it_are_counted(jobs: JobStore) -> None:
    line = [job_number(number, Status.READY) for number in (4, 2, 1, 3)]
    added(jobs, *line, job_number(0, Status.TRAINING))
    assert [jobs.waiting_before(job) for job in line] == [3, 1, 0, 2]


def test_training_times_are_kept_by_trainer(backend: Aws | None) -> None:
    """The last ones of each trainer, oldest first."""
    times: TrainingTimes = MemoryTrainingTimes()
    if backend:
        times = DynamoTrainingTimes(backend.dynamodb, backend.table())
    took = [TrainingTime(steps=1000, seconds=1.5 * number) for number in range(KEPT + 2)]
    for each in took:
        times.add_time("fal-ai/a", each)
    assert list(times.times("fal-ai/a")) == took[2:]
    assert list(times.times("fal-ai/b")) == []


def test_missing_job_cannot_be_replaced(jobs: JobStore) -> None:
    job = make_job()
    with pytest.raises(ConflictError):
        jobs.replace(job, job.move(Status.READY, now=NOW))
    assert jobs.get(job.job_id) is None


def test_unfinished_jobs_come_oldest_first(jobs: JobStore) -> None:
    added(jobs, job_number(3, Status.TRAINING), job_number(1), job_number(2, Status.SUBMIT_UNKNOWN))
    assert ids(tuple(jobs.unfinished())) == ["job-01", "job-02", "job-03"]


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(
    ("before", "ended"),
    [
        (Status.RECEIVED, Status.REJECTED),
        (Status.RECEIVED, Status.CANCELLED),
        (Status.RECEIVED, Status.SUCCEEDED),
        (Status.STORING, Status.SUCCEEDED),
        (Status.TRAINING, Status.FAILED),
        (Status.READY, Status.CANCELLED),
        (Status.SUBMITTED, Status.EXPIRED),
    ],
)
def test_ended_job_stays_until_published(jobs: JobStore, before: Status, ended: Status) -> None:
    """A job that ends is listed as unfinished until its end is published."""
    job, other = job_number(1, before), job_number(2, before)
    added(jobs, job, other)
    end = job.move(ended, now=NOW)
    jobs.replace(job, end)
    unpublished = ids(tuple(jobs.unfinished()))
    jobs.close(end)
    jobs.close(end)
    assert unpublished == [job.job_id, other.job_id]
    assert ids(tuple(jobs.unfinished())) == [other.job_id]
    assert jobs.get(job.job_id) == end


@pytest.mark.parametrize("closed", ["before", "after"])
def test_resumed_job_is_unfinished_again(jobs: JobStore, closed: str) -> None:
    """Closing an end that was undone meanwhile changes nothing."""
    before = job_number(1, Status.SUBMITTED)
    added(jobs, before)
    expired = before.move(Status.EXPIRED, now=NOW)
    storing = expired.move(Status.STORING, now=NOW)
    jobs.replace(before, expired)
    if closed == "before":
        jobs.close(expired)
    jobs.replace(expired, storing)
    jobs.close(expired)
    assert list(jobs.unfinished()) == [storing]


def test_empty_table_lists_nothing(jobs: JobStore) -> None:
    page = jobs.page(status=None, limit=10, cursor=None)
    assert (list(jobs.unfinished()), page.jobs, page.cursor) == ([], (), None)


def test_pages_come_newest_first(jobs: JobStore) -> None:
    added(jobs, job_number(2), job_number(3), job_number(1))
    page = jobs.page(status=None, limit=2, cursor=None)
    assert page.jobs == (job_number(3), job_number(2))
    assert page.cursor


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 100])
def test_pages_hold_every_job_once(jobs: JobStore, limit: int) -> None:
    added(jobs, *(job_number(number) for number in range(7)))
    assert walked(jobs, limit=limit) == [f"job-{number:02}" for number in reversed(range(7))]


def test_jobs_of_one_second_are_listed(jobs: JobStore) -> None:
    added(jobs, *(job_number(number).model_copy(update={"created_at": NOW}) for number in range(5)))
    assert sorted(walked(jobs, limit=2)) == [f"job-{number:02}" for number in range(5)]


def test_pages_of_one_state_only(jobs: JobStore) -> None:
    for number in range(6):
        added(jobs, job_number(number, Status.TRAINING if number % 2 else Status.HELD))
    assert walked(jobs, status=Status.TRAINING, limit=2) == ["job-05", "job-03", "job-01"]
    assert walked(jobs, status=Status.SUCCEEDED, limit=2) == []


def test_job_is_listed_under_new_state(jobs: JobStore) -> None:
    job = job_number(1, Status.TRAINING)
    added(jobs, job)
    jobs.replace(job, job.move(Status.STORING, now=NOW))
    assert walked(jobs, status=Status.TRAINING, limit=10) == []
    assert walked(jobs, status=Status.STORING, limit=10) == ["job-01"]


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "another server's",
        "\u5199\u771f",
        "bnVsbA==",  # null
        "W10=",  # []
        "eyJwayI6IDEsICJzayI6IDJ9",  # {"pk": 1, "sk": 2}
        "eyJwayI6IHsiUyI6ICJhIn0sICJzayI6IHsiUyI6ICJqb2IifX0=",  # no created_at
        "eyJwayI6eyJTIjoiYSJ9LCJzayI6eyJTIjoib3RoZXIifSwiY3JlYXRlZF9hdCI6eyJTIjoiMjAyNiJ9fQ==",
        "W1tb" * 1000,  # [[[
    ],
    ids=range(9),
)
def test_foreign_cursor_is_refused(jobs: JobStore, cursor: str) -> None:
    added(jobs, job_number(1), job_number(2))
    with pytest.raises(InvalidQueryError, match="not a cursor"):
        jobs.page(status=None, limit=1, cursor=cursor)


def test_cursor_belongs_to_its_list(jobs: JobStore) -> None:
    added(jobs, *(job_number(number, Status.HELD) for number in range(3)))
    of_all = jobs.page(status=None, limit=1, cursor=None).cursor
    of_held = jobs.page(status=Status.HELD, limit=1, cursor=None).cursor
    for status, cursor in ((Status.HELD, of_all), (None, of_held), (Status.TRAINING, of_held)):
        with pytest.raises(InvalidQueryError, match="not a cursor"):
            jobs.page(status=status, limit=1, cursor=cursor)
