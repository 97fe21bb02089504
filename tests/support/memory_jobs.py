"""The jobs table in memory; the contract suite keeps it honest."""

import base64
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from lora_drop.adapters import dynamodb_writes
from lora_drop.jobs.budget import MICRO, Account, Charge, ChargeState, Limits, bookings
from lora_drop.jobs.erasures import Erasure
from lora_drop.jobs.errors import (
    ConflictError,
    InvalidQueryError,
    JobForgottenError,
    NoSlotError,
    OverBudgetError,
)
from lora_drop.jobs.events import ChangeNotice
from lora_drop.jobs.ids import digest_of
from lora_drop.jobs.job import Job
from lora_drop.jobs.progress import AT_WORK, TrainingProgress
from lora_drop.jobs.status import Status
from lora_drop.jobs.training_times import KEPT, TrainingTime
from lora_drop.ports import Claim, Page, WaitingJob


def _turn(job: Job) -> tuple[bool, datetime, str]:
    return job.picture is not None, job.created_at, job.job_id


@dataclass
class MemoryTrainingTimes:
    """The TrainingTimes of a stack."""

    rows: dict[str, list[TrainingTime]] = field(default_factory=dict)

    def times(self, application: str) -> Sequence[TrainingTime]:
        return list(self.rows.get(application, ()))

    def add_time(self, application: str, time: TrainingTime) -> None:
        self.rows[application] = [*self.times(application), time][-KEPT:]


@dataclass
class MemoryJobs:
    """A JobStore, with the Erasures and the Bookmarks beside it.

    Slots and money are counted from the jobs; ``spent`` is what forgotten ones have cost.
    """

    rows: dict[str, Job] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    bookmarks: dict[str, str] = field(default_factory=dict)
    untold: set[str] = field(default_factory=set)
    erasures: dict[str, Erasure] = field(default_factory=dict)
    spent: list[Charge] = field(default_factory=list)
    changes: dict[str, int] = field(default_factory=dict)
    notices: dict[str, list[ChangeNotice]] = field(default_factory=dict)

    def add(self, job: Job, *, claim: Claim | None = None, unchanged: Sequence[Job] = ()) -> bool:
        if self.forgotten(job.job_id):
            raise JobForgottenError(job.job_id)
        if job.job_id in self.rows:
            return False
        self._check_still(unchanged)
        self._claim(job, claim)
        self.rows[job.job_id] = job
        self._note(None, job)
        return True

    def get(self, job_id: str) -> Job | None:
        return self.rows.get(job_id)

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
        self._check_still((before, *unchanged))
        if limits is not None:
            self._check(before, after, limits)
        self._claim(after, claim)
        self.rows[after.job_id] = after.with_progress_of(self.rows[before.job_id])
        if not quiet or after.status is not before.status:
            self._note(before, after)
        if after.terminal:
            self.untold.add(after.job_id)

    def keep_progress(
        self, job: Job, progress: TrainingProgress | None, queue_position: int | None
    ) -> bool:
        now = self.rows.get(job.job_id)
        if now is None or now.status not in AT_WORK:
            return False
        if (now.request_id, now.progress) != (job.request_id, job.progress):
            return False
        update = {"progress": progress, "queue_position": queue_position}
        self.rows[job.job_id] = now.model_copy(update=update)
        return True

    def outbox(self) -> Mapping[str, int]:
        return dict(self.changes)

    def left(self, job_id: str) -> Sequence[ChangeNotice] | None:
        return tuple(self.notices.get(job_id, ()))

    def mark_published(
        self, job_id: str, version: int, changes: Sequence[int] | None = None
    ) -> bool:
        left = [each.version for each in self.notices.get(job_id, ())]
        if self.changes.get(job_id, version + 1) > version:
            return False
        if changes is not None and left != sorted(changes):
            return False
        del self.changes[job_id]
        self.notices.pop(job_id, None)
        return True

    def _note(self, before: Job | None, after: Job) -> None:
        """What the outbox gets by this write."""
        if after.picture is not None:
            return
        self.changes[after.job_id] = after.version
        if before is None or before.status is not after.status:
            notice = ChangeNotice(
                job_id=after.job_id,
                version=after.version,
                status=after.status,
                since=after.since,
            )
            left = self.notices.get(after.job_id, [])
            room = len(left) < dynamodb_writes.MOST_CHANGES
            self.notices[after.job_id] = [*left, notice] if room else [notice]

    def close(self, job: Job) -> None:
        if job.job_id in self.rows and self.rows[job.job_id].version == job.version:
            self.untold.discard(job.job_id)

    def forgotten(self, job_id: str) -> bool:
        return digest_of(job_id) in self.erasures

    def begin(self, job: Job, erasure: Erasure) -> None:
        self._check_still((job,))
        if erasure.digest in self.erasures:
            raise ConflictError(erasure.digest)
        del self.rows[job.job_id]
        self.untold.discard(job.job_id)
        self.changes.pop(job.job_id, None)
        self.notices.pop(job.job_id, None)
        self.spent += job.charges
        digest = job.content_digest or ""
        if self.contents.get(digest) == job.job_id:
            del self.contents[digest]
            if job.supersedes in self.rows:
                self.contents[digest] = job.supersedes
        self.erasures[erasure.digest] = erasure

    def erasure(self, digest: str) -> Erasure | None:
        return self.erasures.get(digest)

    def keep(self, before: Erasure, after: Erasure) -> None:
        if self.erasures[before.digest].version != before.version:
            raise ConflictError(before.digest)
        self.erasures[after.digest] = after

    def erasing(self) -> Iterable[Erasure]:
        return [each for each in self.erasures.values() if each.done_at is None]

    def next_waiting(self) -> Job | None:
        waiting = [job for job in self.rows.values() if job.status is Status.READY]
        return min(waiting, key=_turn, default=None)

    def first_waiting(self, fresh: Job | None = None) -> tuple[Job | None, bool]:
        first = self.next_waiting()
        if fresh and first and fresh.job_id == first.job_id:
            first = fresh
        waiting = [job for job in self.rows.values() if job.status is Status.READY]
        return first, len(waiting) == 1

    def waiting_before(self, job: Job) -> int:
        waiting = [each for each in self.rows.values() if each.status is Status.READY]
        return sum(_turn(each) < _turn(job) for each in waiting)

    def owner(self, content_digest: str) -> str | None:
        return self.contents.get(content_digest)

    def account(self, month: str) -> Account:
        charges = [charge for job in self.rows.values() for charge in job.charges] + self.spent
        sums = {
            state: sum(
                each.micro_usd for each in charges if (each.month, each.state) == (month, state)
            )
            for state in ChargeState
        }
        wasted = sums[ChargeState.WASTED]
        return Account(
            month=month,
            reserved_usd=sums[ChargeState.RESERVED] / MICRO,
            spent_usd=(sums[ChargeState.SPENT] + wasted) / MICRO,
            wasted_usd=wasted / MICRO,
            in_flight=tuple(sorted(job.job_id for job in self.rows.values() if job.at_fal)),
        )

    def books(self, first: str, last: str) -> tuple[Account, Account]:
        one, other = (replace(self.account(month), in_flight=()) for month in (first, last))
        return one, other

    def missing(self, job_ids: Sequence[str]) -> Sequence[str]:
        return [each for each in job_ids if each not in self.rows and not self.forgotten(each)]

    def bookmark(self, name: str) -> str | None:
        return self.bookmarks.get(name)

    def keep_bookmark(self, name: str, at: str | None) -> None:
        self.bookmarks.pop(name, None)
        if at is not None:
            self.bookmarks[name] = at

    def waiting(self) -> Sequence[WaitingJob]:
        quiet = (
            job
            for job in self.rows.values()
            if job.status is Status.READY and not job.problems and not job.uploads
        )
        return [
            WaitingJob(job.job_id, job.created_at, job.updated_at)
            for job in sorted(quiet, key=_turn)
        ]

    def unfinished(self, *, but: Collection[str] = ()) -> Iterable[Job]:
        return sorted(
            (
                job
                for job in self.rows.values()
                if (not job.terminal or job.job_id in self.untold) and job.job_id not in but
            ),
            key=lambda job: (job.created_at, job.job_id),
        )

    def page(self, *, status: Status | None, limit: int, cursor: str | None) -> Page:
        start = _start(cursor, status) if cursor else 0
        found = sorted(
            (
                job
                for job in self.rows.values()
                if status in (None, job.status) and job.picture is None
            ),
            key=lambda job: job.created_at,
            reverse=True,
        )
        end = start + limit
        following = _cursor(end, status) if end < len(found) else None
        return Page(tuple(found[start:end]), following)

    def _check_still(self, read: Sequence[Job]) -> None:
        for job in read:
            current = self.rows.get(job.job_id)
            if current is None or current.version != job.version:
                raise ConflictError(job.job_id)

    def _check(self, before: Job, after: Job, limits: Limits) -> None:
        taken = len(self.account("").in_flight) if after.at_fal and not before.at_fal else 0
        if taken >= limits.max_in_flight:
            raise NoSlotError(after.job_id)
        for booking in bookings(before.charges, after.charges):
            if limits.monthly_usd is None or after.approved or booking.reserved <= 0:
                continue
            committed = round(self.account(booking.month).committed_usd * MICRO)
            if committed + booking.reserved > round(limits.monthly_usd * MICRO):
                raise OverBudgetError(after.job_id)

    def _claim(self, job: Job, claim: Claim | None) -> None:
        if claim is None or job.content_digest is None:
            return
        if self.contents.get(job.content_digest) != claim.previous:
            raise ConflictError(job.content_digest)
        self.contents[job.content_digest] = job.job_id


def _cursor(start: int, status: Status | None) -> str:
    return base64.b64encode(json.dumps({"start": start, "status": status}).encode()).decode()


def _start(cursor: str, status: Status | None) -> int:
    try:
        seen = json.loads(base64.b64decode(cursor, validate=True))
        if seen["status"] == status:
            return int(seen["start"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidQueryError("cursor: this is not a cursor of an earlier page") from error
    raise InvalidQueryError("cursor: this is not a cursor of an earlier page")
