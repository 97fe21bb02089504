"""A ZIP has one end that every reader finds, and local headers that say what its directory says."""

import io
import struct
import zipfile
import zlib
from dataclasses import replace
from typing import Any

import pytest

from lora_drop.datasets.archives import Structure, structure_of
from lora_drop.datasets.archives.structure import MAX_BYTES, MAX_REQUESTS
from lora_drop.jobs.errors import DatasetRejectedError
from tests.support.builders import JPEG
from tests.support.memory_files import MemoryRange
from tests.support.zips import (
    Part,
    assembled,
    codes,
    deflated,
    descriptor,
    end,
    photos,
    streamed,
    structure_codes,
    zip64_end,
    zip64_field,
)

GOOD = assembled(photos())
FAKE = end(0, 0, 0)
FULL = 0xFFFFFFFF


@pytest.mark.parametrize("comment", [b"Sunday", b"x" * 65_535, b"PK\x05", b"PK\x06\x06" * 5])
def test_a_comment_is_accepted(comment: bytes) -> None:
    assert codes(assembled(photos(), comment=comment)) == []
    assert codes(assembled(photos(), comment=comment, zip64=True)) == []


@pytest.mark.parametrize("zip64", [False, True])
def test_an_empty_archive_has_no_members(*, zip64: bool) -> None:
    assert structure_of(MemoryRange(assembled([], zip64=zip64))).members == ()


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    ("data", "code"),
    [
        *(
            (GOOD + b"\n", "archive_trailing_data"),
            (GOOD + bytes(3), "archive_trailing_data"),
            (GOOD + bytes(90) + b"x", "archive_trailing_data"),
        ),
        (assembled(photos(), comment=b"Sunday")[:-1], "archive_truncated"),
        (b"#!/bin/sh\n" + GOOD, "archive_leading_data"),
        (assembled(photos(), prefix=b"#!/bin/sh\n"), "archive_leading_data"),
        (assembled([], prefix=b"\xff\xd8\xff"), "archive_leading_data"),
    ],
    ids=[
        "a line end",
        "few zeros",
        "zeros and more",
        "a cut comment",
        "a script",
        "a counted script",
        "an image",
    ],
)
def test_what_surrounds_an_archive_is_refused(data: bytes, code: str) -> None:
    """Bytes before the first file, after the end or within a cut comment are refused."""
    assert structure_codes(data) == [code]


@pytest.mark.parametrize("length", [0, 1, 4096, 65_000])
def test_an_end_within_the_comment(length: int) -> None:
    """Readers that take the last signature see another archive than those that trust lengths."""
    comment = FAKE[:20] + struct.pack("<H", 7) + bytes(length)
    assert structure_codes(assembled(photos(), comment=comment))[0].startswith("archive_")
    assert structure_codes(assembled(photos(), comment=FAKE[:-2] + b"\x01\x00" + bytes(length)))


def test_an_end_swallows_another() -> None:
    """A comment that holds another end, or 64 KiB of them, is refused within one read."""
    other = assembled(photos(3))
    swallowing = GOOD[: -len(FAKE)] + end(12, 0, 0, comment_length=len(other)) + other
    archive = MemoryRange(assembled(photos(), comment=(FAKE * 2979)[:65_535]))
    assert structure_codes(swallowing) == ["archive_several_ends"]
    with pytest.raises(DatasetRejectedError) as rejected:
        structure_of(archive)
    assert rejected.value.problems[0].code.startswith("archive_")
    assert archive.requests == 1


@pytest.mark.parametrize(
    "archive",
    [
        *({"ending": {field: 1}} for field in ("disk", "directory_disk", "here")),
        *({"zip64": True, "ending64": {field: 2}} for field in ("disk", "disks")),
    ],
    ids=str,
)
def test_a_split_archive_is_refused(archive: dict[str, Any]) -> None:
    assert structure_codes(assembled(photos(), **archive)) == ["archive_multi_disk"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("count", 11), ("count", 13), ("size", 10), ("offset", 1), ("offset", 9999)],
)
def test_an_end_fits_its_directory(field: str, value: int) -> None:
    changes = {field: value} | ({"here": value} if field == "count" else {})
    full = {"offset": 2**32 - 1}  # without ZIP64 records
    assert structure_codes(assembled(photos(), ending=changes))[0].startswith("archive_")
    assert structure_codes(assembled(photos(), ending=full)) == ["archive_inconsistent"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("length", 45), ("length", 0), ("count", 11), ("size", 9)),
        *(("offset", 9), ("at", 0), ("at", 2**63)),
    ],
)
def test_zip64_records_fit_together(field: str, value: int) -> None:
    changes = {field: value} | ({"here": value} if field == "count" else {})
    found = structure_codes(assembled(photos(), zip64=True, ending64=changes))
    assert found[0] in {"archive_zip64_mismatch", "archive_inconsistent", "archive_leading_data"}


@pytest.mark.parametrize(("field", "value"), [("count", 11), ("size", 5), ("offset", 0)])
def test_both_ends_say_the_same(field: str, value: int) -> None:
    """The plain end has to say what the ZIP64 end says."""
    changes = {field: value} | ({"here": value} if field == "count" else {})
    data = assembled(photos(), zip64=True, ending=changes)
    assert structure_codes(data) == ["archive_zip64_mismatch"]


def test_nothing_lies_between_zip64_records() -> None:
    at = GOOD.rfind(b"PK\x05\x06")
    count, size, offset = struct.unpack_from("<HLL", GOOD, at + 10)
    records = zip64_end(count, size, offset, at)
    apart = GOOD[:at] + records[:56] + bytes(8) + records[56:] + end(0xFFFF, FULL, FULL)
    assert structure_codes(apart) == ["archive_zip64_mismatch"]


@pytest.mark.promise("it can be operated")
def test_an_archive_beyond_4_gib() -> None:
    """An archive beyond 4 GiB by macOS, with offsets modulo 2**32, has a code of its own."""

    class Far(MemoryRange):
        @property
        def size(self) -> int:
            return len(self.data) + 2**32

        def read(self, offset: int, length: int) -> bytes:
            return super().read(offset - 2**32, length) if offset >= 2**32 else bytes(length)

    with pytest.raises(DatasetRejectedError) as rejected:
        structure_of(Far(bytes(70_000) + assembled(photos(), prefix=bytes(70_000))[70_000:]))

    assert rejected.value.problems[0].code == "archive_over_4_gib"


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    "change",
    [
        *({"local": {"method": 0}}, {"local": {"flags": 1}}, {"local": {"flags": 0x40}}),
        *({"local": {"crc": 1}}, {"local": {"size": 1}}, {"local": {"compressed": 1}}),
        *({"local": {"name_length": 4}}, {"local": {"extra_length": 60_000}}),
        *({"local_name": b"b.jpg"}, {"local_name": b"A.jpg"}),
    ],
    ids=str,
)
def test_a_differing_local_header_is_refused(change: dict[str, Any]) -> None:
    """A local header that says something else than the directory, or is none, is refused."""
    part, none = Part(**change), bytearray(assembled(photos()))
    none[2] = 9
    for data in (assembled([part, *photos()]), assembled([*photos(), part]), bytes(none)):
        assert structure_codes(data) == ["archive_header_mismatch"]


def test_every_bad_header_is_reported() -> None:
    parts = [replace(part, local={"crc": 1}) for part in photos()]
    no_room = Part(local_extra=b"UT\x09\x00x")
    assert structure_codes(assembled(parts)) == ["archive_header_mismatch"] * 12
    assert structure_codes(assembled([no_room])) == ["archive_extra_field"]


@pytest.mark.parametrize("method", [0, 8])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_every_data_descriptor_is_accepted(*, signed: bool, wide: bool, method: int) -> None:
    parts = [streamed(replace(part, method=method), signed=signed, wide=wide) for part in photos()]
    with_room = replace(
        parts[0], local_extra=zip64_field(0, 0), local={"size": FULL, "compressed": FULL}
    )
    assert codes(assembled(parts)) == []
    assert codes(assembled([with_room, *parts[1:]])) == []


def test_a_streamed_member_says_its_size() -> None:
    known = {"crc": zlib.crc32(JPEG), "size": len(JPEG), "compressed": len(deflated(JPEG))}
    part = streamed(Part())
    assert codes(assembled([replace(part, local=known)])) == []
    assert codes(assembled([replace(part, local=known, gap=b"")])) == []
    assert codes(assembled([replace(part, gap=b"")])) == ["archive_data_descriptor"]
    assert codes(assembled([replace(part, local={"size": 1})])) == ["archive_header_mismatch"]


def test_an_empty_streamed_member() -> None:
    """Without a deflate stream a reader of a stream cannot find the descriptor of an empty member."""
    nothing = Part(content=b"", packed=b"")
    assert codes(assembled([nothing, *photos()])) == []
    assert codes(assembled([streamed(nothing), *photos()])) == ["archive_header_mismatch"]
    assert codes(assembled([streamed(Part(content=b"")), *photos()])) == []


def test_the_local_flag_announces_a_descriptor() -> None:
    """The flag of the local header alone decides whether a descriptor follows."""
    part, unannounced = streamed(Part()), Part(gap=descriptor(JPEG, deflated(JPEG)))
    assert codes(assembled([replace(part, entry={"flags": 0})])) == []
    assert codes(assembled([replace(part, flags=0), *photos()])) == ["archive_hidden_data"]
    assert structure_codes(assembled([unannounced, *photos()])) == ["archive_hidden_data"]


@pytest.mark.parametrize("at", range(16))
def test_a_wrong_descriptor_is_refused(at: int) -> None:
    wrong = bytearray(descriptor(JPEG, deflated(JPEG)))
    wrong[at] ^= 4
    part = replace(streamed(Part()), gap=bytes(wrong))
    assert structure_codes(assembled([part, *photos()])) == ["archive_data_descriptor"]


@pytest.mark.parametrize("size", [1, len(JPEG) - 1, len(JPEG) + 1, 70_000])
def test_a_false_size_is_found(size: int) -> None:
    """A size that is false in both headers, or a broken stream, is found by inflating a little."""
    part = Part(local={"size": size}, entry={"size": size})
    assert structure_codes(assembled([part, *photos()])) == ["archive_size_mismatch"]
    assert structure_codes(assembled([Part(packed=b"\xff" * 40), *photos()])) == ["archive_damaged"]


def large(count: int, size: int) -> bytes:
    """An archive of so many stored files of so many bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(count):
            archive.writestr(f"photos/{number:05}.jpg", JPEG + bytes(size - len(JPEG)))
    return buffer.getvalue()


def judged(data: bytes) -> tuple[MemoryRange, Structure]:
    archive = MemoryRange(data)
    return archive, structure_of(archive)


def test_headers_are_read_in_few_requests() -> None:
    """Headers that lie apart are read one by one, and those that lie close together."""
    apart, structure = judged(large(30, 1_000_000))
    close, others = judged(large(300, 10_000))
    assert structure.unseen == others.unseen == 0
    assert apart.requests <= 31
    assert apart.bytes_read < 200_000
    assert close.requests <= 9


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(
    ("count", "size"),
    [*((200, 200_000), (900, 60_000)), pytest.param(12_000, 4_000, marks=pytest.mark.proof)],
)
def test_the_budget_of_reads_holds(count: int, size: int) -> None:
    """Headers that the budget does not reach are counted, and the budget of reads is kept."""
    data = large(count, size)
    archive, structure = judged(data)
    directory = len(data) - structure.begin
    assert 0 < structure.unseen < count
    assert archive.requests <= MAX_REQUESTS
    assert archive.bytes_read <= MAX_BYTES + directory
    assert codes(data) == []


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_the_deep_pass_finds_the_rest() -> None:
    """A false header beyond the budget is found by the deep pass."""
    data = bytearray(large(200, 200_000))
    honest = structure_of(MemoryRange(bytes(data)))
    for member in honest.members:
        data[member.offset + 14] ^= 1  # its CRC-32, where it lies
    with pytest.raises(DatasetRejectedError) as rejected:
        structure_of(MemoryRange(bytes(data)))
    seen = len(honest.members) - honest.unseen
    assert seen == sum(problem.member is not None for problem in rejected.value.problems)
    for member in honest.members[:seen]:
        data[member.offset + 14] ^= 1

    assert codes(bytes(data))[0] == "archive_header_mismatch"
