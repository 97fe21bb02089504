"""How long this stack's own trainings took: what an ETA and the alarm for a slow job are made from."""

from collections.abc import Sequence
from datetime import timedelta
from statistics import median
from typing import Self

from pydantic import BaseModel, ConfigDict

from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status

KEPT = 20  # trainings of one trainer, the last ones
ENOUGH_FOR_PACE = 3
ENOUGH_FOR_LIMIT = 5
# Runners differ, so only what lies well outside of all that was seen is another kind of training.
TOLERANCE = 1.25
# The first steps wait for what is loaded and compiled.
SETTLED_STEPS = 0.05
# Twice as slow as the slowest so far, and never a matter of minutes: a start at fal alone may take some.
SLOW = 2.0
LEAST_LIMIT = timedelta(minutes=30)


class TrainingTime(BaseModel):
    """One training that succeeded: ``seconds`` from its submission to its result, with the wait at fal.

    ``seconds_per_step`` is what its own log said, where it was read.
    """

    model_config = ConfigDict(frozen=True)

    steps: int
    seconds: float
    seconds_per_step: float | None = None

    @classmethod
    def of(cls, job: Job) -> Self | None:
        """Return the time of this job's training; None where it has not trained, or not succeeded."""
        since = {step.status: step.at for step in job.history}
        begun, done = since.get(Status.SUBMITTED), since.get(Status.STORING)
        if job.status is not Status.SUCCEEDED or job.parameters is None or not begun or not done:
            return None
        pace = job.progress.seconds_per_step if job.progress else None
        seconds = max(0.0, (done - begun).total_seconds())
        return cls(steps=job.parameters.steps, seconds=seconds, seconds_per_step=pace)


def seconds_left(
    times: Sequence[TrainingTime], *, step: int, steps: int, pace: float | None, said: float | None
) -> float | None:
    """Return how long the rest of the steps will take, from the stack's history once there is one.

    ``pace`` (seconds per step) and ``said`` (seconds left) are what the trainer has measured itself. They count
    where there is no history, and where this training is slower or faster than any of it.
    """
    paces = [each.seconds_per_step for each in times if each.seconds_per_step]
    if len(paces) < ENOUGH_FOR_PACE:
        return said
    usual = min(paces) / TOLERANCE <= (pace or 0.0) <= max(paces) * TOLERANCE
    if usual or pace is None or step < SETTLED_STEPS * steps:
        return round(median(paces) * (steps - step), 1)
    return said


def time_limit(times: Sequence[TrainingTime], steps: int) -> timedelta | None:
    """Return how long a training of so many steps may take before it is slow; None without enough history."""
    if len(times) < ENOUGH_FOR_LIMIT:
        return None
    slowest = max(each.seconds * max(1.0, steps / max(1, each.steps)) for each in times)
    return max(LEAST_LIMIT, timedelta(seconds=SLOW * slowest))
