"""Ways to take the guards off the real code, one at a time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from lora_drop.adapters import dynamodb, dynamodb_writes
from lora_drop.adapters.dynamodb_writes import Action
from lora_drop.fal.status import Failed
from lora_drop.jobs import job as domain
from lora_drop.jobs.errors import ForeignRequestError
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_problems import GONE
from lora_drop.jobs.status import TRANSITIONS, Status
from lora_drop.services import dispatch
from lora_drop.services import fal_updates as receive
from lora_drop.services import webhook as deliver
from lora_drop.services.deduplication import Deduplication
from lora_drop.services.dispatch import Dispatcher
from lora_drop.services.fal_updates import FalUpdateHandler
from lora_drop.services.lease import JobLease
from lora_drop.services.reconcile import Reconciler
from lora_drop.services.store import ResultStorer
from lora_drop.services.sweep import Sweep, SweepResult
from tests.resilience.model import meanings, moves
from tests.resilience.model.bounds import Fault, Role
from tests.resilience.model.meanings import Answers, Possible
from tests.resilience.model.moves import acknowledged
from tests.resilience.model.rehearsal import Effect, Outcome
from tests.resilience.model.world import World

type Off = Callable[[], AbstractContextManager[object]]
type Context = AbstractContextManager[object]


def nothing(*_: Any, **__: Any) -> None:
    """What is done where a guard would have done something."""


# --- the jobs table -------------------------------------------------------------------------------


def unconditional(actions: str) -> Off:
    """A job is written whatever its row is by now; ``actions`` are add's or replace's."""
    real = getattr(dynamodb, actions)

    def blind(*args: Any) -> Sequence[Action]:
        first, *rest = real(*args)
        return [Action({"Put": {"Item": first.write["Put"]["Item"]}}), *rest]

    return lambda: patch.object(dynamodb, actions, blind)


def no_slot_limit() -> Context:
    """As many trainings at fal as there are jobs."""
    real = dynamodb_writes._slot
    return patch.object(dynamodb_writes, "_slot", lambda had, has, _: real(had, has, None))


def slot_kept() -> Context:
    """A job keeps its slot for ever."""
    real = dynamodb_writes._slot

    def slot(before: Job, after: Job, limits: Any) -> Sequence[Action]:
        return real(before, after, limits) if after.at_fal else []

    return patch.object(dynamodb_writes, "_slot", slot)


def money_kept() -> Context:
    """What was set aside stays so when nothing is paid after all."""
    real = dynamodb_writes._money

    def money(before: Job, after: Job, limits: Any) -> Sequence[Action]:
        return [] if len(after.charges) < len(before.charges) else real(before, after, limits)

    return patch.object(dynamodb_writes, "_money", money)


def no_budget() -> Context:
    """A month may cost what it costs."""
    return patch.object(dynamodb_writes, "_room", lambda *_: None)


def unclaimed() -> Context:
    """Nobody remembers which job has a content."""
    return patch.object(dynamodb_writes, "_claimed", lambda *_: [])


# --- the one POST ---------------------------------------------------------------------------------


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
    """What came of the POST is taken for something else."""
    real = Dispatcher._settle

    def settle(self: Dispatcher, intent: Job, told: Status, **changes: Any) -> Job:
        return real(self, intent, to if told is meant else told, **changes)

    return lambda: patch.object(Dispatcher, "_settle", settle)


def pays_for_what_came() -> Context:
    """Nobody looks whether a job that was given up has got its result after all."""
    return patch.object(Deduplication, "superseded_jobs", lambda *_: [])


def looked_before() -> Context:
    """It was looked at before the intent, and may have come since."""
    return patch.object(dynamodb, "checks", lambda _: [])


def settles_any_intent() -> Context:
    """A submitter writes its outcome over whatever has been begun since."""
    return patch.object(dispatch, "_still_open", lambda *_: True)


def posts_again() -> Context:
    """The client repeats a POST whose answer was lost, as fal's own does."""
    real = meanings.MEANINGS["fal.submit"]

    def submit(now: World, effect: Effect, faults: frozenset[Fault]) -> Answers:
        for possible in real(now, effect, faults):
            if possible.answer.failed and len(possible.world.requests) > len(now.requests):
                again = next(real(possible.world, effect, frozenset()))
                yield Possible(f"{possible.text}; and once more", again.answer, again.world)
            else:
                yield possible

    return patch.dict(meanings.MEANINGS, {"fal.submit": submit})


# --- what fal says --------------------------------------------------------------------------------


def any_token() -> Context:
    """Whoever has a job's id may speak for it."""
    return patch.object(deliver, "token_matches", lambda *_: True)


def any_request() -> Context:
    """A job listens to every request that comes to its address."""
    real = receive._adopt

    def adopt(job: Job, request_id: str, record: Any) -> Job:
        try:
            return real(job, request_id, record)
        except ForeignRequestError:
            return job

    return patch.object(receive, "_adopt", adopt)


@contextmanager
def ended_moves() -> Iterator[None]:
    """Facts are taken in whatever has become of the job."""
    to = frozenset({Status.STORING, Status.FAILED, Status.CANCELLED})
    table = {each: to if each.terminal else moves for each, moves in TRANSITIONS.items()}
    with (
        patch.object(receive, "comes_after_all", lambda job, _: job.terminal),
        patch.object(receive, "TRANSITIONS", table),
        patch.object(domain, "TRANSITIONS", table),
    ):
        yield


def moves_anyhow() -> Context:
    """A fact moves the job whether or not that is a move."""
    anywhere = {each: frozenset(Status) for each in Status}
    return patch.object(receive, "TRANSITIONS", anywhere)


def given_up_for_good() -> Context:
    """A job that was given up takes no result any more."""
    return patch.object(receive, "comes_after_all", lambda *_: False)


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
    """A job that is sent once more does not know its earlier request."""
    real = receive._not_fetched

    def not_fetched(job: Job, failed: Failed, *, asked: bool) -> tuple[Status | None, Any]:
        to, changes = real(job, failed, asked=asked)
        return to, {name: each for name, each in changes.items() if name != "earlier_requests"}

    return patch.object(receive, "_not_fetched", not_fetched)


def not_handed_over() -> Context:
    """A result that is there is not handed to the store worker."""
    real = FalUpdateHandler.receive

    def received(self: FalUpdateHandler, *args: Any, **more: Any) -> Job:
        return real(replace(self, handover=_NoQueue()), *args, **more)

    return patch.object(FalUpdateHandler, "receive", received)


class _NoQueue:
    hand_over = staticmethod(nothing)


def always_200() -> Context:
    """The webhook says 200 to what it could not write down."""

    def done(role: Role, outcome: Outcome) -> bool:
        return role is Role.WEBHOOK or acknowledged(role, outcome)

    return patch.object(moves, "acknowledged", done)


# --- the reconciler and the line ------------------------------------------------------------------


def helps(*statuses: Status, by: Callable[[Reconciler, Job], object] = nothing) -> Off:
    """The reconciler does this, or nothing, for jobs in these states."""
    real = Reconciler._help

    def helped(self: Reconciler, job: Job) -> object:
        return by(self, job) if job.status in statuses else real(self, job)

    return lambda: patch.object(Reconciler, "_help", helped)


def ready_again(reconciler: Reconciler, job: Job) -> None:
    """Back into the line, whatever fal may have of it."""
    reconciler.record.move(job, Status.READY)


def any_evidence() -> Context:
    """Of several requests that may be the job's, one is taken."""

    def look(self: Reconciler, job: Job) -> None:
        found = self.evidence.history.requests_for(job, since=job.created_at)
        if found:
            self._ask(job, found[-1])

    return patch.object(Reconciler, "_look_for_evidence", look)


def nobody_is_called(who: type[FalUpdateHandler] | type[Reconciler], method: str) -> Off:
    """Whoever gives back a slot, or makes a round, calls nobody."""
    real = getattr(who, method)

    def silent(self: Any, *args: Any, **more: Any) -> object:
        return real(replace(self, waiting_queue=_NoLine()), *args, **more)

    return lambda: patch.object(who, method, silent)


class _NoLine:
    wake_next = staticmethod(nothing)


def not_swept() -> Context:
    """Nobody looks whether every dataset has a job."""
    return patch.object(Sweep, "datasets", lambda *_: SweepResult())


# --- the files ------------------------------------------------------------------------------------


def succeeds_first() -> Context:
    """The job ends before its files are copied."""

    def end(self: ResultStorer, job_lease: JobLease) -> Job:
        job = job_lease.end(Status.SUCCEEDED)
        self._store(job_lease)
        return job

    return patch.object(ResultStorer, "_end", end)


def leases_for_ever() -> Context:
    """A dead worker keeps its job."""
    real = JobLease.take.__func__  # type: ignore[attr-defined]  # a classmethod has it

    def take(
        cls: type[JobLease], record: Any, job: Job, *, owner: str, length: Any
    ) -> JobLease | None:
        if job.lease and job.lease.owner != owner:
            return None
        taken: JobLease | None = real(cls, record, job, owner=owner, length=length)
        return taken

    return patch.object(JobLease, "take", classmethod(take))
