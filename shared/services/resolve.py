"""What a person says of a submission that nobody else can decide."""

from dataclasses import dataclass

from shared.domain.errors import NotInDoubt, UnknownJob
from shared.domain.jobs import Job, Status
from shared.ports import Inbox
from shared.services.record import Record


@dataclass(frozen=True, slots=True)
class Resolver:
    """The way out of SUBMIT_UNKNOWN that needs a person; who it was is kept in the job."""

    record: Record
    inbox: Inbox

    def accepted(self, job_id: str, request_id: str, *, by: str) -> Job:
        """Wait for this request, which fal has for us. Raises UnknownJob, NotInDoubt, Conflict."""
        job = self._in_doubt(job_id)
        return self.record.move(job, Status.SUBMITTED, by=by, request_id=request_id, problems=())

    def not_submitted(self, job_id: str, *, by: str) -> Job:
        """Pay for it once more, since fal never got it. Raises UnknownJob, NotInDoubt, Conflict."""
        job = self.record.move(self._in_doubt(job_id), Status.READY, by=by, problems=())
        self.inbox.announce(job.dataset)
        return job

    def _in_doubt(self, job_id: str) -> Job:
        job = self.record.jobs.get(job_id)
        if job is None:
            raise UnknownJob(job_id)
        if job.status is not Status.SUBMIT_UNKNOWN:
            raise NotInDoubt(f"{job_id} is {job.status}; only SUBMIT_UNKNOWN is in doubt")
        return job
