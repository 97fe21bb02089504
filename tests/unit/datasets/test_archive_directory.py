"""What an entry of the directory may be: plain files, packed plainly, each in its own place."""

import io
import struct
import zipfile
from dataclasses import replace

import pytest

from lora_drop.datasets.archives import structure_of
from lora_drop.jobs.errors import DatasetRejectedError
from tests.support.builders import JPEG
from tests.support.memory_files import MemoryRange
from tests.support.zips import (
    Part,
    as_python_reads,
    as_read,
    assembled,
    codes,
    photos,
    structure_codes,
    zip64_field,
)

FULL = 0xFFFFFFFF


def with_one(part: Part) -> bytes:
    """A small dataset and one more file."""
    return assembled([*photos(), part])


def both(**fields: int) -> Part:
    """A file that says so in both of its headers."""
    return Part(local=fields, entry=fields)


def test_entries_are_those_python_reads() -> None:
    data = assembled([*photos(3), Part(name=b"b/", content=b"", method=0), Part(name=b"b/c.jpg")])
    structure = structure_of(MemoryRange(data))
    with zipfile.ZipFile(io.BytesIO(data)) as python:
        infos = python.infolist()
    assert list(map(as_read, structure.entries)) == list(map(as_python_reads, infos))
    assert [member.name for member in structure.members][-1] == "b/c.jpg"


REFUSED = {
    "password": (both(flags=1), "dataset_encrypted"),
    "strong encryption": (both(flags=0x41), "archive_strong_encryption"),
    "masked directory": (both(flags=0x2000), "archive_strong_encryption"),
    "AES": (both(flags=1, method=99), "dataset_encrypted"),
    "bzip2": (both(method=12), "dataset_unsupported_compression"),
    "deflate64": (both(method=9), "dataset_unsupported_compression"),
    "patch": (both(flags=0x20), "dataset_unsupported_compression"),
    "version 6.4": (both(need=64), "archive_unsupported_version"),
    "symbolic link": (Part(mode=0o120777), "dataset_link"),
    "character device": (Part(mode=0o020666), "dataset_special_file"),
    "block device": (Part(mode=0o060666), "dataset_special_file"),
    "socket": (Part(mode=0o140666), "dataset_special_file"),
    "nested ZIP": (Part(name=b"more.ZIP"), "dataset_nested_archive"),
    "nested tar": (Part(name=b"more/photos.tar.gz"), "dataset_nested_archive"),
    "other disk": (Part(entry={"disk": 1}), "archive_multi_disk"),
    "folder with content": (Part(name=b"b/"), "archive_size_mismatch"),
    "stored in another size": (
        Part(method=0, local={"size": 9}, entry={"size": 9}),
        "archive_size_mismatch",
    ),
    "extra field too long": (Part(extra=struct.pack("<2H", 0x5455, 9)), "archive_extra_field"),
}


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("fault", REFUSED)
def test_useless_members_are_refused(fault: str) -> None:
    """A member that cannot be trained on is refused with its own code and name."""
    part, code = REFUSED[fault]
    with pytest.raises(DatasetRejectedError) as rejected:
        structure_of(MemoryRange(with_one(part)))
    (problem,) = rejected.value.problems
    assert problem.code == code
    assert problem.member == part.name.decode()


ACCEPTED = {
    "a pipe, as Info-ZIP calls its input": Part(mode=0o010660),
    "no mode at all": Part(mode=0),
    "a directory's method of its own": Part(name=b"b/", content=b"", method=8),
    "deflated nothing": Part(content=b"", method=8, packed=b""),
    "a comment": Part(comment=b"me, last summer"),
    "three bytes of padding": Part(extra=b"\0\0\0"),
    "a nested archive that is junk": Part(name=b"__MACOSX/._more.zip"),
    "the needed version of 7-Zip on Linux": Part(entry={"need": 0x30A}),
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_what_real_programs_write_passes(kind: str) -> None:
    assert codes(with_one(ACCEPTED[kind])) == []


def test_all_bad_files_are_reported() -> None:
    parts = [replace(part, name=f"{at}.jpg".encode()) for at, (part, _) in enumerate(
        REFUSED[fault] for fault in ("password", "bzip2", "symbolic link", "socket")
    )]  # fmt: skip

    assert structure_codes(assembled(parts)) == [
        "dataset_encrypted",
        "dataset_unsupported_compression",
        "dataset_link",
        "dataset_special_file",
    ]


LENGTH, PACKED = len(JPEG), len(Part().data)
WIDE = {
    "sizes": (
        Part(extra=zip64_field(LENGTH, PACKED), entry={"size": FULL, "compressed": FULL}),
        [],
    ),
    "size": (Part(extra=zip64_field(LENGTH), entry={"size": FULL}), []),
    "offset": (Part(extra=zip64_field(0), entry={"offset": FULL}), []),
    "more than has to be, and the same": (
        Part(extra=zip64_field(LENGTH, PACKED, 0), entry={"size": FULL, "compressed": FULL}),
        [],
    ),
    "not needed": (Part(extra=zip64_field(LENGTH, PACKED)), []),
    "both in the local header": (
        Part(local_extra=zip64_field(LENGTH, PACKED), local={"size": FULL, "compressed": FULL}),
        [],
    ),
    "empty": (Part(local_extra=zip64_field()), []),
    "more than has to be, and another": (
        Part(extra=zip64_field(LENGTH, PACKED, 9), entry={"size": FULL, "compressed": FULL}),
        ["archive_inconsistent"],
    ),
    "not needed, and another": (
        Part(extra=zip64_field(LENGTH, PACKED + 1)),
        ["archive_inconsistent"],
    ),
    "missing": (Part(entry={"size": FULL}), ["archive_inconsistent"]),
    "too short": (
        Part(extra=zip64_field(LENGTH), entry={"size": FULL, "compressed": FULL}),
        ["archive_inconsistent"],
    ),
    "twice": (
        Part(extra=zip64_field(LENGTH) + zip64_field(LENGTH), entry={"size": FULL}),
        ["archive_inconsistent"],
    ),
    "one thing here, another there": (
        Part(local_extra=zip64_field(LENGTH + 1, PACKED), local={"size": FULL, "compressed": FULL}),
        ["archive_header_mismatch"],
    ),
}


@pytest.mark.parametrize("case", WIDE)
def test_zip64_sizes_say_one_thing(case: str) -> None:
    part, expected = WIDE[case]
    assert codes(assembled([part])) == expected


def test_members_share_no_bytes() -> None:
    size = 10_000
    twin = Part(name=b"twin.jpg", entry={"offset": 0})
    far = Part(method=0, entry={"compressed": size, "size": size}, local={"compressed": size})
    assert structure_codes(assembled([Part(), twin])) == ["archive_overlap"]
    assert structure_codes(assembled([*photos(), far])) == ["archive_overlap"]


HIDDEN = Part(name=b"hidden.jpg")


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize(
    "gap",
    [HIDDEN.before() + HIDDEN.data, bytes(1), bytes(29), bytes(70_000)],
    ids=["a file", "1", "29", "70000"],
)
def test_a_hidden_file_is_refused(gap: bytes) -> None:
    """A file that the directory does not name, or bytes between two members, are refused."""
    data = assembled([replace(Part(), gap=gap), *photos()])
    assert structure_codes(data) == ["archive_hidden_data"]


@pytest.mark.parametrize(("length", "expected"), [(29, []), (30, ["archive_hidden_data"])])
def test_room_before_the_directory(length: int, expected: list[str]) -> None:
    assert codes(assembled([*photos(), Part(gap=bytes(length))])) == expected


def test_the_directorys_order_is_free() -> None:
    data = assembled(photos(3))
    begin = data.find(b"PK\x01\x02")
    size = (data.find(b"PK\x05\x06") - begin) // 3
    first, second, third = (data[begin + at * size :][:size] for at in range(3))
    turned = data[:begin] + third + first + second + data[begin + 3 * size :]

    assert codes(turned) == []
    assert [member.name for member in structure_of(MemoryRange(turned)).members] == [
        "photo-02.jpg",
        "photo-00.jpg",
        "photo-01.jpg",
    ]
