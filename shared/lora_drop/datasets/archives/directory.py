"""The central directory: every entry parsed and held against what an entry may be (4.3.12)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lora_drop.datasets.archives.names import (
    collisions,
    decoded,
    is_archive,
    name_problem,
    plain_name,
    says_nothing,
)
from lora_drop.datasets.archives.records import (
    DEFLATED,
    ENCRYPTED,
    ENTRY,
    ENTRY_MAGIC,
    FULL16,
    LOCAL,
    MASKED,
    PATCHED,
    STORED,
    STRONGLY_ENCRYPTED,
    Member,
    extra_of,
    in_order,
    inconsistent,
    problem,
    refusal,
    widened,
)
from lora_drop.datasets.code_pages import guess
from lora_drop.datasets.problem_codes import MAKE_AGAIN
from lora_drop.jobs.problems import Problem

MAX_VERSION = 63  # APPNOTE 6.3; Python's zipfile reads no directory with a higher one
# Photos hardly shrink. Deflate's own limit is about 1,032 to 1; what is small does no harm.
MAX_RATIO, SMALL = 250, 1024**2
MAX_TOTAL = 4 * 1024**3
# st_mode of POSIX, in the upper half of the external attributes: its kind, and what is no file.
MODE_SHIFT, KIND = 16, 0o170000
LINK = 0o120000
DEVICES = frozenset({0o020000, 0o060000, 0o140000})  # a pipe is what `zip -` calls its input


@dataclass(frozen=True, slots=True)
class Entry:
    """A member and, beside it, what only the directory says of it.

    ``has_metadata``: whether it says more of the file than a reader needs: a comment, times, an owner.
    """

    member: Member
    mode: int
    version: int
    has_metadata: bool


def entries_of(directory: bytes, count: int) -> list[Entry]:
    """Return every entry, in the directory's order; raises DatasetRejectedError where it cannot be parsed."""
    records: list[tuple[Sequence[int], bytes, bytes]] = []
    at = 0
    for _ in range(count):
        if not directory.startswith(ENTRY_MAGIC, at) or at + ENTRY.size > len(directory):
            raise inconsistent("its directory ends early")
        fields = ENTRY.unpack_from(directory, at)
        begin = at + ENTRY.size
        name_end = begin + fields[10]
        extra_end = name_end + fields[11]
        at = extra_end + fields[12]
        if at > len(directory):
            raise inconsistent("its directory ends early")
        records.append((fields, directory[begin:name_end], directory[name_end:extra_end]))
    if at != len(directory):
        raise inconsistent("its directory holds more than it counts")
    page = _page([raw for fields, raw, tail in records if _is_open(fields, raw, tail)])
    return [_entry(fields, raw, tail, page) for fields, raw, tail in records]


def _is_open(fields: Sequence[int], raw: bytes, tail: bytes) -> bool:
    return says_nothing(raw, fields[3], extra_of(tail, plain_name(raw)))


def _page(names: Sequence[bytes]) -> str:
    """Return the code page of names that do not say theirs, guessed over all of them; empty for none."""
    found = guess(names, console=True) if names else None
    return found.encoding if found else ""


def _entry(fields: Sequence[int], raw: bytes, tail: bytes, guessed: str) -> Entry:
    extra = extra_of(tail, plain_name(raw))
    page = guessed if says_nothing(raw, fields[3], extra) else ""
    name = decoded(raw, fields[3], extra, page)
    if fields[13] not in (0, FULL16):
        raise refusal(
            "archive_multi_disk",
            f"{name} lies in another part of a split archive. Make one ZIP.",
            name,
        )
    size, compressed, offset = widened((fields[9], fields[8], fields[16]), extra, name, whole=False)
    member = Member(
        name=name,
        method=fields[4],
        offset=offset,
        compressed=compressed,
        size=size,
        crc=fields[7],
        flags=fields[3],
        raw_name=raw,
        page=page,
    )
    has_metadata = extra.others or bool(fields[12])
    return Entry(
        member, mode=fields[15] >> MODE_SHIFT, version=fields[2] & 0xFF, has_metadata=has_metadata
    )


def layout_problems(members: Sequence[Member], begin: int, *, start: int = 0) -> Iterator[Problem]:
    """Yield problems of members that overlap, reach into the directory, or have something before them.

    ``start`` is where files begin. As far as the directory alone can tell: how long a local header is, it says itself.
    """
    first = min((member.offset for member in members), default=begin)
    if first != start:
        message = (
            f"The first file of the ZIP does not lie at its beginning ({first} bytes). {MAKE_AGAIN}"
        )
        yield problem("archive_leading_data", message)
    for member, following in in_order(members, begin):
        least = member.offset + LOCAL.size + len(member.raw_name) + member.compressed
        if least > following:
            message = (
                f"{member.name} lies over another file or the directory of the ZIP. {MAKE_AGAIN}"
            )
            yield problem("archive_overlap", message, member.name)


def size_problems(members: Sequence[Member]) -> Iterator[Problem]:
    """Yield problems of members that would unpack to more than photos ever do, each or all together."""
    for member in members:
        if member.size > SMALL and member.size > MAX_RATIO * member.compressed:
            message = (
                f"{member.name} would unpack from {member.compressed} bytes to {member.size}: "
                "that is no photo. Take it out."
            )
            yield problem("archive_bomb", message, member.name)
    total = sum(member.size for member in members)
    if total > MAX_TOTAL:
        yield problem(
            "archive_too_large",
            f"The files have {total} bytes unpacked; {MAX_TOTAL} (4 GiB) are the most. "
            "20 to 50 photos are best: choose those.",
        )


def member_problems(entries: Sequence[Entry]) -> Iterator[Problem]:
    """Yield what is wrong with each entry by itself, and with its name beside the others."""
    good = []
    for entry in entries:
        found = (
            _encryption(entry.member)
            or _packing(entry)
            or name_problem(entry.member.name)
            or _kind(entry)
        )
        if found:
            yield found
        else:
            good.append(entry.member)
    yield from collisions(good)


def _encryption(member: Member) -> Problem | None:
    name = member.name
    if member.flags & (STRONGLY_ENCRYPTED | MASKED):
        message = "The ZIP is encrypted. Make it again without a password."
        return problem("archive_strong_encryption", message, name)
    if member.flags & ENCRYPTED:
        message = f"{name} is protected by a password. Make the ZIP again without one."
        return problem("dataset_encrypted", message, name)
    return None


def _packing(entry: Entry) -> Problem | None:
    member, name = entry.member, entry.member.name
    if entry.version > MAX_VERSION:
        message = (
            f"{name} needs a program for ZIP {entry.version / 10}, and there is none. {MAKE_AGAIN}"
        )
        return problem("archive_unsupported_version", message, name)
    if member.method not in (STORED, DEFLATED) or member.flags & PATCHED:
        message = (
            f"{name} is packed with a method that few programs read (number {member.method}). "
            "Make the ZIP again with the ordinary “deflate” method."
        )
        return problem("dataset_unsupported_compression", message, name)
    if (member.method == STORED and member.size != member.compressed) or (
        member.size and name.endswith("/")
    ):
        message = f"The ZIP states a size for {name} that cannot be. {MAKE_AGAIN}"
        return problem("archive_size_mismatch", message, name)
    return None


def _kind(entry: Entry) -> Problem | None:
    name = entry.member.name
    kind = entry.mode & KIND
    if kind == LINK:
        message = f"{name} is a link, not a file. Put the file itself into the ZIP."
        return problem("dataset_link", message, name)
    if kind in DEVICES:
        message = f"{name} is a device, not a file. Take it out of the ZIP."
        return problem("dataset_special_file", message, name)
    if is_archive(name):
        message = f"{name} is an archive of its own. Unpack it and put its photos in directly."
        return problem("dataset_nested_archive", message, name)
    return None
