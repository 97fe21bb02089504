"""Archives made to hurt: judged by what they say, within the budget, without unpacking them."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import pytest

from lora_drop.datasets.archives import MeteredReader, contents_of, structure_of
from lora_drop.datasets.archives.structure import MAX_BYTES, MAX_DIRECTORY, MAX_REQUESTS
from lora_drop.jobs.errors import DatasetRejectedError
from tests.support.cpu_limit import cpu_limit
from tests.support.memory_files import MemoryRange
from tests.support.zips import Part, assembled, deflated, end, photos, zip64_end, zip64_field

FULL = 0xFFFFFFFF
ZEROS = bytes(20 * 1024**2)


def verdict(data: bytes | MemoryRange) -> str:
    """Return the first code of the refusal, which kept to its budget of reads."""
    archive = MemoryRange(data) if isinstance(data, bytes) else data
    reader = MeteredReader(archive)

    with cpu_limit(), pytest.raises(DatasetRejectedError) as rejected:
        for _ in contents_of(reader, structure_of(reader)):
            pass

    assert reader.requests <= MAX_REQUESTS
    assert reader.bytes_read <= MAX_BYTES + MAX_DIRECTORY
    return rejected.value.problems[0].code


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("count", [2, 250, pytest.param(5000, marks=pytest.mark.proof)])
def test_many_names_for_one_kernel(count: int) -> None:
    """A bomb of many names for one content is refused within the budget of reads."""
    kernel = Part(name=b"kernel.jpg", content=bytes(900_000))
    facts = kernel.facts()
    others = [
        Part(
            name=f"{n:06}.jpg".encode(), packed=b"", content=b"", entry=facts | {"name_length": 10}
        )
        for n in range(count - 1)
    ]
    alone = assembled([kernel])
    begin = alone.find(b"PK\x01\x02")
    directory = kernel.central(0) + b"".join(other.central(0) for other in others)

    assert verdict(alone[:begin] + directory + end(count, len(directory), begin)) == (
        "archive_overlap"
    )


@pytest.mark.parametrize("count", [2, 250, pytest.param(5000, marks=pytest.mark.proof)])
def test_quoted_local_headers_are_refused(count: int) -> None:
    """David Fifield, A better zip bomb (WOOT 19): each file quotes the headers of those after it.

    A stored deflate block holds the next local header as data; all share the kernel at the end.
    """
    kernel = deflated(bytes(900_000))
    body, parts = kernel, list[tuple[Part, int]]()
    content = bytes(900_000)
    for number in reversed(range(count)):
        name = f"{number:06}.jpg".encode()
        if parts:
            quoted = parts[-1][0].before()
            size = len(quoted).to_bytes(2, "little")
            check = (len(quoted) ^ 0xFFFF).to_bytes(2, "little")
            body = b"\x00" + size + check + quoted + body
            content = quoted + (content if len(content) < 1_000_000 else content[:900_000])
        facts = {"compressed": len(body), "size": len(content), "crc": 0}
        part = Part(name=name, content=b"", packed=b"", local=facts, entry=facts)
        parts.append((part, len(body)))
    total = len(parts[-1][0].before()) + len(body)
    directory = b"".join(
        part.central(total - length - len(part.before())) for part, length in reversed(parts)
    )
    data = parts[-1][0].before() + body + directory + end(count, len(directory), total)

    assert verdict(data) == "archive_overlap"


BOMB = Part(content=ZEROS, extra=zip64_field(2**40), entry={"size": FULL})
TWIN = replace(BOMB, name=b"b.jpg", entry={"size": FULL, "offset": 0})
MARKS = "\u0323\u0307" * 512  # that NFC has to sort


def extra_fields() -> bytes:
    count = MAX_DIRECTORY // 66_000
    entries = [Part(name=b"%d" % number, extra=bytes(65_532)).central(0) for number in range(count)]
    directory = b"".join(entries)
    return directory + end(count, len(directory), 0)


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "with ZIP64 records": (lambda: assembled([BOMB, TWIN], zip64=True), "archive_overlap"),
    "a thousandfold": (lambda: assembled([*photos(), Part(content=ZEROS)]), "archive_bomb"),
    "endless extra fields": (extra_fields, "archive_overlap"),
    "names slow to normalise": (
        lambda: assembled(
            [Part(name=f"{n}{MARKS}"[:1024].encode(), content=b"") for n in range(1900)]
        ),
        "archive_unsafe_name",
    ),
    "endless empty deflate blocks": (
        lambda: assembled([Part(packed=b"\x00\x00\x00\xff\xff" * 200_000, content=b"")]),
        "archive_damaged",
    ),
}


@pytest.mark.parametrize(("make", "code"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused(make: Callable[[], bytes], code: str) -> None:
    assert verdict(make()) == code


@pytest.mark.promise("never get stuck")
def test_a_thousandfold_stream_is_stopped() -> None:
    """A stream that unpacks a thousandfold is stopped at its declared size, in bounded memory."""
    facts = {"size": 900_000}
    part = Part(packed=deflated(ZEROS), local=facts, entry=facts)
    data = assembled([*photos(), part])
    tracemalloc.start()
    code = verdict(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert code == "archive_size_mismatch"
    assert peak < 4 * 1024**2


@pytest.mark.parametrize(
    ("values", "fields", "codes"),
    [
        *(((size,), ["size"], "archive_bomb") for size in (2**32, 2**40, 2**63, 2**64 - 1)),
        *(
            ((size, size), ["size", "compressed"], "archive_overlap")
            for size in (FULL - 1, 2**40, 2**64 - 1)
        ),
        # The bytes of the last file belong to no member now, and the file lies nowhere.
        *(
            ((offset,), ["offset"], "archive_hidden_data archive_overlap")
            for offset in (2**32, 2**63, 2**64 - 1)
        ),
    ],
)
def test_a_huge_number_is_refused(values: tuple[int, ...], fields: list[str], codes: str) -> None:
    part = Part(extra=zip64_field(*values), entry=dict.fromkeys(fields, FULL))
    assert verdict(assembled([*photos(), part], zip64=True)) in codes.split()


class Sparse(MemoryRange):
    """A file of nothing but noughts before the bytes at its end."""

    before: int = 5 * 1024**3

    @property
    def size(self) -> int:
        return self.before + len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        self.requests += 1
        noughts = max(0, min(offset + length, self.before) - offset)
        rest = max(offset - self.before, 0)
        got = bytes(noughts) + self.data[rest : rest + length - noughts]
        self.bytes_read += len(got)
        return got


def test_a_sparse_file_of_5_gib() -> None:
    size = Sparse.before - len(Part().before())
    wide = zip64_field(size, size)
    part = Part(method=0, extra=wide, entry={"size": FULL, "compressed": FULL})
    directory = part.central(0)
    records = zip64_end(1, len(directory), Sparse.before, Sparse.before + len(directory))
    data = directory + records + end(0xFFFF, FULL, FULL)
    assert verdict(Sparse(data)) == "archive_too_large"


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(
    "count", [20_001, 65_535, 65_536, pytest.param(1_000_000, marks=pytest.mark.proof)]
)
@pytest.mark.parametrize("zip64", [False, True])
def test_too_many_entries_are_refused(*, count: int, zip64: bool) -> None:
    """An archive of more entries than any dataset has is refused."""
    entry = Part(name=b"a", content=b"", method=0).central(0)
    directory = entry * count
    at = len(directory)
    if zip64:
        data = directory + zip64_end(count, at, 0, at) + end(0xFFFF, FULL, FULL)
    else:  # as macOS does, and others that count modulo 65,536
        data = directory + end(count & 0xFFFF, at, 0)
    assert verdict(data) in {"archive_too_many_files", "archive_inconsistent", "archive_overlap"}


def test_twenty_thousand_entries_are_judged() -> None:
    """As many entries as a dataset may have are judged within the budget of reads."""
    archive = MemoryRange(assembled([Part(name=f"{n:05}/é.jpg".encode()) for n in range(20_000)]))
    with cpu_limit():
        structure = structure_of(archive)
    assert len(structure.members) == 20_000
    assert archive.requests <= MAX_REQUESTS
