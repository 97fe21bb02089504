"""Files that are read by ranges, and what reading them may cost."""

from typing import Protocol


class RangedReader(Protocol):
    """One immutable file that is read by ranges; ``size`` in bytes."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes from ``offset``, fewer only at the end of the file."""


class TooManyReadsError(RuntimeError):
    """Raised when code of ours would read more than it was given; no archive can bring that about."""


class MeteredReader:
    """A reader that counts, and that reads no more than it may.

    ``requests`` and ``bytes_read`` are what was asked of the file so far. ``most_requests`` and
    ``most_bytes`` bound them where they are given: a read beyond raises TooManyReadsError and is not made.
    """

    def __init__(
        self,
        archive: RangedReader,
        *,
        most_requests: int | None = None,
        most_bytes: int | None = None,
    ) -> None:
        self._archive = archive
        self.most_requests = most_requests
        self.most_bytes = most_bytes
        self.requests = 0
        self.bytes_read = 0

    @property
    def size(self) -> int:
        """In bytes."""
        return self._archive.size

    def affords(self, length: int) -> bool:
        """Return whether a read of so many bytes may be made."""
        return (self.most_requests is None or self.requests < self.most_requests) and (
            self.most_bytes is None or self.bytes_read + length <= self.most_bytes
        )

    def read(self, offset: int, length: int) -> bytes:
        """Return the same as the file's own; what lies beyond its end costs nothing."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        if not self.affords(length):
            raise TooManyReadsError(
                f"{self.requests} requests, {self.bytes_read} bytes, and {length}"
            )
        self.requests += 1
        data = self._archive.read(offset, length)
        self.bytes_read += len(data)
        return data


class HeldReader:
    """A reader of a small file: the first read fetches all of it, and it is read no more."""

    def __init__(self, archive: RangedReader) -> None:
        self._archive = archive
        self._held: bytes | None = None

    @property
    def size(self) -> int:
        """In bytes."""
        return self._archive.size

    def read(self, offset: int, length: int) -> bytes:
        """Return the same as the file's own."""
        if self._held is None:
            self._held = self._archive.read(0, self.size)
        return self._held[offset : offset + length]


class TailReader:
    """A reader that has read the last bytes of its file, and asks for none of them again.

    ``start`` is where they begin, ``tail`` what they are.
    """

    def __init__(self, archive: MeteredReader, length: int) -> None:
        self._archive = archive
        self.start = max(0, archive.size - length)
        self.tail = archive.read(self.start, archive.size - self.start)

    @property
    def size(self) -> int:
        """In bytes."""
        return self._archive.size

    def affords(self, offset: int, length: int) -> bool:
        """Return whether these bytes are at hand, or may be read."""
        missing = min(offset + length, self.start) - offset
        return missing <= 0 or self._archive.affords(missing)

    def read(self, offset: int, length: int) -> bytes:
        """Return the same as the file's own, in one request at most."""
        before = self._archive.read(offset, min(length, self.start - offset))
        at = offset + len(before) - self.start
        return before + self.tail[at : at + length - len(before)] if at >= 0 else before


class ForwardReader:
    """A reader for who goes through a file once, from front to back, in windows of so many bytes.

    It holds one window, and reads none beyond ``end``.
    """

    def __init__(self, archive: RangedReader, *, end: int, window: int) -> None:
        self._archive = archive
        self._end = end
        self._window = window
        self._start = 0
        self._held = b""

    def some(self, offset: int, most: int) -> bytes:
        """Return at least one byte and at most so many from ``offset``; none at the end."""
        at = offset - self._start
        if not 0 <= at < len(self._held):
            length = min(self._window, self._end - offset)
            self._held = self._archive.read(offset, length) if length > 0 else b""
            self._start, at = offset, 0
        return self._held[at : at + most]

    def exactly(self, offset: int, length: int) -> bytes:
        """Return so many bytes from ``offset``; fewer only at the end."""
        parts = []
        while length > 0 and (part := self.some(offset, length)):
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)
