"""The outside world in memory; the contract suite keeps these honest."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.domain.budget import MICRO, Account, ChargeState, Limits, bookings
from shared.domain.costs import Price
from shared.domain.errors import (
    BadQuery,
    Conflict,
    NoSlot,
    OverBudget,
    RejectedDataset,
)
from shared.domain.facts import Fact
from shared.domain.jobs import DatasetVersion, Job, Status
from shared.domain.problems import Problem
from shared.ports import Claim, DatasetPage, OpenDataset, Page, RawDelivery, Submission
from tests.builders import NOW, REQUEST_ID
from tests.memory_files import MemoryResults as MemoryResults  # noqa: PLC0414  # one place to import from
from tests.memory_files import MemorySource as MemorySource  # noqa: PLC0414


@dataclass
class MemoryJobs:
    """A JobStore, and the Bookmarks beside it. Slots and money are counted from the jobs."""

    rows: dict[str, Job] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    bookmarks: dict[str, str] = field(default_factory=dict)
    untold: set[str] = field(default_factory=set)

    def add(self, job: Job, *, claim: Claim | None = None) -> bool:
        if job.job_id in self.rows:
            return False
        self._claim(job, claim)
        self.rows[job.job_id] = job
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
    ) -> None:
        current = self.rows.get(before.job_id)
        if current is None or current.version != before.version:
            raise Conflict(before.job_id)
        if limits is not None:
            self._check(before, after, limits)
        self._claim(after, claim)
        self.rows[after.job_id] = after
        if after.terminal:
            self.untold.add(after.job_id)

    def close(self, job: Job) -> None:
        if self.rows[job.job_id].version == job.version:
            self.untold.discard(job.job_id)

    def next_waiting(self) -> Job | None:
        waiting = [job for job in self.rows.values() if job.status is Status.READY]
        return min(waiting, key=lambda job: (job.created_at, job.job_id), default=None)

    def owner(self, content_digest: str) -> str | None:
        return self.contents.get(content_digest)

    def account(self, month: str) -> Account:
        charges = [charge for job in self.rows.values() for charge in job.charges]
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

    def missing(self, job_ids: Sequence[str]) -> Sequence[str]:
        return [each for each in job_ids if each not in self.rows]

    def bookmark(self, name: str) -> str | None:
        return self.bookmarks.get(name)

    def keep_bookmark(self, name: str, at: str | None) -> None:
        self.bookmarks.pop(name, None)
        if at is not None:
            self.bookmarks[name] = at

    def unfinished(self) -> Iterable[Job]:
        return sorted(
            (job for job in self.rows.values() if not job.terminal or job.job_id in self.untold),
            key=lambda job: (job.created_at, job.job_id),
        )

    def page(self, *, status: Status | None, limit: int, cursor: str | None) -> Page:
        start = _start(cursor, status) if cursor else 0
        found = sorted(
            (job for job in self.rows.values() if status in (None, job.status)),
            key=lambda job: job.created_at,
            reverse=True,
        )
        end = start + limit
        following = _cursor(end, status) if end < len(found) else None
        return Page(tuple(found[start:end]), following)

    def _check(self, before: Job, after: Job, limits: Limits) -> None:
        taken = len(self.account("").in_flight) if after.at_fal and not before.at_fal else 0
        if taken >= limits.max_in_flight:
            raise NoSlot(after.job_id)
        for booking in bookings(before.charges, after.charges):
            if limits.monthly_usd is None or after.approved or booking.reserved <= 0:
                continue
            committed = round(self.account(booking.month).committed_usd * MICRO)
            if committed + booking.reserved > round(limits.monthly_usd * MICRO):
                raise OverBudget(after.job_id)

    def _claim(self, job: Job, claim: Claim | None) -> None:
        if claim is None or job.content_digest is None:
            return
        if self.contents.get(job.content_digest) != claim.previous:
            raise Conflict(job.content_digest)
        self.contents[job.content_digest] = job.job_id


def _cursor(start: int, status: Status | None) -> str:
    return base64.b64encode(json.dumps({"start": start, "status": status}).encode()).decode()


def _start(cursor: str, status: Status | None) -> int:
    try:
        seen = json.loads(base64.b64decode(cursor, validate=True))
        if seen["status"] == status:
            return int(seen["start"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadQuery("cursor: this is not a cursor of an earlier page") from error
    raise BadQuery("cursor: this is not a cursor of an earlier page")


@dataclass
class MemoryRange:
    """A RangedReader that counts."""

    data: bytes
    requests: int = 0
    bytes_read: int = 0

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        self.requests += 1
        got = self.data[offset : offset + length]
        self.bytes_read += len(got)
        return got


@dataclass(frozen=True)
class _Version:
    """One version of an object; without data it is a delete marker."""

    version_id: str
    data: bytes | None
    metadata: Mapping[str, str]


@dataclass
class MemoryDatasets:
    """A DatasetStore and its DatasetShelf, with versions, as the bucket has them."""

    objects: dict[str, list[_Version]] = field(default_factory=dict)
    came: dict[str, datetime] = field(default_factory=dict)
    page: int = 1000

    def put(
        self, key: str, data: bytes | None, metadata: Mapping[str, str] | None = None
    ) -> DatasetVersion:
        """Lay an object down and say what S3 says of it; without data, delete it."""
        versions = self.objects.setdefault(key, [])
        version = _Version(f"v{len(versions) + 1}", data, metadata or {})
        versions.append(version)
        return _described(DatasetVersion(bucket="datasets", key=key, version_id=""), version)

    def open(self, dataset: DatasetVersion) -> OpenDataset:
        versions = self.objects.get(dataset.key, [])
        if versions and versions[-1].data is None:
            versions = []  # under a delete marker
        for version in versions if dataset.version_id else versions[-1:]:
            if version.data is not None and dataset.version_id in ("", version.version_id):
                found = _described(dataset, version)
                return OpenDataset(found, version.metadata, MemoryRange(version.data))
        raise RejectedDataset([Problem(code="dataset_missing", message="It was deleted.")])

    def url(self, dataset: DatasetVersion) -> str:
        return f"https://datasets.example/{dataset.key}?versionId={dataset.version_id}"

    def walk(self, after: str | None) -> DatasetPage:
        keys = [key for key in sorted(self.objects) if after is None or key > after]
        found = []
        for key in keys[: self.page]:
            version = self.objects[key][-1]
            if version.data is not None and not key.endswith("/"):
                dataset = DatasetVersion(bucket="datasets", key=key, version_id="")
                found.append((_described(dataset, version), self.came.get(key, NOW)))
        more = len(keys) > self.page
        return DatasetPage(tuple(found), keys[self.page - 1] if more else None)


def _described(dataset: DatasetVersion, version: _Version) -> DatasetVersion:
    data = version.data or b""
    etag = hashlib.sha256(data).hexdigest()
    return dataset.model_copy(
        update={"version_id": version.version_id, "etag": etag, "size": len(data)}
    )


@dataclass
class MemoryTrainer:
    """A Trainer and its RequestHistory that count what is paid.

    ``outcome`` decides a submit, ``facts`` answer an ask.
    """

    outcome: Callable[[], Submission] = lambda: Submission(REQUEST_ID)
    facts: dict[str, Fact | Exception] = field(default_factory=dict)
    posts: list[tuple[str, Mapping[str, Any], str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    over: bool = False
    known: Sequence[str] | Exception = ()
    listed: list[tuple[str, datetime]] = field(default_factory=list)

    def submit(
        self, application: str, arguments: Mapping[str, Any], *, webhook_url: str
    ) -> Submission:
        self.posts.append((application, arguments, webhook_url))
        return self.outcome()

    def ask(self, application: str, request_id: str) -> Fact:
        assert application
        self.asked.append(request_id)
        said = self.facts[request_id]
        if isinstance(said, Exception):
            raise said
        return said

    def cancel(self, application: str, request_id: str) -> bool:
        assert application
        self.cancelled.append(request_id)
        return not self.over

    def price(self, application: str) -> Price | None:
        assert application
        return None

    def requests_for(
        self, application: str, dataset: DatasetVersion, *, since: datetime
    ) -> Sequence[str]:
        assert application
        self.listed.append((dataset.version_id, since))
        if isinstance(self.known, Exception):
            raise self.known
        return self.known


@dataclass
class MemoryDeliveries:
    """Deliveries."""

    files: dict[str, RawDelivery] = field(default_factory=dict)

    def keep(self, job: Job, delivery: RawDelivery, *, sent_at: datetime) -> None:
        digest = hashlib.sha256(delivery.body).hexdigest()
        self.files[f"{job.prefix}{sent_at.isoformat()}-{digest}"] = delivery

    def kept(self, job: Job) -> Sequence[bytes]:
        return [self.files[key].body for key in sorted(self.files) if key.startswith(job.prefix)]


@dataclass
class MemoryQueue:
    """An Inbox and a Handover."""

    datasets: list[DatasetVersion] = field(default_factory=list)
    handed: list[str] = field(default_factory=list)

    def announce(self, dataset: DatasetVersion) -> None:
        self.datasets.append(dataset)

    def hand_over(self, job_id: str) -> None:
        self.handed.append(job_id)


@dataclass
class MemoryKeys:
    """SigningKeys."""

    known: Sequence[bytes] = ()
    newer: Sequence[bytes] = ()
    refreshes: int = 0

    def keys(self, *, now: datetime) -> Sequence[bytes]:
        assert now.tzinfo
        return self.known

    def newer_keys(self, *, now: datetime) -> Sequence[bytes]:
        assert now.tzinfo
        self.refreshes += 1
        return self.newer


@dataclass
class ManualClock:
    """A Clock that moves when told."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now
