"""What lies before and after a member's data, held against the directory (4.3.7, 4.3.9)."""

import struct
from dataclasses import dataclass

from lora_drop.datasets.archives.names import decoded
from lora_drop.datasets.archives.records import (
    DEFLATED,
    DESCRIPTOR_MAGIC,
    ENCRYPTED,
    LOCAL,
    LOCAL_MAGIC,
    MASKED,
    STREAMED,
    STRONGLY_ENCRYPTED,
    UTF8,
    Member,
    extra_of,
    widened,
)
from lora_drop.datasets.archives.refusals import AGAIN, problem, refusal
from lora_drop.jobs.problems import Problem

COMPARED = ENCRYPTED | STRONGLY_ENCRYPTED | MASKED


@dataclass(frozen=True, slots=True)
class LocalHeader:
    """``length`` in bytes, up to the data; whether a descriptor follows the data.

    ``complete``: whether the header itself says all that a descriptor would. ``told``: whether it
    tells more of the file than a reader needs, like times or an owner.
    """

    length: int
    streamed: bool
    complete: bool
    told: bool


def length_of(record: bytes) -> int:
    """How long the local header is that begins here, in bytes; its first 30 are needed to tell."""
    if len(record) < LOCAL.size:
        return LOCAL.size
    fields = LOCAL.unpack_from(record)
    return LOCAL.size + int(fields[9]) + int(fields[10])


def local_header(record: bytes, member: Member) -> LocalHeader:
    """The whole local header; raises DatasetRejectedError where it and the directory do not agree.

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
    if decoded(raw, flags, extra).replace("\\", "/") != member.name.replace("\\", "/"):
        raise _mismatch(member, "it has another name where it lies")
    size, compressed = widened((size, compressed), extra, member.name, whole=True)
    streamed = bool(flags & STREAMED)
    if streamed and flags & ENCRYPTED:
        crc = member.crc
    told, true = (size, compressed, crc), (member.size, member.compressed, member.crc)
    if told != true and not (
        streamed and all(a in (0, b) for a, b in zip(told, true, strict=True))
    ):
        raise _mismatch(member, "it has another size or checksum where it lies")
    if streamed and method == DEFLATED and not member.compressed:
        raise _mismatch(member, "not even the end of nothing is packed where it lies")
    complete = told == true
    return LocalHeader(length, streamed=streamed, complete=complete, told=extra.others)


def descriptors(member: Member) -> tuple[bytes, ...]:
    """Each form that the descriptor after the member's data may have (4.3.9, 4.3.9.3, 4.3.9.4)."""
    numbers = (member.crc, member.compressed, member.size)
    forms = [struct.pack("<L2Q", *numbers)]
    if max(numbers) < 1 << 32:
        forms.append(struct.pack("<3L", *numbers))
    return tuple(magic + form for form in forms for magic in (b"", DESCRIPTOR_MAGIC))


def gap_problem(
    member: Member, header: LocalHeader, length: int, gap: bytes | None, *, last: bool
) -> Problem | None:
    """What is wrong with the ``length`` bytes between the member's data and what follows it.

    They are its descriptor, where it has one, and nothing else. Only ``last``, before the directory,
    there may be a few bytes: too few to hold a file. Without the ``gap`` itself its length is judged.
    """
    if length < 0:
        message = f"{member.name} lies over another file or the directory of the ZIP. {AGAIN}"
        return problem("archive_overlap", message, member.name)
    allowed = descriptors(member) if header.streamed else ()
    if header.complete:
        allowed = (*allowed, b"")
    if gap in allowed or (gap is None and length in map(len, allowed)):
        return None
    if not header.streamed and last and length < LOCAL.size:
        return None
    if header.streamed and length <= max(map(len, allowed)):
        message = f"What follows {member.name} in the ZIP does not fit it. {AGAIN}"
        return problem("archive_data_descriptor", message, member.name)
    message = f"The ZIP hides something after {member.name}. {AGAIN}"
    return problem("archive_hidden_data", message, member.name)


def _mismatch(member: Member, how: str) -> Exception:
    return refusal(
        "archive_header_mismatch",
        f"The ZIP describes {member.name} in two ways: {how}. {AGAIN}",
        member.name,
    )
