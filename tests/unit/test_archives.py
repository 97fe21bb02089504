import struct
import zipfile

import pytest

from shared.domain.archives import members_of, read_member
from shared.domain.errors import RejectedDataset
from tests.builders import JPEG, make_archive
from tests.memory import MemoryRange


def code_of(data: bytes) -> str:
    with pytest.raises(RejectedDataset) as rejected:
        members_of(MemoryRange(data))
    return rejected.value.problems[0].code


def test_members_are_those_python_finds() -> None:
    data = make_archive(images=30, folder="ada/", members={"ada/sub/": b""})

    members = members_of(MemoryRange(data))

    assert [member.name for member in members] == [f"ada/photo-{n:02}.jpg" for n in range(30)]
    assert {member.size for member in members} == {len(JPEG)}


def test_a_hopeless_archive_costs_at_most_two_reads() -> None:
    archive = MemoryRange(b"this is a text file\n" * 100_000)

    with pytest.raises(RejectedDataset):
        members_of(archive)

    assert archive.requests <= 2
    assert archive.bytes_read < 70_000


FAULTS = {
    "nothing": (b"", "archive_empty"),
    "text": (b"hello, I am text\n" * 10, "archive_invalid_format"),
    "rar": (b"Rar!\x1a\x07" + bytes(100), "archive_invalid_format"),
    "end cut off": (make_archive()[:-30], "archive_truncated"),
    "half": (make_archive()[: len(make_archive()) // 2], "archive_truncated"),
    "prefix": (b"MZ" + bytes(100) + make_archive(), "archive_inconsistent"),
    "parent": (make_archive(members={"../../etc/passwd": b"x"}), "archive_unsafe_name"),
    "root": (make_archive(members={"/etc/passwd": b"x"}), "archive_unsafe_name"),
    "drive": (make_archive(members={"C:/x.jpg": b"x"}), "archive_unsafe_name"),
    "line end": (make_archive(members={"a\nb.jpg": b"x"}), "archive_unsafe_name"),
    "long name": (make_archive(members={"x" * 1025: b"x"}), "archive_unsafe_name"),
    "same name": (make_archive(members={"PHOTO-00.jpg": b"x"}), "archive_duplicate_name"),
    "bzip2": (make_archive(compression=zipfile.ZIP_BZIP2), "archive_unsupported_compression"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_own_code(fault: str) -> None:
    data, code = FAULTS[fault]

    assert code_of(data) == code


def test_a_password_is_refused() -> None:
    data = bytearray(make_archive())
    at = data.rfind(b"PK\x01\x02")
    data[at + 8] |= 1

    assert code_of(bytes(data)) == "archive_encrypted"


def test_a_directory_that_reaches_into_itself_is_refused() -> None:
    data = bytearray(make_archive())
    at = data.find(b"PK\x01\x02")
    struct.pack_into("<L", data, at + 20, len(data))

    assert code_of(bytes(data)) == "archive_inconsistent"


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_is_read_no_further_than_asked(compression: int) -> None:
    data = make_archive(images=1, members={"big.txt": b"x" * 1_000_000}, compression=compression)
    archive = MemoryRange(data)
    big = members_of(archive)[-1]
    archive.bytes_read = 0

    assert read_member(archive, big, 100) == b"x" * 100
    assert archive.bytes_read < 4096


def test_zip64_records_that_are_not_needed_are_read() -> None:
    data = _with_zip64(make_archive(images=12))

    assert len(members_of(MemoryRange(data))) == 12


def _with_zip64(data: bytes) -> bytes:
    """The same archive as some producers end it: with ZIP64 records although nothing is large."""
    at = data.rfind(b"PK\x05\x06")
    count, size, offset = struct.unpack_from("<HLL", data, at + 10)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
    full = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    return data[:at] + end64 + locator + full


def test_every_truncation_has_a_typed_verdict() -> None:
    data = make_archive()

    for length in range(0, len(data), 37):
        assert code_of(data[:length]).startswith("archive_")


def test_every_changed_byte_of_the_end_and_directory_is_accepted_or_typed() -> None:
    data = make_archive(images=10)
    start = data.find(b"PK\x01\x02")
    accepted = 0

    for at in range(start, len(data)):
        changed = bytearray(data)
        changed[at] ^= 0xFF
        verdict = verdict_on(bytes(changed))
        assert verdict is None or verdict.startswith("archive_")
        accepted += verdict is None

    assert accepted < len(data) - start


def verdict_on(data: bytes) -> str | None:
    """The code it is refused with, or None; any other exception is a failure of the test."""
    archive = MemoryRange(data)
    try:
        for member in members_of(archive):
            read_member(archive, member, 16)
    except RejectedDataset as rejected:
        return rejected.problems[0].code
    return None


@pytest.mark.parametrize(
    "name",
    [
        "Screenshot 2026-11-24 at 9.41.00\u202fAM.jpg",
        "写真\u30001.jpg",
        "👩\u200d🚀.jpg",
        "a\xa0b.jpg",
    ],
)
def test_what_real_programs_call_their_files_is_accepted(name: str) -> None:
    members = members_of(MemoryRange(make_archive(members={name: JPEG})))

    assert name in {member.name for member in members}


@pytest.mark.parametrize("letter", ["\n", "\x1b", "\x7f", "\x85", "\u2028", "\u202e", "\u2067"])
def test_a_name_that_steers_its_reader_is_refused(letter: str) -> None:
    assert code_of(make_archive(members={f"a{letter}b.jpg": JPEG})) == "archive_unsafe_name"
