"""Where a ZIP ends, and what its end says of the directory.

The end of central directory record is searched from the back of the file, as every reader does (4.3.1,
4.3.16). Where two readers could find two ends, the archive is refused.
"""

from dataclasses import dataclass

from lora_drop.datasets.archives.ranges import RangedReader, TailReader
from lora_drop.datasets.archives.records import (
    END,
    END64,
    END64_LOCATOR,
    END64_LOCATOR_MAGIC,
    END64_MAGIC,
    END_MAGIC,
    FULL16,
    FULL32,
    LOCAL_MAGIC,
    inconsistent,
    refusal,
)
from lora_drop.datasets.problem_codes import MAKE_AGAIN

MAX_COMMENT = 0xFFFF
TAIL = END.size + MAX_COMMENT + END64_LOCATOR.size + END64.size
END64_REST = END64.size - 12  # what its own length field counts
GIB4 = 2**32
LEAST_PADDING = 4  # NULs; fewer may be the rest of a comment that was changed
KINDS = {
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\x1f\x8b": "a gzip file",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"%PDF": "a PDF",
}


@dataclass(frozen=True, slots=True)
class EndRecord:
    """How many entries the directory has, its size and offset in bytes, and where the end begins.

    ``comment`` is how many bytes the archive says of itself, ``padding`` how many NULs follow.
    """

    count: int
    size: int
    offset: int
    begin: int
    comment: int
    padding: int = 0


def end_of(archive: TailReader) -> EndRecord:
    """Return the one end of the archive, which its directory reaches up to; raises DatasetRejectedError."""
    at = _find_end(archive)
    fields = END.unpack_from(archive.tail, at)
    _, disk, directory_disk, here, count, size, offset, comment = fields
    padding = _reaches(archive.tail, at)
    plain = EndRecord(count, size, offset, archive.start + at, comment, padding)
    locator = at - END64_LOCATOR.size
    if locator >= 0 and archive.tail.startswith(END64_LOCATOR_MAGIC, locator):
        disks = {disk, directory_disk} - {0, FULL16}
        end = _end64(archive, plain)
    else:
        disks = {disk, directory_disk} - {0}
        end = plain
    if disks or here != count:
        raise _multi_disk()
    _check_place(end)
    return end


def _find_end(archive: TailReader) -> int:
    """Return where in the tail the record begins, which is the last there is and ends the file."""
    last = archive.tail.rfind(END_MAGIC)
    ends = []
    at = last
    while at >= 0:
        if _reaches(archive.tail, at) == 0 or (at == last and _is_padded(archive.tail, at)):
            ends.append(at)
        at = archive.tail.rfind(END_MAGIC, 0, at)
    if not ends:
        raise _endless(archive, last)
    if ends != [last]:
        message = (
            f"The ZIP ends in more than one way: each program would see other files. {MAKE_AGAIN}"
        )
        raise refusal("archive_several_ends", message)
    return last


def _is_padded(tail: bytes, at: int) -> bool:
    """Return whether nothing but NULs follows, as media and uploads in blocks pad a file: no reader sees files in them."""
    length = _reaches(tail, at)
    return length >= LEAST_PADDING and not any(tail[-length:])


def _reaches(tail: bytes, at: int) -> int:
    """Return how many bytes follow the record and its comment; fewer than none where they are cut."""
    if at + END.size > len(tail):
        return -1
    return len(tail) - at - END.size - int(END.unpack_from(tail, at)[7])


def _endless(archive: TailReader, last: int) -> Exception:
    """Return why there is no end; ``last`` is where something like one begins."""
    if last >= 0 and (extra := _reaches(archive.tail, last)) > 0:
        return refusal(
            "archive_trailing_data",
            f"Something follows the end of the ZIP ({extra} bytes): it is not as it was made. {MAKE_AGAIN}",
        )
    head = archive.read(0, 8)
    if last >= 0 or head.startswith((LOCAL_MAGIC, END_MAGIC, b"PK\x07\x08")):
        return refusal(
            "archive_truncated",
            "The ZIP has no end: it was cut off, perhaps while it was uploaded or copied. "
            "Make it again, check that it opens, and drop it again.",
        )
    kind = next((kind for magic, kind in KINDS.items() if head.startswith(magic)), "something else")
    return refusal(
        "archive_invalid_format",
        f"The archive must be a ZIP; this file is {kind}. Put the photos into a ZIP and drop that.",
    )


def _end64(archive: RangedReader, plain: EndRecord) -> EndRecord:
    """Return the ZIP64 end; every number the plain end states as well has to be the same.

    The record lies right before its locator, and has no room for anything else: what programs look
    for it there, and what go where the locator points, are to find the same.
    """
    locator = plain.begin - END64_LOCATOR.size
    _, disk, at, disks = END64_LOCATOR.unpack(archive.read(locator, END64_LOCATOR.size))
    raw = archive.read(at, END64.size) if at + END64.size <= archive.size else b""
    if disk or disks > 1:
        raise _multi_disk()
    if at + END64.size != locator or len(raw) < END64.size or not raw.startswith(END64_MAGIC):
        raise _mismatch()
    _, length, _, _, disk, directory_disk, here, count, size, offset = END64.unpack(raw)
    if disk or directory_disk:
        raise _multi_disk()
    pairs = (
        (plain.count, count, FULL16),
        (plain.size, size, FULL32),
        (plain.offset, offset, FULL32),
    )
    if length != END64_REST or here != count or any(a not in (b, full) for a, b, full in pairs):
        raise _mismatch()
    return EndRecord(count, size, offset, at, plain.comment, plain.padding)


def _check_place(end: EndRecord) -> None:
    """Check that the directory lies right before the end; raises DatasetRejectedError."""
    shift = end.begin - end.size - end.offset
    if not shift:
        return
    if shift > 0 and shift % GIB4 == 0:
        raise refusal(
            "archive_over_4_gib",
            "The ZIP has more than 4 GiB, and the program that made it (the Finder, perhaps) cannot "
            "write that. Make a smaller one: 20 to 50 photos are best.",
        )
    if shift > 0:
        raise refusal(
            "archive_leading_data",
            f"The ZIP does not begin where it should ({shift} bytes): something was put before its "
            f"files or taken out. {MAKE_AGAIN}",
        )
    raise inconsistent("its directory does not lie where its end says")


def _multi_disk() -> Exception:
    return refusal(
        "archive_multi_disk", "The archive is split into parts. Make one single ZIP, and drop that."
    )


def _mismatch() -> Exception:
    return refusal(
        "archive_zip64_mismatch", f"The ZIP's two ends (ZIP64) do not say the same. {MAKE_AGAIN}"
    )
