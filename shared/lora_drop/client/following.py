"""A job that is followed: what is new at each look at the stack, as typed events.

A reader never sleeps and never raises for a stack that is silent for a moment: its caller sleeps for ``pause``,
in its own way (a thread, asyncio), and may show what ``silence`` says.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from lora_drop.client.errors import (
    CommandError,
    JobTimeoutError,
    JobUnknownError,
    StackUnreachableError,
)
from lora_drop.client.events import (
    Ended,
    Held,
    JobEvent,
    Log,
    Queued,
    StackAnswers,
    StackUnreachable,
    StatusChanged,
    Stored,
    Training,
    Waiting,
)
from lora_drop.client.unreachable import given_up, patience_with
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status

INTERVAL = 1.0  # seconds from one look to the next
LEAST = 0.2  # seconds between two looks, however long they take
MOST = 15.0  # seconds, between two looks at what does not answer
REFRESH = 5.0  # seconds after which the job is read although its log says nothing new of it
STOPS = frozenset(status for status in Status if status.terminal) | {Status.HELD}
AT_WORK = frozenset({Status.SUBMITTED, Status.TRAINING})
TRAINED = frozenset({Status.STORING, Status.SUCCEEDED})


class JobSource(Protocol):
    """What is asked: StackClient."""

    def job(self, job_id: str) -> dict[str, Any]:
        """Return the job; raises JobUnknownError."""

    def logs(self, job_id: str, after: int = 0) -> dict[str, Any]:
        """Return the log of its training from this line on."""


@dataclass(slots=True)
class Watch:
    """Looks at one job again and again, for ``timeout`` seconds at most, and ``patience`` of them in silence.

    ``local``: the stack is one on this machine, whose jobs end with it.
    """

    client: JobSource
    job_id: str
    timeout: float | None = None
    patience: float | None = None
    local: bool = False
    clock: Callable[[], float] = time.monotonic
    failures: int = 0  # in a row
    silence: str | None = None
    _began: float = field(init=False)
    _answered: float | None = None
    _unreachable: bool = False
    _after: timedelta = timedelta(0)
    _stands: str = "not seen yet"

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def pause(self) -> float:
        """How many seconds to wait before the next look."""
        return backoff(self.failures)

    @property
    def silent_for(self) -> timedelta:
        """How long the stack has not answered."""
        since = self._began if self._answered is None else self._answered
        return timedelta(seconds=self.clock() - since)

    @property
    def seconds(self) -> float:
        """How long it has been followed."""
        return self.clock() - self._began

    def look(self) -> dict[str, Any] | None:
        """Return the job as the API has it; None while it is not known yet, or the stack is silent.

        Raises JobTimeoutError when the time is over and the job is not at its end.
        """
        job = self._asked()
        if job is None or Status(job["status"]) not in STOPS:
            self.refuse_longer(job)
        return job

    def _asked(self) -> dict[str, Any] | None:
        try:
            job = self.client.job(self.job_id)
        except JobUnknownError:
            job = None
        except StackUnreachableError as error:
            most = patience_with(error, answered=self._answered is not None)
            silent = self.silent_for.total_seconds()
            if silent > (most if self.patience is None else self.patience):
                raise given_up(error, self.job_id, silent, local=self.local) from error
            self.failures, self.silence = self.failures + 1, str(error)
            return None
        if self.failures:
            self._after = self.silent_for
        self._stands = job["status"] if job else self._stands
        self._answered, self.failures, self.silence = self.clock(), 0, None
        return job

    def turns(self) -> Iterator[StackUnreachable | StackAnswers]:
        """Yield that the stack has just stopped to answer, or answers again; each once."""
        was, self._unreachable = self._unreachable, self.silence is not None
        if self.silence is not None and not was:
            yield StackUnreachable(self.silence)
        if self.silence is None and was:
            yield StackAnswers(self._after)

    def refuse_longer(self, job: Mapping[str, Any] | None) -> None:
        """Raise JobTimeoutError where the caller's time is over."""
        if self.timeout is None or self.seconds < self.timeout:
            return
        stands = job["status"] if job else self._stands
        raise JobTimeoutError(
            f"{self.job_id} is {stands} after {self.timeout:.0f} s. It goes on by itself: "
            f"lora-drop watch {self.job_id}"
        )


@dataclass(slots=True)
class EventReader:
    """Turns looks at a job into events, each of them once, the percent never falling within one total.

    ``job`` is the job as it was seen last, None before that.
    """

    watch: Watch
    ended: bool = False
    job: dict[str, Any] | None = None
    _looked_at: float = 0.0
    _read_at: float = 0.0
    # A history can become shorter: tries of the clock that came to nothing are taken out of it.
    _steps: set[tuple[str, str]] = field(default_factory=set)
    _stands: str | None = None
    _last: dict[type[JobEvent], JobEvent] = field(default_factory=dict)
    _lines: int = 0
    _training: Training | None = None
    _log_failures: int = 0
    _log_again: float = 0.0
    _log_silence: str | None = None

    @property
    def pause(self) -> float:
        """How many seconds to wait before the next look, which itself takes some."""
        return pause_after(self.watch.failures, self.watch.clock() - self._looked_at)

    @property
    def silence(self) -> str | None:
        """Why nothing new is known at the moment, None where the stack answers."""
        return self.watch.silence or self._log_silence

    def look(self) -> Iterator[JobEvent]:
        """Yield what is new since the last look; raises what Watch.look raises.

        While a training runs its log is read at each look, and the job itself when the log shows another state.
        """
        now = self._looked_at = self.watch.clock()
        status = Status(self.job["status"]) if self.job else None
        if (
            self.job
            and status in AT_WORK
            and now - self._read_at < REFRESH
            and not self.watch.failures
        ):
            self.watch.refuse_longer(self.job)
            said = self._log()
            yield from self._trainers(said)
            if said.get("status", status) == status:
                return
        document = self.watch.look()
        yield from self.watch.turns()
        if document is None:
            return
        self.job, self._read_at = document, now
        if Status(document["status"]) not in AT_WORK:
            self._log_silence = None
        yield from self._events(document)

    def _events(self, job: Mapping[str, Any]) -> Iterator[JobEvent]:
        status = Status(job["status"])
        history = [
            step for step in job["history"] if (step["status"], step["at"]) not in self._steps
        ]
        self._steps |= {(step["status"], step["at"]) for step in history}
        last = job["history"][-1:]
        if not history and last and last[0]["status"] != self._stands:
            history = last  # a try was taken back: the job stands where it stood before
        if history:
            self._stands = history[-1]["status"]
            self._last.pop(Waiting, None)
        if status in TRAINED and not job.get("duplicate_of"):
            yield from self._all_trained(job)
        for step in history:
            yield StatusChanged(Status(step["status"]), datetime.fromisoformat(step["at"]))
        waiting = job.get("waiting")
        if status is Status.READY and waiting:
            counts = (waiting[name] for name in ("slots_taken", "slots", "jobs_before"))
            yield from self._if_new(Waiting(*counts))
        if status in AT_WORK:
            yield from self._trainers({**job, "lines": [], "next": self._lines})
            if history:
                yield from self._trainers(self._log())
        if status is Status.SUCCEEDED:
            yield Stored(tuple(StoredFile.model_validate(each) for each in job["files"]))
        if status in STOPS:
            self.ended = True
            problems = map(Problem.model_validate, job.get("problems", ()))
            yield Held(tuple(problems)) if status is Status.HELD else Ended(status)

    def _log(self) -> dict[str, Any]:
        """Return what the log says now, nothing where fal or the stack does not answer."""
        if self.watch.clock() < self._log_again:
            return {}
        try:
            said = self.watch.client.logs(self.watch.job_id, after=self._lines)
        except CommandError as error:
            self._log_failures += 1
            self._log_again = self.watch.clock() + backoff(self._log_failures)
            self._log_silence = str(error)
            # A log may be refused alone; a stack that is silent says so when the job is read.
            self._read_at = -REFRESH if isinstance(error, StackUnreachableError) else self._read_at
            return {}
        self._log_failures, self._log_silence = 0, None
        return said

    def _trainers(self, said: Mapping[str, Any]) -> Iterator[JobEvent]:
        """Yield the trainer's new lines, and how far it is."""
        self._lines = said.get("next", self._lines)
        yield from map(log_of, said.get("lines", ()))
        position = said.get("queue_position")
        if position is not None and self._training is None:
            yield from self._if_new(Queued(position))
        if progress := said.get("progress"):
            left = progress["eta_seconds"]
            eta = None if left is None else timedelta(seconds=left)
            step, steps, percent = (progress[name] for name in ("step", "steps", "percent"))
            yield from self._trained(Training(step, steps, float(percent), eta))

    def _all_trained(self, job: Mapping[str, Any]) -> Iterator[JobEvent]:
        steps = self._training.steps if self._training else (job["parameters"] or {}).get("steps")
        yield from self._trained(Training(steps or 0, steps or 0, 100.0, timedelta(0)))

    def _trained(self, training: Training) -> Iterator[JobEvent]:
        if is_further(training, self._training):
            self._training = training
            yield training

    def _if_new(self, event: Waiting | Queued) -> Iterator[JobEvent]:
        if self._last.get(type(event)) != event:
            self._last[type(event)] = event
            yield event


def log_of(line: Mapping[str, Any]) -> Log:
    """Return a line of the API's logs."""
    at = line.get("at")
    return Log(line["message"], datetime.fromisoformat(at) if at else None)


def is_further(training: Training, known: Training | None) -> bool:
    """Return whether it is further than what was known, or is counted by another total."""
    return known is None or known.steps != training.steps or training.percent > known.percent


def backoff(failures: int) -> float:
    """Return how many seconds lie between two looks after so many failures in a row."""
    return min(MOST, INTERVAL * 2.0**failures)


def pause_after(failures: int, took: float) -> float:
    """Return how many seconds to wait for the next look, of which the last one took some."""
    return max(LEAST, backoff(failures) - took)
