"""Ways to take guards off what comes after the POST: fal's word, the rounds, the queue, the files."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from lora_drop.fal.webhooks import WebhookDelivery, signed_headers
from lora_drop.jobs import job as domain
from lora_drop.jobs.errors import ForeignRequestError
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_problems import GONE
from lora_drop.jobs.status import TRANSITIONS, Status
from lora_drop.services import fal_updates, webhook
from lora_drop.services.fal_updates import FalUpdateHandler
from lora_drop.services.lease import JobLease
from lora_drop.services.reconcile import Reconciler
from lora_drop.services.store import ResultStorer
from lora_drop.services.sweep import Sweep, SweepResult
from lora_drop.services.waiting_queue import WaitingQueue
from lora_drop.services.webhook import WebhookHandler
from tests.resilience.guards_off import Context, Off, combined, nothing, replaced
from tests.resilience.model import moves
from tests.resilience.model.moves import acknowledged
from tests.resilience.model.replay import Outcome
from tests.resilience.model.world import Role
from tests.support.builders import NOW

# What fal reports


any_token = replaced(webhook, "token_matches", lambda *_: True)


def any_signature() -> Context:
    def verified(_: WebhookHandler, given: Any, body: bytes) -> WebhookDelivery:
        headers = signed_headers(given)
        return WebhookDelivery(headers.request_id, headers.user_id, NOW, body)

    return patch.object(WebhookHandler, "_verified", verified)


def adopts_any_request() -> Context:
    """A job makes every request that comes to its address its own."""
    real = fal_updates._adopt

    def adopt(job: Job, request_id: str, record: Any) -> Job:
        if job.request_id == request_id:
            return real(job, request_id, record)
        return job.model_copy(update={"request_id": request_id, "version": job.version + 1})

    return patch.object(fal_updates, "_adopt", adopt)


def any_request() -> Context:
    """A job takes the status of every request that comes to its address."""
    real = fal_updates._adopt

    def adopt(job: Job, request_id: str, record: Any) -> Job:
        try:
            return real(job, request_id, record)
        except ForeignRequestError:
            return job

    return patch.object(fal_updates, "_adopt", adopt)


def ended_moves() -> Context:
    to = frozenset({Status.STORING, Status.FAILED, Status.CANCELLED})
    table = {each: to if each.terminal else moves for each, moves in TRANSITIONS.items()}
    return combined(
        patch.object(fal_updates, "comes_after_all", lambda job, _: job.terminal),
        patch.object(fal_updates, "TRANSITIONS", table),
        patch.object(domain, "TRANSITIONS", table),
    )


def moves_anyhow() -> Context:
    anywhere = {each: frozenset(Status) for each in Status}
    return patch.object(fal_updates, "TRANSITIONS", anywhere)


given_up_for_good = replaced(fal_updates, "comes_after_all", lambda *_: False)


def denied_once() -> Context:
    def denied(self: FalUpdateHandler, job: Job) -> Job:
        return job.move(Status.EXPIRED, now=self.record.clock(), problems=(GONE,))

    return patch.object(FalUpdateHandler, "_denied", denied)


def result_denied_once() -> Context:
    real = JobLease.give_back

    def given_back(self: JobLease, problem: Any = None, **more: Any) -> Job:
        return self.end(Status.EXPIRED) if more else real(self, problem)

    return patch.object(JobLease, "give_back", given_back)


def forgets_earlier() -> Context:
    """A job that is sent once more does not keep the id of its earlier request."""
    real = fal_updates._not_fetched

    def not_fetched(job: Job, failed: Any, *, asked: bool) -> tuple[Status | None, Any]:
        to, changes = real(job, failed, asked=asked)
        return to, {name: each for name, each in changes.items() if name != "earlier_requests"}

    return patch.object(fal_updates, "_not_fetched", not_fetched)


def _receiving(**ports: Any) -> Context:
    """The handler of fal's statuses has these ports instead of its own."""
    real = FalUpdateHandler.receive

    def receive(self: FalUpdateHandler, *args: Any, **more: Any) -> Job:
        return real(replace(self, **ports), *args, **more)

    return patch.object(FalUpdateHandler, "receive", receive)


def not_handed_over() -> Context:
    return _receiving(handover=SimpleNamespace(hand_over=nothing))


def always_200() -> Context:
    def done(role: Role, outcome: Outcome) -> bool:
        return role is Role.WEBHOOK or acknowledged(role, outcome)

    return patch.object(moves, "acknowledged", done)


# The reconciler and the waiting queue


def helps(*statuses: Status, by: Callable[[Reconciler, Job], object] = nothing) -> Off:
    """Have the reconciler do this, or nothing, for jobs in these states."""
    real = Reconciler._help

    def helped(self: Reconciler, job: Job) -> object:
        return by(self, job) if job.status in statuses else real(self, job)

    return lambda: patch.object(Reconciler, "_help", helped)


def ready_again(reconciler: Reconciler, job: Job) -> None:
    """Put a job back into the waiting queue, whatever fal may have of it."""
    reconciler.record.move(job, Status.READY, problems=())


def handed_over_once() -> Context:
    """Neither the reconciler nor a repeated webhook hands a result over again."""
    real = FalUpdateHandler.receive

    def receive(self: FalUpdateHandler, job_id: str, *args: Any, **more: Any) -> Job:
        job = self.record.jobs.get(job_id)
        return job if job and job.status is Status.STORING else real(self, job_id, *args, **more)

    return combined(helps(Status.STORING)(), patch.object(FalUpdateHandler, "receive", receive))


def any_evidence() -> Context:
    """The last of several requests that may be the job's is taken."""

    def look(self: Reconciler, job: Job) -> None:
        found = self.evidence.history.requests_for(job, since=job.created_at)
        if found:
            self._ask(job, found[-1])

    return patch.object(Reconciler, "_look_for_evidence", look)


wakes_none = replaced(WaitingQueue, "wake_next", nothing)


_SILENT: Any = SimpleNamespace(wake_next=nothing)


def slot_wakes_none() -> Context:
    return _receiving(waiting_queue=_SILENT)


def round_wakes_none() -> Context:
    real = Reconciler.reconcile

    def reconcile(self: Reconciler) -> object:
        return real(replace(self, waiting_queue=_SILENT))

    return patch.object(Reconciler, "reconcile", reconcile)


def not_swept(part: str) -> Off:
    return lambda: patch.object(Sweep, part, lambda *_: SweepResult())


# The files


def succeeds_first() -> Context:
    def end(self: ResultStorer, job_lease: JobLease) -> Job:
        job = job_lease.end(Status.SUCCEEDED)
        self._store(job_lease)
        return job

    return patch.object(ResultStorer, "_end", end)


def leases_for_ever() -> Context:
    real = JobLease.take.__func__  # type: ignore[attr-defined]  # a classmethod has it

    def take(
        cls: type[JobLease], record: Any, job: Job, *, owner: str, length: Any
    ) -> JobLease | None:
        if job.lease and job.lease.owner != owner:
            return None
        taken: JobLease | None = real(cls, record, job, owner=owner, length=length)
        return taken

    return patch.object(JobLease, "take", classmethod(take))
