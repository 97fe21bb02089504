"""The one door for "fal says this about that job": webhooks and the reconciler both come here."""

from dataclasses import dataclass
from typing import Any

from shared.domain.errors import ForeignRequest, UnknownJob
from shared.domain.facts import Fact, Failed, Finished, Gone, Running
from shared.domain.jobs import TRANSITIONS, Job, Status
from shared.domain.problems import Problem
from shared.ports import Handover
from shared.services.record import Record

CANCELLED_AT_FAL = "fal_client_cancelled"
GONE = Problem(
    code="result_expired",
    message="fal no longer knows this request: it keeps a result for about an hour. "
    "Look for it in fal's dashboard, or drop the dataset again to pay for a new training.",
)


@dataclass(frozen=True, slots=True)
class Receiver:
    """What is done with a fact."""

    record: Record
    handover: Handover

    def receive(self, job_id: str, fact: Fact) -> Job:
        """The job after this fact; the same fact again, or an older one, changes nothing.

        Raises UnknownJob, and ForeignRequest for a request that is not this job's. A job whose
        submission was never answered adopts the request that its own token vouches for.
        """
        job = self.record.jobs.get(job_id)
        if job is None:
            raise UnknownJob(job_id)
        if job.terminal and not _undoes(fact, job):
            self.record.publish(job)
            return job
        after = self._applied(_adopt(job, fact.request_id, self.record), fact)
        if after is not job:
            job = self.record.write(job, after)
        if job.status is Status.STORING and isinstance(fact, Finished):
            self.handover.hand_over(job.job_id)
        return job

    def _applied(self, job: Job, fact: Fact) -> Job:
        to, changes = _consequence(fact)
        # A result that is being copied is not lost because fal forgets it meanwhile.
        if job.status is Status.STORING or to is None or to not in TRANSITIONS[job.status]:
            return job
        return job.move(to, now=self.record.clock(), **changes)


def _undoes(fact: Fact, job: Job) -> bool:
    """Whether a result comes for a job that was given up: it was paid for, so it is kept."""
    return job.status is Status.EXPIRED and isinstance(fact, Finished) and bool(fact.artifacts)


def _consequence(fact: Fact) -> tuple[Status | None, dict[str, Any]]:
    """The state a fact leads to, and what is learnt; None while the request only waits."""
    match fact:
        case Running(started=started):
            return (Status.TRAINING if started else None), {}
        case Finished(artifacts=artifacts):
            return Status.STORING, {"artifacts": artifacts, "problems": ()}
        case Failed(problem=problem) if problem.code == CANCELLED_AT_FAL:
            return Status.CANCELLED, {"problems": (problem,)}
        case Failed(problem=problem):
            return Status.FAILED, {"problems": (problem,)}
        case Gone():
            return Status.EXPIRED, {"problems": (GONE,)}


def _adopt(job: Job, request_id: str, record: Record) -> Job:
    """The job with this request; raises ForeignRequest when it has another, or was never sent."""
    if job.request_id is None and job.status in (Status.SUBMITTING, Status.SUBMIT_UNKNOWN):
        return job.move(Status.SUBMITTED, now=record.clock(), request_id=request_id, problems=())
    if job.request_id != request_id:
        raise ForeignRequest("the request is not the one this job has at fal")
    return job
