from datetime import timedelta

import pytest

from shared.domain.errors import BadQuery, UnknownJob
from shared.domain.jobs import Status
from shared.domain.notices import public
from shared.services.browse import list_jobs, show_job
from tests.builders import NOW, make_job
from tests.memory import MemoryJobs


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


def test_a_job_is_shown_as_its_public_self(jobs: MemoryJobs) -> None:
    assert show_job("job-3", jobs=jobs) == public(jobs.rows["job-3"])


def test_an_unknown_job_is_told_as_such(jobs: MemoryJobs) -> None:
    with pytest.raises(UnknownJob, match="job-9"):
        show_job("job-9", jobs=jobs)


def test_jobs_come_newest_first_page_by_page(jobs: MemoryJobs) -> None:
    first = list_jobs(status=None, limit=3, cursor=None, jobs=jobs)
    second = list_jobs(status=None, limit=3, cursor=first["next"], jobs=jobs)

    assert [job["job_id"] for job in first["jobs"]] == ["job-4", "job-3", "job-2"]
    assert [job["job_id"] for job in second["jobs"]] == ["job-1", "job-0"]
    assert second["next"] is None


def test_jobs_of_one_state_alone(jobs: MemoryJobs) -> None:
    page = list_jobs(status=Status.TRAINING, limit=20, cursor=None, jobs=jobs)

    assert [job["job_id"] for job in page["jobs"]] == ["job-3", "job-1"]


def test_a_cursor_of_somebody_elses_is_refused(jobs: MemoryJobs) -> None:
    with pytest.raises(BadQuery, match="not a cursor"):
        list_jobs(status=None, limit=3, cursor="somebody else's", jobs=jobs)
