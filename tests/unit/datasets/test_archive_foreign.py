"""Archives of other programs, foreign ones and damaged ones: read as Python reads them, or refused."""

import contextlib
import io
import random
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from lora_drop.datasets.archives import (
    MeteredReader,
    contents,
    contents_of,
    headers,
    is_junk,
    path_of,
    structure_of,
)
from lora_drop.datasets.archives.structure import MAX_BYTES, MAX_REQUESTS
from lora_drop.jobs.errors import DatasetRejectedError
from tests.support import zips
from tests.support.builders import make_jpeg
from tests.support.checking import checked
from tests.support.cpu_limit import cpu_limit
from tests.support.foreign import DAMAGED, PYPI_ALONE, USELESS, foreign_archives, is_damaged
from tests.support.fuzz import archives
from tests.support.fuzz.archives import Tally, bases, judged, run
from tests.support.fuzz.oracles import python_objection, walk, walk_objection
from tests.support.memory_files import MemoryRange
from tests.support.producers import PRODUCERS, of_finder


def kind(found: list[str]) -> str:
    """What sort of a verdict it is: the code itself of what cannot be trained on."""
    if any(code.startswith("archive_") for code in found):
        return "archive_"
    return found[0] if found else "accepted"


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_foreign_archives_get_their_verdict(corpora: Path) -> None:
    """Each foreign archive gets its verdict, and no sound one is called damaged."""
    archives = dict(foreign_archives(corpora))
    verdicts = {name: kind(zips.codes(data)) for name, data in archives.items()}

    assert verdicts == {
        name: "archive_" if is_damaged(name) else USELESS.get(name, "accepted") for name in archives
    }
    assert {*DAMAGED, *USELESS, *PYPI_ALONE} <= archives.keys()
    assert len(archives) > 160
    sound = [
        name
        for name in archives
        if "/test__success__" in name or "__accept__" in name or name in USELESS
    ]
    assert [name for name in sound if verdicts[name] == "archive_"] == []
    assert len(sound) > 30


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.filterwarnings("ignore:Empty unicode path extra field")
def test_python_reads_what_is_accepted(corpora: Path) -> None:
    """An accepted foreign archive is what Python's zipfile reads."""
    compared = 0
    for name, data in foreign_archives(corpora):
        if zips.codes(data):
            continue
        with zipfile.ZipFile(io.BytesIO(data)) as python:
            entries = structure_of(MemoryRange(data)).entries
            infos = python.infolist()
            assert list(map(zips.as_read, entries)) == list(map(zips.as_python_reads, infos)), name
            # IZArc's two spellings of one name are all that Python stumbles on.
            assert name.endswith("slashes_and_izarc.zip") or python.testzip() is None, name
        compared += 1
    assert compared > 80


def test_foreign_archives_keep_the_budget(corpora: Path) -> None:
    """Each structure of a foreign archive is judged within the budget of reads."""
    for name, data in foreign_archives(corpora):
        reader = MeteredReader(MemoryRange(data))
        directory = 0
        with cpu_limit(), contextlib.suppress(DatasetRejectedError):
            directory = len(data) - structure_of(reader).begin
        assert reader.requests <= min(MAX_REQUESTS, 4), name
        assert reader.bytes_read <= min(MAX_BYTES + directory, len(data)), name


PHOTOS = 12
# A folder's files, besides the photos: what phones, people and computers leave there.
EXTRAS = {
    "photo-00.txt": b"a portrait of [trigger]",
    "empty.txt": b"",
    ".DS_Store": b"\0\0\0\1Bud1",
}
LAYOUTS = {
    "flat": "photo-{:02}.jpg",
    "one folder": "Ada, summer/photo-{:02}.jpg",
    "many folders": "{0}/deep/er/photo-{0:02}.jpg",
    "other alphabets": "été/写真-{:02}.jpg",
}


@pytest.fixture(
    params=[
        pytest.param(name, marks=() if name == "other alphabets" else pytest.mark.proof)
        for name in LAYOUTS
    ]
)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Twelve photos, laid out as people do."""
    root = tmp_path / "photos"
    chance = random.Random(12)  # noqa: S311  # noise, no secret
    for number in range(PHOTOS):
        path = root / LAYOUTS[request.param].format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = Image.frombytes("RGB", (48, 48), chance.randbytes(48 * 48 * 3))
        noise.save(path, "JPEG", quality=70 + number)
    for name, content in EXTRAS.items():
        (root / name).write_bytes(content)
    (root / "nothing in here").mkdir()
    return root


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("producer", PRODUCERS)
def test_real_programs_archives_are_unpacked(producer: str, folder: Path) -> None:
    """The photos that a real program packs are the photos that are unpacked."""
    originals = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.jpg")
    }
    reader = MeteredReader(MemoryRange(PRODUCERS[producer](folder)))
    structure = structure_of(reader)
    unpacked = {content.member.name: content.read() for content in contents_of(reader, structure)}
    assert len(originals) == PHOTOS
    assert (structure.unseen, structure.warnings) == (0, ())
    assert originals == {
        path_of(name): content
        for name, content in unpacked.items()
        if name.endswith(".jpg") and not is_junk(name)
    }


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("producer", PRODUCERS)
def test_real_programs_datasets_are_accepted(producer: str, tmp_path: Path) -> None:
    """Twelve photos with captions are accepted whatever program packs them."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(PHOTOS):
        (folder / f"photo-{number:02}.jpg").write_bytes(make_jpeg(number))
        (folder / f"photo-{number:02}.txt").write_text("a photo of [trigger]")
    report = checked(PRODUCERS[producer](folder)).report
    assert (report.verdict, report.images, report.errors) == ("accepted", PHOTOS, ())


def test_a_name_by_the_finder() -> None:
    """A name as macOS writes it is read as the person wrote it."""
    data = zips.assembled([of_finder("写真.jpg", b"x")])
    (member,) = structure_of(MemoryRange(data)).members
    assert (member.name, member.flags & zips.UTF8) == ("写真.jpg", 0)


pytestmark = pytest.mark.filterwarnings("ignore:Empty unicode path", "ignore:Duplicate name")
GOOD = zips.assembled(
    [zips.streamed(zips.Part(name=b"a.jpg")), zips.Part(name=b"b.jpg", method=0), *zips.photos(2)]
)


def spoilt(corpora: Path | None) -> Tally:
    """A part of what ``python -m tests.support.fuzz.archives`` does."""
    tally = run(range(2000), 20, bases(corpora))
    assert tally.failures == []
    assert sum(row.accepted for row in tally.rows.values()) > 100
    return tally


@pytest.mark.promise("never get stuck")
def test_damaged_foreign_archives(corpora: Path) -> None:
    """No damaged foreign archive crashes the check or is read in two ways."""
    assert len(spoilt(corpora).codes) > 20


@pytest.mark.promise("never get stuck")
def test_damaged_archives_of_ours() -> None:
    """No damaged archive crashes the check or is read in two ways."""
    assert spoilt(None).codes


def test_a_run_follows_its_seed() -> None:
    first, again, other = (run(range(200), seed, bases(None)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_a_missing_check_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run notices that a check of the product is left out."""
    monkeypatch.setattr(headers, "gap_problem", lambda *_, **__: None)
    monkeypatch.setattr(contents, "gap_problem", lambda *_, **__: None)
    tally = run(range(2000), 20, bases(None))
    assert sum(row.disagreements for row in tally.rows.values()) > 0


def test_a_crash_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "length_of", lambda record: record[99])
    tally = run(range(50), 20, bases(None))
    assert sum(row.crashes for row in tally.rows.values()) > 0
    assert "IndexError" in tally.failures[0]


def test_a_hang_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def for_ever(*_: object) -> None:
        while True:  # it is CPU time that is limited, and sleep takes none
            pass

    monkeypatch.setattr(archives, "structure_of", for_ever)
    monkeypatch.setattr(archives, "HUNG", 0.05)
    tally = run(range(3), 20, bases(None))

    assert sum(row.crashes for row in tally.rows.values()) == 3
    assert "TimeoutError" in tally.failures[0]


def test_both_oracles_agree_on_good() -> None:
    """The walk and Python's zipfile see what is there."""
    structure = structure_of(MemoryRange(GOOD))
    assert judged(GOOD) == (None, None)
    names = [member.raw_name for member in structure.entries]
    assert [file.name for file in walk(GOOD)[0]] == names


@pytest.mark.parametrize("field", ["raw_name", "offset", "compressed", "size", "method"])
def test_the_walk_objects_to_differences(field: str) -> None:
    structure = structure_of(MemoryRange(GOOD))
    first, *others = structure.entries
    value: object = b"c.jpg" if field == "raw_name" else getattr(first, field) + 1
    wrong = replace(first, **{field: value})  # type: ignore[arg-type]  # any field
    assert walk_objection(GOOD, structure) is None
    assert walk_objection(GOOD, replace(structure, entries=(wrong, *others)))
    assert walk_objection(GOOD, replace(structure, entries=(*others,)))


def test_python_objects_to_differences() -> None:
    structure = structure_of(MemoryRange(GOOD))
    first, *others = structure.entries
    assert python_objection(GOOD, structure) is None
    assert python_objection(GOOD, replace(structure, entries=(*others,)))
    assert python_objection(GOOD[:-1], structure)
    assert python_objection(GOOD, replace(structure, entries=(replace(first, crc=1), *others)))
