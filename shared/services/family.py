"""The jobs that would lose something with another, or that name it."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.jobs import Job
from shared.ports import JobStore
from shared.services.evidence import every


@dataclass(frozen=True, slots=True)
class Family:
    """Looks through all jobs, and reads those that it finds once more."""

    jobs: JobStore

    def of(self, job: Job) -> Sequence[Job]:
        """Everyone that goes with this job, without itself, as they stand; oldest first.

        Those are: jobs for the same object in the datasets bucket, whatever its version; retries, and
        whoever went on from its LoRA or stood in for it; whoever has the same content, and with it
        its files; and whoever lies in its folder. All of it again for each of them.
        """
        # The list of all may be a moment old; what has just ended is on the other one, which is not.
        known = {each.job_id: each for each in (*every(self.jobs), *self.jobs.unfinished())}
        known.pop(job.job_id, None)
        family, ahead = dict[str, Job](), [job]
        while ahead:
            member = ahead.pop()
            found = [each for each in known.values() if goes_with(each, member)]
            for each in found:
                family[each.job_id] = known.pop(each.job_id)
            ahead += found
        now = (self.jobs.get(job_id) for job_id in family)
        return sorted((each for each in now if each), key=lambda each: each.created_at)


def goes_with(job: Job, forgotten: Job) -> bool:
    """Whether a job cannot stay as it is when another is forgotten."""
    here, there = job.dataset, forgotten.dataset
    names = (job.retry_of, job.resume_from, job.duplicate_of, job.instead_of)
    return (
        (here.bucket, here.key) == (there.bucket, there.key)
        or forgotten.job_id in names
        or (job.content_digest is not None and job.content_digest == forgotten.content_digest)
        or job.prefix.startswith(forgotten.prefix)
    )
