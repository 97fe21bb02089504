"""The outside world in memory; the contract suite keeps these honest."""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.domain.artifacts import Artifact, StoredFile
from shared.domain.errors import Conflict, DownloadInterrupted, RejectedDataset
from shared.domain.facts import Fact
from shared.domain.jobs import DatasetVersion, Job, Status
from shared.domain.problems import Problem
from shared.ports import OpenDataset, Page, Submission
from tests.builders import NOW, REQUEST_ID


class MemoryJobs:
    """A JobStore."""

    def __init__(self) -> None:
        self.rows: dict[str, Job] = {}

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
        try:
            start = int(base64.b64decode(cursor, validate=True)) if cursor else 0
        except ValueError as error:
            raise ValueError("this is not a cursor of an earlier page") from error
        found = sorted(
            (job for job in self.rows.values() if status in (None, job.status)),
            key=lambda job: job.created_at,
            reverse=True,
        )
        more = start + limit < len(found)
        following = base64.b64encode(str(start + limit).encode()).decode() if more else None
        return Page(tuple(found[start : start + limit]), following)


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


@dataclass
class MemoryDatasets:
    """A DatasetStore."""

    objects: dict[str, bytes] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)

    def open(self, dataset: DatasetVersion) -> OpenDataset:
        if dataset.key not in self.objects:
            raise RejectedDataset([Problem(code="dataset_missing", message="It was deleted.")])
        return OpenDataset(dataset, self.metadata, MemoryRange(self.objects[dataset.key]))

    def url(self, dataset: DatasetVersion) -> str:
        return f"https://datasets.example/{dataset.key}?versionId={dataset.version_id}"


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

    def _put(self, key: str, data: bytes) -> StoredFile:
        self.files[key] = data
        name = key.rsplit("/", 1)[-1]
        sha256 = hashlib.sha256(data).hexdigest()
        return StoredFile(name=name, bucket="models", key=key, size=len(data), sha256=sha256)


@dataclass
class MemorySource:
    """An ArtifactSource; a name in ``cut`` ends in the middle."""

    files: dict[str, bytes] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    opened: list[str] = field(default_factory=list)

    @contextmanager
    def open(self, artifact: Artifact) -> Iterator[Iterator[bytes]]:
        self.opened.append(artifact.name)
        yield self._chunks(artifact)

    def _chunks(self, artifact: Artifact) -> Iterator[bytes]:
        data = self.files.get(artifact.name, artifact.name.encode())
        yield data[: len(data) // 2]
        if artifact.name in self.cut:
            raise DownloadInterrupted(artifact.name)
        yield data[len(data) // 2 :]


@dataclass
class MemoryTrainer:
    """A Trainer that counts what is paid; ``outcome`` decides a submit, ``fact`` answers an ask."""

    outcome: Callable[[], Submission] = lambda: Submission(REQUEST_ID)
    fact: Fact | Exception | None = None
    posts: list[tuple[str, Mapping[str, Any], str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def submit(
        self, application: str, arguments: Mapping[str, Any], *, webhook_url: str
    ) -> Submission:
        self.posts.append((application, arguments, webhook_url))
        return self.outcome()

    def ask(self, application: str, request_id: str) -> Fact:
        assert application
        self.asked.append(request_id)
        if isinstance(self.fact, Exception):
            raise self.fact
        assert self.fact is not None
        return self.fact


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
