"""A job as it was just written, whose files and events are still to be published.

What comes of a job that is ready to be sent is known a moment later: both are published at once. Whoever dies in
between leaves it in the outbox.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lora_drop.jobs.job import Job
from lora_drop.services.record import Record


@dataclass(slots=True)
class Unpublished:
    """The job that the caller has just written, with those of its states that are not published yet."""

    record: Record
    job: Job | None
    states: Sequence[Job]

    def states_of(self, job: Job) -> Sequence[Job]:
        """Return what is to be published with the next write of this job."""
        return self.states if self.job and self.job.job_id == job.job_id else ()

    def over(self, job: Job) -> None:
        """Forget what was published with a write of this job."""
        if self.states_of(job):
            self.states = ()

    def publish(self) -> None:
        """Publish the job as it was written, where that is still to be done."""
        states, self.states = self.states, ()
        if self.job and states:
            self.record.publish(self.job, *states)
