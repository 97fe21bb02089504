"""What anybody finds out about a ZIP first: what it holds, what it costs to know, and the plain faults."""

import struct
import zipfile

import pytest

from lora_drop.datasets.archives import MeteredReader, members_of, read_member, structure_of
from lora_drop.datasets.archives.ranges import TooManyReadsError
from lora_drop.datasets.archives.records import problem
from lora_drop.jobs.errors import DatasetRejectedError
from tests.support.builders import JPEG, make_archive, make_jpeg
from tests.support.memory_files import MemoryRange
from tests.support.zips import codes, structure_codes


def test_members_are_those_python_finds() -> None:
    data = make_archive(images=30, folder="ada/", members={"ada/sub/": b""})

    members = members_of(MemoryRange(data))

    assert [member.name for member in members] == [f"ada/photo-{n:02}.jpg" for n in range(30)]
    assert [member.size for member in members] == [len(make_jpeg(n)) for n in range(30)]


def test_a_small_archive_is_judged_with_one_read() -> None:
    archive = MemoryRange(make_archive(images=30))

    members_of(archive)

    assert archive.requests == 1
    assert archive.bytes_read == len(archive.data)


def test_a_hopeless_archive_costs_at_most_two_reads() -> None:
    archive = MemoryRange(b"this is a text file\n" * 100_000)

    with pytest.raises(DatasetRejectedError):
        members_of(archive)

    assert archive.requests <= 2
    assert archive.bytes_read < 70_000


FAULTS = {
    "nothing": (b"", "archive_empty"),
    "text": (b"hello, I am text\n" * 10, "archive_invalid_format"),
    "rar": (b"Rar!\x1a\x07" + bytes(100), "archive_invalid_format"),
    "end cut off": (make_archive()[:-30], "archive_truncated"),
    "last byte cut off": (make_archive()[:-1], "archive_truncated"),
    "half": (make_archive()[: len(make_archive()) // 2], "archive_truncated"),
    "prefix": (b"MZ" + bytes(100) + make_archive(), "archive_leading_data"),
    "parent": (make_archive(members={"../../etc/passwd": b"x"}), "archive_unsafe_name"),
    "root": (make_archive(members={"/etc/passwd": b"x"}), "archive_unsafe_name"),
    "drive": (make_archive(members={"C:/x.jpg": b"x"}), "archive_unsafe_name"),
    "line end": (make_archive(members={"a\nb.jpg": b"x"}), "archive_unsafe_name"),
    "long name": (make_archive(members={"x" * 1025: b"x"}), "archive_unsafe_name"),
    "same name": (make_archive(members={"PHOTO-00.jpg": b"x"}), "archive_duplicate_name"),
    "bzip2": (make_archive(compression=zipfile.ZIP_BZIP2), "dataset_unsupported_compression"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_own_code(fault: str) -> None:
    data, code = FAULTS[fault]

    assert structure_codes(data)[0] == code


def test_a_thousand_bad_names_are_told_as_fifty_problems() -> None:
    data = make_archive(members={f"../{number}.jpg": b"x" for number in range(1000)})

    found = structure_codes(data)

    assert len(found) == 50
    assert found[-1] == "dataset_more_problems"


def test_every_refusal_names_a_code_that_can_be_looked_up() -> None:
    with pytest.raises(KeyError):
        problem("archive_made_up", "?")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_is_read_no_further_than_asked(compression: int) -> None:
    data = make_archive(images=1, members={"big.txt": b"x" * 1_000_000}, compression=compression)
    archive = MemoryRange(data)
    big = members_of(archive)[-1]
    archive.bytes_read = 0

    assert read_member(archive, big, 100) == b"x" * 100
    assert archive.bytes_read < 4096


def test_a_member_is_read_whole_behind_a_long_header() -> None:
    buffer = make_archive(images=0, members={"a.txt": bytes(range(256)) * 40})
    archive = MemoryRange(_with_local_extra(buffer, 5000))
    (member,) = members_of(archive)

    assert read_member(archive, member, member.size) == bytes(range(256)) * 40


def _with_local_extra(data: bytes, length: int) -> bytes:
    """The same archive of one member, with room between its local header and its data."""
    name_length = struct.unpack_from("<H", data, 26)[0]
    extra = struct.pack("<2H", 0xCAFE, length - 4) + bytes(length - 4)
    moved = bytearray(data[: 30 + name_length] + extra + data[30 + name_length :])
    struct.pack_into("<H", moved, 28, length)
    at = moved.rfind(b"PK\x05\x06")
    struct.pack_into("<L", moved, at + 16, struct.unpack_from("<L", moved, at + 16)[0] + length)
    return bytes(moved)


def test_a_reader_that_may_read_no_more_reads_no_more() -> None:
    archive = MemoryRange(bytes(100))
    reader = MeteredReader(archive, most_requests=2, most_bytes=50)

    assert reader.read(90, 20) == bytes(10)
    with pytest.raises(TooManyReadsError):
        reader.read(0, 41)
    assert reader.read(0, 40) == bytes(40)
    with pytest.raises(TooManyReadsError):
        reader.read(0, 1)

    assert (reader.requests, reader.bytes_read) == (archive.requests, archive.bytes_read) == (2, 50)


def test_what_lies_beyond_the_end_costs_nothing() -> None:
    reader = MeteredReader(MemoryRange(bytes(10)))

    assert reader.read(10, 5) == reader.read(3, 0) == b""
    assert reader.requests == 0


def test_every_truncation_has_a_typed_verdict() -> None:
    data = make_archive()

    for length in range(0, len(data), 37):
        assert structure_codes(data[:length])[0].startswith("archive_")


def test_truncation_at_each_kibibyte_has_a_typed_verdict() -> None:
    members = {f"big-{n}.jpg": JPEG + bytes(range(256)) * 64 for n in range(12)}
    data = make_archive(members=members, compression=zipfile.ZIP_STORED)

    verdicts = {structure_codes(data[:length])[0] for length in range(0, len(data), 1024)}

    assert codes(data) == []
    assert len(data) > 190 * 1024
    assert verdicts == {"archive_empty", "archive_truncated"}


def test_every_changed_byte_of_the_directory_and_end_is_accepted_or_typed() -> None:
    data = make_archive(images=10)
    start = data.find(b"PK\x01\x02")
    verdicts = set()

    for at in range(start, len(data)):
        for mask in (0x01, 0x20, 0xFF):
            changed = bytearray(data)
            changed[at] ^= mask
            verdicts.add(tuple(codes(bytes(changed))))

    assert () in verdicts  # a date, for one, may be any
    assert len(verdicts) > 10


def test_zip64_records_that_are_not_needed_are_read() -> None:
    data = _with_zip64(make_archive(images=12))

    assert len(structure_of(MemoryRange(data)).members) == 12


def _with_zip64(data: bytes) -> bytes:
    """The same archive as some producers end it: with ZIP64 records although nothing is large."""
    at = data.rfind(b"PK\x05\x06")
    count, size, offset = struct.unpack_from("<HLL", data, at + 10)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
    full = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    return data[:at] + end64 + locator + full
