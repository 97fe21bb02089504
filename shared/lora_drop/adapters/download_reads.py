"""The two ways to read a file of the CDN: by ranges, several at once, or in one go."""

import re
import zlib
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

import httpx

from lora_drop.adapters.download_wire import BrokenDownloadError, Range, Wire, encoding
from lora_drop.jobs.errors import DownloadInterruptedError, SourceChangedError

ATTEMPTS = 3  # of a piece, each from the byte that the last has got to
LEAST = 256 * 1024  # less is not worth a request of its own
CHUNK = 1024**2
CHANGED = frozenset({200, 206, 412, 416})
GZIP = zlib.MAX_WBITS | 16


def strong_etag(response: httpx.Response) -> str:
    """Return the ETag where it stands for one sequence of bytes (RFC 9110, 8.8.1); empty otherwise."""
    etag: str = response.headers.get("ETag", "")
    return etag if re.fullmatch(r'"[!#-~]{1,200}"', etag) else ""


class InRanges:
    """A file whose every byte is asked for by its place and its ETag."""

    def __init__(
        self, wire: Wire, first: httpx.Response, *, size: int, etag: str, lanes: int
    ) -> None:
        self._wire = wire
        self._first: httpx.Response | None = first
        self._size = size
        self._etag = etag
        self._lanes = lanes
        self._pool = ThreadPoolExecutor(2 * lanes)

    @property
    def size(self) -> int:
        """Return the size in bytes."""
        return self._size

    @property
    def identity(self) -> str:
        """Return its strong ETag."""
        return self._etag

    def read(self, offset: int, into: memoryview) -> int:
        """Fill the buffer in pieces, all of them at once; several reads may go on at a time, and none ends another.

        Raises SourceChangedError, ResultGoneError and DownloadInterruptedError once no piece is written any more.
        """
        length = max(LEAST, -(-len(into) // self._lanes))
        first = self._first if offset == 0 else None
        if first:
            self._first = None
        starts = range(0, len(into), length)
        wire = self._wire.apart()
        pieces: list[Future[None]] = [
            self._pool.submit(
                self._piece,
                wire,
                offset + start,
                into[start : start + length],
                None if start else first,
            )
            for start in starts
        ]
        done, others = wait(pieces, return_when=FIRST_EXCEPTION)
        failed = next((piece for piece in done if piece.exception()), None)
        if failed:
            wire.stop()
            wait(others)
            failed.result()
        return len(into)

    def close(self) -> None:
        """Read no further."""
        self._wire.stop()
        if self._first:
            self._first.close()
        self._pool.shutdown()

    def _piece(
        self, wire: Wire, offset: int, into: memoryview, first: httpx.Response | None
    ) -> None:
        done = 0
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = first or self._asked(wire, Range(offset + done, offset + len(into)))
                for chunk in wire.chunks(response):
                    room = into[done : done + len(chunk)]
                    room[:] = chunk[: len(room)]
                    done += len(room)
                    if len(room) < len(chunk) and not first:
                        raise SourceChangedError(f"{wire.name} sends more than was asked for")
                    if done == len(into) and first:
                        break  # it may be longer than what is wanted of it now
            except BrokenDownloadError:
                if attempt == ATTEMPTS:
                    raise
            if done == len(into):
                return
            first = None
        raise DownloadInterruptedError(f"{wire.name} ended {len(into) - done} bytes too early")

    def _asked(self, wire: Wire, span: Range) -> httpx.Response:
        """Request exactly this range of exactly this file; raises SourceChangedError where it is another."""
        response = wire.get(span, etag=self._etag)
        expected = Range(span.start, span.end, self._size)
        if Range.served(response) == expected and strong_etag(response) == self._etag:
            return response
        response.close()
        if response.status_code in CHANGED:
            raise SourceChangedError(f"{wire.name} is not the file any more that it was")
        raise DownloadInterruptedError(f"{wire.name}: status {response.status_code}")


class InOneGo:
    """A file that comes from its first byte to its last, or not at all."""

    identity = ""

    def __init__(self, wire: Wire, response: httpx.Response, *, expected: int | None) -> None:
        self._wire = wire
        self._response = response
        self._chunks = _unpacked(wire, response)
        self._rest = memoryview(b"")
        self._arrived = 0
        stated = response.headers.get("Content-Length", "")
        # The length of a packed body says nothing of the file's.
        self._size = int(stated) if stated.isdecimal() and not encoding(response) else None
        self._expected = expected if self._size is None else self._size
        wire.check_size(self._size or 0)

    @property
    def size(self) -> int | None:
        """Return the size as the server states it."""
        return self._size

    def read(self, offset: int, into: memoryview) -> int:
        """Return the bytes that come next, which have to be those that are asked for.

        Raises DownloadInterruptedError when they end before, or go on after, what the server or fal said.
        """
        if offset != self._arrived:
            raise DownloadInterruptedError(
                f"{self._wire.name} cannot be read but from its beginning"
            )
        filled = 0
        while filled < len(into) and self._more():
            piece = self._rest[: len(into) - filled]
            into[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._rest = self._rest[len(piece) :]
        self._arrived += filled
        self._wire.check_size(self._arrived)
        ended = filled < len(into)
        expected = self._arrived if self._expected is None else self._expected
        if self._arrived > expected or (ended and self._arrived < expected):
            how = "ended after" if ended else "goes on after"
            raise DownloadInterruptedError(
                f"{self._wire.name} {how} {self._arrived} bytes, and should have {expected}"
            )
        return filled

    def close(self) -> None:
        """Read no further."""
        self._wire.stop()
        self._response.close()

    def _more(self) -> bool:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._rest = memoryview(chunk)
        return True


def _unpacked(wire: Wire, response: httpx.Response) -> Iterator[bytes]:
    """Yield the file's bytes; raises DownloadInterruptedError for a packing that is unknown, or not whole.

    Packed against our wish, and a little may unpack to very much: never more than 1 MiB at once.
    """
    packed = encoding(response)
    if not packed:
        yield from wire.chunks(response)
        return
    if packed not in ("gzip", "x-gzip"):
        raise DownloadInterruptedError(f"{wire.name} comes packed, as {packed[:40]}")
    unpack = zlib.decompressobj(wbits=GZIP)
    try:
        for chunk in wire.chunks(response):
            rest = chunk
            while rest:
                if unpack.eof:
                    raise DownloadInterruptedError(f"{wire.name} goes on after what was packed")
                yield unpack.decompress(rest, CHUNK)
                rest = unpack.unconsumed_tail or unpack.unused_data
        while not unpack.eof and (data := unpack.decompress(b"", CHUNK)):
            yield data
    except zlib.error as error:
        raise DownloadInterruptedError(f"{wire.name} cannot be unpacked") from error
    if not unpack.eof:
        raise DownloadInterruptedError(f"{wire.name} ended before it could be unpacked whole")
