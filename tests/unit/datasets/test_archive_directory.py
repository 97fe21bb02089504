"""What an entry of the directory may be: plain files, packed plainly, each in its own place."""

import io
import struct
import zipfile
from dataclasses import replace

import pytest

from lora_drop.datasets.archives import structure_of
from lora_drop.jobs.errors import DatasetRejectedError
from tests.support import zips
from tests.support.builders import JPEG
from tests.support.memory_files import MemoryRange

FULL = 0xFFFFFFFF


def with_one(part: zips.Part) -> bytes:
    """A small dataset and one more file."""
    return zips.assembled([*zips.photos(), part])


def both(**fields: int) -> zips.Part:
    """A file that says so in both of its headers."""
    return zips.Part(local=fields, entry=fields)


def test_entries_are_those_python_reads() -> None:
    data = zips.assembled(
        [*zips.photos(3), zips.Part(name=b"b/", content=b"", method=0), zips.Part(name=b"b/c.jpg")]
    )
    structure = structure_of(MemoryRange(data))
    with zipfile.ZipFile(io.BytesIO(data)) as python:
        infos = python.infolist()
    assert list(map(zips.as_read, structure.entries)) == list(map(zips.as_python_reads, infos))
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
    "symbolic link": (zips.Part(mode=0o120777), "dataset_link"),
    "character device": (zips.Part(mode=0o020666), "dataset_special_file"),
    "block device": (zips.Part(mode=0o060666), "dataset_special_file"),
    "socket": (zips.Part(mode=0o140666), "dataset_special_file"),
    "nested ZIP": (zips.Part(name=b"more.ZIP"), "dataset_nested_archive"),
    "nested tar": (zips.Part(name=b"more/photos.tar.gz"), "dataset_nested_archive"),
    "other disk": (zips.Part(entry={"disk": 1}), "archive_multi_disk"),
    "folder with content": (zips.Part(name=b"b/"), "archive_size_mismatch"),
    "stored in another size": (replace(both(size=9), method=0), "archive_size_mismatch"),
    "extra field too long": (zips.Part(extra=struct.pack("<2H", 0x5455, 9)), "archive_extra_field"),
}


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(("part", "code"), REFUSED.values(), ids=REFUSED)
def test_useless_members_are_refused(part: zips.Part, code: str) -> None:
    """A member that cannot be trained on is refused with its own code and name."""
    with pytest.raises(DatasetRejectedError) as rejected:
        structure_of(MemoryRange(with_one(part)))
    [problem] = rejected.value.problems
    assert (problem.code, problem.member) == (code, part.name.decode())


ACCEPTED = {
    "a pipe, as Info-ZIP calls its input": zips.Part(mode=0o010660),
    "no mode at all": zips.Part(mode=0),
    "a directory's method of its own": zips.Part(name=b"b/", content=b"", method=8),
    "deflated nothing": zips.Part(content=b"", method=8, packed=b""),
    "a comment": zips.Part(comment=b"me, last summer"),
    "three bytes of padding": zips.Part(extra=b"\0\0\0"),
    "a nested archive that is junk": zips.Part(name=b"__MACOSX/._more.zip"),
    "the needed version of 7-Zip on Linux": zips.Part(entry={"need": 0x30A}),
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_what_real_programs_write_passes(kind: str) -> None:
    assert zips.codes(with_one(ACCEPTED[kind])) == []


def test_all_bad_files_are_reported() -> None:
    bad = [REFUSED[fault] for fault in ("password", "bzip2", "symbolic link", "socket")]
    parts = [replace(part, name=b"%d.jpg" % number) for number, (part, _) in enumerate(bad)]
    assert zips.structure_codes(zips.assembled(parts)) == [code for _, code in bad]


LENGTH, PACKED = len(JPEG), len(zips.Part().data)
BOTH = {"size": FULL, "compressed": FULL}
INCONSISTENT = ["archive_inconsistent"]
SIZES = zips.zip64_field(LENGTH, PACKED)
WIDE: dict[str, tuple[zips.Part, list[str]]] = {
    "sizes": (zips.Part(extra=SIZES, entry=BOTH), []),
    "size": (zips.Part(extra=zips.zip64_field(LENGTH), entry={"size": FULL}), []),
    "offset": (zips.Part(extra=zips.zip64_field(0), entry={"offset": FULL}), []),
    "needless and equal": (zips.Part(extra=zips.zip64_field(LENGTH, PACKED, 0), entry=BOTH), []),
    "not needed": (zips.Part(extra=SIZES), []),
    "both in the local header": (zips.Part(local_extra=SIZES, local=BOTH), []),
    "empty": (zips.Part(local_extra=zips.zip64_field()), []),
    "needless": (zips.Part(extra=zips.zip64_field(LENGTH, PACKED, 9), entry=BOTH), INCONSISTENT),
    "not needed, and another": (
        zips.Part(extra=zips.zip64_field(LENGTH, PACKED + 1)),
        INCONSISTENT,
    ),
    "missing": (zips.Part(entry={"size": FULL}), INCONSISTENT),
    "too short": (zips.Part(extra=zips.zip64_field(LENGTH), entry=BOTH), INCONSISTENT),
    "twice": (zips.Part(extra=zips.zip64_field(LENGTH) * 2, entry={"size": FULL}), INCONSISTENT),
    "one thing here, another there": (
        zips.Part(local_extra=zips.zip64_field(LENGTH + 1, PACKED), local=BOTH),
        ["archive_header_mismatch"],
    ),
}


@pytest.mark.parametrize(("part", "expected"), WIDE.values(), ids=WIDE)
def test_zip64_sizes_say_one_thing(part: zips.Part, expected: list[str]) -> None:
    assert zips.codes(zips.assembled([part])) == expected


def test_members_share_no_bytes() -> None:
    size = 10_000
    twin = zips.Part(name=b"twin.jpg", entry={"offset": 0})
    far = zips.Part(method=0, entry={"compressed": size, "size": size}, local={"compressed": size})
    assert zips.structure_codes(zips.assembled([zips.Part(), twin])) == ["archive_overlap"]
    assert zips.structure_codes(zips.assembled([*zips.photos(), far])) == ["archive_overlap"]


HIDDEN = zips.Part(name=b"hidden.jpg")


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize(
    "gap",
    [HIDDEN.before() + HIDDEN.data, bytes(1), bytes(29), bytes(70_000)],
    ids=["a file", "1", "29", "70000"],
)
def test_a_hidden_file_is_refused(gap: bytes) -> None:
    """A file that the directory does not name, or bytes between two members, are refused."""
    data = zips.assembled([replace(zips.Part(), gap=gap), *zips.photos()])
    assert zips.structure_codes(data) == ["archive_hidden_data"]


@pytest.mark.parametrize(
    ("gap", "expected"),
    [(b"x" * 29, []), (b"x" * 30, ["archive_hidden_data"]), (bytes(30), []), (bytes(4096), []), (bytes(4096) + b"x", ["archive_hidden_data"])],
)  # fmt: skip
def test_room_before_the_directory(gap: bytes, expected: list[str]) -> None:
    assert zips.codes(zips.assembled([*zips.photos(), zips.Part(gap=gap)])) == expected


@pytest.mark.parametrize(
    "data",
    [zips.assembled(zips.photos()) + bytes(4), zips.assembled(zips.photos(), zip64=True) + bytes(60_000),
     zips.assembled(zips.photos(), prefix=b"PK00"), zips.assembled([*zips.photos(), zips.Part(gap=bytes(20))])],
    ids=["padded", "padded ZIP64", "marker of a single segment", "room before the directory"],
)  # fmt: skip
def test_padding_is_not_handed_on(data: bytes) -> None:
    """What programs pad an archive with does no harm, and a clean copy is written without it."""
    assert zips.codes(data) == []
    assert structure_of(MemoryRange(data)).has_metadata


def test_stray_bytes_behind_no_stream_are_refused() -> None:
    part = zips.Part(name=b"note.txt", content=b"", packed=b"", gap=b"stray bytes")
    assert zips.codes(zips.assembled([*zips.photos(), part])) == ["archive_hidden_data"]


def test_the_directorys_order_is_free() -> None:
    data = zips.assembled(zips.photos(3))
    begin = data.find(b"PK\x01\x02")
    size = (data.find(b"PK\x05\x06") - begin) // 3
    first, second, third = (data[begin + at * size :][:size] for at in range(3))
    turned = data[:begin] + third + first + second + data[begin + 3 * size :]
    assert zips.codes(turned) == []
    names = [member.name for member in structure_of(MemoryRange(turned)).members]
    assert names == [f"photo-{number:02}.jpg" for number in (2, 0, 1)]
