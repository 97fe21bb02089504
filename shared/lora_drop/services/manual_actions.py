"""The actions that only a person can decide on."""

from dataclasses import dataclass

from lora_drop.fal.status import Gone
from lora_drop.jobs.errors import ActionNotAllowedError
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_files import of_job
from lora_drop.jobs.job_problems import (
    CANCEL_REQUESTED,
    CANCELLED,
    CANCELLED_UNCHECKED,
    EARLIER_CAME,
    MONEY_CODES,
    PICTURE_CANCELLED,
)
from lora_drop.jobs.problems import Problem, codes_of
from lora_drop.jobs.status import Status
from lora_drop.ports import FalClient, Inbox
from lora_drop.services.evidence import has_request, with_pictures
from lora_drop.services.fal_updates import FalUpdateHandler
from lora_drop.services.proof_sheets import report_picture
from lora_drop.services.record import Record

WHY_NOT_CANCELLED = {
    Status.SUBMITTING: "is being submitted this very moment; try again in a minute",
    Status.SUBMIT_UNKNOWN: "may or may not be at fal; settle that first: lora-drop resolve JOB",
    Status.STORING: "is trained and paid; its files are being stored",
}


@dataclass(frozen=True, slots=True)
class ManualActions:
    """The decisions about a job that runs or waits; who made one is kept in the job."""

    record: Record
    inbox: Inbox
    fal: FalClient
    fal_updates: FalUpdateHandler

    def accepted(self, job_id: str, request_id: str, *, by: str) -> Job:
        """Wait for this request, which fal has for us.

        Raises JobNotFoundError, ActionNotAllowedError, ConflictError, and FalUnavailableError: fal is asked whether
        it knows the request, and every job whether it is theirs, for a slip here would be paid for.
        """
        job = self._in_doubt(job_id)
        if request_id in job.earlier_requests:
            raise ActionNotAllowedError(
                f"{request_id} is an earlier request of {job_id}, and is over"
            )
        if theirs := self._whose(request_id):
            raise ActionNotAllowedError(f"{request_id} is the request of {theirs.job_id}")
        if isinstance(self.fal.ask(job.application, request_id), Gone):
            raise ActionNotAllowedError(
                f"fal knows no request {request_id}; look for it in its dashboard"
            )
        return self.record.move(job, Status.SUBMITTED, by=by, request_id=request_id, problems=())

    def not_submitted(self, job_id: str, *, by: str) -> Job:
        """Pay for it once more, since fal never got it. Raises as ``accepted`` does."""
        job = self._in_doubt(job_id)
        return self._ready(job, job.move(Status.READY, now=self.record.clock(), by=by, problems=()))

    def approve(self, job_id: str, *, by: str) -> Job:
        """Let a held job go on; held for money, whatever it costs.

        Raises JobNotFoundError, ActionNotAllowedError, ConflictError.
        """
        job = self._waiting(job_id, Status.HELD)
        codes = set(codes_of(job.problems))
        ready = job.move(
            Status.READY,
            now=self.record.clock(),
            by=by,
            problems=(),
            held_for=(),
            approved=job.approved or bool(codes & MONEY_CODES),
            force_retrain=job.force_retrain or EARLIER_CAME in codes,
        )
        return self._ready(job, ready)

    def cancel(self, job_id: str, *, by: str) -> Job:
        """Stop a job: for free before it is sent; at fal, as far as fal can, afterwards.

        Raises JobNotFoundError, ActionNotAllowedError, ConflictError and FalUnavailableError.
        """
        job = self.record.known(job_id)
        if job.status in (Status.RECEIVED, Status.READY, Status.HELD):
            cancelled = self.record.move(job, Status.CANCELLED, by=by, problems=(_cancelled(job),))
            report_picture(self.inbox, cancelled)
            return cancelled
        if job.status not in (Status.SUBMITTED, Status.TRAINING) or job.request_id is None:
            why = WHY_NOT_CANCELLED.get(job.status, f"has ended: {job.status}")
            raise ActionNotAllowedError(f"{job_id} {of_job(why, job_id)}")
        if self.fal.cancel(job.application, job.request_id):
            job = self.record.set_problems(job, CANCEL_REQUESTED, cancel_by=by)
        # What fal makes of it counts, not that it was asked; the reconciler asks on.
        fact = self.fal.ask(job.application, job.request_id or "")
        if isinstance(fact, Gone):
            return job  # it takes fal's word twice, some minutes apart
        return self.fal_updates.receive(job_id, fact, asked=True)

    def _ready(self, before: Job, after: Job) -> Job:
        """Write the job and wake the submitter; if this dies in between, the reconciler wakes it."""
        ready = self.record.write(before, after)
        self.inbox.announce(ready.dataset)
        return ready

    def _whose(self, request_id: str) -> Job | None:
        """Return the job that has, or had, this request."""
        jobs = self.record.jobs
        return next((job for job in with_pictures(jobs) if has_request(job, request_id)), None)

    def _in_doubt(self, job_id: str) -> Job:
        return self._waiting(job_id, Status.SUBMIT_UNKNOWN)

    def _waiting(self, job_id: str, status: Status) -> Job:
        job = self.record.known(job_id)
        if job.status is not status:
            raise ActionNotAllowedError(f"{job_id} is {job.status}; this is for {status} alone")
        return job


def _cancelled(job: Job) -> Problem:
    """Return what is said of a job that is cancelled before it is sent."""
    if job.picture is not None:
        return PICTURE_CANCELLED
    return CANCELLED_UNCHECKED if job.status is Status.RECEIVED else CANCELLED
