"""What must be true of each write of a job's row, and of table, bucket and ledger at rest."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from lora_drop.jobs.artifacts import WEIGHTS
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_files import ERROR_FILE, JOB_FILE, STATUS_FILE, error_text, status_text
from lora_drop.jobs.lineage import MAX_EARLIER, LatestLora, latest_key
from lora_drop.jobs.proof import PICTURE_NAME
from lora_drop.jobs.status import Status
from tests.resilience.faults.fal import FREE, End, Request

if TYPE_CHECKING:
    from tests.resilience.faults.harness import Harness

# The transitions once more, apart from the code.
ONWARD: dict[Status, set[Status]] = {
    Status.RECEIVED: {Status.READY, Status.REJECTED, Status.CANCELLED, Status.SUCCEEDED},
    Status.READY: {Status.SUBMITTING, Status.HELD, Status.CANCELLED, Status.STORING},
    Status.HELD: {Status.READY, Status.CANCELLED, Status.STORING},
    Status.SUBMITTING: {
        *(Status.SUBMITTED, Status.READY, Status.HELD, Status.FAILED, Status.SUBMIT_UNKNOWN)
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
    """The rows of a MemoryJobs, checked at each write against fal's ledger."""

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
        self.changes: dict[str, list[Job]] = {}  # each job as a change of its state was written

    def __setitem__(self, job_id: str, job: Job) -> None:
        before = self.get(job_id)
        super().__setitem__(job_id, job)
        self.reached.update(self._steps(before, job))
        if before is None or before.status is not job.status:
            self.changes.setdefault(job_id, []).append(job)
        if before is not None and not (job.version > before.version or _learnt(before, job)):
            self.violated(f"{job_id}: version {before.version} became {job.version}")
        if before is not None and _went_back(before, job):
            self.violated(f"{job_id}: its progress went back")
        sheet = job.proof if job.proof and not job.proof.note else None
        if sheet and sheet.done_at and set(sheet.made_from) != set(sheet.pictures):
            self.violated(f"{job_id}: its proof sheet was made without some of its pictures")
        if job.status is Status.SUBMITTING:
            self.intended[job_id] = self.clock()
        if job.status is Status.EXPIRED and (before is None or before.status != job.status):
            self.expired[job_id] = self.clock()
        if job.status is Status.HELD and any(each.code == BUDGET for each in job.problems):
            self.held_for_money[job_id] = 1
        if job.status in IN_FLIGHT and self.limits is not None:
            self._check_limits(self.limits)

    def _check_limits(self, limits: Limits) -> None:
        at_fal = sum(each.status in IN_FLIGHT and not each.slot_released for each in self.values())
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
        if not steps and before.terminal and before != _without_sheet(after, before):
            self.violated(f"{after.job_id}: had ended as {before.status}, and was written again")
        return steps

    def accepted(self, request: Request) -> None:
        """Check a request that fal accepts: its job must be submitting and not be paid for."""
        job = self.get(request.job_id)
        if job is None or job.status not in (Status.SUBMITTING, Status.SUBMIT_UNKNOWN):
            state = job.status if job else "no job"
            self.violated(f"{request.job_id}: a POST was accepted while it was {state}")
        order = job.picture if job else None
        for other in self.values() if order else ():
            if other.picture == order and other is not job and other.intents:
                self.violated(f"{request.job_id}: paid for what {other.job_id} is the picture of")
        for earlier in self.requests:
            if earlier.job_id == request.job_id and not _may_follow(earlier, request, job):
                self.violated(f"{request.job_id}: paid twice")
        for other in self.values() if job is not None else ():
            if _same_training(job, other) and other.status in TRAINED_OR_MAY_BE:
                self.violated(f"{request.job_id}: paid for what {other.job_id} trains")
        self.requests.append(request)


def _without_sheet(after: Job, before: Job) -> Job:
    """The job without what was written of its proof sheet alone."""
    same = ("proof", "version", "updated_at")
    return after.model_copy(update={name: getattr(before, name) for name in same})


def _learnt(before: Job, after: Job) -> bool:
    """Whether nothing but the progress of a job at work was written; two rounds at once may write the same."""
    same = {"progress": before.progress, "queue_position": before.queue_position}
    at_work = before.status in (Status.SUBMITTED, Status.TRAINING)
    return at_work and after.model_copy(update=same) == before


def _went_back(before: Job, after: Job) -> bool:
    """Whether the progress of one request became less."""
    if before.request_id is None or before.request_id != after.request_id or not before.progress:
        return False
    return after.progress is None or after.progress.percent < before.progress.percent


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


def broken_promises(harness: "Harness") -> list[str]:
    harness.settle()
    found = list(harness.violations)
    for queue in (harness.inbox, harness.results):
        found += [f"{queue.function}'s queue still holds {each.body}" for each in queue.waiting]
        found += [
            f"{queue.function}'s dead letters hold {each.body}"
            for each in queue.dead
            if not each.poison
        ]
    for job in harness.rows.values():
        found += [f"{job.job_id} ({job.status}): {wrong}" for wrong in _of_job(harness, job)]
    found += [
        f"an upload of {each.key} was left behind" for each in harness.bucket.uploads.values()
    ]
    found += [f"the change of {job_id} was not published" for job_id in harness.jobs.outbox()]
    found += _of_latest(harness)
    found += _of_ledger(harness)
    found += _of_account(harness)
    return found


def _of_latest(harness: "Harness") -> Iterator[str]:
    """Each LoRA is named in its dataset's latest.json, the one that was ordered last first."""
    ended: dict[str, list[Job]] = {}
    for job in harness.rows.values():
        if job.status is Status.SUCCEEDED and job.weights:
            ended.setdefault(latest_key(job.dataset.key), []).append(job)
    for key, jobs in ended.items():
        data = harness.bucket.files.get(key)
        latest = LatestLora.read(data.decode()) if data else None
        named = [lora.job_id for lora in latest.loras] if latest else []
        ordered = sorted(jobs, key=lambda job: (job.created_at, job.job_id), reverse=True)
        if named != [job.job_id for job in ordered][: MAX_EARLIER + 1]:
            yield f"{key} names {named}"


def _of_job(harness: "Harness", job: Job) -> Iterator[str]:
    if not job.terminal:
        yield "it has not ended"
    published = harness.bucket.text(job, STATUS_FILE)
    if published != status_text(job):
        yield "status.json is not of its state"
    if harness.bucket.text(job, ERROR_FILE) != (error_text(job) if job.troubled else None):
        yield "ERROR.txt is not of its state"
    yield from _of_events(harness, job)
    done = job.status is Status.SUCCEEDED and job.picture is None
    if done != bool(harness.bucket.text(job, JOB_FILE)):
        yield "job.json is there if and only if it succeeded, or should be"
    if job.status is Status.SUCCEEDED and job.duplicate_of is None:
        yield from _of_files(harness, job)
    yield from _of_sheet(harness, job)


def _of_events(harness: "Harness", job: Job) -> Iterator[str]:
    """Each change of state is told, but for paid calls and tries that came to nothing, and the last one is its state."""
    changes = [each for each in harness.heard.changes if each.job_id == job.job_id]
    last = max(changes, key=lambda each: each.version, default=None)
    if job.picture is not None:
        if changes or harness.bucket.text(job, JOB_FILE):
            yield "a picture has no events and no job.json"
        return
    if last is None or (last.status, last.since) != (job.status, job.since):
        yield f"others believe that it is {last and last.status}"
    told = {(each.version, each.status) for each in changes}
    steps = {(step.status, step.at) for step in job.history}
    for each in harness.rows.changes.get(job.job_id, ()):
        wanted = each.status is not Status.SUBMITTING and (each.status, each.since) in steps
        if wanted and (each.version, each.status) not in told:
            yield f"nobody was told of version {each.version}, when it was {each.status}"


def _of_sheet(harness: "Harness", job: Job) -> Iterator[str]:
    """What a training with its LoRA owes: every picture that was ordered, and a sheet that was made from them all."""
    if job.proof is None or job.status is not Status.SUCCEEDED or job.proof.note:
        return
    pictures = [harness.rows.get(each) for each in job.proof.pictures]
    known = {each.job_id: each.version for each in pictures if each is not None}
    if len(known) != harness.pictures or job.proof.done_at is None:
        yield f"its proof sheet has {len(known)} pictures and is done {job.proof.done_at}"
    if job.proof.made_from != known:
        yield f"its proof sheet was made from {job.proof.made_from}, and there is {known}"


def _of_files(harness: "Harness", job: Job) -> Iterator[str]:
    request = harness.fal.requests.get(job.request_id or "")
    if request is None or request.job_id != job.job_id:
        yield f"it succeeded with the request {job.request_id}, which is not its own"
        return
    served = {artifact.name: request.files[artifact.url] for artifact in request.artifacts}
    wanted = PICTURE_NAME if job.picture else WEIGHTS
    if {stored.name for stored in job.files} != set(served) or wanted not in served:
        yield f"its files are {[stored.name for stored in job.files]}"
        return
    for stored in job.files:
        data = harness.bucket.files.get(stored.key)
        digest = hashlib.sha256(served[stored.name]).hexdigest()
        if data != served[stored.name] or stored.sha256 != digest or stored.size != len(data):
            yield f"{stored.name} is not what fal served"


def _of_ledger(harness: "Harness") -> Iterator[str]:
    for request in harness.fal.requests.values():
        job = harness.rows.get(request.job_id)
        if job is None:
            yield f"{request.request_id} was paid for no job"
        elif (
            request.end is End.DONE
            and job.status is not Status.SUCCEEDED
            and not _was_lost(harness, request, job)
        ):
            yield f"{request.request_id} is done and its job {job.job_id} is {job.status}"
    for job_id in harness.expected:
        if job_id not in harness.rows:
            yield f"a dataset has no job {job_id}"


def _was_lost(harness: "Harness", request: Request, job: Job) -> bool:
    """Whether fal had thrown the result away before it could be had, and a person is notified."""
    if job.status is not Status.EXPIRED or not job.problems or request.stored:
        return False
    given_up = harness.rows.expired[job.job_id]
    # Half an hour of calm is enough for the reconciler to ask and for the store worker to copy.
    in_time = harness.calm_since and request.kept_until - harness.calm_since > timedelta(minutes=30)
    return given_up >= request.kept_until and not in_time and not request.copied


def _of_account(harness: "Harness") -> Iterator[str]:
    account = harness.jobs.account(f"{harness.clock.now:%Y-%m}")
    if account.in_flight or account.reserved_usd:
        yield f"{account.in_flight} still hold slots, {account.reserved_usd} dollars are reserved"
    for job in harness.rows.values():
        own = [each for each in harness.fal.requests.values() if each.job_id == job.job_id]
        billed = [each for each in own if each.end not in FREE]
        paid = [charge for charge in job.charges if charge.micro_usd]
        if len(paid) < len(billed) or len(paid) > len(own):
            yield f"{job.job_id} was billed {len(billed)} times and is charged {len(paid)} times"
