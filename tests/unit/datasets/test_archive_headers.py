"""Local headers: each read within the budget says what the directory says."""

import io
import zipfile
import zlib
from dataclasses import replace

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
    photos,
    streamed,
    structure_codes,
    zip64_field,
)

FULL = 0xFFFFFFFF
NOISE = zlib.compress(bytes(range(256)) * 8)


@pytest.mark.parametrize(
    "change",
    [
        {"local": {"method": 0}},
        {"local": {"flags": 1}},
        {"local": {"flags": 0x40}},
        {"local": {"crc": 1}},
        {"local": {"size": 1}},
        {"local": {"compressed": 1}},
        {"local": {"name_length": 4}},
        {"local": {"extra_length": 60_000}},
        {"local_name": b"b.jpg"},
        {"local_name": b"A.jpg"},
    ],
)
def test_a_local_header_that_says_something_else_is_refused(change: dict[str, object]) -> None:
    part = Part(**change)  # type: ignore[arg-type]  # any field

    assert structure_codes(assembled([part, *photos()])) == ["archive_header_mismatch"]
    assert structure_codes(assembled([*photos(), part])) == ["archive_header_mismatch"]


def test_where_no_local_header_is_the_archive_is_refused() -> None:
    data = bytearray(assembled(photos()))
    data[2] = 9

    assert structure_codes(bytes(data)) == ["archive_header_mismatch"]


def test_an_extra_field_with_no_room_is_refused_in_a_local_header_too() -> None:
    assert structure_codes(assembled([Part(local_extra=b"UT\x09\x00x")])) == ["archive_extra_field"]


def test_every_bad_header_is_told() -> None:
    parts = [replace(part, local={"crc": 1}) for part in photos()]

    assert structure_codes(assembled(parts)) == ["archive_header_mismatch"] * 12


@pytest.mark.parametrize("method", [0, 8])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_data_descriptors_of_every_form_are_accepted(
    *, signed: bool, wide: bool, method: int
) -> None:
    parts = [streamed(replace(part, method=method), signed=signed, wide=wide) for part in photos()]
    with_room = replace(
        parts[0], local_extra=zip64_field(0, 0), local={"size": FULL, "compressed": FULL}
    )

    assert codes(assembled(parts)) == []
    assert codes(assembled([with_room, *parts[1:]])) == []


def test_a_streamed_member_may_say_all_beforehand() -> None:
    told = {"crc": zlib.crc32(JPEG), "size": len(JPEG), "compressed": len(deflated(JPEG))}
    part = streamed(Part())

    assert codes(assembled([replace(part, local=told)])) == []
    assert codes(assembled([replace(part, local=told, gap=b"")])) == []
    assert codes(assembled([replace(part, gap=b"")])) == ["archive_data_descriptor"]
    assert codes(assembled([replace(part, local={"size": 1})])) == ["archive_header_mismatch"]


def test_a_streamed_member_has_an_end_even_of_nothing() -> None:
    """Without a deflate stream nobody who unpacks it on its way knows where the descriptor is."""
    nothing = Part(content=b"", packed=b"")

    assert codes(assembled([nothing, *photos()])) == []
    assert codes(assembled([streamed(nothing), *photos()])) == ["archive_header_mismatch"]
    assert codes(assembled([streamed(Part(content=b"")), *photos()])) == []


def test_the_flag_of_the_local_header_alone_decides_about_a_descriptor() -> None:
    part = streamed(Part())

    assert codes(assembled([replace(part, entry={"flags": 0})])) == []
    assert codes(assembled([replace(part, flags=0), *photos()])) == ["archive_hidden_data"]


@pytest.mark.parametrize("at", range(16))
def test_a_descriptor_with_a_wrong_byte_is_refused(at: int) -> None:
    wrong = bytearray(descriptor(JPEG, deflated(JPEG)))
    wrong[at] ^= 4

    assert structure_codes(assembled([replace(streamed(Part()), gap=bytes(wrong)), *photos()])) == [
        "archive_data_descriptor"
    ]


def test_a_descriptor_that_nothing_announced_is_refused() -> None:
    part = Part(gap=descriptor(JPEG, deflated(JPEG)))

    assert structure_codes(assembled([part, *photos()])) == ["archive_hidden_data"]


@pytest.mark.parametrize("size", [1, len(JPEG) - 1, len(JPEG) + 1, 70_000])
def test_a_size_that_lies_in_both_headers_is_found_by_inflating_a_little(size: int) -> None:
    part = Part(local={"size": size}, entry={"size": size})

    assert structure_codes(assembled([part, *photos()])) == ["archive_size_mismatch"]


def test_what_cannot_be_inflated_is_refused() -> None:
    part = Part(packed=b"\xff" * 40)

    assert structure_codes(assembled([part, *photos()])) == ["archive_damaged"]


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


def test_headers_that_lie_apart_are_each_read_by_themselves() -> None:
    archive, structure = judged(large(30, 1_000_000))

    assert structure.unseen == 0
    assert archive.requests <= 31
    assert archive.bytes_read < 200_000


def test_headers_that_lie_close_are_read_together() -> None:
    archive, structure = judged(large(300, 10_000))

    assert structure.unseen == 0
    assert archive.requests <= 9


@pytest.mark.parametrize(("count", "size"), [(200, 200_000), (900, 60_000), (12_000, 4_000)])
def test_what_the_budget_does_not_reach_is_counted(count: int, size: int) -> None:
    data = large(count, size)
    archive, structure = judged(data)
    directory = len(data) - structure.begin

    assert 0 < structure.unseen < count
    assert archive.requests <= MAX_REQUESTS
    assert archive.bytes_read <= MAX_BYTES + directory
    assert codes(data) == []


def test_a_lie_beyond_the_budget_is_found_by_the_deep_pass() -> None:
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
