"""What services need of the jobs table: jobs, erasures, bookmarks, and the clock."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from lora_drop.jobs.budget import Account, Limits
from lora_drop.jobs.erasures import Erasure
from lora_drop.jobs.events import ChangeNotice
from lora_drop.jobs.job import Job
from lora_drop.jobs.progress import TrainingProgress
from lora_drop.jobs.status import Status
from lora_drop.jobs.training_times import TrainingTime


class Clock(Protocol):
    """The time, in UTC."""

    def __call__(self) -> datetime:
        """Return the present time."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, newest first, and where to go on (None at the end)."""

    jobs: tuple[Job, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A job that waits for nothing but its turn, and since when it has been so."""

    job_id: str
    created_at: datetime
    since: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """That a job is the one for its content from now on; ``previous`` is the job that was it."""

    previous: str | None


class JobStore(Protocol):
    """The jobs table. Reads are strongly consistent unless they say otherwise.

    Whatever is written of a job takes and gives back its slot and its money in the same write.
    """

    def add(self, job: Job, *, claim: Claim | None = None, unchanged: Sequence[Job] = ()) -> bool:
        """Keep a new job; return False if its id is taken, and then nothing is changed.

        Raises JobForgottenError when a job of this id was, and ConflictError when two do so at the same moment and
        neither is kept yet, when the content has another job than ``claim`` says, and when jobs
        in ``unchanged`` are not what they were read as.
        """

    def get(self, job_id: str) -> Job | None:
        """Return the job as it stands."""

    def forgotten(self, job_id: str) -> bool:
        """Return whether the job of this id was forgotten, or is being erased."""

    def replace(
        self,
        before: Job,
        after: Job,
        *,
        limits: Limits | None = None,
        claim: Claim | None = None,
        unchanged: Sequence[Job] = (),
        quiet: bool = False,
    ) -> None:
        """Write ``after`` if the job is still ``before``, and the jobs in ``unchanged`` are what they were read as.

        Raises ConflictError if one of them is not.

        With limits: raises NoSlotError or OverBudgetError when what the move takes is not to be had; an
        approved job does not mind the budget. With a claim: Conflict when the content has another
        job than it says. What was kept of its progress meanwhile is no conflict, and stays. ``quiet``: where the state
        stays the same, there is nothing to publish.
        """

    def keep_progress(
        self, job: Job, progress: TrainingProgress | None, queue_position: int | None
    ) -> bool:
        """Keep how far the job's training is, beside its state and without a new version; return whether it was.

        It is not where the job is no longer SUBMITTED or TRAINING with this request, or another progress was kept
        since this job was read.
        """

    def next_waiting(self) -> Job | None:
        """Return the oldest of the jobs that are READY."""

    def first_waiting(self, fresh: Job | None = None) -> tuple[Job | None, bool]:
        """Return the same, and whether it is the only one.

        ``fresh`` is a job that the caller has just written: it is not read once more.
        """

    def waiting_before(self, job: Job) -> int:
        """Return how many jobs that are READY stand before this one."""

    def owner(self, content_digest: str) -> str | None:
        """Return the id of the job that this content was last claimed by."""

    def account(self, month: str) -> Account:
        """Return a month's money, and who holds a slot now."""

    def books(self, first: str, last: str) -> tuple[Account, Account]:
        """Return the money of two months, read at one moment; who holds a slot is not said."""

    def missing(self, job_ids: Sequence[str]) -> Sequence[str]:
        """Return which of these ids no job has, nor had one that was forgotten."""

    def waiting(self) -> Sequence[WaitingJob]:
        """Return the jobs that are READY with no problem and no upload, without reading one of them; first those whose turn comes first."""

    def unfinished(self, *, but: Collection[str] = ()) -> Iterable[Job]:
        """Return every job that has not ended, or whose end is not closed, without those of these ids; oldest first."""

    def outbox(self) -> Mapping[str, int]:
        """Return the jobs of which something is not published yet, each with the version that was written last.

        A write gets in here by itself, but for a quiet one.
        """

    def left(self, job_id: str) -> Sequence[ChangeNotice] | None:
        """Return the changes of state that are in the outbox for this job; None: not known, the last one is."""

    def mark_published(
        self, job_id: str, version: int, changes: Sequence[int] | None = None
    ) -> bool:
        """Mark this version as published, with the changes of state of these versions; do nothing where there is more.

        ``changes`` None: with whatever there is up to this version. Returns whether nothing else was there: then the
        job was not forgotten, and nobody has written it since this version, but quietly.
        Raises EventsUnavailableError where that cannot be kept: it is published once more then.
        """

    def close(self, job: Job) -> None:
        """Take an ended job off the list of open jobs; do nothing if it goes on by now."""

    def page(self, *, status: Status | None, limit: int, cursor: str | None) -> Page:
        """Return jobs, newest first, eventually consistent; raises InvalidQueryError for a foreign cursor."""


class Erasures(Protocol):
    """Jobs that were forgotten, beside those that are kept."""

    def begin(self, job: Job, erasure: Erasure) -> None:
        """Put an erasure in the place of a job that has ended, in one write.

        From then on there is no such job, nor can there be one. Its content goes back to the job that
        it stood in for. Raises ConflictError when the job is not any more what was read.
        """

    def erasure(self, digest: str) -> Erasure | None:
        """Return the erasure of this digest, or the proof of it."""

    def keep(self, before: Erasure, after: Erasure) -> None:
        """Write how far it has come; raises ConflictError when another writer has."""

    def erasing(self) -> Iterable[Erasure]:
        """Return every erasure that is not done."""


class TrainingTimes(Protocol):
    """How long the last trainings of each trainer took."""

    def times(self, application: str) -> Sequence[TrainingTime]:
        """Return them, oldest first."""

    def add_time(self, application: str, time: TrainingTime) -> None:
        """Add one; the oldest are dropped. Two at the same moment may keep one of them only."""


class Bookmarks(Protocol):
    """Where the sweeps have got to, from one round to the next."""

    def bookmark(self, name: str) -> str | None:
        """Return the place that was kept last; None is the beginning."""

    def keep_bookmark(self, name: str, at: str | None) -> None:
        """Keep a place."""
