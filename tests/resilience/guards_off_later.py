"""Ways to take guards off what comes after the POST: fal's word, the rounds, the queue, the files."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from lora_drop.adapters import fal, fal_transport, signing_keys
from lora_drop.fal import webhooks
from lora_drop.fal.status import FalStatus, failed, finished
from lora_drop.fal.webhooks import WebhookDelivery, signed_headers
from lora_drop.jobs import job as domain
from lora_drop.jobs.errors import ForeignRequestError, NotSubmittedError
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_problems import GONE
from lora_drop.jobs.status import TRANSITIONS, Status
from lora_drop.messages import WebhookBody
from lora_drop.services import fal_updates, webhook
from lora_drop.services.copy_attempt import CopyRequest
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


# fal's own words, on the wire


def any_2xx_is_a_result() -> Context:
    """An answer 202 is taken for the result, which then names no file, and that is believed at once."""

    def result(handle: Any) -> FalStatus:
        answer = handle.client.get(handle.response_url)
        return finished(handle.request_id, answer.json())

    return combined(
        patch.object(fal, "_result", result), patch.object(ResultStorer, "_early", lambda *_: False)
    )


def units_of_a_state() -> Context:
    """What was billed is read from the answer to the question for the state."""
    real = fal._failure

    def failure(handle: Any, state: Any) -> FalStatus:
        units = handle.client.get(handle.status_url).headers.get(fal.UNITS)
        said = failed(handle.request_id, str(state["error"]), state, billable_units=units)
        return said if units else real(handle, state)

    return patch.object(fal, "_failure", failure)


def a_page_is_a_refusal() -> Context:
    """What a gateway answers in fal's place is taken for fal's word that it has accepted nothing."""
    real = fal_transport._accepted

    def accepted(response: Any, advice: fal_transport.Advice) -> str:
        if "html" in response.headers.get("Content-Type", ""):
            raise NotSubmittedError(f"a page: {response.status_code}")
        return real(response, advice)

    return patch.object(fal_transport, "_accepted", accepted)


too_many_is_in_doubt = replaced(fal_transport, "TOO_MANY_REQUESTS", 0)


def one_request_id() -> Context:
    def parse(body: bytes) -> WebhookBody:
        said = WebhookBody.model_validate_json(body)
        return said.model_copy(update={"gateway_request_id": None})

    return patch.object(WebhookBody, "parse", parse)


small_letters = replaced(webhooks, "GRAMMARS", {**webhooks.GRAMMARS, "signature": "[0-9a-f]{128}"})
keys_stay_packed = replaced(signing_keys, "_unpacked", lambda document, _: document)


def no_longer_run() -> Context:
    return patch.object(CopyRequest, "deadline", lambda self, **_: self.until)


def a_404_is_the_end() -> Context:
    """A CDN's 404 is taken for fal's word that the result is gone."""

    def stored(self: ResultStorer, job_lease: JobLease) -> Any:
        artifacts = job_lease.job.artifacts or self._artifacts(job_lease)
        until = self.now() + self.patience.total_seconds()
        for why in self._copy(job_lease, artifacts, until).values():
            raise why
        return artifacts, ()

    return patch.object(ResultStorer, "_store", stored)


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


_SILENT: Any = SimpleNamespace(wake_next=nothing, inbox=None)


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
    def end(self: ResultStorer, job_lease: JobLease, until: float) -> Job:
        job = job_lease.end(Status.SUCCEEDED)
        self._store(job_lease, until)
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
