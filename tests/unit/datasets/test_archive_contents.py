"""The deep pass: every byte of every member, once, and nothing but what was packed."""

import hashlib
import tracemalloc
import zlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from lora_drop.datasets.archives import Content, MeteredReader, contents_of, structure_of
from lora_drop.jobs.errors import DatasetRejectedError
from tests.support.builders import JPEG
from tests.support.memory_files import MemoryRange
from tests.support.zips import Part, assembled, deflated, photos, streamed

WINDOW = 4 * 1024**2
BIG = hashlib.shake_128(b"big").digest(3_300_000)


def contents(data: bytes, *, window: int = WINDOW) -> Iterator[Content]:
    return contents_of(MemoryRange(data), structure_of(MemoryRange(data)), window=window)


def problems(data: bytes, *, window: int = WINDOW) -> list[tuple[str, str | None]]:
    """What a pass over everything ends with, by code and member."""
    try:
        for _ in contents(data, window=window):
            pass
    except DatasetRejectedError as rejected:
        return [(problem.code, problem.member) for problem in rejected.problems]
    return []


@pytest.mark.parametrize("method", [0, 8])
@pytest.mark.parametrize("window", [1, 29, 31, 100, 4096, WINDOW])
def test_members_come_whole_in_order(method: int, window: int) -> None:
    parts = [
        Part(name=b"a.jpg", method=method),
        streamed(Part(name=b"b.jpg", content=JPEG * 50, method=method)),
        Part(name=b"x/", content=b"", method=0),
        Part(name=b"x/c.txt", content=b"", method=0),
        Part(name=b"._d", content=b"fork", method=method, local_extra=b"UT\x01\x00x"),
    ]
    found = contents(assembled(parts), window=window)
    assert {content.member.name.encode(): content.read() for content in found} == {
        part.name: part.content for part in parts if not part.name.endswith(b"/")
    }


@pytest.mark.parametrize("method", [0, 8])
def test_chunks_are_bounded(method: int) -> None:
    content = next(contents(assembled([Part(content=BIG, method=method)])))
    chunks = list(content)
    assert b"".join(chunks) == BIG
    assert max(map(len, chunks)) <= 1024**2
    assert min(map(len, chunks)) > 0


def test_each_byte_is_read_once() -> None:
    parts = [Part(name=f"{n}.jpg".encode(), content=BIG, method=0) for n in range(6)]
    data = assembled(parts)
    structure = structure_of(MemoryRange(data))
    archive = MeteredReader(MemoryRange(data))
    for _ in contents_of(archive, structure):
        pass
    assert archive.requests == -(-structure.begin // WINDOW)
    assert archive.bytes_read == structure.begin


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_skipped_members_are_verified() -> None:
    """A member that is not taken is verified all the same."""
    folder = Part(name=b"x/", content=b"", method=0, local={"crc": 1}, entry={"crc": 1})
    data = bytearray(assembled([Part(content=BIG), *photos(2), folder]))
    data[len(BIG)] ^= 1  # near its end: the headers have some 40 bytes
    names = [("archive_crc_mismatch", "a.jpg"), ("archive_crc_mismatch", "x/")]
    assert problems(bytes(data)) == names


def test_a_member_may_be_taken_partly() -> None:
    """A member taken in part does not hinder the next; reading behind the pass is an error."""
    parts = [replace(part, content=BIG, method=0) for part in photos(3)]
    came = [(content.member.name, next(content)[:3]) for content in contents(assembled(parts))]
    first, *_ = contents(assembled(photos(2)))
    assert came == [(f"photo-0{n}.jpg", BIG[:3]) for n in range(3)]
    with pytest.raises(RuntimeError, match="beyond photo"):
        first.read()


def bad(name: bytes, **changes: object) -> Part:
    """A file that only its content gives away: it is behind a good megabyte."""
    content = BIG[: 1024**2] + name
    return Part(**{"name": name, "content": content, "method": 0, **changes})  # type: ignore[arg-type]  # any field


def unfinished(content: bytes) -> bytes:
    """A deflate stream whose last block has yet to come."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush(zlib.Z_FULL_FLUSH)


def packed(name: bytes, data: bytes) -> Part:
    return bad(name, method=8, packed=data)


CRC = {"crc": 12345}
MEBIBYTE = BIG[: 1024**2]
BROKEN = {
    "checksum": (bad(b"a.jpg", local=CRC, entry=CRC), "archive_crc_mismatch"),
    "stream": (packed(b"b.jpg", unfinished(BIG[:900_000]) + b"\xff" * 40), "archive_damaged"),
    "early end": (packed(b"c.jpg", deflated(MEBIBYTE + b"c.jpg") + b"more"), "archive_damaged"),
    "no end": (packed(b"d.jpg", deflated(MEBIBYTE + b"d.jpg")[:-4]), "archive_damaged"),
    "too much": (packed(b"e.jpg", deflated(BIG)), "archive_size_mismatch"),
    "too little": (packed(b"f.jpg", deflated(BIG[:900_000])), "archive_size_mismatch"),
    "descriptor": (
        replace(streamed(bad(b"g.jpg")), gap=b"PK\x07\x08" + bytes(12)),
        "archive_data_descriptor",
    ),
}


@pytest.mark.promise("it can be operated")
def test_each_bad_content_names_its_member() -> None:
    """Each damaged content is reported with its code and member, alone and among others."""
    for part, code in BROKEN.values():
        data = assembled([*photos(2), part, Part(name=b"z.jpg")])
        assert problems(data) == [(code, part.name.decode())]
    assert problems(assembled([part for part, _ in BROKEN.values()])) == [
        (code, part.name.decode()) for part, code in BROKEN.values()
    ]


def test_a_bad_member_raises_when_read() -> None:
    part, code = BROKEN["checksum"]
    taken: list[int | str] = []
    with pytest.raises(DatasetRejectedError, match=code):  # noqa: PT012  # the end of the loop is the point
        for content in contents(assembled([part, *photos(2)])):
            try:
                taken.append(len(content.read()))
            except DatasetRejectedError as rejected:
                taken.append(rejected.problems[0].code)
    assert taken == [code, len(JPEG), len(JPEG)]


@pytest.mark.promise("never get stuck")
def test_a_lying_member_stops_there() -> None:
    """A member that unpacks to more than it declares stops there, in bounded memory."""
    declared = 2 * 1024**2
    # Honest for the first 2 MiB, then a bomb of 200 MB.
    packed = deflated(BIG[:declared] + bytes(200 * 1024**2))
    part = Part(packed=packed, local={"size": declared}, entry={"size": declared})
    data = assembled([part, *photos(2)])
    size = 0
    tracemalloc.start()
    content = next(contents(data))
    with pytest.raises(DatasetRejectedError, match="archive_size_mismatch"):  # noqa: PT012  # it counts
        for chunk in content:
            size += len(chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert size <= declared
    assert peak < len(data) + WINDOW + 8 * 1024**2


@pytest.mark.promise("never get stuck")
def test_memory_is_bounded() -> None:
    """Memory is a window and a chunk, whatever a member unpacks to."""
    mebibyte = BIG[:20_000] + bytes(1024**2 - 20_000)
    data = assembled([Part(content=mebibyte * 100), *photos(2)])
    tracemalloc.start()
    total = sum(len(chunk) for content in contents(data) for chunk in content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 100 * 1024**2 + 2 * len(JPEG)
    assert peak < WINDOW + 8 * 1024**2
