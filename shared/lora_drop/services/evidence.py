"""The evidence that settles a submission of unknown outcome without a person."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lora_drop.fal.status import Finished
from lora_drop.jobs.delivery import DeliveryMethod
from lora_drop.jobs.errors import FalUnavailableError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.ports import JobStore, RequestHistory

PAGE = 100
# fal's clock and ours may differ; an earlier request for the same dataset is known as one.
SKEW = timedelta(hours=1)
# A list that cannot be read for so long, perhaps for want of a right, keeps no slot for ever.
LIST_DEADLINE = timedelta(days=1)
DOUBTFUL = frozenset({Status.SUBMITTING, Status.SUBMIT_UNKNOWN})


@dataclass(frozen=True, slots=True)
class Evidence:
    """fal's list of requests, read for one job."""

    jobs: JobStore
    history: RequestHistory

    def requests_of(self, job: Job) -> Sequence[str]:
        """Return the requests of fal's list that sent this job's dataset; raises FalUnavailableError."""
        intended = job.intended_at or job.since
        found = self.history.requests_for(job, since=intended - SKEW)
        return [each for each in found if each not in job.earlier_requests]

    def decide(self, job: Job, ours: Sequence[str]) -> str | None:
        """Return the one request that is the job's.

        None or several decide nothing: fal does not promise that a waiting request is listed.
        """
        if len(ours) != 1 or self._may_be_anothers(job, ours[0]):
            return None
        return ours[0]

    def stored_result(self, job: Job, request_id: str, now: datetime) -> Finished | None:
        """Return the result that fal has stored of a request which its queue does not know any more.

        Before a paid result is given up, the list must have answered, for a day at least; raises
        FalUnavailableError until then.
        """
        try:
            return self.history.stored_result(job.application, request_id)
        except FalUnavailableError:
            if now - job.since < LIST_DEADLINE:
                raise
            return None

    def _may_be_anothers(self, job: Job, request_id: str) -> bool:
        """Return whether another job sent the very same address: only one that holds the dataset can be."""
        sent = job.delivery
        if sent is None or sent.way is not DeliveryMethod.DATA:
            return False
        return any(
            each.job_id != job.job_id
            and (has_request(each, request_id) or (each.status in DOUBTFUL and _like(each, job)))
            for each in every(self.jobs)
        )


def every(jobs: JobStore) -> Iterator[Job]:
    """Yield every job there is, newest first."""
    cursor: str | None = None
    while True:
        page = jobs.page(status=None, limit=PAGE, cursor=cursor)
        yield from page.jobs
        if (cursor := page.cursor) is None:
            return


def with_pictures(jobs: JobStore) -> Iterator[Job]:
    """Yield every job there is, each followed by the pictures of its proof sheet, which are on no list."""
    for job in every(jobs):
        yield job
        pictures = (jobs.get(each) for each in (job.proof.pictures if job.proof else ()))
        yield from (each for each in pictures if each is not None)


def has_request(job: Job, request_id: str) -> bool:
    """Return whether this job has, or had, this request; a duplicate has but its original's."""
    return request_id in (job.request_id, *job.earlier_requests) and not job.duplicate_of


def _like(one: Job, other: Job) -> bool:
    mine, theirs = one.delivery, other.delivery
    return mine is not None and theirs is not None and mine.sha256 == theirs.sha256
