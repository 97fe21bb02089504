"""The jobs that another one stands in for, and whether one of them has, or may yet have, a LoRA."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.services.record import Record

# The folder of one form of `POST /datasets`, named at random; no other upload lies in it.
OF_FORM = re.compile(r"uploads/[0-9a-f]{32}/")
MOST = 20  # what a transaction holds is bounded


@dataclass(frozen=True, slots=True)
class Deduplication:
    """Finds earlier jobs of the same content."""

    record: Record

    def find_duplicate(self, owner: str | None) -> Job | None:
        """Return the last job for this content that came, or may come, to files; others are passed over.

        One that was forced and came to nothing does not make an earlier LoRA forgotten.
        """
        while owner is not None:
            same = self.record.jobs.get(owner)
            if same is None or self.stands(same):
                return same
            owner = same.supersedes
        return None

    def same_order(self, job: Job, owner: str | None) -> Job | None:
        """Return the job of an earlier version that was uploaded with the same form, and holds the same content.

        A form is one order, and a browser may send it twice (a double click): its ``force`` pays once. Any other
        key is dropped again by a person who means it.
        """
        if not OF_FORM.match(job.dataset.key):
            return None
        for _ in range(MOST):
            same = self.find_duplicate(owner)
            if same is None or same.dataset.key == job.dataset.key:
                return same
            owner = same.supersedes
        return None

    def superseded_jobs(self, job: Job) -> Sequence[Job]:
        """Return the jobs that had come to nothing when this one was asked for, 20 or so at the most."""
        found: dict[str, Job] = {}
        ahead = [job]
        while ahead and len(found) < MOST:
            here = ahead.pop(0)
            # A forced retraining supersedes no earlier job.
            for earlier_id in () if here.force_retrain else (here.retry_of, here.supersedes):
                if earlier_id is None or earlier_id in found:
                    continue
                if earlier := self.record.jobs.get(earlier_id):
                    found[earlier_id] = earlier
                    ahead.append(earlier)
        return tuple(found.values())

    def stands(self, job: Job) -> bool:
        """Return whether that job has, or may yet have, the files that its like would get."""
        if job.status is Status.SUCCEEDED:
            return all(self.record.results.has(stored) for stored in job.files)
        return not job.terminal
