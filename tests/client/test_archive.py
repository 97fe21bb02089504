import zipfile
from pathlib import Path

import pytest

from client.archive import archive_of
from client.errors import CommandFailed
from tests.builders import make_jpeg
from tests.checking import good


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "Ada: Lovelace?"
    (target / "more").mkdir(parents=True)
    for number in range(10):
        (target / f"{number}.jpg").write_bytes(make_jpeg(number))
        (target / f"{number}.txt").write_text("a photo of [trigger]")
    (target / "more" / "x.JPEG").write_bytes(make_jpeg(99))
    (target / "training.json").write_text('{"steps": 7}')
    for junk in (".DS_Store", "Thumbs.db", "notes.pdf", "more/._x.JPEG"):
        (target / junk).write_bytes(b"junk")
    return target


def test_a_folder_becomes_an_archive_of_photos_captions_and_parameters(folder: Path) -> None:
    with archive_of(folder) as archive:
        found = good(archive.path.read_bytes())
        names = zipfile.ZipFile(archive.path).namelist()

    assert archive.key == "Ada- Lovelace.zip"
    assert (len(found.dataset.images), len(found.dataset.captions)) == (11, 10)
    assert found.resolved.values.steps == 7
    assert len(names) == 22


def test_the_same_folder_makes_the_same_bytes(folder: Path) -> None:
    with archive_of(folder) as first:
        before = first.path.read_bytes()
    (folder / "0.jpg").touch()

    with archive_of(folder) as second:
        assert second.path.read_bytes() == before


def test_nothing_is_left_of_the_archive_afterwards(folder: Path) -> None:
    with archive_of(folder) as archive:
        assert archive.path.exists()

    assert not archive.path.exists()


def test_a_file_is_dropped_as_it_is_whatever_it_is(tmp_path: Path) -> None:
    file = tmp_path / "photos.ZIP"
    file.write_text("not a ZIP")

    with archive_of(file) as archive:
        assert (archive.path, archive.key) == (file, "photos.zip")


def test_a_folder_without_photos_says_what_to_name_instead(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="holds no photos"), archive_of(tmp_path):
        pass


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="no file or folder"), archive_of(tmp_path / "gone"):
        pass
