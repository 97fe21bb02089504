"""The boxes of HEIF and AVIF files, and the items and properties that their meta box lists.

Layout: ISO/IEC 14496-12, 4.2 (boxes), 8.11 (meta, pitm, iloc, iinf, iref); ISO/IEC 23008-12 section 6
and 9.3 (iprp: ipco, ipma).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from lora_drop.datasets.images.header import damaged, exactly
from lora_drop.datasets.images.reading import ImageBytes

MAX_BOXES = 1024
MAX_META = 4 * 1024**2
MAX_ITEMS = 20_000
LONG, TO_THE_END = 1, 0  # box sizes that mean something else
IN_FILE, IN_META = 0, 1  # iloc's construction methods


@dataclass(frozen=True, slots=True)
class Box:
    """One box: its type, and where its content begins and ends."""

    type: bytes
    data: int
    end: int


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a meta box: its type, its content type (of MIME items), and its first extent."""

    type: bytes
    content_type: bytes = b""


@dataclass(slots=True)
class Meta:
    """What a meta box lists: items by id, properties in their order, and which item has which.

    ``extents``: where an item's first bytes lie, as (method, offset, length).
    ``auxiliaries``: ids of the items that belong to a picture, by the picture's id. ``parts``: ids of
    those that a picture is put together from (ISO 23008-12, 6.6: grids and overlays).
    """

    primary: int = 0
    items: dict[int, Item] = field(default_factory=dict)
    extents: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    assigned: dict[int, list[int]] = field(default_factory=dict)
    auxiliaries: dict[int, list[int]] = field(default_factory=dict)
    parts: dict[int, list[int]] = field(default_factory=dict)
    data: int = 0  # where the content of its own data box begins in the file

    def properties_of(self, item: int) -> Iterator[tuple[bytes, bytes]]:
        """Yield an item's properties, type and content, in the order in which they are applied."""
        for index in self.assigned.get(item, ()):
            if 0 < index <= len(self.properties):
                yield self.properties[index - 1]


def boxes(source: ImageBytes, at: int, end: int | None = None) -> Iterator[Box]:
    """Yield the boxes that lie one behind the other from there on, to ``end`` or the file's end."""
    for _ in range(MAX_BOXES):
        head = source.read(at, 16) if end is None or at + 8 <= end else b""
        if len(head) < len("sizetype"):
            return
        size, data = int.from_bytes(head[:4]), at + 8
        if size == LONG:
            size, data = int.from_bytes(head[8:16]), at + 16
        stop = at + size if size != TO_THE_END else end or at + 2**63
        if stop < data or (end is not None and stop > end):
            raise damaged("its parts do not fit into each other")
        yield Box(head[4:8], data, stop)
        at = stop
    raise damaged("it has too many parts")


class Cursor:
    """A stretch of bytes read from front to back; raises InvalidImageError behind its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, width: int) -> int:
        """Return the next whole number of so many bytes; 0 of none."""
        return int.from_bytes(self.take(width))

    def take(self, length: int) -> bytes:
        """Return the next bytes."""
        taken = self._data[self._at : self._at + length]
        if len(taken) < length:
            raise damaged("one of its lists is cut")
        self._at += length
        return taken

    def text(self) -> bytes:
        """Return the next text, which ends with a zero byte or with the stretch."""
        end = self._data.find(b"\x00", self._at)
        end = len(self._data) if end < 0 else end
        taken = self._data[self._at : end]
        self._at = end + 1
        return taken


def read_meta(source: ImageBytes, box: Box) -> Meta:
    """Return what a meta box lists; raises InvalidImageError when it makes no sense."""
    if box.end - box.data > MAX_META:
        raise damaged("its list of contents is too long")
    meta = Meta()
    for child in boxes(source, box.data + 4, box.end):
        if child.type == b"idat":
            meta.data = child.data
        elif child.type in READERS:
            READERS[child.type](meta, exactly(source, child.data, child.end - child.data))
        elif child.type == b"iprp":
            for part in boxes(source, child.data, child.end):
                if part.type == b"ipco":
                    meta.properties += [
                        (each.type, exactly(source, each.data, each.end - each.data))
                        for each in boxes(source, part.data, part.end)
                    ]
                elif part.type == b"ipma":
                    _assignments(meta, exactly(source, part.data, part.end - part.data))
    return meta


def _primary(meta: Meta, data: bytes) -> None:
    cursor = Cursor(data)
    version, _ = cursor.number(1), cursor.take(3)
    meta.primary = cursor.number(4 if version else 2)


def _infos(meta: Meta, data: bytes) -> None:
    cursor = Cursor(data)
    version, _ = cursor.number(1), cursor.take(3)
    for _ in range(min(cursor.number(4 if version else 2), MAX_ITEMS)):
        size, kind = cursor.number(4), cursor.take(4)
        entry = Cursor(cursor.take(max(size - 8, 0)))
        version, _ = entry.number(1), entry.take(3)
        if kind != b"infe" or version < 2:  # noqa: PLR2004  # the older ones have no type
            continue
        number, _ = entry.number(2 if version == 2 else 4), entry.take(2)  # noqa: PLR2004
        item_type, _ = entry.take(4), entry.text()
        content_type = entry.text() if item_type == b"mime" else b""
        meta.items[number] = Item(item_type, content_type)


def _locations(meta: Meta, data: bytes) -> None:
    cursor = Cursor(data)
    version, _ = cursor.number(1), cursor.take(3)
    widths = cursor.number(2)
    offset_width, length_width = widths >> 12 & 15, widths >> 8 & 15
    base_width, index_width = widths >> 4 & 15, widths & 15 if version else 0
    wide = version >= 2  # noqa: PLR2004
    for _ in range(min(cursor.number(4 if wide else 2), MAX_ITEMS)):
        number = cursor.number(4 if wide else 2)
        method = cursor.number(2) & 15 if version else IN_FILE
        _, base = cursor.take(2), cursor.number(base_width)
        extents = cursor.number(2)
        if extents:
            cursor.take(index_width)
            offset, length = cursor.number(offset_width), cursor.number(length_width)
            meta.extents[number] = (method, base + offset, length)
            cursor.take((extents - 1) * (index_width + offset_width + length_width))


def _references(meta: Meta, data: bytes) -> None:
    cursor = Cursor(data)
    version, _ = cursor.number(1), cursor.take(3)
    width = 4 if version else 2
    left = len(data) - 4
    while left >= len("sizetype"):
        size, kind = cursor.number(4), cursor.take(4)
        entry = Cursor(cursor.take(max(size - 8, 0)))
        left -= max(size, 8)
        from_item = entry.number(width)
        for _ in range(entry.number(2)):
            to_item = entry.number(width)
            if kind == b"auxl":
                meta.auxiliaries.setdefault(to_item, []).append(from_item)
            elif kind == b"dimg":
                meta.parts.setdefault(from_item, []).append(to_item)


def _assignments(meta: Meta, data: bytes) -> None:
    cursor = Cursor(data)
    version, flags = cursor.number(1), cursor.number(3)
    width = 2 if flags & 1 else 1
    for _ in range(min(cursor.number(4), MAX_ITEMS)):
        number = cursor.number(4 if version else 2)
        count = cursor.number(1)
        mask = (1 << 8 * width - 1) - 1  # the highest bit says whether a reader has to know it
        meta.assigned.setdefault(number, []).extend(
            cursor.number(width) & mask for _ in range(count)
        )


READERS: Mapping[bytes, Callable[[Meta, bytes], None]] = {
    b"pitm": _primary,
    b"iinf": _infos,
    b"iloc": _locations,
    b"iref": _references,
}
