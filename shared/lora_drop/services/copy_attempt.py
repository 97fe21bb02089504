"""What to copy and where to, and one try at it: the parts that lie in the store are listed, and only the others are fetched."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Protocol

from lora_drop.jobs.artifacts import Artifact, StoredFile, Upload
from lora_drop.jobs.errors import (
    DownloadInterruptedError,
    DownloadTimeoutError,
    ResultInvalidError,
    SourceChangedError,
    UploadGoneError,
)
from lora_drop.jobs.proof import PictureOrder
from lora_drop.ports import CopyStore
from lora_drop.results.copies import Label, OpenArtifact, Part
from lora_drop.results.validation import Check
from lora_drop.services.picture_check import check_for
from lora_drop.services.prefetch import Arrivals, PartUploads, spans

PIECE = 1024**2


class UploadLog(Protocol):
    """The unfinished copies of a job, kept where the next who copies its files finds them."""

    def find(self, name: str) -> Upload | None:
        """Return the unfinished copy of this name."""

    def add(self, upload: Upload) -> None:
        """Keep it for good; raises ConflictError when another worker copies this job's files by now."""

    def drop(self, upload: Upload) -> None:
        """Remove it; that is kept for good with the next write."""

    def renew(self) -> None:
        """Keep the right to copy while the copy gets on; raises ConflictError where another worker has it."""


@dataclass(frozen=True, slots=True)
class CopyRequest:
    """What to copy and where to; ``until`` on the monotonic clock; unchecked, it is taken as it is.

    ``until_whole`` is for a file that can only be read in one go: nothing of it is kept for the next run.
    ``metadata`` is what the copy says of itself besides; ``renamed`` false: it has no name but its own.
    ``order`` is what a picture is made of.
    """

    artifact: Artifact
    prefix: str
    notes: UploadLog
    until: float
    checked: bool = True
    until_whole: float = 0.0
    metadata: Mapping[str, str] = field(default_factory=dict)
    renamed: bool = True
    order: PictureOrder | None = None

    def deadline(self, *, whole: bool) -> float:
        """Return until when the file may be read."""
        return max(self.until, self.until_whole) if whole else self.until

    @property
    def label(self) -> Label:
        """Return what identifies a copy: a digest of its source's URL, which itself stays private."""
        kind = self.artifact.content_type or "application/octet-stream"
        source = hashlib.sha256(self.artifact.url.encode()).hexdigest()
        return Label(kind, source, self.metadata)

    def names(self) -> Iterator[str]:
        """Yield its name, and those it can have when something else lies under that."""
        yield self.artifact.name
        if self.renamed:
            yield from (f"{number}-{self.artifact.name}" for number in count(2))


class CopyAttempt:
    """One try at one file under one name."""

    def __init__(
        self,
        results: CopyStore,
        request: CopyRequest,
        name: str,
        *,
        part: int,
        until: float,
        now: Callable[[], float],
    ) -> None:
        """``part``: how many bytes a part has; ``until`` on the clock ``now``."""
        self._results = results
        self._now = now
        self._length = part
        self._request = request
        self._until = until
        self._name = name
        self._key = request.prefix + name
        self._upload: Upload | None = None
        self._parts: dict[int, Part] = {}
        self._fresh = True  # this try sees all of the file, from its first byte on
        self._size = 0
        self._digest = hashlib.sha256()
        self._check = Check(None)

    @property
    def resumable(self) -> bool:
        """Return whether another try can go on from what is stored by now."""
        return self._upload is not None and bool(self._upload.identity)

    @property
    def complete(self) -> bool:
        """Return whether there is nothing left to fetch."""
        return self._upload is not None and len(self._parts) == len(
            spans(self._upload.size, self._length)
        )

    def resume(self) -> None:
        """Take up what an earlier try has left, where it can be gone on with."""
        self._upload = self._request.notes.find(self._name)
        if self._upload is None:
            return
        if not self.resumable:
            self.discard()
            return
        try:
            kept = self._results.parts(self._key, self._upload.upload_id)
        except UploadGoneError:
            self.discard()
            return
        lengths = {number: length for number, _, length in spans(self._upload.size, self._length)}
        self._parts = {
            number: part for number, part in kept.items() if part.size == lengths.get(number)
        }
        self._fresh = not self._parts

    def discard(self) -> None:
        """End what is stored by now of this copy."""
        if self._upload:
            self._results.abort(self._key, self._upload.upload_id)
            self._request.notes.drop(self._upload)
        self._upload, self._parts, self._fresh = None, {}, True

    def fetch(self, file: OpenArtifact, ahead: Executor, uploading: Executor) -> StoredFile:
        """Fetch what is missing ``ahead`` of the work on it, store several parts at once, and complete the copy."""
        said = self._request.artifact.size
        if said and file.size not in (None, said):
            raise DownloadInterruptedError(
                f"{self._name} is of another size ({file.size} bytes) than fal says ({said})"
            )
        identity = self._identity(file)
        if self._upload and (self._upload.identity, self._upload.size) != (identity, file.size):
            self.discard()
        if self._request.checked and self._fresh:
            self._check = check_for(self._request.artifact, file.size, self._request.order)
        arrivals = Arrivals(file, self._length, self._parts, ahead)
        uploads = PartUploads(uploading, partial(self._stored, arrivals))
        try:
            while arrivals.waiting:
                uploads.make_room()
                self._take(file, uploads, *arrivals.take())
            uploads.finish()
            return self.finish()
        except ResultInvalidError as why:
            if self._request.artifact.size in (None, file.size):
                raise
            raise DownloadInterruptedError(
                f"{self._name} is not of the size that fal says"
            ) from why

    def finish(self) -> StoredFile:
        """Complete the copy; what this try has not seen whole is read back to be hashed."""
        if self._upload:
            self._check.finish(self._size)
            parts = [self._parts[number] for number in sorted(self._parts)]
            self._results.complete(self._key, self._upload.upload_id, parts)
            self._request.notes.drop(self._upload)
        if not self._fresh:
            return self._results.reread(self._key)
        return StoredFile(
            name=self._name,
            bucket=self._results.bucket,
            key=self._key,
            size=self._size,
            sha256=self._digest.hexdigest(),
        )

    def _take(self, file: OpenArtifact, uploads: PartUploads, number: int, data: bytearray) -> None:
        if self._now() >= self._until:
            raise DownloadTimeoutError(f"{self._name} takes longer than there is time for")
        self._size += len(data)
        if self._fresh:
            self._digest.update(data)
            self._check.feed(data)
        if number > 1 and not data:
            return  # it has ended with the part before
        if self._upload is None:
            if len(data) < self._length or len(data) == file.size:
                self._check.finish(len(data))
                self._results.put(self._key, bytes(data), self._request.label)
                return
            self._upload = self._begin(file)
        uploads.add(partial(self._results.upload, self._key, self._upload.upload_id, number), data)

    def _stored(self, arrivals: Arrivals, part: Part, data: bytearray) -> None:
        self._parts[part.number] = part
        arrivals.give_back(data)
        self._request.notes.renew()

    def _begin(self, file: OpenArtifact) -> Upload:
        """Begin a new copy in parts, logged before its first part, so that it can always be found and ended."""
        if file.identity:
            self._settle(file)
        upload_id = self._results.begin(self._key, self._request.label)
        upload = Upload(
            name=self._name,
            upload_id=upload_id,
            identity=self._identity(file),
            size=file.size or 0,
        )
        try:
            self._request.notes.add(upload)
        except Exception:
            self._results.abort(self._key, upload_id)
            raise
        return upload

    def _settle(self, file: OpenArtifact) -> None:
        """Judge the file now, even where more than its first part is needed for that."""
        offset = self._size
        while missing := self._check.missing:
            piece = bytearray(min(missing, PIECE))
            if file.read(offset, memoryview(piece)) < len(piece):
                raise SourceChangedError(f"{self._name} has fewer bytes than it had")
            self._check.feed(piece)
            offset += len(piece)

    def _identity(self, file: OpenArtifact) -> str:
        """Return the ETag, which means something only together with the address."""
        return file.identity and f"{file.identity} {self._request.label.source[:16]}"
