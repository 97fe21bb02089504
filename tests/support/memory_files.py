"""Where files come from and where they lie, in memory; the contract suite keeps these honest."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from lora_drop.jobs.artifacts import Artifact, StoredFile
from lora_drop.jobs.errors import (
    DatasetUnreadableError,
    DownloadInterruptedError,
    KeyOccupiedError,
    ResultGoneError,
    SourceChangedError,
    UploadGoneError,
)
from lora_drop.jobs.job import Job
from lora_drop.ports import Erasable, Place, StoredText
from lora_drop.results.copies import ExistingFile, Label, Part
from tests.support.builders import NOW, make_jpeg, make_weights


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
class MemoryUpload:
    """An unfinished copy."""

    key: str
    label: Label
    begun_at: datetime
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass
class MemoryResults:
    """A ResultStore and its Eraser.

    ``sources`` has the labels of its copies, ``expiring`` what goes when datasets do; ``contended`` of the next copies are answered as S3
    does when two are made at the same moment; a checksum in ``unknown`` is one that S3 forgot.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, MemoryUpload] = field(default_factory=dict)
    now: Callable[[], datetime] = lambda: NOW
    contended: int = 0
    unknown: set[int] = field(default_factory=set)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    bucket: str = "models"
    expiring: set[str] = field(default_factory=set)

    def write(self, key: str, text: str, content_type: str, *, expires: bool = False) -> StoredFile:
        assert content_type
        self.files[key] = text.encode()
        self._mark(key, expires=expires)
        return self.reread(key)

    def write_pieces(
        self, key: str, pieces: Iterable[bytes], content_type: str, *, expires: bool = False
    ) -> StoredFile:
        assert content_type
        self.files[key] = b"".join(pieces)
        self._mark(key, expires=expires)
        return self.reread(key)

    def remove(self, key: str) -> None:
        self.files.pop(key, None)
        self.sources.pop(key, None)
        self.expiring.discard(key)

    def has(self, stored: StoredFile) -> bool:
        return len(self.files.get(stored.key, b"")) == stored.size and stored.key in self.files

    def url(self, stored: StoredFile, seconds: int) -> str:
        assert seconds > 0
        return f"https://models.example/{stored.key}"

    def read(self, stored: StoredFile, most: int) -> bytes:
        return self.reader(stored).read(0, most)

    def reader(self, stored: StoredFile) -> MemoryRange:
        if stored.key not in self.files:
            raise DatasetUnreadableError(stored.key)
        return MemoryRange(self.files[stored.key])

    def read_text(self, key: str) -> StoredText | None:
        data = self.files.get(key)
        if data is None:
            return None
        return StoredText(data.decode(), hashlib.sha256(data).hexdigest(), "null")

    def replace_text(self, key: str, before: StoredText | None, text: str) -> bool:
        if self.read_text(key) != before:
            return False
        self.files[key] = text.encode()
        return True

    def find(self, key: str) -> ExistingFile | None:
        if key not in self.files:
            return None
        return ExistingFile(len(self.files[key]), self.sources.get(key, ""))

    def put(self, key: str, data: bytes, label: Label) -> None:
        self._contend()
        self._lay(key, data, label)

    def begin(self, key: str, label: Label) -> str:
        upload_id = f"upload-{next(self.numbers)}"
        self.uploads[upload_id] = MemoryUpload(key, label, self.now())
        return upload_id

    def parts(self, key: str, upload_id: str) -> Mapping[int, Part]:
        upload = self._upload(key, upload_id)
        return {
            number: _part(number, data)
            for number, data in upload.parts.items()
            if number not in self.unknown
        }

    def upload(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
        assert isinstance(data, (bytes, bytearray)), data
        assert data, "an empty part is no part"
        kept = self._upload(key, upload_id).parts[number] = bytes(data)
        return _part(number, kept)

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        upload = self._upload(key, upload_id)
        if parts != [
            _part(number, upload.parts.get(number, b"")) for number in sorted(upload.parts)
        ]:
            raise UploadGoneError(f"{key}: these are not the parts")
        self._contend()
        self._lay(key, b"".join(upload.parts[part.number] for part in parts), upload.label)
        del self.uploads[upload_id]

    def abort(self, key: str, upload_id: str) -> None:
        if upload_id in self.uploads:
            assert self.uploads.pop(upload_id).key == key

    def reread(self, key: str) -> StoredFile:
        data, name = self.files[key], key.rsplit("/", 1)[-1]
        sha256 = hashlib.sha256(data).hexdigest()
        return StoredFile(name=name, bucket=self.bucket, key=key, size=len(data), sha256=sha256)

    def sweep(self, *, older_than: datetime, keep: Collection[str]) -> int:
        old = [
            upload_id
            for upload_id, upload in self.uploads.items()
            if upload.begun_at < older_than and upload_id not in keep
        ]
        for upload_id in old:
            del self.uploads[upload_id]
        return len(old)

    def versions(self, place: Place) -> Iterable[Sequence[Erasable]]:
        found = [Erasable(key, "null", NOW) for key in self.files if is_at(place, key)]
        return [found] if found else []

    def erase(self, versions: Sequence[Erasable]) -> None:
        for gone in versions:
            self.remove(gone.key)

    def unfinished(self, place: Place) -> Iterable[Sequence[Erasable]]:
        found = [
            Erasable(upload.key, upload_id, upload.begun_at)
            for upload_id, upload in self.uploads.items()
            if is_at(place, upload.key)
        ]
        return [found] if found else []

    def abort_all(self, uploads: Sequence[Erasable]) -> None:
        for upload in uploads:
            self.abort(upload.key, upload.version_id)

    def text(self, job: Job, name: str) -> str | None:
        """A job's file as a person reads it; None when there is none."""
        data = self.files.get(job.prefix + name)
        return None if data is None else data.decode()

    def _mark(self, key: str, *, expires: bool) -> None:
        (self.expiring.add if expires else self.expiring.discard)(key)

    def _upload(self, key: str, upload_id: str) -> MemoryUpload:
        upload = self.uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise UploadGoneError(upload_id)
        return upload

    def _contend(self) -> None:
        if self.contended:
            self.contended -= 1
            raise UploadGoneError("409")

    def _lay(self, key: str, data: bytes, label: Label) -> None:
        if self.files.get(key, data) != data:
            raise KeyOccupiedError(key)
        if key not in self.files:
            self.sources[key] = label.source
        self.files[key] = data


def is_at(place: Place, key: str) -> bool:
    """Whether a key is what a place names."""
    return key.startswith(place.key) if place.folder else key == place.key


def _part(number: int, data: bytes) -> Part:
    checksum = hashlib.sha256(data).hexdigest()
    return Part(number, len(data), etag=checksum[:8], checksum=checksum)


@dataclass
class MemorySource:
    """An ArtifactSource; a name in ``cut`` ends in the middle, one in ``failing`` raises.

    One in ``whole`` has no ranges, one in ``unsized`` no size either. ``reads`` counts them.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    failing: dict[str, Exception] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    whole: set[str] = field(default_factory=set)
    unsized: set[str] = field(default_factory=set)
    opened: list[str] = field(default_factory=list)
    reads: list[tuple[str, int]] = field(default_factory=list)

    @contextmanager
    def open(
        self, artifact: Artifact, *, until: float, whole: bool = False
    ) -> Iterator["MemoryArtifact"]:
        assert until > 0
        self.opened.append(artifact.name)
        if artifact.name in self.failing:
            raise self.failing[artifact.name]
        if artifact.url in self.gone:
            raise ResultGoneError(artifact.url)
        yield MemoryArtifact(self, artifact.name, whole or artifact.name in self.whole)

    def data(self, name: str) -> bytes:
        """What fal serves by this name; sound of its kind where nothing else was laid down."""
        name = name.removesuffix(".invalid")  # it is kept under another name than it has at fal
        if name in self.files:
            return self.files[name]
        if name.endswith(".jpg"):
            return make_jpeg(name, width=768)  # as a picture is ordered
        return make_weights() if name.endswith(".safetensors") else b"{}"


@dataclass
class MemoryArtifact:
    """An OpenArtifact as it was when it was opened; another file in its place tells itself."""

    source: MemorySource
    name: str
    whole: bool
    position: int = 0

    def __post_init__(self) -> None:
        self.data = self.source.data(self.name)

    @property
    def size(self) -> int | None:
        return None if self.name in self.source.unsized else len(self.data)

    @property
    def identity(self) -> str:
        return "" if self.whole else f'"{hashlib.sha256(self.data).hexdigest()[:16]}"'

    def read(self, offset: int, into: memoryview) -> int:
        self.source.reads.append((self.name, offset))
        if self.whole:
            assert offset == self.position
        elif self.source.data(self.name) != self.data:
            raise SourceChangedError(self.name)
        got = self.data[offset : offset + len(into)]
        self.position = offset + len(got)
        if self.name in self.source.cut and self.position > len(self.data) // 2:
            raise DownloadInterruptedError(self.name)
        into[: len(got)] = got
        return len(got)
