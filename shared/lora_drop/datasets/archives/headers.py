"""As many local headers as a budget reaches, read in windows and held against the directory."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from lora_drop.datasets.archives.local import LocalHeader, gap_problem, length_of, local_header
from lora_drop.datasets.archives.ranges import TailReader
from lora_drop.datasets.archives.records import (
    DEFLATED,
    ENCRYPTED,
    LOCAL,
    PATCHED,
    Member,
    in_order,
)
from lora_drop.datasets.archives.refusals import AGAIN, refusal
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.problems import Problem

NEAR = 64 * 1024  # headers no further apart than that are read in one go
WINDOW = 512 * 1024  # and no more than that at once
# What is read beyond a header's name: its extra fields, most likely, and a member's first bytes.
SPARE, BEGINNING = 256, 512
PROBE = 64 * 1024  # bytes that a member is inflated to, at most
PROBES = 8 * 1024**2  # and all members together


@dataclass(frozen=True, slots=True)
class _Place:
    """A member, where the next one or the directory begins, and how far it is worth reading."""

    member: Member
    following: int
    last: bool
    reach: int


@dataclass(slots=True)
class HeaderChecks:
    """How many local headers were seen, what is wrong with them, whether one tells more than it must."""

    seen: int = 0
    told: bool = False
    problems: list[Problem] = field(default_factory=list)


def look_at_headers(reader: TailReader, members: Sequence[Member], begin: int) -> HeaderChecks:
    """The local headers that were seen, and what is wrong with them.

    What the reader affords no request for is left to whoever reads the members' data. The directory
    begins at ``begin``.
    """
    glance, probes = HeaderChecks(), PROBES
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
            glance.seen += 1
            try:
                header = local_header(record[: length_of(record)], place.member)
                glance.told |= header.told
                probes -= _look(record, place, header, min(probes, PROBE))
            except DatasetRejectedError as rejected:
                glance.problems += rejected.problems
    return glance


def _places(members: Sequence[Member], begin: int) -> list[_Place]:
    places = []
    for member, following in in_order(members, begin):
        header = member.offset + LOCAL.size + len(member.raw_name) + SPARE
        reach = min(following, header + BEGINNING)
        places.append(_Place(member, following, following == begin, reach))
    return places


def _windows(places: Sequence[_Place]) -> list[list[_Place]]:
    """Neighbours together, in their order."""
    windows: list[list[_Place]] = []
    for place in places:
        near = windows and place.member.offset - windows[-1][-1].reach <= NEAR
        if near and place.reach - windows[-1][0].member.offset <= WINDOW:
            windows[-1].append(place)
        else:
            windows.append([place])
    return windows


def _look(record: bytes, place: _Place, header: LocalHeader, probe: int) -> int:
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
    """That a member cannot be inflated."""
    return refusal(
        "archive_damaged",
        f"{member.name} cannot be unpacked: the archive is damaged. {AGAIN}",
        member.name,
    )


def missized(member: Member) -> DatasetRejectedError:
    """That a member is not of the size that the directory says."""
    return refusal(
        "archive_size_mismatch",
        f"{member.name} does not unpack to the {member.size} bytes that the ZIP says. {AGAIN}",
        member.name,
    )
