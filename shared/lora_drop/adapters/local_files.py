"""Files on this machine, read by ranges: what is true of a ZIP here is true of it in S3."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from lora_drop.jobs.errors import DatasetUnreadableError


class FileRange:
    """An open file as a RangedReader, in the size it had when it was opened."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size

    @property
    def size(self) -> int:
        """In bytes."""
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of the file; raises DatasetUnreadableError when it has become shorter."""
        length = min(length, self._size - offset)
        if length <= 0:
            return b""
        self._file.seek(offset)
        data = self._file.read(length)
        if len(data) < length:
            raise DatasetUnreadableError(f"{self._file.name} was changed while it was read")
        return data


@contextmanager
def open_range(path: Path) -> Iterator[FileRange]:
    """Open the file, for as long as the block lasts; raises OSError."""
    with path.open("rb") as file:
        yield FileRange(file)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
