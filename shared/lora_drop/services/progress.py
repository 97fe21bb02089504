"""The progress of a training: read from fal's log, kept with the job, compared with the stack's earlier ones."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from lora_drop.fal.progress import Progress, progress_in
from lora_drop.fal.status import RequestLog
from lora_drop.jobs.job import Job
from lora_drop.jobs.progress import AT_WORK, TrainingProgress, furthest
from lora_drop.jobs.status import Status
from lora_drop.jobs.training_times import TrainingTime, seconds_left, time_limit
from lora_drop.ports import TrainingTimes
from lora_drop.services.record import Record

# A person who watches asks every second or two; the row is written less often.
KEPT_EVERY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class ProgressRecord:
    """What is learnt of trainings while they run; it never moves a job, and publishes nothing."""

    record: Record
    times: TrainingTimes

    def learn(self, job: Job, log: RequestLog) -> Job:
        """Return the job with what this log of its request says; it is written when enough has changed.

        A job that is not at work any more, or whose request is another by now, stays as it is.
        """
        if job.status not in AT_WORK:
            return job
        steps = job.parameters.steps if job.parameters else None
        found = progress_in((entry.message for entry in log.lines), steps)
        now = self.record.clock()
        measured = self._measured(job, found, now) if found else None
        progress = furthest(job.progress, measured, steps)
        position = None if log.started else log.queue_position
        learnt = job.model_copy(update={"progress": progress, "queue_position": position})
        if _worth_a_write(job, learnt, now):
            self.record.jobs.keep_progress(job, progress, position)
        return learnt

    def remember(self, job: Job) -> None:
        """Add the training of a job that has succeeded to those of its trainer; to be called once."""
        if (time := TrainingTime.of(job)) is not None:
            self.times.add_time(job.application, time)

    def time_limit(self, job: Job) -> timedelta | None:
        """Return how long this job may be in training before a person should know; None for any other."""
        if job.status is not Status.TRAINING or job.parameters is None:
            return None
        return time_limit(self.times.times(job.application), job.parameters.steps)

    def _measured(self, job: Job, found: Progress, now: datetime) -> TrainingProgress:
        left = seconds_left(
            self.times.times(job.application),
            step=found.step,
            steps=found.steps,
            pace=found.seconds_per_step,
            said=found.seconds_left,
        )
        return TrainingProgress(
            step=found.step,
            steps=found.steps,
            percent=found.percent,
            eta_seconds=left,
            at=now,
            seconds_per_step=found.seconds_per_step,
        )


def _worth_a_write(before: Job, after: Job, now: datetime) -> bool:
    if before.queue_position != after.queue_position:
        return True
    if after.progress is None or after.progress == before.progress:
        return False
    if before.progress is None or before.progress.steps != after.progress.steps:
        return True
    return now - before.progress.at >= KEPT_EVERY
