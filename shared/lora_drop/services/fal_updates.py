"""The one place where a status of fal changes a job: webhooks and the reconciler both call it."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running
from lora_drop.jobs.artifacts import of_kind
from lora_drop.jobs.budget import ChargeState
from lora_drop.jobs.errors import ConflictError, ForeignRequestError
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_problems import (
    DENIED,
    GONE,
    PAY_ONCE_MORE,
    PICTURE_GONE,
    RESULT_INVALID,
    cancelled_at_fal,
)
from lora_drop.jobs.status import TRANSITIONS, Status
from lora_drop.ports import Handover
from lora_drop.services.proof_sheets import report_picture
from lora_drop.services.record import Record
from lora_drop.services.waiting_queue import WaitingQueue

CANCELLED_AT_FAL = "fal_client_cancelled"
NOT_FETCHED = "fal_file_download_error"
# No result is awaited in these states; the last two are about to pay once more.
GIVEN_UP = frozenset({Status.FAILED, Status.CANCELLED, Status.EXPIRED, Status.READY, Status.HELD})


@dataclass(frozen=True, slots=True)
class FalUpdateHandler:
    """Applies a status of fal to a job."""

    record: Record
    handover: Handover
    waiting_queue: WaitingQueue

    def receive(
        self,
        job_id: str,
        fact: FalStatus,
        *,
        asked: bool = False,
        doubted: bool = False,
        read: Job | None = None,
    ) -> Job:
        """Return the job after this fact; the same fact again, or an older one, changes nothing.

        ``asked``: fal said so when it was asked, with all it knows; a webhook may say less. ``doubted``:
        it had denied the request before, and was asked again since. ``read``: the job as the caller has just read it;
        where it was changed since, it is read again. Raises JobNotFoundError, and
        ForeignRequestError for a request that is not this job's. A job whose submission was never answered
        adopts the request that its own token vouches for.
        """
        if read is not None:
            with suppress(ConflictError):
                return self._received(read, fact, asked=asked, doubted=doubted)
        return self._received(self.record.known(job_id), fact, asked=asked, doubted=doubted)

    def _received(self, job: Job, fact: FalStatus, *, asked: bool, doubted: bool) -> Job:
        fact = _for(job, fact)
        if comes_after_all(job, fact):
            return self._written(job, _taken_back(job, fact, self.record), fact)
        if fact.request_id in job.earlier_requests:
            return job
        if job.terminal:
            self.record.publish_again(job)
            return job
        adopted = _adopt(job, fact.request_id, self.record)
        return self._written(job, self._applied(adopted, fact, asked=asked, doubted=doubted), fact)

    def _written(self, before: Job, job: Job, fact: FalStatus) -> Job:
        if job is not before:
            job = self.record.write(before, job)
            report_picture(self.waiting_queue.inbox, job)
            if before.at_fal and not job.at_fal:
                self.waiting_queue.wake_next()
        if job.status is Status.STORING and isinstance(fact, Finished):
            self.handover.hand_over(job.job_id)
        return job

    def _applied(self, job: Job, fact: FalStatus, *, asked: bool, doubted: bool) -> Job:
        if job.status is Status.STORING:
            return _with_addresses(job, fact)
        job = _believed(job, fact)
        if isinstance(fact, Gone) and not (doubted and DENIED in job.problems):
            return self._denied(job)
        to, changes = _consequence(job, fact, asked=asked)
        if to is None or to not in TRANSITIONS[job.status]:
            return job
        return job.move(to, now=self.record.clock(), **changes)

    def _denied(self, job: Job) -> Job:
        """Return fal's first word that it has none of it may be a slip: it is asked again when that is late."""
        if DENIED in job.problems:
            return job
        return _changed(job, problems=(*job.problems, DENIED), updated_at=self.record.clock())


def _for(job: Job, fact: FalStatus) -> FalStatus:
    """Return the fact with the files that a job of this kind keeps."""
    if not isinstance(fact, Finished):
        return fact
    return replace(fact, artifacts=of_kind(fact.artifacts, picture=job.picture is not None))


def comes_after_all(job: Job, fact: FalStatus) -> bool:
    """Return whether this is the result of a training that is not waited for any more: it was paid for.

    The job has ended, or is about to be sent once more. Its request is the one it had last; one of its
    own that is over; or, where a person said that fal has none, whatever fal has for its address, unless
    the request of each of its submissions is known: then it is another job's. What was copied already and found
    invalid is not copied again.
    """
    if not isinstance(fact, Finished) or job.status not in GIVEN_UP:
        return False
    if any(problem.code == RESULT_INVALID for problem in job.problems):
        return False
    if job.request_id is None:
        unknown = job.intents > len(job.own_requests)
        own = fact.request_id not in job.earlier_requests and unknown
        own = own or fact.request_id in job.own_requests
        # A result without files is believed of the request that the job had last alone.
        own = own and bool(fact.artifacts)
        return own and job.intents > 0 and job.status is not Status.FAILED  # that one fal refused
    return job.request_id == fact.request_id


def _taken_back(job: Job, fact: FalStatus, record: Record) -> Job:
    """Return the job with the result of this request after all."""
    rest = tuple(each for each in job.earlier_requests if each != fact.request_id)
    artifacts = fact.artifacts if isinstance(fact, Finished) else ()
    paid: dict[str, Any] = {}
    if fact.request_id in job.own_requests and job.past_charges:
        *past, last = job.past_charges
        paid = {"charge": last.become(ChargeState.SPENT), "past_charges": tuple(past)}
    return job.move(
        Status.STORING,
        now=record.clock(),
        **paid,
        request_id=fact.request_id,
        earlier_requests=rest,
        artifacts=artifacts,
        problems=(),
    )


def _with_addresses(job: Job, fact: FalStatus) -> Job:
    """Return a result that is being copied is not lost because fal forgets it; new addresses are taken in."""
    if not isinstance(fact, Finished) or fact.artifacts in ((), job.artifacts):
        return job
    return _changed(_believed(job, fact), artifacts=fact.artifacts)


def _believed(job: Job, fact: FalStatus) -> Job:
    """Return the job without fal's word that it knows no such request, once fal says anything else."""
    if isinstance(fact, Gone) or DENIED not in job.problems:
        return job
    return _changed(job, problems=tuple(each for each in job.problems if each != DENIED))


def _changed(job: Job, **changes: Any) -> Job:
    return job.model_copy(update={**changes, "version": job.version + 1})


def _consequence(job: Job, fact: FalStatus, *, asked: bool) -> tuple[Status | None, dict[str, Any]]:
    """Return the state a fact leads to, and what is learnt; None while the request only waits."""
    match fact:
        case Running(started=started):
            return (Status.TRAINING if started else None), {}
        case Finished(artifacts=artifacts):
            return Status.STORING, {"artifacts": artifacts, "problems": ()}
        case Failed(problem=problem) if problem.code == NOT_FETCHED:
            return _not_fetched(job, fact, asked=asked)
        case Failed(problem=problem, billed=billed):
            changes: dict[str, Any] = {"problems": (problem,), "billed": billed is not False}
            if problem.code != CANCELLED_AT_FAL:
                return Status.FAILED, changes
            return _cancelled(job, fact, changes, asked=asked)
        case Gone():
            return Status.EXPIRED, {"problems": (PICTURE_GONE if job.picture else GONE,)}


def _cancelled(
    job: Job, failed: Failed, changes: dict[str, Any], *, asked: bool
) -> tuple[Status | None, dict[str, Any]]:
    """Return the end of a training that was stopped at fal; what it never began is not paid for.

    fal never processes what is taken out of its queue, and waiting is not billed ("Cancel a request",
    "Pricing"). A webhook cannot say whether it had begun, so the job waits until fal has been asked.
    """
    if job.cancel_by is None:
        return Status.CANCELLED, changes
    billed = failed.billed
    if billed is None and job.status is Status.SUBMITTED and not asked:
        return None, {}
    if billed is None and job.status is Status.SUBMITTED and not failed.ran:
        billed = False
    picture = job.picture is not None
    changes |= {
        "by": job.cancel_by,
        "problems": (cancelled_at_fal(billed=billed, picture=picture),),
    }
    return Status.CANCELLED, {**changes, "billed": billed is not False}


def _not_fetched(job: Job, failed: Failed, *, asked: bool) -> tuple[Status | None, dict[str, Any]]:
    """Return one fresh address and one more try, where fal says that nothing was billed; else a person.

    A webhook cannot say what was billed, so the job waits until fal has been asked.
    """
    over = {
        "request_id": None,
        "earlier_requests": (*job.earlier_requests, failed.request_id),
        "own_requests": (*job.own_requests, failed.request_id),
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
    """Return the job with this request; raises ForeignRequestError when it has another, or was never sent."""
    if job.request_id is None and job.status in (Status.SUBMITTING, Status.SUBMIT_UNKNOWN):
        return job.move(Status.SUBMITTED, now=record.clock(), request_id=request_id, problems=())
    if job.request_id != request_id:
        raise ForeignRequestError("the request is not the one this job has at fal")
    return job
