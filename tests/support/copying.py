"""One file to be copied, from and to the doubles."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from lora_drop.jobs.artifacts import Artifact, StoredFile, Upload
from lora_drop.jobs.errors import DownloadInterruptedError
from lora_drop.results.copies import Part
from lora_drop.services.copy import Copier
from lora_drop.services.copy_attempt import CopyRequest
from tests.support.memory_files import MemoryResults, MemorySource

PART = 256
PREFIX = "ada/ada-0123456789/"
BIN = Artifact(name="samples.bin", url="https://v3.fal.media/files/a/samples.bin")
LORA = Artifact(name="lora.safetensors", url="https://v3.fal.media/files/a/lora.safetensors")
KEY = PREFIX + BIN.name


class HookedResults(MemoryResults):
    """A store that calls ``hook`` before it takes each part of an upload."""

    def __init__(self, hook: Callable[[int, str], object]) -> None:
        super().__init__()
        self.hook = hook

    def upload(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
        self.hook(number, upload_id)
        return super().upload(key, upload_id, number, data)


@dataclass
class MemoryNotes:
    """What is kept of unfinished copies; ``lost`` is raised when another worker has the job."""

    uploads: dict[str, Upload] = field(default_factory=dict)
    lost: BaseException | None = None
    renewed: int = 0

    def find(self, name: str) -> Upload | None:
        return self.uploads.get(name)

    def add(self, upload: Upload) -> None:
        if self.lost:
            raise self.lost
        self.uploads[upload.name] = upload

    def drop(self, upload: Upload) -> None:
        del self.uploads[upload.name]

    def renew(self) -> None:
        self.renewed += 1


@dataclass
class Bench:
    """One file to be copied, from and to the doubles."""

    results: MemoryResults = field(default_factory=MemoryResults)
    source: MemorySource = field(default_factory=MemorySource)
    notes: MemoryNotes = field(default_factory=MemoryNotes)
    now: float = 0.0

    def copy(self, artifact: Artifact = BIN, *, checked: bool = True) -> StoredFile:
        copier = Copier(self.results, self.source, PART, now=lambda: self.now)
        return copier.copy(CopyRequest(artifact, PREFIX, self.notes, until=100.0, checked=checked))

    def serves(self, size: int, artifact: Artifact = BIN) -> bytes:
        """Serve this many bytes from now on."""
        data = hashlib.shake_128(artifact.name.encode()).digest(size)
        self.source.files[artifact.name] = data
        return data

    def serves_in(self, how: str) -> None:
        """Serve every file by "ranges", as one "whole" stream, or as one of "unsized" length."""
        names = {BIN.name, LORA.name}
        self.source.whole = names if how != "ranges" else set()
        self.source.unsized = names if how == "unsized" else set()

    def stored(self) -> dict[str, bytes]:
        """Return the files in the store, where no copy is unfinished."""
        assert self.left() == (0, 0)
        return self.results.files

    def left(self) -> tuple[int, int]:
        """Return how many copies are unfinished in the store, and in the notes."""
        return len(self.results.uploads), len(self.notes.uploads)

    def offsets(self) -> list[int]:
        """Return where the source was read from since the last call."""
        read = [offset for _, offset in self.source.reads]
        self.source.reads.clear()
        return sorted(read)

    def cut_at(self, size: int) -> bytes:
        """Copy so many bytes until the source breaks in the middle of them."""
        data = self.serves(size)
        self.source.cut = {BIN.name}
        with pytest.raises(DownloadInterruptedError):
            self.copy()
        self.source.cut = set()
        self.offsets()
        return data
