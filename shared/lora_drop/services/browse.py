"""What the jobs API answers."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from lora_drop.jobs.budget import Limits, month_of
from lora_drop.jobs.job import Job
from lora_drop.jobs.public_job import public
from lora_drop.jobs.status import Status
from lora_drop.ports import JobStore, ResultStore
from lora_drop.services.record import known


def show_job(job_id: str, *, now: datetime, limits: Limits, jobs: JobStore) -> dict[str, Any]:
    """Return one job as it stands, and what it waits for; raises JobNotFoundError, and JobForgottenError."""
    job = known(jobs, job_id)
    return {**public(job), "waiting": _waiting(job, now=now, limits=limits, jobs=jobs)}


def _waiting(job: Job, *, now: datetime, limits: Limits, jobs: JobStore) -> dict[str, int] | None:
    """Return how many slots are taken and how many jobs come first; None for a job that waits for no slot."""
    if job.status is not Status.READY:
        return None
    return {
        "slots_taken": len(jobs.account(month_of(now)).in_flight),
        "slots": limits.max_in_flight,
        "jobs_before": jobs.waiting_before(job),
    }


def list_jobs(
    *, status: Status | None, limit: int, cursor: str | None, jobs: JobStore
) -> dict[str, Any]:
    """Return some jobs, newest first; ``next`` is the cursor of the next page, or None at the end."""
    page = jobs.page(status=status, limit=limit, cursor=cursor)
    return {"jobs": [public(job) for job in page.jobs], "next": page.cursor}


FILES_LAST = timedelta(hours=1)


def show_files(
    job_id: str, *, now: datetime, jobs: JobStore, results: ResultStore
) -> dict[str, Any]:
    """Return a job's stored files, each with an address to download it from for an hour.

    The addresses die earlier where the session does that signs them. None before the job has succeeded.
    """
    lasts = int(FILES_LAST.total_seconds())
    expires_at = (now + FILES_LAST).isoformat()
    return {
        "files": [
            {
                "name": stored.name,
                "size": stored.size,
                "sha256": stored.sha256,
                "url": results.url(stored, lasts),
                "expires_at": expires_at,
            }
            for stored in known(jobs, job_id).files
        ]
    }


def show_budget(*, now: datetime, limits: Limits, jobs: JobStore) -> dict[str, Any]:
    """Return the month's dollars, the stack's limits, and which jobs hold a slot."""
    account = jobs.account(month_of(now))
    left = max(0.0, (limits.monthly_usd or 0.0) - account.committed_usd)
    return {**asdict(account), "left_usd": round(left, 2), "limits": asdict(limits)}
