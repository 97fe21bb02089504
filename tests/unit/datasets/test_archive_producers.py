"""What the programs on this machine make of twelve photos is accepted, every byte of it."""

import random
from pathlib import Path

import pytest
from PIL import Image

from lora_drop.datasets.archives import MeteredReader, contents_of, is_junk, path_of, structure_of
from tests.support.builders import make_jpeg
from tests.support.checking import checked
from tests.support.memory_files import MemoryRange
from tests.support.producers import PRODUCERS, of_finder
from tests.support.zips import UTF8, assembled

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


@pytest.fixture(params=LAYOUTS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Twelve photos, laid out as somebody does."""
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


@pytest.mark.parametrize("producer", PRODUCERS)
def test_what_a_real_program_packs_is_what_is_unpacked(producer: str, folder: Path) -> None:
    originals = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.jpg")
    }
    reader = MeteredReader(MemoryRange(PRODUCERS[producer](folder)))

    structure = structure_of(reader)
    unpacked = {content.member.name: content.read() for content in contents_of(reader, structure)}

    photos = {
        path_of(name): content
        for name, content in unpacked.items()
        if name.endswith(".jpg") and not is_junk(name)
    }
    assert photos == originals
    assert len(photos) == PHOTOS
    assert structure.unseen == 0
    assert structure.warnings == ()


@pytest.mark.parametrize("producer", PRODUCERS)
def test_a_folder_of_twelve_photos_is_accepted_whatever_packs_it(
    producer: str, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(PHOTOS):
        (folder / f"photo-{number:02}.jpg").write_bytes(make_jpeg(number))
        (folder / f"photo-{number:02}.txt").write_text("a photo of [trigger]")

    report = checked(PRODUCERS[producer](folder)).report

    assert (report.verdict, report.images, report.errors) == ("accepted", PHOTOS, ())


def test_a_name_in_the_finders_way_is_told_as_the_person_wrote_it() -> None:
    data = assembled([of_finder("写真.jpg", b"x")])

    (member,) = structure_of(MemoryRange(data)).members

    assert (member.name, member.flags & UTF8) == ("写真.jpg", 0)
