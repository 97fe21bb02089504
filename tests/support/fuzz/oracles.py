"""What others see in an archive: a walk from local header to local header, and Python's zipfile.

Neither shares a line with what is tested. The walk never looks at the directory, and knows no more
of a ZIP than a program does that unpacks one while it comes down a wire.
"""

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass, replace

from lora_drop.datasets.archives import Structure

LOCAL, DIRECTORY = b"PK\x03\x04", b"PK\x01\x02"
AFTER = (LOCAL, DIRECTORY, b"PK\x06\x06", b"PK\x05\x06")
ROOM = 30  # bytes: the shortest local header there is


class LostMemberError(Exception):
    """Raised when the walk cannot go on; says why."""


@dataclass(frozen=True)
class Found:
    """One file where it lies; sizes in bytes."""

    offset: int
    name: bytes
    method: int
    compressed: int
    size: int


def walk(data: bytes) -> tuple[list[Found], int]:
    """Every file from the first byte on, and where the walk ends; raises LostMemberError."""
    found, at = [], 0
    while data[at : at + 4] == LOCAL:
        file, at = _step(data, at)
        found.append(file)
    return found, at


def _step(data: bytes, offset: int) -> tuple[Found, int]:
    if offset + ROOM > len(data):
        raise LostMemberError("the header is cut off")
    _, flags, method, _, _, _, compressed, size, name_length, extra_length = struct.unpack_from(
        "<5H3L2H", data, offset + 4
    )
    name = data[offset + 30 : offset + 30 + name_length]
    begin = offset + 30 + name_length + extra_length
    extra = data[begin - extra_length : begin]
    if 0xFFFFFFFF in (compressed, size):
        size, compressed = _wide(extra, size, compressed)
    if not flags & 8:
        return Found(offset, name, method, compressed, size), begin + compressed
    for length, content in _ends(data, begin, method):
        sizes = (length, len(content))
        for after in _after_descriptor(data, begin + length, zlib.crc32(content), *sizes):
            return Found(offset, name, method, *sizes), after
    # It was written back into the header, and nothing follows.
    return Found(offset, name, method, compressed, size), begin + compressed


def _wide(extra: bytes, size: int, compressed: int) -> tuple[int, int]:
    """Both sizes, or one of them, from the ZIP64 field."""
    while len(extra) >= 4:
        tag, length = struct.unpack_from("<2H", extra)
        values = [value for (value,) in struct.iter_unpack("<Q", extra[4 : 4 + length // 8 * 8])]
        extra = extra[4 + length :]
        if tag == 1 and len(values) > 1:
            return values[0], values[1]
        if tag == 1 and values and (size, compressed).count(0xFFFFFFFF) == 1:
            return (values[0], compressed) if size == 0xFFFFFFFF else (size, values[0])
    raise LostMemberError("sizes are missing")


def _ends(data: bytes, begin: int, method: int) -> list[tuple[int, bytes]]:
    """Where the data of a streamed file may end, as its length and what it unpacks to."""
    if method == 8:
        inflater = zlib.decompressobj(-15)
        try:
            content = inflater.decompress(data[begin:], 1 << 24)
        except zlib.error as error:
            raise LostMemberError(str(error)) from error
        if not inflater.eof:
            return [(0, b"")]  # some write nothing at all for an empty file
        return [(len(data) - begin - len(inflater.unused_data), content), (0, b"")]
    stops = [at for sign in AFTER for at in _all(data, sign, begin)]
    lengths = sorted({at - begin - room for at in stops for room in (0, 12, 16, 20, 24)})
    return [(length, data[begin : begin + length]) for length in lengths if length >= 0]


def _all(data: bytes, sign: bytes, at: int) -> list[int]:
    places = []
    while (at := data.find(sign, at)) >= 0:
        places.append(at)
        at += 1
    return places


def _after_descriptor(data: bytes, at: int, crc: int, compressed: int, size: int) -> list[int]:
    for form in (
        struct.pack("<3L", crc, compressed, size),
        struct.pack("<L2Q", crc, compressed, size),
    ):
        for whole in (b"PK\x07\x08" + form, form):
            end = at + len(whole)
            if data[at:end] == whole and data[end : end + 4] in AFTER:
                return [end]
    return []


def walk_objection(data: bytes, structure: Structure) -> str | None:
    """Where the walk sees something else than the directory; None where it sees the same."""
    try:
        found, end = walk(data)
    except LostMemberError as lost:
        return f"lost: {lost}"
    listed = [
        Found(member.offset, member.raw_name, member.method, member.compressed, member.size)
        for member in sorted(structure.entries, key=lambda member: member.offset)
    ]
    for here, there in zip(found, listed, strict=False):
        if here not in (there, replace(there, name=there.name.replace(b"\\", b"/"))):
            return f"{here} but {there}"
    if len(found) != len(listed) or not 0 <= structure.begin - end < ROOM:
        return f"{len(found)} files up to {end}, {len(listed)} up to {structure.begin}"
    return None


def python_objection(data: bytes, structure: Structure) -> str | None:
    """Where Python's zipfile does not read what was accepted, or reads something else.

    It does not read a member whose name has a backslash in one header alone: of that we warn.
    """
    listed = [
        (member.offset, member.compressed, member.size, member.crc) for member in structure.entries
    ]
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as python:
            seen = [
                (info.header_offset, info.compress_size, info.file_size, info.CRC)
                for info in python.infolist()
            ]
            bad = python.testzip()
    except Exception as error:  # noqa: BLE001  # it has a dozen; each is an objection
        return f"zipfile: {error!r}"
    if seen == listed and (bad is None or (structure.warnings and "\\" in bad)):
        return None
    return f"zipfile: {seen} {bad}, but {listed}"
