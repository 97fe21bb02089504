"""ZIPs byte by byte: every field as a test wants it, right or wrong."""

import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from lora_drop.datasets.archives import Member, contents_of, structure_of
from lora_drop.jobs.errors import DatasetRejectedError
from tests.support.builders import JPEG
from tests.support.memory_files import MemoryRange

# Fields by name, in the records' order.
named = str.split
LOCAL_FIELDS = named("need flags method time date crc compressed size name_length extra_length")
ENTRY_FIELDS = ["made", *LOCAL_FIELDS, *named("comment_length disk internal external offset")]
END_FIELDS = ["disk", "directory_disk", "here", "count", "size", "offset", "comment_length"]
STREAMED, UTF8 = 0x8, 0x800
UNIX = 3 << 8
JAN_1980 = 0x21


@dataclass(frozen=True)
class Part:
    """One entry. ``local`` and ``entry`` overrule single fields; ``gap`` is what follows the data."""

    name: bytes = b"a.jpg"
    content: bytes = JPEG
    method: int = 8
    flags: int = 0
    mode: int = 0o100644
    extra: bytes = b""
    local_extra: bytes = b""
    local_name: bytes | None = None
    comment: bytes = b""
    gap: bytes = b""
    packed: bytes | None = None
    local: Mapping[str, int] = field(default_factory=dict)
    entry: Mapping[str, int] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        """What lies between the headers."""
        if self.packed is not None:
            return self.packed
        return deflated(self.content) if self.method else self.content

    def facts(self) -> dict[str, int]:
        """What both headers say, but for single fields that are overruled."""
        return {
            "need": 20,
            "flags": self.flags,
            "method": self.method,
            "time": 0,
            "date": JAN_1980,
            "crc": zlib.crc32(self.content),
            "compressed": len(self.data),
            "size": len(self.content),
            "name_length": len(self.name),
        }

    def before(self) -> bytes:
        """The local header."""
        name = self.name if self.local_name is None else self.local_name
        facts = self.facts() | {"name_length": len(name), "extra_length": len(self.local_extra)}
        if self.flags & STREAMED:
            facts |= {"crc": 0, "compressed": 0, "size": 0}
        values = [(facts | dict(self.local))[key] for key in LOCAL_FIELDS]
        return b"PK\x03\x04" + struct.pack("<5H3L2H", *values) + name + self.local_extra

    def central(self, offset: int) -> bytes:
        """The directory's entry."""
        facts = self.facts() | {
            "made": UNIX | 20,
            "extra_length": len(self.extra),
            "comment_length": len(self.comment),
            "disk": 0,
            "internal": 0,
            "external": self.mode << 16,
            "offset": offset,
        }
        values = [(facts | dict(self.entry))[key] for key in ENTRY_FIELDS]
        packed = struct.pack("<6H3L5H2L", *values)
        return b"PK\x01\x02" + packed + self.name + self.extra + self.comment


def deflated(content: bytes, level: int = 6) -> bytes:
    """A raw deflate stream."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def descriptor(content: bytes, packed: bytes, *, signed: bool = True, wide: bool = False) -> bytes:
    """What follows the data of a streamed member."""
    form = "<L2Q" if wide else "<3L"
    numbers = struct.pack(form, zlib.crc32(content), len(packed), len(content))
    return (b"PK\x07\x08" if signed else b"") + numbers


def streamed(part: Part, *, signed: bool = True, wide: bool = False) -> Part:
    """The same, with sizes and checksum after its data."""
    after = descriptor(part.content, part.data, signed=signed, wide=wide)
    return replace(part, flags=part.flags | STREAMED, gap=after)


def unicode_path(name: bytes, path: bytes, *, version: int = 1) -> bytes:
    """The extra field 0x7075."""
    content = struct.pack("<BL", version, zlib.crc32(name)) + path
    return struct.pack("<2H", 0x7075, len(content)) + content


def zip64_field(*values: int) -> bytes:
    """The extra field 0x0001."""
    return struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values)


def zip64_end(count: int, size: int, offset: int, at: int, /, **changes: int) -> bytes:
    """The ZIP64 end and its locator; ``at`` is where they begin."""
    facts = {"length": 44, "disk": 0, "here": count, "count": count, "size": size, "offset": offset}
    facts |= {"at": at, "disks": 1} | changes
    record = struct.pack(
        "<4sQ2H2L4Q", b"PK\x06\x06", facts["length"], 45, 45, facts["disk"], 0,
        facts["here"], facts["count"], facts["size"], facts["offset"],
    )  # fmt: skip
    return record + struct.pack("<4sLQL", b"PK\x06\x07", 0, facts["at"], facts["disks"])


def end(count: int, size: int, offset: int, comment: bytes = b"", /, **changes: int) -> bytes:
    """The end of central directory record."""
    facts = {"disk": 0, "directory_disk": 0, "here": count, "count": count, "size": size}
    facts |= {"offset": offset, "comment_length": len(comment)} | changes
    return b"PK\x05\x06" + struct.pack("<4H2LH", *(facts[key] for key in END_FIELDS)) + comment


def assembled(
    parts: Sequence[Part],
    *,
    prefix: bytes = b"",
    comment: bytes = b"",
    zip64: bool = False,
    ending: Mapping[str, int] | None = None,
    ending64: Mapping[str, int] | None = None,
) -> bytes:
    """An archive of these parts; offsets count from its first byte, ``prefix`` included."""
    body, directory = prefix, b""
    for part in parts:
        directory += part.central(len(body))
        body += part.before() + part.data + part.gap
    at = len(body)
    count, size, offset = len(parts), len(directory), at
    middle = b""
    if zip64:
        middle = zip64_end(count, size, offset, at + size, **(ending64 or {}))
        count, size, offset = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF
    return body + directory + middle + end(count, size, offset, comment, **(ending or {}))


def photos(count: int = 12) -> list[Part]:
    """Parts that make a small dataset."""
    return [Part(name=f"photo-{number:02}.jpg".encode()) for number in range(count)]


def structure_codes(data: bytes) -> list[str]:
    """What the archive's structure alone is refused with; nothing for a sound one."""
    try:
        structure_of(MemoryRange(data))
    except DatasetRejectedError as rejected:
        return [problem.code for problem in rejected.problems]
    return []


def codes(data: bytes) -> list[str]:
    """What the archive is refused with, if not by its structure, then by its contents."""
    try:
        for _ in contents_of(MemoryRange(data), structure_of(MemoryRange(data))):
            pass
    except DatasetRejectedError as rejected:
        return [problem.code for problem in rejected.problems]
    return []


def as_read(member: Member) -> tuple[object, ...]:
    """Return what our reader knows of an entry, to be compared with ``as_python_reads``."""
    return tuple(
        attrgetter("raw_name", "offset", "compressed", "size", "method", "flags", "crc")(member)
    )


def as_python_reads(info: zipfile.ZipInfo) -> tuple[object, ...]:
    """Return what Python's zipfile knows of an entry."""
    name = info.orig_filename.encode("utf-8" if info.flag_bits & UTF8 else "cp437")
    fields = ("header_offset", "compress_size", "file_size", "compress_type", "flag_bits", "CRC")
    return (name, *attrgetter(*fields)(info))
