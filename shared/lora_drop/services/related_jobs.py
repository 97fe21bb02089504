"""The jobs that would lose something with another, or that name it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from lora_drop.jobs.job import Job
from lora_drop.ports import JobStore
from lora_drop.services.evidence import every


class Relation(StrEnum):
    """What a job has in common with another, as one says it of either of them."""

    DATASET = "shares its dataset with {}, which would be left without it"
    FILES = "shares its files with {}, which would be left without them"
    PHOTOS = "has the same photos as {}, and duplicates of either are known by them"


@dataclass(frozen=True, slots=True)
class RelatedJob:
    """A job that goes with another, by what, and with which of the family."""

    job: Job
    bond: Relation
    of: str


@dataclass(frozen=True, slots=True)
class RelatedJobs:
    """Looks through all jobs, and reads those that it finds once more."""

    jobs: JobStore

    def of(self, job: Job) -> Sequence[RelatedJob]:
        """Return all jobs that are erased together with this job, without itself, as they stand.

        Those are: jobs for the same object in the datasets bucket, whatever its version; retries, and
        jobs that continued its LoRA or superseded it; jobs with the same content, and with it
        its files; and jobs whose files lie in its folder. All of it again for each of them. The job that
        another is found by comes before it; of those that are found together the oldest is first.
        """
        # The list of all may be a moment old; what has just ended is on the other one, which is not.
        listed = (*every(self.jobs), *self.jobs.unfinished())
        # The pictures of a proof sheet go with their training, and are on one of the two lists alone.
        trainings = (each for each in listed if each.picture is None)
        known = {each.job_id: each for each in sorted(trainings, key=lambda each: each.created_at)}
        known.pop(job.job_id, None)
        family, ahead = list[RelatedJob](), [job]
        while ahead:
            member = ahead.pop(0)
            found = [
                RelatedJob(each, bond, member.job_id)
                for each in known.values()
                if (bond := relation_between(each, member))
            ]
            family += found
            ahead += [known.pop(kin.job.job_id) for kin in found]
        now = ((kin, self.jobs.get(kin.job.job_id)) for kin in family)
        return [replace(kin, job=each) for kin, each in now if each]


def relation_between(job: Job, forgotten: Job) -> Relation | None:
    """Return why a job cannot stay as it is when another is forgotten; None when it can."""
    here, there = job.dataset, forgotten.dataset
    name = forgotten.job_id
    if (here.bucket, here.key) == (there.bucket, there.key) or job.retry_of == name:
        return Relation.DATASET
    if name in (job.resume_from, job.duplicate_of) or job.prefix.startswith(forgotten.prefix):
        return Relation.FILES
    if job.supersedes == name or (
        job.content_digest is not None and job.content_digest == forgotten.content_digest
    ):
        return Relation.PHOTOS
    return None


def sentences(family: Sequence[RelatedJob]) -> str:
    """Return who shares what with whom, in half sentences."""
    shared = dict[tuple[str, Relation], list[str]]()
    for kin in family:
        shared.setdefault((kin.of, kin.bond), []).append(kin.job.job_id)
    return "; ".join(
        f"{member} {bond.format(', '.join(others))}" for (member, bond), others in shared.items()
    )
