"""The one door for "fal says this about that job": webhooks and the reconciler both come here."""

from dataclasses import dataclass
from typing import Any

from shared.domain.errors import ForeignRequest
from shared.domain.facts import Fact, Failed, Finished, Gone, Running
from shared.domain.jobs import TRANSITIONS, Job, Status
from shared.domain.verdicts import DENIED, GONE, PAY_ONCE_MORE
from shared.ports import Handover
from shared.services.dispatch import Line
from shared.services.record import Record

CANCELLED_AT_FAL = "fal_client_cancelled"
NOT_FETCHED = "fal_file_download_error"


@dataclass(frozen=True, slots=True)
class Receiver:
    """What is done with a fact."""

    record: Record
    handover: Handover
    line: Line

    def receive(self, job_id: str, fact: Fact, *, asked: bool = False) -> Job:
        """The job after this fact; the same fact again, or an older one, changes nothing.

        ``asked``: fal said so when it was asked, with all it knows; a webhook may say less. Raises
        UnknownJob, and ForeignRequest for a request that is not this job's. A job whose submission
        was never answered adopts the request that its own token vouches for.
        """
        job = self.record.known(job_id)
        if fact.request_id in job.earlier_requests:
            return job
        if job.terminal and not _undoes(fact, job):
            self.record.publish(job)
            return job
        after = self._applied(_adopt(job, fact.request_id, self.record), fact, asked=asked)
        if after is not job:
            before, job = job, self.record.write(job, after)
            if before.at_fal and not job.at_fal:
                self.line.call_next()
        if job.status is Status.STORING and isinstance(fact, Finished):
            self.handover.hand_over(job.job_id)
        return job

    def _applied(self, job: Job, fact: Fact, *, asked: bool) -> Job:
        if job.status is Status.STORING:
            return _with_addresses(job, fact)
        job = _believed(job, fact)
        if isinstance(fact, Gone) and DENIED not in job.problems:
            return self._denied(job)
        to, changes = _consequence(job, fact, asked=asked)
        if to is None or to not in TRANSITIONS[job.status]:
            return job
        return job.move(to, now=self.record.clock(), **changes)

    def _denied(self, job: Job) -> Job:
        """Fal's first word that it has none of it may be a slip: it is asked again when that is late."""
        return _changed(job, problems=(*job.problems, DENIED), updated_at=self.record.clock())


def _undoes(fact: Fact, job: Job) -> bool:
    """Whether a result comes for a job that was given up: it was paid for, so it is kept.

    What was copied already and found invalid is not copied again.
    """
    if not isinstance(fact, Finished) or not fact.artifacts:
        return False
    given_up = job.status in (Status.FAILED, Status.CANCELLED) and not job.artifacts
    return job.status is Status.EXPIRED or (given_up and job.request_id == fact.request_id)


def _with_addresses(job: Job, fact: Fact) -> Job:
    """A result that is being copied is not lost because fal forgets it; addresses are taken in."""
    if job.artifacts or not isinstance(fact, Finished) or not fact.artifacts:
        return job
    return _changed(job, artifacts=fact.artifacts)


def _believed(job: Job, fact: Fact) -> Job:
    """The job without fal's word that it knows no such request, once fal says anything else."""
    if isinstance(fact, Gone) or DENIED not in job.problems:
        return job
    return _changed(job, problems=tuple(each for each in job.problems if each != DENIED))


def _changed(job: Job, **changes: Any) -> Job:
    return job.model_copy(update={**changes, "version": job.version + 1})


def _consequence(job: Job, fact: Fact, *, asked: bool) -> tuple[Status | None, dict[str, Any]]:
    """The state a fact leads to, and what is learnt; None while the request only waits."""
    match fact:
        case Running(started=started):
            return (Status.TRAINING if started else None), {}
        case Finished(artifacts=artifacts):
            return Status.STORING, {"artifacts": artifacts, "problems": ()}
        case Failed(problem=problem) if problem.code == NOT_FETCHED:
            return _not_fetched(job, fact, asked=asked)
        case Failed(problem=problem, billed=billed):
            to = Status.CANCELLED if problem.code == CANCELLED_AT_FAL else Status.FAILED
            return to, {"problems": (problem,), "billed": billed is not False}
        case Gone():
            return Status.EXPIRED, {"problems": (GONE,)}


def _not_fetched(job: Job, failed: Failed, *, asked: bool) -> tuple[Status | None, dict[str, Any]]:
    """One fresh address and one more try, where fal says that nothing was billed; else a person.

    A webhook cannot say what was billed, so the job waits until fal has been asked.
    """
    over = {
        "request_id": None,
        "earlier_requests": (*job.earlier_requests, failed.request_id),
        "problems": (failed.problem,),
    }
    if failed.billed is False and not job.refetched:
        return Status.READY, {**over, "billed": False, "refetched": True}
    if failed.billed is False:
        return Status.FAILED, {"problems": (failed.problem,), "billed": False}
    if not asked:
        return None, {}
    return Status.HELD, {**over, "problems": (failed.problem, PAY_ONCE_MORE)}


def _adopt(job: Job, request_id: str, record: Record) -> Job:
    """The job with this request; raises ForeignRequest when it has another, or was never sent."""
    if job.request_id is None and job.status in (Status.SUBMITTING, Status.SUBMIT_UNKNOWN):
        return job.move(Status.SUBMITTED, now=record.clock(), request_id=request_id, problems=())
    if job.request_id != request_id:
        raise ForeignRequest("the request is not the one this job has at fal")
    return job
