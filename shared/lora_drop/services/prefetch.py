"""A file's parts as they arrive, one ahead of the work on them."""

from collections.abc import Collection, Iterator
from concurrent.futures import Executor, Future
from itertools import count

from lora_drop.jobs.errors import DownloadInterruptedError
from lora_drop.results.copies import OpenArtifact


def spans(size: int, length: int) -> list[tuple[int, int, int]]:
    """Return the parts of a file: number, offset, length. A file without a byte is one part as well."""
    return [
        (number, offset, min(length, size - offset))
        for number, offset in enumerate(range(0, max(size, 1), length), start=1)
    ]


class Arrivals:
    """The parts that are not there yet, in order.

    There are never more than two in memory: the one that is worked on, and the one that is on its
    way. The first is fetched by the caller, so a file of one part needs no thread.
    """

    def __init__(
        self, file: OpenArtifact, length: int, there: Collection[int], ahead: Executor
    ) -> None:
        self._file = file
        self._ahead = ahead
        self._missing = (span for span in _spans(file.size, length) if span[0] not in there)
        self._next = next(self._missing, None)
        self._coming: Future[int] | None = None
        self._buffer = memoryview(
            bytearray(length if file.size is None else min(length, file.size))
        )

    @property
    def waiting(self) -> bool:
        """Whether there may be another part."""
        return self._next is not None

    def take(self) -> tuple[int, bytes]:
        """Return the next part's number and bytes; none at all where an unsized file has ended before it.

        Raises what reading the file raises, and DownloadInterruptedError when it is shorter than it said.
        """
        span = self._next
        if span is None:
            raise IndexError("no part is left")
        got = self._coming.result() if self._coming else self._read(span)
        number, _, length = span
        if got < length and self._file.size is not None:
            raise DownloadInterruptedError(f"part {number} ended after {got} of {length} bytes")
        # The one copy that is made of a part: the buffer is free for the next one.
        data = bytes(self._buffer[:got])
        self._next = next(self._missing, None) if got == length else None
        self._coming = self._ahead.submit(self._read, self._next) if self._next else None
        return number, data

    def _read(self, span: tuple[int, int, int]) -> int:
        _, offset, length = span
        return self._file.read(offset, self._buffer[:length]) if length else 0


def _spans(size: int | None, length: int) -> Iterator[tuple[int, int, int]]:
    if size is not None:
        return iter(spans(size, length))
    return ((number, (number - 1) * length, length) for number in count(1))
