"""A JPEG cut into its segments, each byte of the file in one of them (ITU T.81 annex B).

As lenient as libjpeg: what lies between two segments is passed over.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lora_drop.datasets.images.header import cut_off, damaged, too_much_work
from lora_drop.datasets.images.reading import ImageBytes

START, END, SCAN = 0xD8, 0xD9, 0xDA
BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
# Not markers, but what lies between and behind them.
ENTROPY, JUNK, TRAILER = -1, -2, -3
MAX_SEGMENTS = 20_000
# Each scan goes over all of the picture, however few its bytes are: 49 megapixels take 0.05 s for one
# of 75 bytes. Cameras write 1, progressive photos 10 or 11; libtiff ends at 100 as well (tif_jpeg.c).
MAX_SCANS = 100
# Bytes that are searched at once: before the first scan a marker follows at once, in a sound file.
SMALL_WINDOW, WINDOW = 4096, 256 * 1024
NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # B.1.1.2: neither stuffing nor restarts


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the file, from ``at`` to ``end``; what follows the marker's length is at ``data``."""

    marker: int
    at: int
    data: int
    end: int

    @property
    def length(self) -> int:
        """Bytes after the marker and its length."""
        return self.end - self.data


def segments(source: ImageBytes) -> Iterator[Segment]:
    """Yield all of the file from its first byte to its last, each byte in one segment.

    Raises InvalidImageError where it is cut or makes no sense before the first scan, and for more than
    100 scans; after the first one it may end anywhere.
    """
    yield Segment(START, 0, 2, 2)
    at, scans = 2, 0
    for _ in range(MAX_SEGMENTS):
        start, code_at = _find(source, at, WINDOW if scans else SMALL_WINDOW)
        marker = int.from_bytes(source.read(code_at, 1)) if code_at else END
        end = _end_of(source, marker, code_at) if code_at else None
        if end is None and not scans:
            raise cut_off()
        if end is None:
            start = end_of_file(source, start)
        if start > at:
            yield Segment(ENTROPY if scans else JUNK, at, at, start)
        if end is None:
            return
        yield Segment(marker, start, min(code_at + 3, end), end)
        at, scans = end, scans + (marker == SCAN)
        if scans > MAX_SCANS:
            raise too_much_work(f"it is drawn more than {MAX_SCANS} times over")
        if marker == END:
            break
    else:
        raise damaged("it has too many parts")
    if source.read(at, 1):
        yield Segment(TRAILER, at, at, end_of_file(source, at))


def end_of_file(source: ImageBytes, at: int) -> int:
    """Return where the file ends, sought from a place in it."""
    while got := source.view(at, WINDOW):
        at += len(got)
    return at


def _end_of(source: ImageBytes, marker: int, code_at: int) -> int | None:
    """Return where the segment ends whose marker's code is there; None when the file ends before it."""
    if marker == END or marker in BARE:
        return code_at + 1
    length = source.read(code_at + 1, 2)
    if len(length) < len("nn"):
        return None
    if int.from_bytes(length) < len(length):
        raise damaged("one of its parts has an impossible length")
    end = code_at + 1 + int.from_bytes(length)
    return end if source.read(end - 1, 1) else None


def _find(source: ImageBytes, at: int, window: int) -> tuple[int, int]:
    """Return where the next marker begins, and where its code is.

    Fill bytes right before it belong to it where nothing else lies between. At the end of the file:
    the place that it was sought from, and 0.
    """
    begin, only_fill = at, True
    while read := source.view(at, window):
        match = NEXT_MARKER.search(read)
        before = read[: match.start()] if match else read
        only_fill = only_fill and not bytes(before).strip(b"\xff")
        if match:
            return begin if only_fill else at + match.start(), at + match.end() - 1
        if len(read) < window:
            break
        at += len(read) - (read[-1:] == b"\xff")
    return begin, 0
