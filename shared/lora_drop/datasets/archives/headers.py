"""Local headers, and what lies before and after a member's data, held against the directory (4.3.7, 4.3.9).

As many headers are read as a budget reaches, in windows.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from lora_drop.datasets.archives.names import decoded
from lora_drop.datasets.archives.ranges import TailReader
from lora_drop.datasets.archives.records import (
    DEFLATED,
    DESCRIPTOR_MAGIC,
    ENCRYPTED,
    LOCAL,
    LOCAL_MAGIC,
    MASKED,
    PATCHED,
    STREAMED,
    STRONGLY_ENCRYPTED,
    UTF8,
    Member,
    extra_of,
    in_order,
    problem,
    refusal,
    widened,
)
from lora_drop.datasets.problem_codes import MAKE_AGAIN
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.problems import Problem

COMPARED = ENCRYPTED | STRONGLY_ENCRYPTED | MASKED
NEAR = 64 * 1024  # headers no further apart than that are read in one go
WINDOW = 512 * 1024  # and no more than that at once
# What is read beyond a header's name: its extra fields, most likely, and a member's first bytes.
SPARE, BEGINNING = 256, 512
MAX_PADDING = 64 * 1024  # NULs before the directory, as programs write them that align it
PROBE = 64 * 1024  # bytes that a member is inflated to, at most
PROBES = 8 * 1024**2  # and all members together


@dataclass(frozen=True, slots=True)
class LocalHeader:
    """``length`` in bytes, up to the data; whether a descriptor follows the data.

    ``complete``: whether the header itself says all that a descriptor would. ``has_metadata``: whether it
    says more of the file than a reader needs, like times or an owner.
    """

    length: int
    streamed: bool
    complete: bool
    has_metadata: bool


def length_of(record: bytes) -> int:
    """Return how long the local header is that begins here, in bytes; its first 30 are needed to tell."""
    if len(record) < LOCAL.size:
        return LOCAL.size
    fields = LOCAL.unpack_from(record)
    return LOCAL.size + int(fields[9]) + int(fields[10])


def local_header(record: bytes, member: Member) -> LocalHeader:
    """Return the whole local header; raises DatasetRejectedError where it and the directory do not agree.

    Sizes and CRC-32 of a streamed member may still be nought here; an encrypted one has something
    else for a CRC-32. IZArc writes backslashes in the directory and slashes here.
    """
    if len(record) < LOCAL.size or not record.startswith(LOCAL_MAGIC):
        raise _mismatch(member, "there is no file where it should be")
    _, _, flags, method, _, _, crc, compressed, size, name_length, _ = LOCAL.unpack_from(record)
    length = length_of(record)
    if len(record) < length:
        raise _mismatch(member, "its beginning is cut off")
    raw = record[LOCAL.size : LOCAL.size + name_length]
    extra = extra_of(record[LOCAL.size + name_length : length], member.name)
    if method != member.method or (flags ^ member.flags) & COMPARED:
        raise _mismatch(member, "it is said to be packed in two ways")
    if raw not in (member.raw_name, member.raw_name.replace(b"\\", b"/")):
        raise _mismatch(member, "it has another name where it lies")
    if (flags ^ member.flags) & UTF8 and not raw.isascii():
        raise _mismatch(member, "its name is in another encoding where it lies")
    # A name in the Unicode path field has to be there as well: some go by what lies here alone.
    if decoded(raw, flags, extra, member.page).replace("\\", "/") != member.name.replace("\\", "/"):
        raise _mismatch(member, "it has another name where it lies")
    size, compressed = widened((size, compressed), extra, member.name, whole=True)
    streamed = bool(flags & STREAMED)
    if streamed and flags & ENCRYPTED:
        crc = member.crc
    local, listed = (size, compressed, crc), (member.size, member.compressed, member.crc)
    if local != listed and not (
        streamed and all(a in (0, b) for a, b in zip(local, listed, strict=True))
    ):
        raise _mismatch(member, "it has another size or checksum where it lies")
    if streamed and method == DEFLATED and not member.compressed:
        raise _mismatch(member, "not even the end of nothing is packed where it lies")
    complete = local == listed
    return LocalHeader(length, streamed=streamed, complete=complete, has_metadata=extra.others)


def descriptors(member: Member) -> tuple[bytes, ...]:
    """Return each form that the descriptor after the member's data may have (4.3.9, 4.3.9.3, 4.3.9.4)."""
    numbers = (member.crc, member.compressed, member.size)
    forms = [struct.pack("<L2Q", *numbers)]
    if max(numbers) < 1 << 32:
        forms.append(struct.pack("<3L", *numbers))
    return tuple(magic + form for form in forms for magic in (b"", DESCRIPTOR_MAGIC))


def gap_problem(
    member: Member, header: LocalHeader, length: int, gap: bytes | None, *, last: bool
) -> Problem | None:
    """Return what is wrong with the ``length`` bytes between the member's data and what follows it.

    They are its descriptor, where it has one, and nothing else. Only ``last``, before the directory,
    there may be a few bytes, too few to hold a file, or NULs. Without the ``gap`` itself its length is judged, and
    the reader of the data has it.
    """
    if length < 0:
        message = f"{member.name} lies over another file or the directory of the ZIP. {MAKE_AGAIN}"
        return problem("archive_overlap", message, member.name)
    allowed = descriptors(member) if header.streamed else ()
    if header.complete:
        allowed = (*allowed, b"")
    if gap in allowed or (gap is None and length in map(len, allowed)):
        return None
    streamless = member.method == DEFLATED and not member.compressed  # what follows may be its data
    padded = length <= MAX_PADDING and (gap is None or not any(gap))
    if not header.streamed and last and not streamless and (length < LOCAL.size or padded):
        return None
    if header.streamed and length <= max(map(len, allowed)):
        message = f"What follows {member.name} in the ZIP does not fit it. {MAKE_AGAIN}"
        return problem("archive_data_descriptor", message, member.name)
    message = f"The ZIP hides something after {member.name}. {MAKE_AGAIN}"
    return problem("archive_hidden_data", message, member.name)


def _mismatch(member: Member, how: str) -> Exception:
    return refusal(
        "archive_header_mismatch",
        f"The ZIP describes {member.name} in two ways: {how}. {MAKE_AGAIN}",
        member.name,
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """A member, where the next one or the directory begins, and how far it is worth reading."""

    member: Member
    following: int
    last: bool
    reach: int


@dataclass(slots=True)
class HeaderChecks:
    """How many local headers were read, what is wrong with them, and whether one holds metadata."""

    read: int = 0
    has_metadata: bool = False
    problems: list[Problem] = field(default_factory=list)


def check_headers(reader: TailReader, members: Sequence[Member], begin: int) -> HeaderChecks:
    """Return how many local headers were read, and what is wrong with them.

    What the reader affords no request for is left to the reader of the members' data. The directory
    begins at ``begin``.
    """
    checks, probes = HeaderChecks(), PROBES
    # Where requests are short, those are worth most that show the most headers.
    for window in sorted(_windows(_places(members, begin)), key=len, reverse=True):
        start = window[0].member.offset
        length = window[-1].reach - start
        if not reader.affords(start, length):
            continue
        data = reader.read(start, length)
        for place in window:
            at = place.member.offset - start
            record = data[at : place.following - start]
            room = place.following - place.member.offset
            if len(record) < min(length_of(record), room):
                continue  # longer than headers are
            checks.read += 1
            try:
                header = local_header(record[: length_of(record)], place.member)
                padded = room > header.length + place.member.compressed and not header.streamed
                checks.has_metadata |= header.has_metadata or padded
                probes -= _check_place(record, place, header, min(probes, PROBE))
            except DatasetRejectedError as rejected:
                checks.problems += rejected.problems
    return checks


def _places(members: Sequence[Member], begin: int) -> list[_Place]:
    places = []
    for member, following in in_order(members, begin):
        header = member.offset + LOCAL.size + len(member.raw_name) + SPARE
        reach = min(following, header + BEGINNING)
        places.append(_Place(member, following, following == begin, reach))
    return places


def _windows(places: Sequence[_Place]) -> list[list[_Place]]:
    """Return neighbours together, in their order."""
    windows: list[list[_Place]] = []
    for place in places:
        near = windows and place.member.offset - windows[-1][-1].reach <= NEAR
        if near and place.reach - windows[-1][0].member.offset <= WINDOW:
            windows[-1].append(place)
        else:
            windows.append([place])
    return windows


def _check_place(record: bytes, place: _Place, header: LocalHeader, probe: int) -> int:
    """Hold a member against what lies at its place; how many bytes were inflated for it.

    ``record`` begins with the local header and may end anywhere after it. Raises DatasetRejectedError.
    """
    member, length = place.member, header.length
    room = place.following - member.offset
    end = length + member.compressed
    gap = record[end:] if len(record) == room else None
    found = gap_problem(member, header, room - end, gap, last=place.last)
    if found:
        raise DatasetRejectedError([found])
    sealed = member.method != DEFLATED or member.flags & (ENCRYPTED | PATCHED)
    if sealed or not member.compressed or not probe:
        return 0
    return _probe(record[length:end], member, probe)


def _probe(data: bytes, member: Member, most: int) -> int:
    """Inflate the beginning of a member; raises DatasetRejectedError where that cannot be it."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        size = len(inflater.decompress(data, most))
    except zlib.error as error:
        raise damaged(member) from error
    ended = inflater.eof or (len(data) == member.compressed and size < most)
    if size > member.size or (ended and size < member.size):
        raise missized(member)
    return size


def damaged(member: Member) -> DatasetRejectedError:
    """Return the error for a member that cannot be inflated."""
    return refusal(
        "archive_damaged",
        f"{member.name} cannot be unpacked: the archive is damaged. {MAKE_AGAIN}",
        member.name,
    )


def missized(member: Member) -> DatasetRejectedError:
    """Return the error for a member of another size than the directory says."""
    return refusal(
        "archive_size_mismatch",
        f"{member.name} does not unpack to the {member.size} bytes that the ZIP says. {MAKE_AGAIN}",
        member.name,
    )
