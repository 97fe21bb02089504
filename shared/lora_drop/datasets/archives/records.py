"""The records of a ZIP as they lie in the file, the plainest ZIP that can be written, and its problems.

Layout: APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to
4.3.16 (end records), 4.4.4 (flags), 4.5 (extra fields). All numbers are little-endian.

``zip_of`` stores every file, with its size and checksum before its bytes. The same files make the same
bytes. No ZIP64: see ``MAX_SIZE``.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lora_drop.datasets.problem_codes import MAKE_AGAIN, MEANINGS
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.problems import Problem

END = struct.Struct("<4s4H2LH")  # 22 bytes: end of central directory
END64_LOCATOR = struct.Struct("<4sLQL")
END64 = struct.Struct("<4sQ2H2L4Q")
ENTRY = struct.Struct("<4s6H3L5H2L")  # 46 bytes: one file in the central directory
LOCAL = struct.Struct("<4s5H3L2H")  # 30 bytes: the same before its data
FIELD = struct.Struct("<2H")  # tag and length of an extra field
END_MAGIC, END64_LOCATOR_MAGIC, END64_MAGIC = b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"
ENTRY_MAGIC, LOCAL_MAGIC, DESCRIPTOR_MAGIC = b"PK\x01\x02", b"PK\x03\x04", b"PK\x07\x08"
SEGMENT_MAGIC = b"PK00"  # of an archive that was to be split, and is one segment after all (8.5.4)
FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF
STORED, DEFLATED = 0, 8
# Flag bits 0, 3, 5, 6, 11 and 13.
ENCRYPTED, STREAMED, PATCHED = 0x1, 0x8, 0x20
STRONGLY_ENCRYPTED, UTF8, MASKED = 0x40, 0x800, 0x2000
ZIP64_TAG, UNICODE_PATH_TAG = 0x0001, 0x7075
# What is written.
VERSION = 10  # 1.0: the ordinary kind (4.4.3.2)
MADE_ON_UNIX = 3 << 8
READABLE = 0o100644 << 16
NEW_YEAR_1980 = (1 << 5) | 1  # MS-DOS's first day: it says nothing of a clock
MAX_SIZE = 2**32 - 1
MAX_FILES = 2**16 - 1


def problem(code: str, message: str, member: str | None = None) -> Problem:
    """Return a problem with one of the codes of the table; raises KeyError for any other."""
    MEANINGS[code]  # a code that has no meaning there is a mistake of ours
    return Problem(code=code, message=message, member=member)


def refusal(code: str, message: str, member: str | None = None) -> DatasetRejectedError:
    """Return the error that rejects an archive for this one problem."""
    return DatasetRejectedError([problem(code, message, member)])


def inconsistent(what: str, member: str | None = None) -> DatasetRejectedError:
    """Return the error for a directory or end records that contradict themselves."""
    return refusal(
        "archive_inconsistent", f"The ZIP contradicts itself: {what}. {MAKE_AGAIN}", member
    )


@dataclass(frozen=True, slots=True)
class Member:
    """One file in an archive; sizes and offset in bytes, the offset that of its local header.

    ``crc`` is the CRC-32 of its content, as the directory states it. ``raw_name`` is the name byte by
    byte as it lies in the directory, ``name`` what a person calls it. ``page`` is the code page
    that was guessed for the name, empty where the ZIP says how it is written.
    """

    name: str
    method: int
    offset: int
    compressed: int
    size: int
    crc: int = 0
    flags: int = 0
    raw_name: bytes = b""
    page: str = ""

    @property
    def is_folder(self) -> bool:
        """Whether it only names a folder."""
        return self.name.endswith(("/", "\\")) and not self.size


def in_order(members: Sequence[Member], begin: int) -> list[tuple[Member, int]]:
    """Return the members as they lie in the file, each with where the next one begins.

    After the last one that is the directory, which lies at ``begin``.
    """
    ordered = sorted(members, key=lambda member: member.offset)
    places = [*(member.offset for member in ordered), begin]
    return list(zip(ordered, places[1:], strict=True))


@dataclass(frozen=True, slots=True)
class Extra:
    """What an extra field holds that is read here: every content of each of two tags.

    ``others``: whether it tells anything else, like times, owners or a Mac's own notes.
    """

    zip64: tuple[bytes, ...] = ()
    paths: tuple[bytes, ...] = ()
    others: bool = False


def extra_of(extra: bytes, name: str) -> Extra:
    """Return the fields in it (4.5.1); raises DatasetRejectedError where one has no room.

    Up to three bytes at the end are too few to be a field: some producers align data with them.
    """
    found: dict[int, list[bytes]] = {ZIP64_TAG: [], UNICODE_PATH_TAG: []}
    others = False
    at = 0
    while at + FIELD.size <= len(extra):
        tag, length = FIELD.unpack_from(extra, at)
        at += FIELD.size + length
        if at > len(extra):
            message = f"What the ZIP says of {name} has no room for itself. {MAKE_AGAIN}"
            raise refusal("archive_extra_field", message, name)
        if tag in found:
            found[tag].append(extra[at - length : at])
        else:
            others = True
    return Extra(tuple(found[ZIP64_TAG]), tuple(found[UNICODE_PATH_TAG]), others)


def widened(plain: Sequence[int], extra: Extra, name: str, *, whole: bool) -> list[int]:
    """Return the plain 32-bit numbers, with those that are full from the ZIP64 field (4.5.3).

    In the directory the field holds the full ones alone, in their order; in a local header
    (``whole``) it holds both sizes. Some producers write more than they have to: that is as good as
    long as it says the same. Raises DatasetRejectedError ``archive_inconsistent`` otherwise.
    """
    if len(extra.zip64) > 1:
        raise inconsistent(f"it states the size of {name} more than once", name)
    field = extra.zip64[0] if extra.zip64 else b""
    wide = [value for (value,) in struct.iter_unpack("<Q", field[: len(field) // 8 * 8])]
    full = [at for at, value in enumerate(plain) if value == FULL32]
    values = list(plain)
    given = range(len(plain)) if whole and len(wide) >= len(plain) else full
    for at, value in zip(given, wide, strict=False):
        if values[at] not in (FULL32, value):
            raise inconsistent(f"it states two sizes for {name}", name)
        values[at] = value
    if len(wide) < len(full):
        raise inconsistent(f"the size of {name} is missing", name)
    if len(wide) > len(full) and any(a != b for a, b in zip(wide, values, strict=False)):
        raise inconsistent(f"it states two sizes for {name}", name)
    return values


class ArchiveTooLargeError(ValueError):
    """Raised when files do not go into a plain ZIP."""


def zip_of(files: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """Yield the bytes of a ZIP of these files, a piece at a time; raises ArchiveTooLargeError on the way."""
    directory: list[bytes] = []
    at = 0
    for name, data in files:
        raw = name.encode()
        flags = 0 if name.isascii() else UTF8
        about = (flags, STORED, 0, NEW_YEAR_1980, zlib.crc32(data), len(data), len(data), len(raw))
        yield LOCAL.pack(LOCAL_MAGIC, VERSION, *about, 0) + raw
        yield data
        entry = (ENTRY_MAGIC, MADE_ON_UNIX | VERSION, VERSION, *about, 0, 0, 0, 0, READABLE, at)
        directory.append(ENTRY.pack(*entry) + raw)
        at += LOCAL.size + len(raw) + len(data)
        if at > MAX_SIZE or len(directory) > MAX_FILES:
            raise ArchiveTooLargeError("more than 4 GiB, or 65,535 files")
    whole = b"".join(directory)
    count = len(directory)
    yield whole + END.pack(END_MAGIC, 0, 0, count, count, len(whole), at, 0)
