"""What a ZIP says of itself, and whether it says one thing: its end, its directory, its local headers.

The directory is believed only where the archive is consistent with it. Every rule is about what two
readers could see differently, or about what would fail, or hurt, once it is unpacked.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from lora_drop.datasets.archives.directory import (
    entries_of,
    layout_problems,
    member_problems,
    size_problems,
)
from lora_drop.datasets.archives.end import TAIL, end_of
from lora_drop.datasets.archives.headers import check_headers
from lora_drop.datasets.archives.names import guess_warnings, spelling_warnings
from lora_drop.datasets.archives.ranges import MeteredReader, RangedReader, TailReader
from lora_drop.datasets.archives.records import SEGMENT_MAGIC, Member, refusal
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.problems import Problem

MAX_DIRECTORY = 4 * 1024**2
MAX_ENTRIES = 20_000
# What a look at the structure may cost, beyond the directory itself.
MAX_REQUESTS, MAX_BYTES = 40, 4 * 1024**2


@dataclass(frozen=True, slots=True)
class Structure:
    """A sound archive: every entry in the directory's order, and where the directory begins.

    ``unseen`` counts the local headers that lay too far apart to be read: ``contents_of`` reads them
    all. ``has_metadata``: whether the archive holds more than its files: comments, times, owners.
    ``warnings`` are about what is sound and may still hinder a trainer's own unzip.
    """

    entries: tuple[Member, ...]
    begin: int
    unseen: int
    has_metadata: bool
    warnings: tuple[Problem, ...]

    @property
    def members(self) -> tuple[Member, ...]:
        """Every file, folders left out."""
        return tuple(member for member in self.entries if not member.is_folder)


def members_of(archive: RangedReader) -> tuple[Member, ...]:
    """Return every file of the archive, folders left out; the same as ``structure_of`` otherwise."""
    return structure_of(archive).members


def structure_of(
    archive: RangedReader,
    *,
    hopeless: Callable[[Sequence[Member]], Problem | None] = lambda _: None,
) -> Structure:
    """Return the archive's structure, or every reason why it has none; raises DatasetRejectedError.

    Costs at most 40 requests, and 4 MiB beyond the central directory. Nothing is allocated because a
    header says so. ``hopeless`` says of all members why no more than the directory need be read: two requests.
    """
    if archive.size == 0:
        raise refusal("archive_empty", "The file is empty. Upload it again.")
    metered = MeteredReader(archive, most_requests=MAX_REQUESTS, most_bytes=MAX_BYTES)
    reader = TailReader(metered, TAIL)
    end = end_of(reader)
    if end.size > MAX_DIRECTORY or end.count > MAX_ENTRIES:
        message = (
            f"The ZIP says that it holds {end.count} files; a dataset has {MAX_ENTRIES} at most. "
            "20 to 50 photos are best: choose those."
        )
        raise refusal("archive_too_many_files", message)
    metered.most_bytes = MAX_BYTES + end.size
    entries = entries_of(reader.read(end.offset, end.size), end.count)
    members = [entry.member for entry in entries]
    start = _start_of(reader, members)
    layout = layout_problems(members, end.offset, start=start)
    _raise([*layout, *size_problems(members)])
    if problem := hopeless(members):
        raise DatasetRejectedError([problem])
    headers = check_headers(reader, members, end.offset)
    _raise([*headers.problems, *_apart(member_problems(entries), headers.problems)])
    unseen = len(entries) - headers.read
    return Structure(
        entries=tuple(members),
        begin=end.offset,
        unseen=unseen,
        has_metadata=bool(
            end.comment
            or end.padding
            or start
            or unseen
            or headers.has_metadata
            or any(entry.has_metadata for entry in entries)
        ),
        warnings=(*spelling_warnings(members), *guess_warnings(members)),
    )


def _start_of(reader: TailReader, members: Sequence[Member]) -> int:
    """Return where files begin: behind the marker of a single segment, where there is one."""
    first = min((member.offset for member in members), default=0)
    marked = first == len(SEGMENT_MAGIC) and reader.read(0, first) == SEGMENT_MAGIC
    return first if marked else 0


def _raise(problems: Sequence[Problem]) -> None:
    if problems:
        raise DatasetRejectedError(problems)


def _apart(problems: Iterable[Problem], earlier: Sequence[Problem]) -> Iterator[Problem]:
    """Return those of members that nothing was found against."""
    named = {problem.member for problem in earlier}
    return (problem for problem in problems if problem.member not in named)
