"""Mistakes made on purpose: a proof that finds nothing is worth as much as what it would have found."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from lora_drop.fal.webhooks import WebhookDelivery
from lora_drop.jobs.errors import SubmissionUnknownError
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_problems import GONE
from lora_drop.jobs.status import Status
from lora_drop.services import fal_updates as receive
from lora_drop.services import reconcile, record, store, submit, sweep, waiting_queue
from lora_drop.services import webhook as deliver
from tests.support.builders import NOW
from tests.support.memory_jobs import MemoryJobs

type Patch = tuple[object, str, Any]


@dataclass(frozen=True)
class Mistake:
    """One guard taken away: what is put in whose place."""

    name: str
    patches: tuple[Patch, ...]

    @contextmanager
    def made(self) -> Iterator[None]:
        """While this lasts, the code has the mistake."""
        before = [(where, name, getattr(where, name)) for where, name, _ in self.patches]
        for where, name, value in self.patches:
            setattr(where, name, value)
        try:
            yield
        finally:
            for where, name, value in before:
                setattr(where, name, value)


def _stolen_by_the_clock(self: reconcile.Reconciler, job: Job) -> None:
    if job.status is Status.SUBMITTING:
        self.record.move(job, Status.READY, problems=())
    else:
        _help(self, job)


_help = reconcile.Reconciler._help


def _doubt_sent_again(self: Any, *arguments: Any, **named: Any) -> Any:
    try:
        return self.fal.submit(*arguments, **named)
    except SubmissionUnknownError:
        return self.fal.submit(*arguments, **named)


def _never_conflicts(self: MemoryJobs, _: Job, after: Job, **__: Any) -> None:
    self.rows[after.job_id] = after


def _without_help_for(status: Status) -> Callable[[reconcile.Reconciler, Job], None]:
    def help_(self: reconcile.Reconciler, job: Job) -> None:
        if job.status is not status:
            _help(self, job)

    return help_


def _any_request_adopted(job: Job, request_id: str, log: record.Record) -> Job:
    if job.request_id != request_id:
        return job.model_copy(update={"request_id": request_id, "version": job.version + 1})
    return _adopt(job, request_id, log)


_adopt = receive._adopt


def _without_limits(self: record.Record, job: Job, to: Status, **named: Any) -> Job:
    return _intend(self, job, to, **{**named, "limits": replace(named["limits"], max_in_flight=99)})


_intend = record.Record.intend


def _intent_kept_in_mind(self: record.Record, job: Job, to: Status, **named: Any) -> Job:
    """The write-ahead is skipped, and made up for only when the POST has come back."""
    del self, named
    return job.model_copy(update={"status": to})


def _nothing(*_: object, **__: object) -> None:
    return None


def _handed_over_first_time_only(
    self: receive.FalUpdateHandler, job_id: str, fact: Any, *, asked: bool = False
) -> Job:
    job = self.record.jobs.get(job_id)
    if job is not None and job.status is Status.STORING:
        return job
    return _receive(self, job_id, fact, asked=asked)


_receive = receive.FalUpdateHandler.receive


def _ended_before_it_is_copied(self: store.ResultStorer, job_lease: Any) -> Job:
    job_lease.job = job_lease.end(Status.SUCCEEDED)
    return _end(self, job_lease)


_end = store.ResultStorer._end


def _told_apart_by_nothing(self: submit.Submitter, job: Job, ready: Job, **_: Any) -> Job:
    return self.record.write(job, ready)


def _announced_too_late(self: Any, *_: Any) -> sweep.SweepResult:
    del self
    return sweep.SweepResult()


def _resumed_blindly(self: Any, file: Any) -> str:
    del self
    return "always the same" if file.identity else ""


def _unverified(_: deliver.WebhookHandler, headers: Any, body: bytes) -> WebhookDelivery:
    return WebhookDelivery(headers.request_id, headers.user_id, NOW, body)


def _given_up_at_once(self: receive.FalUpdateHandler, job: Job) -> Job:
    return job.move(Status.EXPIRED, now=self.record.clock(), problems=(GONE,))


MISTAKES = (
    Mistake(
        "a submission is stolen by the clock",
        ((reconcile.Reconciler, "_help", _stolen_by_the_clock),),
    ),
    Mistake(
        "the intent is not written before the POST",
        ((record.Record, "intend", _intent_kept_in_mind),),
    ),
    Mistake("writes never conflict", ((MemoryJobs, "replace", _never_conflicts),)),
    Mistake(
        "nobody sends a stuck handover again",
        (
            (reconcile.Reconciler, "_help", _without_help_for(Status.STORING)),
            (receive.FalUpdateHandler, "receive", _handed_over_first_time_only),
        ),
    ),
    Mistake("nobody asks about a late job", ((reconcile.Reconciler, "_ask", _nothing),)),
    Mistake("any request is adopted", ((receive, "_adopt", _any_request_adopted),)),
    Mistake("the slots are not counted", ((record.Record, "intend", _without_limits),)),
    Mistake("a lost event is not looked for", ((sweep.Sweep, "datasets", _announced_too_late),)),
    Mistake(
        "abandoned uploads are not looked for", ((sweep.Sweep, "uploads", _announced_too_late),)
    ),
    Mistake(
        "a job ends before its files are there",
        ((store.ResultStorer, "_end", _ended_before_it_is_copied),),
    ),
    Mistake(
        "the same content is not told apart",
        ((submit.Submitter, "_placed", _told_apart_by_nothing),),
    ),
    Mistake(
        "nobody calls the next in the line", ((waiting_queue.WaitingQueue, "wake_next", _nothing),)
    ),
    Mistake(
        "what has ended takes no result any more",
        ((receive, "comes_after_all", lambda *_: False),),
    ),
    Mistake(
        "fal is believed the first time that it denies a request",
        ((receive.FalUpdateHandler, "_denied", _given_up_at_once),),
    ),
    Mistake("a token is not looked at", ((deliver, "token_matches", lambda *_: True),)),
    Mistake(
        "a signature is not looked at",
        (
            (
                deliver.WebhookHandler,
                "_verified",
                _unverified,
            ),
        ),
    ),
)
