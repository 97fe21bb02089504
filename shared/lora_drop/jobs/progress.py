"""How far a job's training is, as it is kept with the job: it never goes back within one request at fal and one total."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from lora_drop.jobs.status import Status

# Only in these states is there a training whose progress can change.
AT_WORK = frozenset({Status.SUBMITTED, Status.TRAINING})


class PublicProgress(BaseModel):
    """How far a training is."""

    model_config = ConfigDict(frozen=True, from_attributes=True, hide_input_in_errors=True)

    step: int
    steps: int
    percent: float = Field(
        description="0 to 100, never less than before for the same request and `steps`"
    )
    eta_seconds: float | None = Field(
        description="how long it will take from `at` on; null while nothing is known"
    )
    at: datetime = Field(description="when fal was asked, UTC")


class TrainingProgress(PublicProgress):
    """What is stored: also what the trainer's own log says of its pace."""

    eta_seconds: float | None = None  # the store leaves out what is empty
    seconds_per_step: float | None = None

    def ended(self, now: datetime) -> Self:
        """Return the progress of a training that fal has finished."""
        update = {"step": self.steps, "percent": 100.0, "eta_seconds": 0.0, "at": now}
        return self.model_copy(update=update)


def furthest(
    before: TrainingProgress | None, after: TrainingProgress | None, steps: int | None = None
) -> TrainingProgress | None:
    """Return the one of two readings of the same request that is further; the later one where they are equal.

    Readings of different totals are not compared: the one of the job's own ``steps`` counts, else the later one.
    """
    if before is None or after is None:
        return before or after
    if before.steps != after.steps:
        return before if before.steps == steps else after
    return after if (after.percent, after.at) >= (before.percent, before.at) else before
