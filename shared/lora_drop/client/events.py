"""What a program sees of a job while it follows it, as typed events."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from lora_drop.jobs.artifacts import StoredFile
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
class Ended:
    """The last event: the job has ended, or is HELD until a person decides."""

    status: Status


type JobEvent = StatusChanged | Waiting | Queued | Training | Log | Stored | Ended
