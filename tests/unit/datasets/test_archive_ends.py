"""Where a ZIP ends: one end, found by every reader, that says where the directory is."""

import struct

import pytest

from lora_drop.datasets.archives import structure_of
from lora_drop.jobs.errors import DatasetRejectedError
from tests.support.memory_files import MemoryRange
from tests.support.zips import assembled, codes, end, photos, structure_codes, zip64_end

GOOD = assembled(photos())
FAKE = end(0, 0, 0)


@pytest.mark.parametrize("comment", [b"Sunday", b"x" * 65_535, b"PK\x05", b"PK\x06\x06" * 5])
def test_a_comment_is_accepted(comment: bytes) -> None:
    assert codes(assembled(photos(), comment=comment)) == []
    assert codes(assembled(photos(), comment=comment, zip64=True)) == []


@pytest.mark.parametrize("zip64", [False, True])
def test_an_archive_of_nothing_has_no_members(zip64: bool) -> None:  # noqa: FBT001  # a parameter
    assert structure_of(MemoryRange(assembled([], zip64=zip64))).members == ()


def test_bytes_after_the_end_are_refused() -> None:
    assert structure_codes(GOOD + b"\n") == ["archive_trailing_data"]
    assert structure_codes(GOOD + bytes(60_000)) == ["archive_trailing_data"]


def test_a_comment_that_is_cut_is_refused() -> None:
    assert structure_codes(assembled(photos(), comment=b"Sunday")[:-1]) == ["archive_truncated"]


@pytest.mark.parametrize("length", [0, 1, 4096, 65_000])
def test_an_end_within_the_comment_is_refused(length: int) -> None:
    """Readers that take the last signature see another archive than those that trust lengths."""
    comment = FAKE[:20] + struct.pack("<H", 7) + bytes(length)

    assert structure_codes(assembled(photos(), comment=comment))[0].startswith("archive_")
    assert structure_codes(assembled(photos(), comment=FAKE[:-2] + b"\x01\x00" + bytes(length)))


def test_an_end_that_swallows_another_one_as_its_comment_is_refused() -> None:
    other = assembled(photos(3))
    outer = end(12, 0, 0, comment_length=len(other))
    data = GOOD[: -len(FAKE)] + outer + other

    assert structure_codes(data) == ["archive_several_ends"]


def test_a_comment_of_64_kib_full_of_ends_is_refused_within_one_read() -> None:
    archive = MemoryRange(assembled(photos(), comment=(FAKE * 2979)[:65_535]))

    with pytest.raises(DatasetRejectedError) as rejected:
        structure_of(archive)

    assert rejected.value.problems[0].code.startswith("archive_")
    assert archive.requests == 1


@pytest.mark.parametrize("field", ["disk", "directory_disk", "here"])
def test_a_part_of_a_split_archive_is_refused(field: str) -> None:
    assert structure_codes(assembled(photos(), ending={field: 1})) == ["archive_multi_disk"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("count", 11), ("count", 13), ("size", 10), ("offset", 1), ("offset", 9999)],
)
def test_an_end_that_does_not_fit_its_directory_is_refused(field: str, value: int) -> None:
    changes = {field: value} | ({"here": value} if field == "count" else {})

    assert structure_codes(assembled(photos(), ending=changes))[0].startswith("archive_")


def test_bytes_before_the_first_file_are_refused_however_the_offsets_count() -> None:
    assert structure_codes(b"#!/bin/sh\n" + GOOD) == ["archive_leading_data"]
    assert structure_codes(assembled(photos(), prefix=b"#!/bin/sh\n")) == ["archive_leading_data"]
    assert structure_codes(assembled([], prefix=b"\xff\xd8\xff")) == ["archive_leading_data"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("length", 45),
        ("length", 0),
        ("count", 11),
        ("size", 9),
        ("offset", 9),
        ("at", 0),
        ("at", 2**63),
    ],
)
def test_zip64_records_that_do_not_fit_together_are_refused(field: str, value: int) -> None:
    changes = {field: value} | ({"here": value} if field == "count" else {})
    found = structure_codes(assembled(photos(), zip64=True, ending64=changes))

    assert found[0] in {"archive_zip64_mismatch", "archive_inconsistent", "archive_leading_data"}


@pytest.mark.parametrize("field", ["disk", "disks"])
def test_a_zip64_part_of_a_split_archive_is_refused(field: str) -> None:
    found = structure_codes(assembled(photos(), zip64=True, ending64={field: 2}))

    assert found == ["archive_multi_disk"]


@pytest.mark.parametrize(("field", "value"), [("count", 11), ("size", 5), ("offset", 0)])
def test_the_plain_end_has_to_say_what_the_zip64_end_says(field: str, value: int) -> None:
    changes = {field: value} | ({"here": value} if field == "count" else {})

    assert structure_codes(assembled(photos(), zip64=True, ending=changes)) == [
        "archive_zip64_mismatch"
    ]


def test_room_between_the_zip64_records_is_refused() -> None:
    at = GOOD.rfind(b"PK\x05\x06")
    count, size, offset = struct.unpack_from("<HLL", GOOD, at + 10)
    records = zip64_end(count, size, offset, at)
    data = GOOD[:at] + records[:56] + bytes(8) + records[56:] + end(0xFFFF, 2**32 - 1, 2**32 - 1)

    assert structure_codes(data) == ["archive_zip64_mismatch"]


def test_full_numbers_without_zip64_records_are_refused() -> None:
    assert structure_codes(assembled(photos(), ending={"offset": 2**32 - 1})) == [
        "archive_inconsistent"
    ]


def test_an_archive_beyond_4_gib_that_the_finder_wrote_is_told_as_that() -> None:
    """Archive Utility writes offsets modulo 2**32; Python's zipfile, like others, cannot read it."""

    class Far(MemoryRange):
        @property
        def size(self) -> int:
            return len(self.data) + 2**32

        def read(self, offset: int, length: int) -> bytes:
            return super().read(offset - 2**32, length) if offset >= 2**32 else bytes(length)

    with pytest.raises(DatasetRejectedError) as rejected:
        structure_of(Far(bytes(70_000) + assembled(photos(), prefix=bytes(70_000))[70_000:]))

    assert rejected.value.problems[0].code == "archive_over_4_gib"
