"""The outside world in memory; the contract suite keeps these honest."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.domain.artifacts import Artifact, StoredFile
from shared.domain.errors import (
    BadQuery,
    Conflict,
    DownloadInterrupted,
    RejectedDataset,
    ResultGone,
)
from shared.domain.facts import Fact
from shared.domain.jobs import DatasetVersion, Job, Status
from shared.domain.problems import Problem
from shared.ports import OpenDataset, Page, Submission
from tests.builders import NOW, REQUEST_ID


@dataclass
class MemoryJobs:
    """A JobStore."""

    rows: dict[str, Job] = field(default_factory=dict)

    def add(self, job: Job) -> bool:
        if job.job_id in self.rows:
            return False
        self.rows[job.job_id] = job
        return True

    def get(self, job_id: str) -> Job | None:
        return self.rows.get(job_id)

    def replace(self, before: Job, after: Job) -> None:
        current = self.rows.get(before.job_id)
        if current is None or current.version != before.version:
            raise Conflict(before.job_id)
        self.rows[after.job_id] = after

    def unfinished(self) -> Iterable[Job]:
        return sorted(
            (job for job in self.rows.values() if not job.terminal), key=lambda job: job.created_at
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
    """A DatasetStore with versions, as the bucket has them."""

    objects: dict[str, list[_Version]] = field(default_factory=dict)

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


def _described(dataset: DatasetVersion, version: _Version) -> DatasetVersion:
    data = version.data or b""
    etag = hashlib.sha256(data).hexdigest()
    return dataset.model_copy(
        update={"version_id": version.version_id, "etag": etag, "size": len(data)}
    )


@dataclass
class MemoryResults:
    """A ResultStore."""

    files: dict[str, bytes] = field(default_factory=dict)

    def write(self, key: str, text: str, content_type: str) -> StoredFile:
        assert content_type
        return self._put(key, text.encode())

    def remove(self, key: str) -> None:
        self.files.pop(key, None)

    def store(self, key: str, artifact: Artifact, chunks: Iterator[bytes]) -> StoredFile:
        assert artifact.name
        return self._put(key, b"".join(chunks))

    def text(self, job: Job, name: str) -> str | None:
        """A job's file as a person reads it; None when there is none."""
        data = self.files.get(job.prefix + name)
        return None if data is None else data.decode()

    def _put(self, key: str, data: bytes) -> StoredFile:
        self.files[key] = data
        name = key.rsplit("/", 1)[-1]
        sha256 = hashlib.sha256(data).hexdigest()
        return StoredFile(name=name, bucket="models", key=key, size=len(data), sha256=sha256)


@dataclass
class MemorySource:
    """An ArtifactSource; a name in ``cut`` ends in the middle, one in ``failing`` raises."""

    files: dict[str, bytes] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    failing: dict[str, Exception] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    opened: list[str] = field(default_factory=list)

    @contextmanager
    def open(self, artifact: Artifact) -> Iterator[Iterator[bytes]]:
        self.opened.append(artifact.name)
        if artifact.name in self.failing:
            raise self.failing[artifact.name]
        if artifact.url in self.gone:
            raise ResultGone(artifact.url)
        yield self._chunks(artifact)

    def _chunks(self, artifact: Artifact) -> Iterator[bytes]:
        data = self.files.get(artifact.name, artifact.name.encode())
        yield data[: len(data) // 2]
        if artifact.name in self.cut:
            raise DownloadInterrupted(artifact.name)
        yield data[len(data) // 2 :]


@dataclass
class MemoryTrainer:
    """A Trainer and its RequestHistory that count what is paid.

    ``outcome`` decides a submit, ``facts`` answer an ask.
    """

    outcome: Callable[[], Submission] = lambda: Submission(REQUEST_ID)
    facts: dict[str, Fact | Exception] = field(default_factory=dict)
    posts: list[tuple[str, Mapping[str, Any], str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
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

    def requests_for(
        self, application: str, dataset: DatasetVersion, *, since: datetime
    ) -> Sequence[str]:
        assert application
        self.listed.append((dataset.version_id, since))
        if isinstance(self.known, Exception):
            raise self.known
        return self.known


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
