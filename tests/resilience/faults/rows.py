"""The jobs table under observation: each write of a row is checked against the promises at once."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise

from lora_drop.jobs.budget import Limits
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.resilience.faults.fal import End, Request

# Said once more, apart from the code: what may follow what.
ONWARD: dict[Status, set[Status]] = {
    Status.RECEIVED: {Status.READY, Status.REJECTED, Status.CANCELLED, Status.SUCCEEDED},
    Status.READY: {Status.SUBMITTING, Status.HELD, Status.CANCELLED, Status.STORING},
    Status.HELD: {Status.READY, Status.CANCELLED, Status.STORING},
    Status.SUBMITTING: {
        *(Status.SUBMITTED, Status.READY, Status.HELD, Status.FAILED, Status.SUBMIT_UNKNOWN),
    },
    Status.SUBMIT_UNKNOWN: {Status.SUBMITTED, Status.READY},
    Status.SUBMITTED: {
        *(Status.TRAINING, Status.STORING, Status.FAILED, Status.CANCELLED, Status.EXPIRED),
        *(Status.READY, Status.HELD),
    },
    Status.TRAINING: {
        *(Status.STORING, Status.FAILED, Status.CANCELLED, Status.EXPIRED),
        *(Status.READY, Status.HELD),
    },
    Status.STORING: {Status.SUCCEEDED, Status.FAILED, Status.EXPIRED},
    Status.FAILED: {Status.STORING},
    Status.CANCELLED: {Status.STORING},
    Status.EXPIRED: {Status.STORING},
}
IN_FLIGHT = frozenset({Status.SUBMITTING, Status.SUBMIT_UNKNOWN, Status.SUBMITTED, Status.TRAINING})
BUDGET = "budget_exhausted"
TRAINED_OR_MAY_BE = IN_FLIGHT | {Status.STORING, Status.SUCCEEDED}


class Rows(dict[str, Job]):
    """The rows of a MemoryJobs, and fal's ledger beside them."""

    def __init__(self, violated: Callable[[str], None], clock: Callable[[], datetime]) -> None:
        super().__init__()
        self.violated = violated
        self.clock = clock
        self.limits: Limits | None = None
        self.reached: Counter[Status] = Counter()
        self.expired: dict[str, datetime] = {}
        self.intended: dict[str, datetime] = {}  # by the true clock
        self.held_for_money: Counter[str] = Counter()
        self.requests: list[Request] = []

    def __setitem__(self, job_id: str, job: Job) -> None:
        before = self.get(job_id)
        super().__setitem__(job_id, job)
        self.reached.update(self._steps(before, job))
        if before is not None and job.version <= before.version:
            self.violated(f"{job_id}: version {before.version} became {job.version}")
        if job.status is Status.SUBMITTING:
            self.intended[job_id] = self.clock()
        if job.status is Status.EXPIRED and (before is None or before.status != job.status):
            self.expired[job_id] = self.clock()
        if job.status is Status.HELD and any(each.code == BUDGET for each in job.problems):
            self.held_for_money[job_id] = 1
        if job.status in IN_FLIGHT and self.limits is not None:
            self._check_limits(self.limits)

    def _check_limits(self, limits: Limits) -> None:
        at_fal = sum(each.status in IN_FLIGHT for each in self.values())
        if at_fal > limits.max_in_flight:
            self.violated(f"{at_fal} jobs are at fal, {limits.max_in_flight} may be")
        if limits.monthly_usd is None:
            return
        spent = Counter[str]()
        for job in self.values():
            for charge in job.charges if not (job.approved or _revived(job)) else ():
                spent[charge.month] += charge.micro_usd
        for month, micro in spent.items():
            if micro > limits.monthly_usd * 1_000_000:
                self.violated(f"{micro / 1e6} dollars in {month}, {limits.monthly_usd} may be")

    def _steps(self, before: Job | None, after: Job) -> list[Status]:
        """The states this write went through; each must be a move forward."""
        if before is None:
            return [step.status for step in after.history]
        same = 0
        for old, new in zip(before.history, after.history, strict=False):
            if old != new:
                break
            same += 1
        if (before.status, after.status) == (Status.SUBMITTING, Status.READY) and same:
            return [Status.READY]  # nothing has left, and the history does not mention it
        steps = [step.status for step in after.history[same:]]
        for here, there in pairwise([before.status, *steps]):
            if there not in ONWARD.get(here, set()):
                self.violated(f"{after.job_id}: {here} became {there}")
        if not steps and before.terminal and before != after:
            self.violated(f"{after.job_id}: had ended as {before.status}, and was written again")
        return steps

    def accepted(self, request: Request) -> None:
        """fal's ledger has a new line; the job must have asked, and must not be paid for already."""
        job = self.get(request.job_id)
        if job is None or job.status not in (Status.SUBMITTING, Status.SUBMIT_UNKNOWN):
            state = job.status if job else "no job"
            self.violated(f"{request.job_id}: a POST was accepted while it was {state}")
        for earlier in self.requests:
            if earlier.job_id == request.job_id and not _may_follow(earlier, request, job):
                self.violated(f"{request.job_id}: paid twice")
        for other in self.values() if job is not None else ():
            if _same_training(job, other) and other.status in TRAINED_OR_MAY_BE:
                self.violated(f"{request.job_id}: paid for what {other.job_id} trains")
        self.requests.append(request)


def _revived(job: Job) -> bool:
    """Whether its result came after it had ended: what that costs was not asked for before."""
    steps = [step.status for step in job.history]
    return any(here.terminal and there is Status.STORING for here, there in pairwise(steps))


def _may_follow(earlier: Request, now: Request, job: Job | None) -> bool:
    """Whether the earlier request is over and nothing was billed, or a person wanted another."""
    if earlier.ended_at > now.accepted_at or earlier.end is End.DONE:
        return False
    wanted = job is not None and any(
        step.by is not None and step.at >= earlier.ended_at for step in job.history
    )
    return wanted or earlier.end in (End.NOT_FETCHED, End.FREE_FAILURE)


def _same_training(job: Job | None, other: Job) -> bool:
    return (
        job is not None
        and job.content_digest is not None
        and job.content_digest == other.content_digest
        and job.job_id != other.job_id
        and not (job.retry_of or job.force_retrain)  # a person wants it once more
        and other.retry_of is None
    )
