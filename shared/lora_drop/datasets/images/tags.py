"""Directories of tags, as TIFF files, EXIF data and many raw files have them.

Layout: TIFF 6.0, section 2; BigTIFF as libtiff documents it. What makes no sense is passed over, as
every viewer does: a directory is cut where its bytes end.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from lora_drop.datasets.images.reading import ImageBytes

PLAIN, BIG = 42, 43
MAX_ENTRIES = 512
MAX_NUMBERS = 64
# Bytes of one value, of the types that are whole numbers: BYTE, SHORT, LONG, SBYTE, SSHORT, SLONG,
# IFD, LONG8, SLONG8, IFD8.
WIDTHS: Mapping[int, int] = {1: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4, 13: 4, 16: 8, 17: 8, 18: 8}
SIGNED = frozenset({6, 8, 9, 17})
EXIF_PREFIX = re.compile(rb"(?:Exif\x00\x00){1,2}")


class Tag(IntEnum):
    """The tags that are looked at (TIFF 6.0, EXIF 3.0 section 4.6, DNG 1.7, XMP part 3)."""

    NEW_SUBFILE_TYPE = 254
    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    DESCRIPTION = 270
    MAKE = 271
    MODEL = 272
    ORIENTATION = 274
    SAMPLES = 277
    SOFTWARE = 305
    TIME = 306
    ARTIST = 315
    SUB_DIRECTORIES = 330
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    XMP = 700
    COPYRIGHT = 33432
    IPTC = 33723
    PHOTOSHOP = 34377
    EXIF = 34665
    PROFILE = 34675
    GPS = 34853
    DNG_VERSION = 50706


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory: whole numbers by tag, none where a tag holds another type.

    ``next`` is the offset of the one behind it, 0 at the end; ``cut``: it is too long to be read whole.
    """

    entries: Mapping[int, tuple[int, ...]]
    next: int
    cut: bool = False

    def __contains__(self, tag: int) -> bool:
        return tag in self.entries

    def number(self, tag: int, default: int) -> int:
        """Return the one whole number under a tag; the default where there is none or several."""
        values = self.entries.get(tag, ())
        return values[0] if len(values) == 1 else default

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return all whole numbers under a tag."""
        return self.entries.get(tag, ())


@dataclass(frozen=True, slots=True)
class Tiff:
    """A block of directories; ``first`` is the offset of the first one."""

    source: ImageBytes
    order: Literal["little", "big"]
    big: bool
    first: int

    def directory(self, offset: int) -> Directory:
        """Return the directory there; empty where none is."""
        head, size, tail = (8, 20, 8) if self.big else (2, 12, 4)
        count = self._number(self.source.read(offset, head))
        data = self.source.read(offset + head, min(count, MAX_ENTRIES) * size)
        entries: dict[int, tuple[int, ...]] = {}
        for at in range(0, len(data) - size + 1, size):
            tag = self._number(data[at : at + 2])
            entries.setdefault(tag, self._values(data[at + 2 : at + size]))
        return Directory(
            entries,
            self._number(self.source.read(offset + head + count * size, tail)),
            cut=count > MAX_ENTRIES,
        )

    def _values(self, entry: bytes) -> tuple[int, ...]:
        """Return the whole numbers of an entry, given its type, its count, and its value or offset."""
        kind = self._number(entry[:2])
        width = WIDTHS.get(kind, 0)
        inline = 8 if self.big else 4
        count = min(self._number(entry[2 : 2 + inline]), MAX_NUMBERS)
        if not width or not count:
            return ()
        value = entry[2 + inline :]
        if width * count > inline:
            value = self.source.read(self._number(value), width * count)
        return tuple(
            int.from_bytes(value[at : at + width], self.order, signed=kind in SIGNED)
            for at in range(0, min(len(value), width * count) - width + 1, width)
        )

    def _number(self, data: bytes) -> int:
        return int.from_bytes(data, self.order)


def open_tiff(source: ImageBytes) -> Tiff | None:
    """Return the block of directories that begins here; None when none does."""
    head = source.read(0, 16)
    order: Literal["little", "big"] | None = {b"II": "little", b"MM": "big"}.get(head[:2])  # type: ignore[assignment]
    if order is None:
        return None
    # Some writers turn the bytes of this number around, and every reader lets them.
    version = {head[2], head[3]} - {0} if len(head) >= len("II*\0") else set()
    if version == {BIG}:
        return Tiff(source, order, big=True, first=int.from_bytes(head[8:16], order))
    if version == {PLAIN}:
        return Tiff(source, order, big=False, first=int.from_bytes(head[4:8], order))
    return None
