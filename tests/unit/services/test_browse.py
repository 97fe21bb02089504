"""What is shown of jobs and of the month's money."""

from datetime import timedelta

import pytest

from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import BadQuery, JobNotFoundError
from lora_drop.jobs.public_job import public
from lora_drop.jobs.status import Status
from lora_drop.services.browse import list_jobs, show_budget, show_job
from tests.support.builders import NOW, make_job, path_to
from tests.support.memory_jobs import MemoryJobs


@pytest.fixture
def jobs() -> MemoryJobs:
    """Five jobs, each younger than the one before; every other one is being trained."""
    return MemoryJobs(
        {
            f"job-{number}": make_job(
                Status.TRAINING if number % 2 else Status.SUCCEEDED,
                job_id=f"job-{number}",
                created_at=NOW + timedelta(seconds=number),
            )
            for number in range(5)
        }
    )


@pytest.mark.promise("nothing leaks")
def test_job_is_shown_publicly(jobs: MemoryJobs) -> None:
    """A job is shown as its public form."""
    assert show_job("job-3", jobs=jobs) == public(jobs.rows["job-3"])


def test_unknown_job_is_reported(jobs: MemoryJobs) -> None:
    with pytest.raises(JobNotFoundError, match="job-9"):
        show_job("job-9", jobs=jobs)


def test_jobs_come_newest_first(jobs: MemoryJobs) -> None:
    first = list_jobs(status=None, limit=3, cursor=None, jobs=jobs)
    second = list_jobs(status=None, limit=3, cursor=first["next"], jobs=jobs)
    assert [job["job_id"] for job in first["jobs"]] == ["job-4", "job-3", "job-2"]
    assert [job["job_id"] for job in second["jobs"]] == ["job-1", "job-0"]
    assert second["next"] is None


def test_jobs_of_one_state_alone(jobs: MemoryJobs) -> None:
    page = list_jobs(status=Status.TRAINING, limit=20, cursor=None, jobs=jobs)
    assert [job["job_id"] for job in page["jobs"]] == ["job-3", "job-1"]


def test_foreign_cursor_is_refused(jobs: MemoryJobs) -> None:
    with pytest.raises(BadQuery, match="not a cursor"):
        list_jobs(status=None, limit=3, cursor="another list's", jobs=jobs)


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(
    ("limits", "left"),
    [(Limits(2, 100.0, 25.0), 87.99), (Limits(2, 12.01), 0.0), (Limits(2, 5.0), 0.0)],
)
def test_months_money_is_shown(limits: Limits, left: float) -> None:
    """The month's money is what the jobs have cost and may cost."""
    jobs = MemoryJobs()
    for name, status, usd in (
        ("a", Status.TRAINING, 3.6),
        ("b", Status.SUCCEEDED, 2.4),
        ("c", Status.EXPIRED, 6.01),
        ("d", Status.READY, 9.6),
    ):
        ready = make_job(Status.READY, job_id=name, estimated_cost_usd=usd)
        steps = path_to(status)[2:] if status is not Status.READY else ()
        job = ready.move(Status.SUBMITTING, now=NOW) if steps else ready
        for step in steps:
            job = job.move(step, now=NOW)
        jobs.rows[name] = job

    shown = show_budget(now=NOW, limits=limits, jobs=jobs)

    assert shown == {
        "month": "2026-11",
        "reserved_usd": 3.6,
        "spent_usd": 8.41,
        "wasted_usd": 6.01,
        "left_usd": left,
        "in_flight": ("a",),
        "limits": {
            "max_in_flight": 2,
            "monthly_usd": limits.monthly_usd,
            "job_usd": limits.job_usd,
        },
    }


def test_another_month_is_another_account(jobs: MemoryJobs) -> None:
    shown = show_budget(now=NOW + timedelta(days=31), limits=Limits(2, 100.0), jobs=jobs)
    assert (shown["month"], shown["spent_usd"], shown["left_usd"]) == ("2026-12", 0.0, 100.0)
