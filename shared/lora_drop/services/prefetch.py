"""A file's parts on their way: some arrive ahead of the work on them, while others are stored."""

from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from itertools import count

from lora_drop.jobs.errors import DownloadInterruptedError
from lora_drop.results.copies import OpenArtifact, Part

# Five parts in memory are what the function's memory and a connection's speed leave room for.
ARRIVING = 2
STORING = 3
type Span = tuple[int, int, int]
"""A part: number, offset, length."""


def spans(size: int, length: int) -> list[Span]:
    """Return the parts of a file: number, offset, length. A file without a byte is one part as well."""
    return [
        (number, offset, min(length, size - offset))
        for number, offset in enumerate(range(0, max(size, 1), length), start=1)
    ]


class Arrivals:
    """The parts that are not there yet, in order, each in a buffer that is used again once it is given back.

    No more than ``ARRIVING`` are on their way, and one of a file that can only be read in one go.
    """

    def __init__(
        self, file: OpenArtifact, length: int, there: Collection[int], ahead: Executor
    ) -> None:
        self._file = file
        self._ahead = ahead
        self._length = length if file.size is None else min(length, file.size)
        self._missing = (span for span in _spans(file.size, length) if span[0] not in there)
        self._next = next(self._missing, None)
        self._most = ARRIVING if file.identity else 1
        self._coming: deque[tuple[Span, bytearray, Future[int]]] = deque()
        self._free: list[bytearray] = []

    @property
    def waiting(self) -> bool:
        """Whether there may be another part."""
        return bool(self._coming) or self._next is not None

    def take(self) -> tuple[int, bytearray]:
        """Return the next part's number and bytes; none at all where an unsized file has ended before it.

        Raises what reading the file raises, and DownloadInterruptedError when it is shorter than it said.
        """
        if not self._coming:
            self._send_for()
        (number, _, length), buffer, future = self._coming.popleft()
        got = future.result()
        if got < length and self._file.size is not None:
            raise DownloadInterruptedError(f"part {number} ended after {got} of {length} bytes")
        if got < length:
            self._next = None
        self._send_for()
        return number, buffer if got == len(buffer) else buffer[:got]

    def give_back(self, data: bytearray) -> None:
        """Take the buffer of a part that nothing reads any more."""
        if len(data) == self._length:
            self._free.append(data)

    def _send_for(self) -> None:
        while self._next and len(self._coming) < self._most:
            span, self._next = self._next, next(self._missing, None)
            buffer = self._free.pop() if self._free else bytearray(self._length)
            self._coming.append((span, buffer, self._ahead.submit(self._read, span, buffer)))

    def _read(self, span: Span, buffer: bytearray) -> int:
        _, offset, length = span
        return self._file.read(offset, memoryview(buffer)[:length]) if length else 0


class PartUploads:
    """Parts that are being stored, ``STORING`` at most; ``stored`` is called with each, and its bytes, in the caller's thread."""

    def __init__(self, executor: Executor, stored: Callable[[Part, bytearray], None]) -> None:
        self._executor = executor
        self._stored = stored
        self._pending: dict[Future[Part], bytearray] = {}

    def add(self, upload: Callable[[bytearray], Part], data: bytearray) -> None:
        """Store another one; raises what storing an earlier one has raised."""
        self._pending[self._executor.submit(upload, data)] = data
        self._settle()

    def make_room(self) -> None:
        """Wait until another one may be stored."""
        self._wait_until(STORING - 1)

    def finish(self) -> None:
        """Wait until all are stored."""
        self._wait_until(0)

    def _wait_until(self, left: int) -> None:
        while len(self._pending) > left:
            wait(self._pending, return_when=FIRST_COMPLETED)
            self._settle()

    def _settle(self) -> None:
        for future in [each for each in self._pending if each.done()]:
            self._stored(future.result(), self._pending.pop(future))


def _spans(size: int | None, length: int) -> Iterator[Span]:
    if size is not None:
        return iter(spans(size, length))
    return ((number, (number - 1) * length, length) for number in count(1))
