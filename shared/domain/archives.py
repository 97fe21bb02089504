"""What a ZIP says of itself, read by ranges: its end first, then its directory, nothing else.

Layout: APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to
4.3.16 (end records). The directory is believed only where the archive is consistent with it.
"""

import struct
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.domain.errors import RejectedDataset
from shared.domain.problems import Problem

END = struct.Struct("<4s4H2LH")  # 22 bytes: end of central directory
END64_LOCATOR = struct.Struct("<4sLQL")
END64 = struct.Struct("<4sQ2H2L4Q")
ENTRY = struct.Struct("<4s6H3L5H2L")  # 46 bytes: one file in the central directory
LOCAL = struct.Struct("<4s5H3L2H")  # 30 bytes: the same before its data
MAX_COMMENT = 0xFFFF
MAX_DIRECTORY = 16 * 1024**2
MAX_ENTRIES = 20_000
MAX_NAME = 1024  # characters; file systems take 255 for a file and 4,096 for a path
STORED, DEFLATED = 0, 8
ENCRYPTED = 0x1 | 0x40
UTF8 = 0x800
FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF
# Unicode UAX 9: embeddings, overrides and isolates.
BIDI_CONTROLS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
UNIX, SYMLINK = 3, 0o120000
KINDS = {
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\x1f\x8b": "a gzip file",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"%PDF": "a PDF",
}


class RangedReader(Protocol):
    """One immutable file that is read by ranges; ``size`` in bytes."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from ``offset``, fewer only at the end of the file."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file in an archive; sizes and offset in bytes, the offset that of its local header.

    ``crc`` is the CRC-32 of its content, as the directory states it.
    """

    name: str
    method: int
    offset: int
    compressed: int
    size: int
    crc: int = 0


def members_of(archive: RangedReader) -> tuple[Member, ...]:
    """Every file of the archive, folders left out; raises RejectedDataset with an archive_ code."""
    if archive.size == 0:
        raise _rejected("archive_empty", "The file is empty. Upload it again.")
    start = max(0, archive.size - END.size - MAX_COMMENT - END64_LOCATOR.size)
    tail = archive.read(start, archive.size - start)
    count, size, offset, end = _end_record(archive, tail, start)
    if size > MAX_DIRECTORY or count > MAX_ENTRIES:
        raise _rejected(
            "archive_too_many_files",
            f"The archive says it holds {count} files; a dataset has at most {MAX_ENTRIES}.",
        )
    if offset + size != end:
        raise _inconsistent("its directory does not lie where its end says")
    directory = (
        tail[offset - start : end - start] if offset >= start else archive.read(offset, size)
    )
    if len(directory) != size:
        raise _inconsistent("its directory is cut short")
    return _members(directory, count, offset)


def read_member(archive: RangedReader, member: Member, limit: int) -> bytes:
    """At most ``limit`` bytes from the member's beginning, inflated; raises RejectedDataset.

    Never reads or allocates more than ``limit`` asks for, whatever the headers claim.
    """
    window = archive.read(member.offset, LOCAL.size + 2 * 1024 + min(member.compressed, limit) + 64)
    if len(window) < LOCAL.size or window[:4] != b"PK\x03\x04":
        raise _inconsistent(f"there is no file where {member.name} should be", member.name)
    fields = LOCAL.unpack_from(window)
    if fields[3] != member.method:
        raise _inconsistent(f"{member.name} is described in two ways", member.name)
    begin = LOCAL.size + fields[9] + fields[10]
    available = window[begin : begin + member.compressed]
    if not available and member.compressed:
        available = archive.read(member.offset + begin, min(member.compressed, limit + 64))
    if member.method == STORED:
        return available[:limit]
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(available, limit)
    except zlib.error as error:
        raise _rejected(
            "archive_damaged",
            f"{member.name} cannot be unpacked: the archive is damaged. Make the ZIP again.",
            member.name,
        ) from error


def _end_record(archive: RangedReader, tail: bytes, start: int) -> tuple[int, int, int, int]:
    """Entry count, directory size and offset, and where the end records begin."""
    at = _find_end(archive, tail)
    _, disk, directory_disk, here, count, size, offset, _ = END.unpack_from(tail, at)
    locator = at - END64_LOCATOR.size
    if locator >= 0 and tail[locator : locator + 4] == b"PK\x06\x07":
        return _end64_record(archive, tail, locator, start)
    if (disk, directory_disk) != (0, 0) or here != count:
        raise _rejected(
            "archive_multi_disk", "The archive is split into parts. Make one single ZIP."
        )
    if count == FULL16 or FULL32 in (size, offset):
        raise _inconsistent("it needs ZIP64 records and has none")
    return count, size, offset, start + at


def _find_end(archive: RangedReader, tail: bytes) -> int:
    at = len(tail)
    while (at := tail.rfind(b"PK\x05\x06", 0, at)) >= 0:
        if at + END.size <= len(tail):
            comment = END.unpack_from(tail, at)[7]
            if at + END.size + comment == len(tail):
                return at
    head = archive.read(0, 8)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        raise _rejected(
            "archive_truncated",
            "The ZIP has no end: it was cut off, perhaps while it was uploaded or copied. "
            "Make it again, check that it opens, and drop it again.",
        )
    kind = next((kind for magic, kind in KINDS.items() if head.startswith(magic)), "something else")
    raise _rejected(
        "archive_invalid_format",
        f"The archive must be a ZIP; this file is {kind}. Put the photos into a ZIP and drop that.",
    )


def _end64_record(
    archive: RangedReader, tail: bytes, locator: int, start: int
) -> tuple[int, int, int, int]:
    _, disk, at, disks = END64_LOCATOR.unpack_from(tail, locator)
    raw = archive.read(at, END64.size) if at + END64.size <= archive.size else b""
    if disk or disks > 1 or len(raw) < END64.size or raw[:4] != b"PK\x06\x06":
        raise _inconsistent("its ZIP64 records do not fit together")
    _, length, _, _, disk, directory_disk, here, count, size, offset = END64.unpack(raw)
    if (disk, directory_disk) != (0, 0) or here != count or at + 12 + length != start + locator:
        raise _inconsistent("its ZIP64 records do not fit together")
    return count, size, offset, at


def _members(directory: bytes, count: int, limit: int) -> tuple[Member, ...]:
    members: list[Member] = []
    names: set[str] = set()
    at = 0
    for _ in range(count):
        if at + ENTRY.size > len(directory) or directory[at : at + 4] != b"PK\x01\x02":
            raise _inconsistent("its directory ends early")
        fields = ENTRY.unpack_from(directory, at)
        name_length, extra_length, comment_length = fields[10:13]
        after = at + ENTRY.size + name_length + extra_length + comment_length
        if after > len(directory):
            raise _inconsistent("its directory ends early")
        raw = directory[at + ENTRY.size : at + ENTRY.size + name_length]
        extra = directory[at + ENTRY.size + name_length : after - comment_length]
        member = _member(fields, raw, extra)
        at = after
        if member.name.endswith("/"):
            continue
        if member.offset + LOCAL.size + member.compressed > limit:
            raise _inconsistent(f"{member.name} reaches into the directory", member.name)
        if member.name.casefold() in names:
            raise _rejected(
                "archive_duplicate_name",
                f"The archive holds {member.name} twice. Give each file its own name.",
                member.name,
            )
        names.add(member.name.casefold())
        members.append(member)
    if at != len(directory):
        raise _inconsistent("its directory holds more than it counts")
    return tuple(members)


def _member(fields: Sequence[int], raw: bytes, extra: bytes) -> Member:
    flags, method = fields[3], fields[4]
    name = raw.decode("utf-8", "replace") if flags & UTF8 else raw.decode("cp437")
    _check_name(name)
    if flags & ENCRYPTED:
        raise _rejected(
            "archive_encrypted",
            f"{name} is protected by a password. Make the ZIP without one.",
            name,
        )
    if method not in (STORED, DEFLATED):
        raise _rejected(
            "archive_unsupported_compression",
            f"{name} is packed with a method that few programs read (number {method}). "
            "Make the ZIP with the ordinary “deflate” method.",
            name,
        )
    if fields[1] >> 8 == UNIX and (fields[14] >> 16) & 0o170000 == SYMLINK:
        raise _rejected("archive_link", f"{name} is a link, not a file. Put the file in.", name)
    size, compressed, offset = _zip64(extra, fields[9], fields[8], fields[16], name)
    return Member(
        name=name,
        method=method,
        offset=offset,
        compressed=compressed,
        size=size,
        crc=fields[7],
    )


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME:
        raise _rejected(
            "archive_unsafe_name",
            f"The archive holds a file name of {len(name)} characters; {MAX_NAME} are the most. "
            "Give the file a shorter one.",
            name,
        )
    parts = name.replace("\\", "/").split("/")
    drive = len(name) > 1 and name[1] == ":"
    if not name or name[0] in "/\\" or drive or ".." in parts or _misleads(name):
        raise _rejected(
            "archive_unsafe_name",
            "The archive holds a file name that points outside of it or has control characters. "
            "Make the ZIP again from a plain folder.",
            name.encode("unicode_escape").decode()[:100],
        )


def _misleads(name: str) -> bool:
    """Whether it has characters that end a line, steer a terminal or turn the reading direction.

    Every other one is somebody's: macOS puts U+202F into the names of screenshots.
    """
    return any(
        unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(letter) in BIDI_CONTROLS
        for letter in name
    )


def _zip64(
    extra: bytes, size: int, compressed: int, offset: int, name: str
) -> tuple[int, int, int]:
    """Sizes and offset, from the ZIP64 extra field (4.5.3) where the plain ones are full."""
    wide: list[int] = []
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<2H", extra, at)
        if at + 4 + length > len(extra):
            break  # some producers pad the field; what follows the last whole record means nothing
        if tag == 1:
            wide = [
                value for (value,) in struct.iter_unpack("<Q", extra[at + 4 :][: length // 8 * 8])
            ]
        at += 4 + length
    values = []
    for value in (size, compressed, offset):
        if value != FULL32:
            values.append(value)
        elif wide:
            values.append(wide.pop(0))
        else:
            raise _inconsistent(f"the size of {name} is missing", name)
    return values[0], values[1], values[2]


def _inconsistent(what: str, member: str | None = None) -> RejectedDataset:
    return _rejected(
        "archive_inconsistent",
        f"The ZIP contradicts itself: {what}. Make it again with an ordinary ZIP program.",
        member,
    )


def _rejected(code: str, message: str, member: str | None = None) -> RejectedDataset:
    return RejectedDataset([Problem(code=code, message=message, member=member)])
