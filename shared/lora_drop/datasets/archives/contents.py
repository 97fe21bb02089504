"""The members' data: a beginning of one, or everything in one pass from front to back.

The pass verifies what the directory alone cannot promise (APPNOTE 4.3.7 to 4.3.9; RFC 1951 for deflate):
each local header, each checksum and size, each end of a deflate stream, and that no byte lies between
two members that belongs to neither. What is larger than its declared size stops there.
"""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress

from lora_drop.datasets.archives.headers import (
    MAX_PADDING,
    LocalHeader,
    damaged,
    gap_problem,
    length_of,
    local_header,
    missized,
)
from lora_drop.datasets.archives.ranges import ForwardReader, RangedReader
from lora_drop.datasets.archives.records import DEFLATED, LOCAL, STORED, Member, in_order, refusal
from lora_drop.datasets.archives.structure import Structure
from lora_drop.datasets.problem_codes import MAKE_AGAIN
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.problems import Problem

WINDOW = 4 * 1024**2  # bytes that one request asks for
CHUNK = 1024**2  # bytes that are handed on at once, at most
FEED = 64 * 1024  # packed bytes that are inflated at once
CODES = 1024  # bytes that deflate's own tables take at the most, and some (RFC 1951, 3.2.7)
SPARE = 2 * 1024  # bytes that a local header's name and extra field may take to be read in one go


class Content:
    """One member's content as it comes, in chunks of at most 1 MiB.

    A chunk may be the beginning of something damaged: only after the last one is the content known to
    be what was packed. Iterating raises DatasetRejectedError when it is not, and RuntimeError when the pass
    has gone on to the next member. Never more than ``member.size`` bytes come.
    """

    def __init__(self, member: Member, chunks: Iterator[bytes]) -> None:
        self.member = member
        self._chunks = chunks
        self._problems: Sequence[Problem] = ()
        self._passed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._passed:
            raise RuntimeError(f"the pass is beyond {self.member.name}")
        try:
            return next(self._chunks)
        except DatasetRejectedError as rejected:
            self._problems = rejected.problems
            raise

    def read(self) -> bytes:
        """Return all that is left of it; the caller has checked ``member.size`` before."""
        return b"".join(self)

    def finish(self) -> Sequence[Problem]:
        """Read what is left of it, and return what is wrong with it, also where that was raised before."""
        with suppress(DatasetRejectedError):  # it is remembered
            for _ in self:
                pass
        self._passed = True
        return self._problems


def contents_of(
    archive: RangedReader, structure: Structure, *, window: int = WINDOW
) -> Iterator[Content]:
    """Yield every file's content in the order in which they lie, each once, junk as well as photos.

    What of one is not taken is verified all the same before the next one comes. The last one is
    followed by DatasetRejectedError if anything was wrong with any, folders included: the end of a
    damaged archive is never reached without an error. Holds one window of bytes and one chunk.
    """
    reader = ForwardReader(archive, end=structure.begin, window=window)
    problems: list[Problem] = []
    for member, following in in_order(structure.entries, structure.begin):
        last = following == structure.begin
        content = Content(member, _verified(reader, member, following, last=last))
        if not member.is_folder:
            yield content
        problems += content.finish()
    if problems:
        raise DatasetRejectedError(problems)


def read_member(archive: RangedReader, member: Member, limit: int) -> bytes:
    """Return at most ``limit`` bytes from the member's beginning, inflated; raises DatasetRejectedError.

    Never reads or allocates more than ``limit`` asks for, whatever the headers claim.
    """
    wanted = min(member.compressed, 2 * limit + CODES)
    window = archive.read(member.offset, LOCAL.size + SPARE + wanted)
    begin = length_of(window)
    if len(window) < begin:
        window += archive.read(member.offset + len(window), begin - len(window))
    local_header(window[:begin], member)
    data = window[begin : begin + member.compressed]
    if len(data) < wanted:
        data += archive.read(member.offset + begin + len(data), wanted - len(data))
    if member.method == STORED:
        return data[:limit]
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, limit)
    except zlib.error as error:
        raise damaged(member) from error


def _verified(
    reader: ForwardReader, member: Member, following: int, *, last: bool
) -> Iterator[bytes]:
    """Yield a member's chunks, and then everything else that has to be right; raises DatasetRejectedError."""
    header = _header(reader, member)
    at = member.offset + header.length
    size, crc = 0, 0
    for chunk in _unpacked(reader, member, at):
        size += len(chunk)
        if size > member.size:
            raise missized(member)
        crc = zlib.crc32(chunk, crc)
        yield chunk
    if size != member.size:
        raise missized(member)
    if crc != member.crc:
        raise refusal(
            "archive_crc_mismatch",
            f"{member.name} does not unpack to what was packed: the archive is damaged. {MAKE_AGAIN}",
            member.name,
        )
    at += member.compressed
    room = following - at
    gap = reader.exactly(at, min(room, MAX_PADDING if last else LOCAL.size))
    found = gap_problem(member, header, room, gap, last=last)
    if found:
        raise DatasetRejectedError([found])


def _header(reader: ForwardReader, member: Member) -> LocalHeader:
    record = reader.exactly(member.offset, LOCAL.size)
    if len(record) == LOCAL.size:
        rest = length_of(record) - LOCAL.size
        record += reader.exactly(member.offset + LOCAL.size, rest)
    return local_header(record, member)


def _unpacked(reader: ForwardReader, member: Member, at: int) -> Iterator[bytes]:
    """Yield what a member's packed bytes unpack to, as far as they go; raises DatasetRejectedError."""
    packed = _packed(reader, at, member.compressed, FEED if member.method == DEFLATED else CHUNK)
    if member.method == STORED or not member.compressed:
        yield from packed
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for piece in packed:
            if inflater.eof:
                raise damaged(member)  # the stream ends before its bytes do
            yield from _inflated(inflater, piece)
    except zlib.error as error:
        raise damaged(member) from error
    if not inflater.eof or inflater.unused_data:
        raise damaged(member)


def _packed(reader: ForwardReader, at: int, length: int, most: int) -> Iterator[bytes]:
    while length > 0 and (data := reader.some(at, min(length, most))):
        yield data
        at += len(data)
        length -= len(data)


def _inflated(inflater: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    """Yield all that can be had from the bytes so far, in chunks."""
    while True:
        chunk = inflater.decompress(data, CHUNK)
        if chunk:
            yield chunk
        data = inflater.unconsumed_tail
        if inflater.eof or (not data and len(chunk) < CHUNK):
            return
