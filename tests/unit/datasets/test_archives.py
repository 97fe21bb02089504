"""What a ZIP holds, what it costs to know, its plain faults; and the ZIPs that we write ourselves."""

import io
import struct
import zipfile
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_drop.datasets import archives
from lora_drop.datasets.archives import records as writing
from lora_drop.datasets.archives.ranges import TooManyReadsError
from lora_drop.datasets.archives.records import ArchiveTooLargeError, problem, zip_of
from lora_drop.jobs.errors import DatasetRejectedError
from tests.support.builders import JPEG, make_archive, make_jpeg
from tests.support.memory_files import MemoryRange
from tests.support.zips import Part, assembled, codes, structure_codes

BYTES = bytes(range(256))


def test_members_are_those_python_finds() -> None:
    data = make_archive(images=30, folder="ada/", members={"ada/sub/": b""})
    members = archives.members_of(MemoryRange(data))
    assert [member.name for member in members] == [f"ada/photo-{n:02}.jpg" for n in range(30)]
    assert [member.size for member in members] == [len(make_jpeg(n)) for n in range(30)]


def test_a_verdict_costs_few_reads() -> None:
    """A small archive costs one read, a hopeless one two, and reading beyond the end none."""
    small = MemoryRange(make_archive(images=30))
    hopeless = MemoryRange(b"this is a text file\n" * 100_000)
    reader = archives.MeteredReader(MemoryRange(bytes(10)))

    archives.members_of(small)
    assert (small.requests, small.bytes_read) == (1, len(small.data))
    with pytest.raises(DatasetRejectedError):
        archives.members_of(hopeless)
    assert hopeless.requests <= 2
    assert hopeless.bytes_read < 70_000
    assert reader.read(10, 5) == reader.read(3, 0) == b""
    assert reader.requests == 0


FAULTS = {
    "nothing": (b"", "archive_empty"),
    "text": (b"hello, I am text\n" * 10, "archive_invalid_format"),
    "rar": (b"Rar!\x1a\x07" + bytes(100), "archive_invalid_format"),
    "end cut off": (make_archive()[:-30], "archive_truncated"),
    "last byte cut off": (make_archive()[:-1], "archive_truncated"),
    "half": (make_archive()[: len(make_archive()) // 2], "archive_truncated"),
    "prefix": (b"MZ" + bytes(100) + make_archive(), "archive_leading_data"),
    "long name": (make_archive(members={"x" * 1025: b"x"}), "archive_unsafe_name"),
}


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(("data", "code"), FAULTS.values(), ids=FAULTS)
def test_each_fault_has_its_code(data: bytes, code: str) -> None:
    """Each fault of an archive is refused with a code of its own."""
    assert structure_codes(data) == [code]


@pytest.mark.promise("it can be operated")
def test_problems_are_at_most_fifty() -> None:
    """A thousand bad names are reported as fifty problems."""
    data = make_archive(members={f"../{number}.jpg": b"x" for number in range(1000)})
    found = structure_codes(data)
    assert len(found) == 50
    assert found[-1] == "dataset_more_problems"


def test_every_refusal_has_a_known_code() -> None:
    with pytest.raises(KeyError):
        problem("archive_made_up", "?")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_is_read_as_asked(compression: int) -> None:
    data = make_archive(images=1, members={"big.txt": b"x" * 1_000_000}, compression=compression)
    archive = MemoryRange(data)
    big = archives.members_of(archive)[-1]
    archive.bytes_read = 0
    assert archives.read_member(archive, big, 100) == b"x" * 100
    assert archive.bytes_read < 4096


def test_a_long_header_hides_no_member() -> None:
    extra = struct.pack("<2H", 0xCAFE, 4996) + bytes(4996)
    archive = MemoryRange(assembled([Part(content=BYTES * 40, local_extra=extra)]))
    [member] = archives.members_of(archive)
    assert archives.read_member(archive, member, member.size) == BYTES * 40


def test_a_metered_reader_stops() -> None:
    archive = MemoryRange(bytes(100))
    reader = archives.MeteredReader(archive, most_requests=2, most_bytes=50)
    assert reader.read(90, 20) == bytes(10)
    with pytest.raises(TooManyReadsError):
        reader.read(0, 41)
    assert reader.read(0, 40) == bytes(40)
    with pytest.raises(TooManyReadsError):
        reader.read(0, 1)
    assert (reader.requests, reader.bytes_read) == (archive.requests, archive.bytes_read) == (2, 50)


@pytest.mark.promise("never get stuck")
def test_every_truncation_has_a_code() -> None:
    """An archive that is cut off anywhere is refused with a code."""
    data = make_archive()
    members = {f"big-{n}.jpg": JPEG + BYTES * 64 for n in range(12)}
    large = make_archive(members=members, compression=zipfile.ZIP_STORED)
    for length in range(0, len(data), 37):
        assert structure_codes(data[:length])[0].startswith("archive_")
    assert (codes(large), len(large) > 190 * 1024) == ([], True)
    found = {structure_codes(large[:length])[0] for length in range(0, len(large), 1024)}
    assert found == {"archive_empty", "archive_truncated"}


FILES = [
    ("1.jpg", b"\xff\xd8 a photo"),
    ("1.txt", b"a photo of [trigger]"),
    ("Zo\u00eb \u5199\u771f.png", b"\x89PNG" * 1000),
    ("empty.txt", b""),
]
names = st.text("abc\u00eb\u5199 -_", min_size=1, max_size=20).map(lambda name: f"{name}.jpg")
many = st.lists(st.tuples(names, st.binary(max_size=200)), unique_by=lambda file: file[0])


def whole(files: Sequence[tuple[str, bytes]]) -> bytes:
    return b"".join(zip_of(files))


def by_python(data: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return [(each.filename, archive.read(each)) for each in archive.infolist()]


@pytest.mark.promise("never lose a result")
def test_a_copy_holds_its_files() -> None:
    """A clean copy holds its files in their order, for our reader and for Python's."""
    data = MemoryRange(whole(FILES))
    structure = archives.structure_of(data)
    ours = [(each.member.name, each.read()) for each in archives.contents_of(data, structure)]
    assert structure.warnings == ()
    assert ours == by_python(data.data) == FILES


@given(many)
def test_any_names_and_bytes_survive(files: list[tuple[str, bytes]]) -> None:
    assert by_python(whole(files)) == files


@pytest.mark.promise("never pay twice")
def test_equal_files_make_equal_bytes() -> None:
    """The same files make the same bytes whenever they are written, as plain readable members."""
    data = whole(FILES)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
    assert whole(FILES) == data
    assert {each.date_time for each in members} == {(1980, 1, 1, 0, 0, 0)}
    assert {each.compress_type for each in members} == {zipfile.ZIP_STORED}
    assert {each.external_attr >> 16 for each in members} == {0o100644}
    # Only names that need it are marked as UTF-8.
    assert {each.filename for each in members if each.flag_bits & 0x800} == {FILES[2][0]}


@pytest.mark.parametrize(("limit", "most"), [("MAX_SIZE", 4000), ("MAX_FILES", 3)])
def test_too_much_for_a_plain_zip(monkeypatch: pytest.MonkeyPatch, limit: str, most: int) -> None:
    monkeypatch.setattr(writing, limit, most)
    with pytest.raises(ArchiveTooLargeError):
        whole(FILES)


def test_a_copy_is_made_in_pieces() -> None:
    files = iter(FILES)
    next(iter(zip_of(files)))
    assert list(files) == FILES[1:]
