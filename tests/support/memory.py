"""The outside world in memory; the contract suite keeps these honest."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lora_drop.datasets.archives import RangedReader
from lora_drop.fal.status import FalStatus, Finished, RequestLog, Running
from lora_drop.fal.trainers.trainer import Price
from lora_drop.fal.webhooks import RawDelivery
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.events import ProofSheetReady, StatusChange
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.proof import Likeness, ProofSheet
from lora_drop.ports import DatasetPage, Erasable, OpenDataset, PayloadsErased, Place, Submission
from lora_drop.results.copies import Label
from tests.support.builders import NOW, REQUEST_ID
from tests.support.memory_files import MemoryRange, MemoryResults, is_at


@dataclass(frozen=True)
class _Version:
    """One version of an object; without data it is a delete marker."""

    version_id: str
    data: bytes | None
    metadata: Mapping[str, str]
    came: datetime = NOW


@dataclass
class MemoryDatasets:
    """A DatasetStore, its DatasetListing and its Eraser, with versions, as the bucket has them."""

    objects: dict[str, list[_Version]] = field(default_factory=dict)
    came: dict[str, datetime] = field(default_factory=dict)
    page: int = 1000
    uploads: dict[str, str] = field(default_factory=dict)
    made: Counter[str] = field(default_factory=Counter)
    now: Callable[[], datetime] = lambda: NOW

    def put(
        self, key: str, data: bytes | None, metadata: Mapping[str, str] | None = None
    ) -> DatasetVersion:
        """Lay an object down and say what S3 says of it; without data, delete it."""
        versions = self.objects.setdefault(key, [])
        self.made[key] += 1  # no version is ever called as another was
        version = _Version(f"v{self.made[key]}", data, metadata or {}, self.now())
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
        raise DatasetRejectedError([Problem(code="dataset_missing", message="It was deleted.")])

    def url(self, dataset: DatasetVersion) -> str:
        return f"https://datasets.example/{dataset.key}?versionId={dataset.version_id}"

    def versions(self, place: Place) -> Iterable[Sequence[Erasable]]:
        found = [
            Erasable(key, version.version_id, version.came, marker=version.data is None)
            for key, versions in self.objects.items()
            for version in versions
            if is_at(place, key)
        ]
        return [found] if found else []

    def erase(self, versions: Sequence[Erasable]) -> None:
        for gone in versions:
            rest = [
                each
                for each in self.objects.get(gone.key, [])
                if each.version_id != gone.version_id
            ]
            self.objects[gone.key] = rest
            if not rest:
                del self.objects[gone.key]

    def unfinished(self, place: Place) -> Iterable[Sequence[Erasable]]:
        found = [
            Erasable(key, upload, NOW) for upload, key in self.uploads.items() if is_at(place, key)
        ]
        return [found] if found else []

    def abort_all(self, uploads: Sequence[Erasable]) -> None:
        for upload in uploads:
            self.uploads.pop(upload.version_id, None)

    def list_page(self, after: str | None) -> DatasetPage:
        keys = [key for key in sorted(self.objects) if after is None or key > after]
        found = []
        for key in keys[: self.page]:
            version = self.objects[key][-1]
            if version.data is not None and not key.endswith("/"):
                dataset = DatasetVersion(bucket="datasets", key=key, version_id="")
                found.append((_described(dataset, version), self.came.get(key, NOW)))
        more = len(keys) > self.page
        return DatasetPage(tuple(found), keys[self.page - 1] if more else None)


@dataclass
class MemoryDatasetCopies(MemoryResults):
    """A CopyStore whose copies are datasets."""

    datasets: MemoryDatasets = field(default_factory=MemoryDatasets)

    def _lay(self, key: str, data: bytes, label: Label) -> None:
        new = key not in self.files
        super()._lay(key, data, label)
        if new:
            self.datasets.put(key, data, {**label.metadata, "fetched-from": label.source})


def _described(dataset: DatasetVersion, version: _Version) -> DatasetVersion:
    data = version.data or b""
    etag = hashlib.sha256(data).hexdigest()
    return dataset.model_copy(
        update={"version_id": version.version_id, "etag": etag, "size": len(data)}
    )


@dataclass
class MemoryBalances:
    """fal's balance; ``left`` None is a key that may not see it."""

    left: float | None = None
    asked: int = 0

    def usd(self) -> float | None:
        self.asked += 1
        return self.left


@dataclass
class MemoryFal:
    """A Trainer and its RequestHistory that count what is paid.

    ``outcome`` decides a submit, ``facts`` answer an ask.
    """

    outcome: Callable[[], Submission] = lambda: Submission(REQUEST_ID)
    facts: dict[str, FalStatus | Exception] = field(default_factory=dict)
    posts: list[tuple[str, Mapping[str, Any], str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    over: bool = False
    asks: Price | None = None
    known: Sequence[str] | Exception = ()
    listed: list[tuple[str, datetime]] = field(default_factory=list)
    stored: dict[str, Finished | Exception] = field(default_factory=dict)

    def submit(
        self, application: str, arguments: Mapping[str, Any], *, webhook_url: str
    ) -> Submission:
        self.posts.append((application, arguments, webhook_url))
        return self.outcome()

    def ask(self, application: str, request_id: str) -> FalStatus:
        assert application
        self.asked.append(request_id)
        said = self.facts[request_id]
        if isinstance(said, Exception):
            raise said
        return said

    def log(self, application: str, request_id: str) -> RequestLog:
        said = self.ask(application, request_id)
        return said.log or RequestLog() if isinstance(said, Running) else RequestLog()

    def cancel(self, application: str, request_id: str) -> bool:
        assert application
        self.cancelled.append(request_id)
        return not self.over

    def price(self, application: str) -> Price | None:
        assert application
        return self.asks

    def requests_for(self, job: Job, *, since: datetime) -> Sequence[str]:
        self.listed.append((job.sent.version_id, since))
        if isinstance(self.known, Exception):
            raise self.known
        return self.known

    def stored_result(self, application: str, request_id: str) -> Finished | None:
        assert application
        stored = self.stored.get(request_id)
        if isinstance(stored, Exception):
            raise stored
        return stored


@dataclass
class MemoryStorage:
    """A FileStorage; ``refuses`` is what it raises instead of taking a file."""

    files: dict[str, bytes] = field(default_factory=dict)
    seconds: list[int] = field(default_factory=list)
    refuses: Exception | None = None

    def upload(self, archive: RangedReader, name: str, seconds: int) -> str:
        if self.refuses is not None:
            raise self.refuses
        url = f"https://v3.fal.media.example/files/{len(self.files)}/{name}"
        self.files[url] = archive.read(0, archive.size)
        self.seconds.append(seconds)
        return url


@dataclass
class MemoryPayloads:
    """Payloads; ``says`` answers for a request, or is raised."""

    stored: set[str] = field(default_factory=set)
    says: dict[str, PayloadsErased | Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def erase(self, request_id: str) -> PayloadsErased:
        self.asked.append(request_id)
        said = self.says.get(request_id, PayloadsErased(files=2 * (request_id in self.stored)))
        if isinstance(said, Exception):
            raise said
        self.stored.discard(request_id)
        return said


@dataclass
class MemoryEvents:
    """Events; ``refuses`` is what it raises instead of taking one."""

    changes: list[StatusChange] = field(default_factory=list)
    sheets: list[ProofSheetReady] = field(default_factory=list)
    refuses: Exception | None = None
    refused: int = 0

    def emit(self, *events: StatusChange | ProofSheetReady) -> None:
        if self.refuses is not None:
            self.refused += 1
            raise self.refuses
        for event in events:
            if isinstance(event, ProofSheetReady):
                self.sheets.append(event)
            else:
                self.changes.append(event)

    def published(self) -> list[tuple[str, str]]:
        """Which job was published as what, in that order."""
        return [(change.job_id, change.status) for change in self.changes]


@dataclass
class MemoryWebhookArchive:
    files: dict[str, RawDelivery] = field(default_factory=dict)

    def keep(self, job: Job, delivery: RawDelivery, *, sent_at: datetime) -> None:
        digest = hashlib.sha256(delivery.body).hexdigest()
        self.files[f"{job.prefix}deliveries/{sent_at.isoformat()}-{digest}"] = delivery

    def kept(self, job: Job) -> Sequence[bytes]:
        return [
            self.files[key].body
            for key in sorted(self.files)
            if key.startswith(f"{job.prefix}deliveries/")
        ]


@dataclass
class MemoryQueue:
    datasets: list[DatasetVersion] = field(default_factory=list)
    handed: list[str] = field(default_factory=list)
    proofs: list[str] = field(default_factory=list)

    def announce(self, dataset: DatasetVersion) -> None:
        self.datasets.append(dataset)

    def backlog(self) -> int:
        return len(self.datasets) + len(self.proofs)

    def finish_proof(self, job_id: str) -> None:
        self.proofs.append(job_id)

    def hand_over(self, job_id: str) -> None:
        self.handed.append(job_id)


@dataclass
class MemoryProofs:
    """A ProofComparer that counts; ``breaks`` is what it raises instead."""

    measured: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    breaks: Exception | None = None

    def measure(self, parent: Job, pictures: Sequence[Job]) -> ProofSheet:
        if self.breaks is not None:
            raise self.breaks
        self.measured.append((parent.job_id, tuple(each.job_id for each in pictures)))
        return ProofSheet(likeness=Likeness(likeness=0.7, among_photos=0.8))


@dataclass
class MemoryStatusCheck:
    """A StatusCheckTrigger that is kept."""

    asked: list[str] = field(default_factory=list)

    def request_status_check(self, job_id: str) -> None:
        self.asked.append(job_id)


@dataclass
class MemoryKeys:
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
    """A Clock that moves when a test sets it."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now
