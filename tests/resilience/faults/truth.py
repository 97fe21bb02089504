"""What must be true when everything has come to rest: table, buckets and fal's ledger agree."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta

from lora_drop.jobs.artifacts import WEIGHTS
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_files import ERROR_FILE, JOB_FILE, STATUS_FILE, error_text, status_text
from lora_drop.jobs.status import Status
from tests.resilience.faults.fal import FREE, End, Request
from tests.resilience.faults.harness import Stage


def broken_promises(stage: Stage) -> list[str]:
    """Every promise that does not hold, in a sentence each; those broken on the way come first."""
    stage.settle()
    found = list(stage.violations)
    for queue in (stage.inbox, stage.results):
        found += [f"{queue.function}'s queue still holds {each.body}" for each in queue.waiting]
        found += [
            f"{queue.function}'s dead letters hold {each.body}"
            for each in queue.dead
            if not each.poison
        ]
    for job in stage.rows.values():
        found += [f"{job.job_id} ({job.status}): {wrong}" for wrong in _of_job(stage, job)]
    found += [f"an upload of {each.key} was left behind" for each in stage.bucket.uploads.values()]
    found += [f"nobody was told that {job_id} has changed" for job_id in stage.jobs.outbox()]
    found += _of_ledger(stage)
    found += _of_account(stage)
    return found


def _of_job(stage: Stage, job: Job) -> Iterator[str]:
    if not job.terminal:
        yield "it has not ended"
    published = stage.bucket.text(job, STATUS_FILE)
    if published != status_text(job):
        yield "status.json is not of its state"
    if stage.bucket.text(job, ERROR_FILE) != (error_text(job) if job.troubled else None):
        yield "ERROR.txt is not of its state"
    told = [each for each in stage.heard.changes if each.job_id == job.job_id]
    last = max(told, key=lambda each: each.version, default=None)
    if last is None or (last.status, last.since) != (job.status, job.since):
        yield f"others believe that it is {last and last.status}"
    if (job.status is Status.SUCCEEDED) != bool(stage.bucket.text(job, JOB_FILE)):
        yield "job.json is there if and only if it succeeded, or should be"
    if job.status is Status.SUCCEEDED and job.duplicate_of is None:
        yield from _of_files(stage, job)


def _of_files(stage: Stage, job: Job) -> Iterator[str]:
    request = stage.fal.requests.get(job.request_id or "")
    if request is None or request.job_id != job.job_id:
        yield f"it succeeded with the request {job.request_id}, which is not its own"
        return
    served = {artifact.name: request.files[artifact.url] for artifact in request.artifacts}
    if {stored.name for stored in job.files} != set(served) or WEIGHTS not in served:
        yield f"its files are {[stored.name for stored in job.files]}"
        return
    for stored in job.files:
        data = stage.bucket.files.get(stored.key)
        digest = hashlib.sha256(served[stored.name]).hexdigest()
        if data != served[stored.name] or stored.sha256 != digest or stored.size != len(data):
            yield f"{stored.name} is not what fal served"


def _of_ledger(stage: Stage) -> Iterator[str]:
    for request in stage.fal.requests.values():
        job = stage.rows.get(request.job_id)
        if job is None:
            yield f"{request.request_id} was paid for no job"
        elif (
            request.end is End.DONE
            and job.status is not Status.SUCCEEDED
            and not _was_lost(stage, request, job)
        ):
            yield f"{request.request_id} is done and its job {job.job_id} is {job.status}"
    for job_id in stage.expected:
        if job_id not in stage.rows:
            yield f"a dataset has no job {job_id}"


def _was_lost(stage: Stage, request: Request, job: Job) -> bool:
    """Whether fal had thrown the result away before it could be had, and a person is told so."""
    if job.status is not Status.EXPIRED or not job.problems:
        return False
    given_up = stage.rows.expired[job.job_id]
    # Half an hour of calm is enough for the reconciler to ask and for the store worker to copy.
    in_time = stage.calm_since and request.kept_until - stage.calm_since > timedelta(minutes=30)
    return given_up >= request.kept_until and not in_time and not request.copied


def _of_account(stage: Stage) -> Iterator[str]:
    """At rest nothing is reserved, nobody holds a slot, and no result was had for nothing."""
    account = stage.jobs.account(f"{stage.clock.now:%Y-%m}")
    if account.in_flight or account.reserved_usd:
        yield f"{account.in_flight} still hold slots, {account.reserved_usd} dollars are reserved"
    for job in stage.rows.values():
        own = [each for each in stage.fal.requests.values() if each.job_id == job.job_id]
        billed = [each for each in own if each.end not in FREE]
        paid = [charge for charge in job.charges if charge.micro_usd]
        if len(paid) < len(billed) or len(paid) > len(own):
            yield f"{job.job_id} was billed {len(billed)} times and is charged {len(paid)} times"
