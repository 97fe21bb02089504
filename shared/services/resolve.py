"""What only a person can decide."""

from dataclasses import dataclass

from shared.domain.errors import NothingToDecide, UnknownJob
from shared.domain.jobs import Job, Status
from shared.ports import Inbox
from shared.services.record import Record


@dataclass(frozen=True, slots=True)
class Resolver:
    """The ways out of SUBMIT_UNKNOWN and HELD that need a person; who it was is kept in the job."""

    record: Record
    inbox: Inbox

    def accepted(self, job_id: str, request_id: str, *, by: str) -> Job:
        """Wait for this request, which fal has for us. Raises UnknownJob, NothingToDecide, Conflict."""
        job = self._in_doubt(job_id)
        return self.record.move(job, Status.SUBMITTED, by=by, request_id=request_id, problems=())

    def not_submitted(self, job_id: str, *, by: str) -> Job:
        """Pay for it once more, since fal never got it. Raises as ``accepted`` does."""
        return self._ready(self._in_doubt(job_id), by)

    def approve(self, job_id: str, *, by: str) -> Job:
        """Let a held job go on. Raises UnknownJob, NothingToDecide, Conflict."""
        return self._ready(self._waiting(job_id, Status.HELD), by)

    def _ready(self, job: Job, by: str) -> Job:
        """Whoever dies in between is made good by the reconciler, which announces READY jobs."""
        ready = self.record.move(job, Status.READY, by=by, problems=())
        self.inbox.announce(ready.dataset)
        return ready

    def _in_doubt(self, job_id: str) -> Job:
        return self._waiting(job_id, Status.SUBMIT_UNKNOWN)

    def _waiting(self, job_id: str, status: Status) -> Job:
        job = self.record.jobs.get(job_id)
        if job is None:
            raise UnknownJob(job_id)
        if job.status is not status:
            raise NothingToDecide(f"{job_id} is {job.status}; this is for {status} alone")
        return job
