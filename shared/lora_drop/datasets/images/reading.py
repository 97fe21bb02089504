"""An image's bytes as they are read here: whole, or a beginning that grows only forward."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

STEP = 64 * 1024
MOST = 1024**2


class ImageBytes(Protocol):
    """The bytes of one file, read in any order."""

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes from ``offset``, fewer only where the file ends; may raise BeyondPrefixError."""

    def view(self, offset: int, length: int) -> bytes | memoryview:
        """Return the same as ``read``, without a copy where there is none to be made."""


class BeyondPrefixError(LookupError):
    """Raised when only the beginning of a file is at hand and what is asked for lies behind it.

    ``end`` is where the bytes that were asked for end.
    """

    def __init__(self, end: int) -> None:
        super().__init__(f"the first {end} bytes are needed")
        self.end = end


class WholeImage:
    """A file that is all in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._found: dict[Callable[..., Any], Sequence[Any]] = {}

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes from ``offset``, fewer only where the file ends."""
        return self.data[offset : offset + length]

    def view(self, offset: int, length: int) -> memoryview:
        """Return the same as ``read``, without a copy."""
        return memoryview(self.data)[offset : offset + length]

    def has(self, wanted: bytes, offset: int, length: int) -> bool:
        """Return whether these bytes lie anywhere in this stretch."""
        return self.data.find(wanted, offset, offset + length) >= 0

    def once[T](self, search: Callable[["WholeImage"], Iterable[T]]) -> Sequence[T]:
        """Return all that a search through the whole file finds; the next one who asks need not search again."""
        if search not in self._found:
            self._found[search] = tuple(search(self))
        return self._found[search]


class Part:
    """A stretch of another file, read as a file of its own."""

    def __init__(self, source: ImageBytes, offset: int, length: int) -> None:
        self._source = source
        self._offset = offset
        self._length = length

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes from ``offset`` of the stretch, fewer only where it ends."""
        length = min(length, self._length - offset)
        return self._source.read(self._offset + offset, length) if length > 0 else b""

    def view(self, offset: int, length: int) -> bytes | memoryview:
        """Return the same as ``read``, without a copy where the file is all in memory."""
        length = min(length, self._length - offset)
        return self._source.view(self._offset + offset, length) if length > 0 else b""


class Prefix:
    """The beginning of a file that comes in pieces, as a member of a ZIP is inflated.

    Pieces are taken only as far as they are needed, and never once ``limit`` bytes are at hand.
    """

    def __init__(self, pieces: Iterable[bytes], *, limit: int = STEP) -> None:
        self._pieces = iter(pieces)
        self._seen = bytearray()
        self._limit = limit
        self._ended = False

    @property
    def taken(self) -> int:
        """How many bytes were taken by now."""
        return len(self._seen)

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes from ``offset``, fewer only where the file ends; raises BeyondPrefixError."""
        end = offset + length
        while len(self._seen) < min(end, self._limit) and not self._ended:
            piece = next(self._pieces, None)
            if piece is None:
                self._ended = True
            else:
                self._seen += piece
        if end > len(self._seen) and not self._ended:
            raise BeyondPrefixError(end)
        return bytes(self._seen[offset:end])

    def view(self, offset: int, length: int) -> bytes:
        """Return the same as ``read``: the beginning may still grow, so it cannot be lent out."""
        return self.read(offset, length)

    def grow(self, end: int) -> None:
        """Let so many bytes be taken, rounded up to a step of 64 KiB."""
        self._limit = max(self._limit, -(-end // STEP) * STEP)
