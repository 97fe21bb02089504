"""Ways to take single guards off the real code; ``mutations.py`` says which engine notices each.

Where the model runs the DynamoDB adapter and the fault schedules its fake, both lose the guard.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from lora_drop.adapters import dynamodb, dynamodb_writes
from lora_drop.adapters.dynamodb_writes import Action
from lora_drop.fal.webhooks import WebhookDelivery
from lora_drop.jobs import job as domain
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import ForeignRequestError
from lora_drop.jobs.job import TRANSITIONS, Job, Status
from lora_drop.jobs.job_problems import GONE
from lora_drop.services import dispatch, fal_updates, webhook
from lora_drop.services.deduplication import Deduplication
from lora_drop.services.dispatch import Dispatcher, WaitingQueue
from lora_drop.services.fal_updates import FalUpdateHandler
from lora_drop.services.lease import JobLease
from lora_drop.services.reconcile import Reconciler
from lora_drop.services.store import ResultStorer
from lora_drop.services.sweep import Sweep, SweepResult
from lora_drop.services.webhook import WebhookHandler
from tests.resilience.model import moves
from tests.resilience.model.answers import ANSWERS, Answers, Possible
from tests.resilience.model.bounds import Fault, Role
from tests.resilience.model.moves import acknowledged
from tests.resilience.model.replay import Effect, Outcome
from tests.resilience.model.world import World
from tests.support.builders import NOW
from tests.support.memory_jobs import MemoryJobs

type Off = Callable[[], AbstractContextManager[object]]
type Context = AbstractContextManager[object]


def _nothing(*_: Any, **__: Any) -> None:
    """Do nothing, in the place of a guard."""


@contextmanager
def _all(*patches: Context) -> Iterator[None]:
    with ExitStack() as stack:
        for each in patches:
            stack.enter_context(each)
        yield


# The jobs table


def _without_condition(actions: str) -> Context:
    """The adapter puts a job's row without a condition; ``actions`` are add's or replace's."""
    real = getattr(dynamodb, actions)

    def unconditional(*args: Any) -> Sequence[Action]:
        first, *rest = real(*args)
        return [Action({"Put": {"Item": first.write["Put"]["Item"]}}), *rest]

    return patch.object(dynamodb, actions, unconditional)


def add_overwrites() -> Context:
    """A new job is written although a row of its id exists."""
    return _without_condition("add_actions")


def replace_overwrites() -> Context:
    """A job is written although its row has another version by now."""
    real = MemoryJobs.replace

    def unconditional(self: MemoryJobs, before: Job, after: Job, **more: Any) -> None:
        real(self, self.rows.get(before.job_id, before), after, **more)

    in_memory = patch.object(MemoryJobs, "replace", unconditional)
    return _all(_without_condition("replace_actions"), in_memory)


def no_slot_limit() -> Context:
    """As many jobs as there are train at fal."""
    real, check = dynamodb_writes._slot, MemoryJobs._check

    def unlimited(self: MemoryJobs, before: Job, after: Job, limits: Limits) -> None:
        check(self, before, after, replace(limits, max_in_flight=99))

    return _all(
        patch.object(dynamodb_writes, "_slot", lambda had, has, _: real(had, has, None)),
        patch.object(MemoryJobs, "_check", unlimited),
    )


def slot_kept() -> Context:
    """A job never gives back its slot."""
    real = dynamodb_writes._slot

    def slot(before: Job, after: Job, limits: Any) -> Sequence[Action]:
        return real(before, after, limits) if after.at_fal else []

    return patch.object(dynamodb_writes, "_slot", slot)


def money_kept() -> Context:
    """The reservation stays when nothing is paid after all."""
    real = dynamodb_writes._money

    def money(before: Job, after: Job, limits: Any) -> Sequence[Action]:
        return [] if len(after.charges) < len(before.charges) else real(before, after, limits)

    return patch.object(dynamodb_writes, "_money", money)


def no_budget() -> Context:
    """A month has no limit of costs."""
    return patch.object(dynamodb_writes, "_room", lambda *_: None)


def unclaimed() -> Context:
    """No row says which job has a content."""
    return _all(
        patch.object(dynamodb_writes, "_claimed", lambda *_: []),
        patch.object(MemoryJobs, "_claim", _nothing),
    )


# The one POST


def post_first() -> Context:
    """The intent is written when the POST has been answered."""

    def pay(self: Dispatcher, job: Job, request: dispatch.SubmissionRequest) -> Job:
        arguments = self._arguments(job, request)
        url = self._webhook_url(job)
        receipt = self.fal.submit(job.application, arguments, webhook_url=url)
        intent = self.record.intend(
            job, Status.SUBMITTING, limits=self.limits, unchanged=request.given_up, problems=()
        )
        return self._settle(intent, Status.SUBMITTED, request_id=receipt.request_id, problems=())

    return patch.object(Dispatcher, "_pay", pay)


def settled(meant: Status, *, to: Status) -> Off:
    """Take one outcome of the POST for another."""
    real = Dispatcher._settle

    def settle(self: Dispatcher, intent: Job, outcome: Status, **changes: Any) -> Job:
        return real(self, intent, to if outcome is meant else outcome, **changes)

    return lambda: patch.object(Dispatcher, "_settle", settle)


def pays_for_what_came() -> Context:
    """A superseded job is not looked up, and may have its result by now."""
    return patch.object(Deduplication, "superseded_jobs", lambda *_: [])


def looked_before() -> Context:
    """A superseded job is read before the intent, and not checked in its transaction."""
    return patch.object(dynamodb, "checks", lambda _: [])


def settles_any_intent() -> Context:
    """A submitter writes its outcome over a later intent."""
    return patch.object(dispatch, "_still_open", lambda *_: True)


def posts_again() -> Context:
    """The client repeats a POST whose answer was lost, as fal's own does."""
    real = ANSWERS["fal.submit"]

    def submit(now: World, effect: Effect, faults: frozenset[Fault]) -> Answers:
        for possible in real(now, effect, faults):
            if possible.answer.failed and len(possible.world.requests) > len(now.requests):
                again = next(real(possible.world, effect, frozenset()))
                yield Possible(f"{possible.text}; and once more", again.answer, again.world)
            else:
                yield possible

    return patch.dict(ANSWERS, {"fal.submit": submit})


# What fal reports


def any_token() -> Context:
    """The webhook accepts any token of a job's address."""
    return patch.object(webhook, "token_matches", lambda *_: True)


def any_signature() -> Context:
    """The webhook accepts any signature."""

    def verified(_: WebhookHandler, headers: Any, body: bytes) -> WebhookDelivery:
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
    """A status moves a job that has ended."""
    to = frozenset({Status.STORING, Status.FAILED, Status.CANCELLED})
    table = {each: to if each.terminal else moves for each, moves in TRANSITIONS.items()}
    return _all(
        patch.object(fal_updates, "comes_after_all", lambda job, _: job.terminal),
        patch.object(fal_updates, "TRANSITIONS", table),
        patch.object(domain, "TRANSITIONS", table),
    )


def moves_anyhow() -> Context:
    """A status moves the job whether or not that is a transition."""
    anywhere = {each: frozenset(Status) for each in Status}
    return patch.object(fal_updates, "TRANSITIONS", anywhere)


def given_up_for_good() -> Context:
    """A job that was given up takes no result any more."""
    return patch.object(fal_updates, "comes_after_all", lambda *_: False)


def denied_once() -> Context:
    """A request that fal does not know is given up at once."""

    def denied(self: FalUpdateHandler, job: Job) -> Job:
        return job.move(Status.EXPIRED, now=self.record.clock(), problems=(GONE,))

    return patch.object(FalUpdateHandler, "_denied", denied)


def result_denied_once() -> Context:
    """A result that fal does not have is given up at once."""
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
    """A result that is there is not handed to the store worker."""
    return _receiving(handover=SimpleNamespace(hand_over=_nothing))


def always_200() -> Context:
    """The webhook answers 200 although nothing was written."""

    def done(role: Role, outcome: Outcome) -> bool:
        return role is Role.WEBHOOK or acknowledged(role, outcome)

    return patch.object(moves, "acknowledged", done)


# The reconciler and the waiting queue


def helps(*statuses: Status, by: Callable[[Reconciler, Job], object] = _nothing) -> Off:
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

    return _all(helps(Status.STORING)(), patch.object(FalUpdateHandler, "receive", receive))


def any_evidence() -> Context:
    """The last of several requests that may be the job's is taken."""

    def look(self: Reconciler, job: Job) -> None:
        found = self.evidence.history.requests_for(job, since=job.created_at)
        if found:
            self._ask(job, found[-1])

    return patch.object(Reconciler, "_look_for_evidence", look)


def wakes_none() -> Context:
    """The waiting queue wakes no job at all."""
    return patch.object(WaitingQueue, "wake_next", _nothing)


_SILENT: Any = SimpleNamespace(wake_next=_nothing)


def slot_wakes_none() -> Context:
    """A slot that is given back wakes no job."""
    return _receiving(waiting_queue=_SILENT)


def round_wakes_none() -> Context:
    """A round of the reconciler wakes no job."""
    real = Reconciler.reconcile

    def reconcile(self: Reconciler) -> object:
        return real(replace(self, waiting_queue=_SILENT))

    return patch.object(Reconciler, "reconcile", reconcile)


def not_swept(part: str) -> Off:
    """Leave out one part of the sweep."""
    return lambda: patch.object(Sweep, part, lambda *_: SweepResult())


# The files


def succeeds_first() -> Context:
    """The job ends before its files are copied."""

    def end(self: ResultStorer, job_lease: JobLease) -> Job:
        job = job_lease.end(Status.SUCCEEDED)
        self._store(job_lease)
        return job

    return patch.object(ResultStorer, "_end", end)


def leases_for_ever() -> Context:
    """A worker that has died keeps its job."""
    real = JobLease.take.__func__  # type: ignore[attr-defined]  # a classmethod has it

    def take(
        cls: type[JobLease], record: Any, job: Job, *, owner: str, length: Any
    ) -> JobLease | None:
        if job.lease and job.lease.owner != owner:
            return None
        taken: JobLease | None = real(cls, record, job, owner=owner, length=length)
        return taken

    return patch.object(JobLease, "take", classmethod(take))
