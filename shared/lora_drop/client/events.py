"""What a program sees of a job while it follows it, as typed events."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """The job is in another state, since ``at`` (UTC)."""

    status: Status
    at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """The job is READY and waits for a slot at fal; ``jobs_before`` older jobs come first."""

    slots_taken: int
    slots: int
    jobs_before: int


@dataclass(frozen=True, slots=True)
class Queued:
    """fal has the job in its queue; ``position`` requests come first, None where fal does not say."""

    position: int | None


@dataclass(frozen=True, slots=True)
class Training:
    """The trainer works; ``percent`` is 0 to 100 and never falls while ``steps`` is the same, ``eta`` None where nothing is known yet."""

    step: int
    steps: int
    percent: float
    eta: timedelta | None


@dataclass(frozen=True, slots=True)
class Log:
    """One line of fal's log of the training."""

    message: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Stored:
    """The files that are in the models bucket now."""

    files: tuple[StoredFile, ...]


@dataclass(frozen=True, slots=True)
class StackUnreachable:
    """The stack does not answer, ``reason`` says how; it is asked again for as long as ``patience`` lasts."""

    reason: str


@dataclass(frozen=True, slots=True)
class StackAnswers:
    """The stack answers again, ``after`` so long; what has happened meanwhile comes next."""

    after: timedelta


@dataclass(frozen=True, slots=True)
class Held:
    """The last event of a job that waits for a decision of a person, with what it waits for; it has not ended."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event of a job that has ended, with its LoRA or without."""

    status: Status


type JobEvent = (
    StatusChanged
    | Waiting
    | Queued
    | Training
    | Log
    | Stored
    | StackUnreachable
    | StackAnswers
    | Held
    | Ended
)
