"""Ways to take guards off what pays: the jobs table and the one POST.

Where the model runs the DynamoDB adapter and the fault schedules its fake, both lose the guard.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from lora_drop.adapters import dynamodb, dynamodb_writes
from lora_drop.adapters.dynamodb_writes import Action
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.services import dispatch
from lora_drop.services.deduplication import Deduplication
from lora_drop.services.dispatch import Dispatcher
from tests.resilience.model.answers import ANSWERS, Answers, Possible
from tests.resilience.model.replay import Effect
from tests.resilience.model.world import Fault, World
from tests.support.memory_jobs import MemoryJobs

type Off = Callable[[], AbstractContextManager[object]]
type Context = AbstractContextManager[object]


def nothing(*_: Any, **__: Any) -> None:
    """Do nothing, in the place of a guard."""


@contextmanager
def combined(*patches: Context) -> Iterator[None]:
    with ExitStack() as stack:
        for each in patches:
            stack.enter_context(each)
        yield


def replaced(owner: object, name: str, by: object) -> Off:
    return lambda: patch.object(owner, name, by)


# The jobs table


def _without_condition(actions: str) -> Context:
    """The adapter puts a job's row without a condition; ``actions`` are add's or replace's."""
    real = getattr(dynamodb, actions)

    def unconditional(*args: Any, **more: Any) -> Sequence[Action]:
        first, *rest = real(*args, **more)
        return [Action({"Put": {"Item": first.write["Put"]["Item"]}}), *rest]

    return patch.object(dynamodb, actions, unconditional)


def add_overwrites() -> Context:
    return _without_condition("add_actions")


def replace_overwrites() -> Context:
    """A job is written although its row has another version by now."""
    real = MemoryJobs.replace

    def unconditional(self: MemoryJobs, before: Job, after: Job, **more: Any) -> None:
        real(self, self.rows.get(before.job_id, before), after, **more)

    in_memory = patch.object(MemoryJobs, "replace", unconditional)
    return combined(_without_condition("replace_actions"), in_memory)


def no_slot_limit() -> Context:
    real, check = dynamodb_writes._slot, MemoryJobs._check

    def unlimited(self: MemoryJobs, before: Job, after: Job, limits: Limits) -> None:
        check(self, before, after, replace(limits, max_in_flight=99))

    return combined(
        patch.object(dynamodb_writes, "_slot", lambda had, has, _: real(had, has, None)),
        patch.object(MemoryJobs, "_check", unlimited),
    )


def slot_kept() -> Context:
    real = dynamodb_writes._slot

    def slot(before: Job, after: Job, limits: Any) -> Sequence[Action]:
        return real(before, after, limits) if after.at_fal else []

    return patch.object(dynamodb_writes, "_slot", slot)


def money_kept() -> Context:
    real = dynamodb_writes._money

    def money(before: Job, after: Job, limits: Any) -> Sequence[Action]:
        return [] if len(after.charges) < len(before.charges) else real(before, after, limits)

    return patch.object(dynamodb_writes, "_money", money)


no_budget = replaced(dynamodb_writes, "_room", lambda *_: None)


def unclaimed() -> Context:
    return combined(
        patch.object(dynamodb_writes, "_claimed", lambda *_: []),
        patch.object(MemoryJobs, "_claim", nothing),
    )


def all_told() -> Context:
    """Who has told of some changes takes all that are in the outbox for told."""
    real = MemoryJobs.mark_published

    def mark(self: MemoryJobs, job_id: str, version: int, _: Any = None) -> bool:
        return real(self, job_id, version)

    return patch.object(MemoryJobs, "mark_published", mark)


# The one POST


def post_first() -> Context:
    """The intent is written when the POST has been answered."""

    def pay(
        self: Dispatcher, job: Job, request: dispatch.SubmissionRequest, states: Sequence[Job]
    ) -> Job:
        arguments = self._arguments(job, request)
        url = self._webhook_url(job)
        receipt = self.fal.submit(job.application, arguments, webhook_url=url)
        intent = self.record.intend(
            job, Status.SUBMITTING, limits=self.limits, unchanged=request.unchanged, problems=()
        )
        sent = {"request_id": receipt.request_id, "problems": ()}
        return self._settle(intent, Status.SUBMITTED, (*states, intent), **sent)

    return patch.object(Dispatcher, "_pay", pay)


def settled(meant: Status, *, to: Status) -> Off:
    """Take one outcome of the POST for another."""
    real = Dispatcher._settle

    def settle(
        self: Dispatcher, intent: Job, outcome: Status, states: Sequence[Job], **changes: Any
    ) -> Job:
        return real(self, intent, to if outcome is meant else outcome, states, **changes)

    return lambda: patch.object(Dispatcher, "_settle", settle)


pays_for_what_came = replaced(Deduplication, "superseded_jobs", lambda *_: [])
looked_before = replaced(dynamodb, "checks", lambda _: [])
settles_any_intent = replaced(dispatch, "_still_open", lambda *_: True)


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
