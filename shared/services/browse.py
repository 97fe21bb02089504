"""What the jobs API answers."""

from typing import Any

from shared.domain.errors import UnknownJob
from shared.domain.jobs import Status
from shared.domain.notices import public
from shared.ports import JobStore


def show_job(job_id: str, *, jobs: JobStore) -> dict[str, Any]:
    """One job as it stands; raises UnknownJob."""
    job = jobs.get(job_id)
    if job is None:
        raise UnknownJob(job_id)
    return public(job)


def list_jobs(
    *, status: Status | None, limit: int, cursor: str | None, jobs: JobStore
) -> dict[str, Any]:
    """Some jobs, newest first; ``next`` is the cursor of the next page, or None at the end."""
    page = jobs.page(status=status, limit=limit, cursor=cursor)
    return {"jobs": [public(job) for job in page.jobs], "next": page.cursor}
