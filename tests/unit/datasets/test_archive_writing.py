"""A clean copy is a ZIP that everybody reads: our own reader, and Python's."""

import io
import zipfile
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_drop.datasets.archives import contents_of, records, structure_of
from lora_drop.datasets.archives.records import ArchiveTooLargeError, zip_of
from tests.support.memory_files import MemoryRange

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


def by_us(data: bytes) -> list[tuple[str, bytes]]:
    archive = MemoryRange(data)
    structure = structure_of(archive)
    assert structure.warnings == ()
    return [(each.member.name, each.read()) for each in contents_of(archive, structure)]


def test_what_was_put_in_comes_out_in_its_order() -> None:
    data = whole(FILES)

    assert by_python(data) == FILES
    assert by_us(data) == FILES


@given(many)
def test_any_names_and_bytes_come_out_as_they_were(files: list[tuple[str, bytes]]) -> None:
    assert by_python(whole(files)) == files


def test_the_same_files_make_the_same_bytes_whenever_they_are_written() -> None:
    data = whole(FILES)

    assert whole(FILES) == data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {each.date_time for each in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_files_are_stored_as_they_are_and_may_be_read_by_everybody() -> None:
    with zipfile.ZipFile(io.BytesIO(whole(FILES))) as archive:
        for each in archive.infolist():
            assert each.compress_type == zipfile.ZIP_STORED
            assert each.external_attr >> 16 == 0o100644


def test_only_names_that_need_it_are_marked_as_utf_8() -> None:
    with zipfile.ZipFile(io.BytesIO(whole(FILES))) as archive:
        marked = {each.filename for each in archive.infolist() if each.flag_bits & 0x800}

    assert marked == {FILES[2][0]}


def test_what_does_not_go_into_a_plain_zip_is_never_written_as_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "MAX_SIZE", 4000)
    with pytest.raises(ArchiveTooLargeError):
        whole(FILES)

    monkeypatch.setattr(records, "MAX_SIZE", 10_000)
    monkeypatch.setattr(records, "MAX_FILES", 3)
    with pytest.raises(ArchiveTooLargeError):
        whole(FILES)


def test_a_copy_is_made_a_piece_at_a_time() -> None:
    taken: list[str] = []

    def files() -> Iterator[tuple[str, bytes]]:
        for name, data in FILES:
            taken.append(name)
            yield name, data

    pieces = zip_of(files())
    next(pieces)

    assert taken == ["1.jpg"]
