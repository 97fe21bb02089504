"""The changes that whoever made them could not tell others."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from lora_drop.services.record import Record

# Whoever has just written a change is about to tell it, after the one POST of a submission at the latest.
LEFT_AFTER = timedelta(minutes=1)
PATIENCE = 10.0  # seconds of a round


@dataclass(frozen=True, slots=True)
class Outbox:
    """Tells what was left in the outbox."""

    record: Record
    tick: Callable[[], float] = monotonic

    def tell(self) -> int:
        """Tell how every job stands whose last change was left; how many are left all the same.

        Where nobody listens now it is not tried for each of them.
        """
        until, now = self.tick() + PATIENCE, self.record.clock()
        left, heard = 0, True
        for job_id, version in self.record.jobs.outbox().items():
            if not heard or self.tick() >= until:
                left += 1
                continue
            job = self.record.jobs.get(job_id)
            if job is None:
                # It was forgotten, and nobody is to hear of it.
                self.record.jobs.mark_published(job_id, version)
            elif now - job.since >= LEFT_AFTER:
                heard = self.record.publish_event(job)
                left += not heard
        return left
