"""What files are called: every encoding there is, and no name that fools a reader or a file system."""

import struct
from dataclasses import replace

import pytest

from lora_drop.datasets.archives import is_junk, members_of, structure_of
from tests.support.builders import JPEG, make_archive
from tests.support.memory_files import MemoryRange
from tests.support.zips import UTF8, Part, assembled, codes, photos, structure_codes, unicode_path

JAPANESE = "写真.jpg"


def names(*parts: Part) -> list[str]:
    return [member.name for member in members_of(MemoryRange(assembled(parts)))]


def test_names_are_decoded_as_meant() -> None:
    path = unicode_path(b"_.jpg", JAPANESE.encode())
    directory_only = unicode_path(b"\x82.jpg", "é.jpg".encode())
    assert names(Part(name=b"\x81ber.jpg")) == ["über.jpg"]  # code page 437
    assert names(Part(name=JAPANESE.encode(), flags=UTF8)) == [JAPANESE]
    assert names(Part(name=JAPANESE.encode())) == [JAPANESE]  # macOS sets no flag
    assert names(Part(name=b"_.jpg", extra=path, local_extra=path)) == [JAPANESE]
    assert names(Part(name=b"\x82.jpg", extra=directory_only)) == ["é.jpg"]


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("cp866", ["Анна в саду.jpg", "анна в саду.jpg", "Море и солнце.jpg"]),  # noqa: RUF001  # Russian
        ("cp932", ["庭で笑っている.jpg", "青いドレス.jpg"]),
        ("cp852", ["łąka i uśmiech.jpg", "krótkie włosy.jpg"]),
        ("cp862", ["אישה בגינה.jpg", "שמלה כחולה.jpg"]),
    ],
)
def test_names_without_a_flag_are_guessed_together(encoding: str, written: list[str]) -> None:
    """The code page that fits all names is taken and said; names of other bytes are other names."""
    found = structure_of(
        MemoryRange(assembled([Part(name=name.encode(encoding)) for name in written]))
    )
    assert [member.name for member in found.members] == written
    assert [each.code for each in found.warnings] == ["archive_name_encoding_guessed"]


@pytest.mark.parametrize(
    "path",
    [
        *(unicode_path(b"other", b"x.jpg"), unicode_path(b"a.jpg", b"")),
        unicode_path(b"a.jpg", b"x.jpg", version=2),
    ],
)
def test_a_foreign_unicode_path_is_ignored(path: bytes) -> None:
    assert names(Part(name=b"a.jpg", extra=path)) == ["a.jpg"]


WRONG_PATHS = {
    "cut short": struct.pack("<2HL", 0x7075, 4, 1),
    "not UTF-8": unicode_path(b"a.jpg", b"\xff\xfe.jpg"),
    "two of them": unicode_path(b"a.jpg", b"b.jpg") + unicode_path(b"a.jpg", b"c.jpg"),
    "escaping": unicode_path(b"a.jpg", b"../b.jpg"),
    "a control character": unicode_path(b"a.jpg", b"b\x00.jpg"),
}


@pytest.mark.parametrize("path", WRONG_PATHS.values(), ids=WRONG_PATHS)
def test_an_impossible_unicode_path_is_refused(path: bytes) -> None:
    found = structure_codes(assembled([*photos(), Part(extra=path, local_extra=path)]))
    assert found[0] in {"archive_extra_field", "archive_name_encoding", "archive_unsafe_name"}


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    "part",
    [
        Part(name=b"a.bin", extra=unicode_path(b"a.bin", b"b.jpg")),
        Part(local_extra=unicode_path(b"a.jpg", b"b.jpg")),
        Part(name=b"test/a.jpg", local_name=b"test\\a.jpg"),
    ],
    ids=["in the directory", "in the local header", "a backslash"],
)
def test_two_headers_with_two_names(part: Part) -> None:
    """An archive whose two headers name a file differently is refused."""
    assert structure_codes(assembled([part])) == ["archive_header_mismatch"]


def test_utf_8_in_one_header_only() -> None:
    """A name that is UTF-8 in one header alone is refused: Python decodes both, and finds two names."""
    part = Part(name=JAPANESE.encode(), flags=UTF8)
    assert structure_codes(assembled([replace(part, local={"flags": 0})])) == [
        "archive_header_mismatch"
    ]
    assert codes(assembled([Part(flags=UTF8, local={"flags": 0})])) == []


def test_a_name_of_broken_utf_8() -> None:
    """A name that is not the UTF-8 it says is refused; Python's zipfile does not open such an archive."""
    name = b"\xe9t\xe9.jpg"
    beside = unicode_path(name, "été.jpg".encode())
    for part in (Part(name=name, flags=UTF8), Part(name=name, flags=UTF8, extra=beside)):
        assert structure_codes(assembled([part])) == ["archive_name_encoding"]


@pytest.mark.parametrize(
    "name",
    [
        *("Screenshot 2026-11-24 at 9.41.00\u202fAM.jpg", "写真\u30001.jpg", "👩\u200d🚀.jpg"),
        *("a\xa0b.jpg", "1: at the beach.jpg", "..a.jpg", "a...jpg"),
    ],
)
def test_usual_names_are_accepted(name: str) -> None:
    members = members_of(MemoryRange(make_archive(members={name: JPEG})))
    assert name in {member.name for member in members}


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize(
    "name",
    [
        *(f"a{letter}b.jpg".encode() for letter in "\n\x1b\x7f\x85\u2028\u202e\u2067"),
        *(b"", b"/etc/passwd", b"\\\\host\\x", b"../x", b"a/../../x", b"..\\x", b"a\\..\\x"),
        *(b"c:x", b"a.jpg\0.exe"),
    ],
)
def test_a_misleading_name_is_refused(name: bytes) -> None:
    """A name that leads out of the folder, or steers its reader, is refused."""
    part = Part(name=name, flags=0 if name.isascii() else UTF8)
    assert structure_codes(assembled([*photos(), part])) == ["archive_unsafe_name"]


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("a.jpg", "a.jpg"), ("a.jpg", "A.JPG"), ("straße.jpg", "STRASSE.jpg")),
        *(("\u00e9.jpg", "e\u0301.jpg"), ("\u00c9.jpg", "e\u0301.jpg")),
        *(("x/a.jpg", "x\\a.jpg"), ("x/a.jpg", "./x//a.jpg")),
    ],
)
def test_equal_names_are_refused(one: str, other: str) -> None:
    """Names that are the same on some computer are refused."""
    parts = [Part(name=name.encode(), flags=UTF8) for name in (one, other)]
    assert structure_codes(assembled([*photos(), *parts])) == ["archive_duplicate_name"]


@pytest.mark.parametrize("other", [b"x/", b"X/a.jpg", b"x/y/z.jpg"])
def test_a_file_is_no_folder(other: bytes) -> None:
    content = b"" if other.endswith(b"/") else JPEG
    parts = [Part(name=b"x"), Part(name=other, content=content, method=0), Part(name=b"x.")]
    assert structure_codes(assembled(parts)) == ["dataset_path_conflict"]


def test_a_folder_beside_its_files() -> None:
    folder = Part(name=b"x/", content=b"", method=0)
    assert names(Part(name=b"x/a.jpg"), folder, Part(name=b"x-ray.jpg")) == ["x/a.jpg", "x-ray.jpg"]


def test_backslashes_are_read_and_warned_of() -> None:
    """IZArc writes them in the directory alone; Python's zipfile does not unpack such a file."""
    part = Part(name=b"test\\a.jpg")
    izarc = replace(part, local_name=b"test/a.jpg")
    for data in (assembled([part]), assembled([izarc])):
        structure = structure_of(MemoryRange(data))
        assert [warning.code for warning in structure.warnings] == ["archive_backslash_names"]
        assert codes(data) == []
    assert structure_of(MemoryRange(assembled(photos()))).warnings == ()


JUNK = [
    *("__MACOSX/._a.jpg", "__macosx/a.jpg", "._a.jpg", "x/.DS_Store", "Thumbs.db"),
    *("x\\Desktop.ini", ".git/a.jpg"),
]
NO_JUNK = ["a.jpg", "./a.jpg", "x/./a.jpg", "x/a.jpg", "macosx/a.jpg", "desktop.ini.jpg"]


def test_junk_is_known() -> None:
    """Files that computers leave behind are junk, and files of a person are not."""
    assert [name for name in JUNK + NO_JUNK if is_junk(name)] == JUNK
