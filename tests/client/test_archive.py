"""A folder becomes the ZIP that is uploaded, and is checked as that ZIP."""

import os
import zipfile
from pathlib import Path

import pytest

from lora_drop.client.archive import archive_of
from lora_drop.client.check import check_dataset, said_here
from lora_drop.client.errors import CommandError
from lora_drop.datasets.dataset import MAX_DATASET_BYTES, MAX_IMAGES
from lora_drop.jobs.errors import DatasetRejectedError
from tests.support.builders import make_jpeg
from tests.support.checking import good
from tests.support.client_fixtures import photo
from tests.support.sweeps import sweep


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "Ada: Lovelace?"
    (target / "more").mkdir(parents=True)
    for number in range(10):
        (target / f"{number}.jpg").write_bytes(make_jpeg(number))
        (target / f"{number}.txt").write_text("a photo of [trigger]")
    (target / "more" / "x.JPEG").write_bytes(make_jpeg(99))
    (target / "training.json").write_text('{"steps": 7}')
    for junk in (".DS_Store", "Thumbs.db", "more/._x.JPEG", "__MACOSX/x.jpg", ".git/y.jpg"):
        (target / junk).parent.mkdir(exist_ok=True)
        (target / junk).write_bytes(b"junk")
    return target


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Ten photos, and what else people have beside them."""
    target = tmp_path / "album"
    target.mkdir()
    for number in range(10):
        (target / f"{number}.jpg").write_bytes(photo(600, number))
    return target


def test_folder_becomes_an_archive(folder: Path) -> None:
    with archive_of(folder) as archive:
        found = good(archive.path.read_bytes())
        names = zipfile.ZipFile(archive.path).namelist()
    assert archive.key == "Ada- Lovelace.zip"
    assert (len(found.dataset.images), len(found.dataset.captions)) == (11, 10)
    assert found.resolved.values.steps == 7
    assert len(names) == 22


@pytest.mark.promise("never pay twice")
def test_same_folder_makes_same_bytes(folder: Path) -> None:
    """The same folder makes the same bytes, so that a second upload is known as a duplicate."""
    with archive_of(folder) as first:
        before = first.path.read_bytes()
    (folder / "0.jpg").touch()
    with archive_of(folder) as second:
        assert second.path.read_bytes() == before


def test_archive_is_removed_afterwards(folder: Path) -> None:
    with archive_of(folder) as archive:
        assert archive.path.exists()
    assert not archive.path.exists()


def test_file_is_dropped_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "photos.ZIP"
    file.write_text("not a ZIP")
    with archive_of(file) as archive:
        assert (archive.path, archive.key) == (file, "photos.zip")


def test_folder_without_photos(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="holds no photos"), archive_of(tmp_path):
        pass


def test_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no file or folder"), archive_of(tmp_path / "gone"):
        pass


BESIDE = {
    "nothing else": {},
    "raw files": {"a.CR3": b"\0\0\0\x18ftypcrx \0\0\0\1", "b.nef": b"MM\0*\0\0\0\x08"},
    "clips": {"IMG_1.MOV": b"\0\0\0\x14ftypqt  ", "IMG_1.AAE": b"<?xml version='1.0'?>"},
    "captions of another kind": {"0.caption": b"a photo", "notes.pdf": b"%PDF-1.7"},
    "parameters in another case": {"Training.JSON": b'{"steps": 0}'},
    "good parameters in another case": {"Training.JSON": b'{"steps": 1200}'},
    "parameters that a computer has renamed": {"training.json.txt": b'{"steps": 1200}'},
    "parameters in a folder": {"more/training.json": b'{"steps": 1200}'},
    "an archive": {"photos.zip": b"PK\5\6" + bytes(18)},
    "a photo without an ending": {"photo": photo(600, 77)},
    "a damaged photo": {"x.jpg": b"\xff\xd8\xff"},
    "an empty file": {"x.jpg": b""},
}


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("beside", sweep(BESIDE, sample=4))
def test_folder_is_checked_as_its_zip(album: Path, tmp_path: Path, beside: str) -> None:
    """A folder is checked as the ZIP of it would be."""
    for name, data in BESIDE[beside].items():
        (album / name).parent.mkdir(exist_ok=True)
        (album / name).write_bytes(data)
    packed = tmp_path / "album.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(each for each in album.rglob("*") if each.is_file()):
            archive.write(file, file.relative_to(album))
    of_folder, of_zip = check_dataset(album), said_here(check_dataset(packed), folder=True)

    for name in ("verdict", "errors", "warnings", "images", "changes", "parameters"):
        assert getattr(of_folder, name) == getattr(of_zip, name), name


def test_unneeded_files_stay_out(folder: Path) -> None:
    with archive_of(folder, without=["more/x.JPEG", "0.txt"]) as archive:
        names = zipfile.ZipFile(archive.path).namelist()
    assert len(names) == 20
    assert not {"more/x.JPEG", "0.txt"} & {*names}


@pytest.mark.promise("nothing leaks")
def test_links_out_of_the_folder(album: Path, tmp_path: Path) -> None:
    """A link within the folder is its file, and one that leads out of it is not uploaded."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.txt").write_text("mine")
    (album / "out.txt").symlink_to(secret / "key.txt")
    (album / "outside").symlink_to(secret)
    (album / "broken.jpg").symlink_to("gone.jpg")
    (album / "loop").symlink_to(album)
    (album / "twin.jpg").symlink_to("0.jpg")
    with archive_of(album) as archive:
        packed = zipfile.ZipFile(archive.path)
        names = {*packed.namelist()}
        twin = packed.read("twin.jpg")

    assert names == {f"{number}.jpg" for number in range(10)} | {"twin.jpg"}
    assert twin == (album / "0.jpg").read_bytes()
    assert archive.links == ("broken.jpg", "out.txt", "outside")


def test_too_large_folder_is_refused(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is too large is refused as its ZIP would be, before it is copied."""
    with (album / "long.jpg").open("wb") as photo:
        os.truncate(photo.fileno(), MAX_DATASET_BYTES)  # no block of it is on the disk
    monkeypatch.setattr("lora_drop.client.archive.write_archive", None)
    with pytest.raises(DatasetRejectedError, match="dataset_too_large"), archive_of(album):
        pass
    assert [each.code for each in check_dataset(album).errors] == ["dataset_too_large"]


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    for number in range(MAX_IMAGES + 1):
        (tmp_path / f"{number}.jpg").touch()
    assert [each.code for each in check_dataset(tmp_path).errors] == ["dataset_too_many_images"]


def test_folder_without_photos_names_its_content(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").write_bytes(b"junk")
    (tmp_path / "0.jpg").symlink_to("/nowhere/0.jpg")
    with (
        pytest.raises(CommandError, match=r"links .*\(0\.jpg\).*own \(\.DS_Store\)"),
        archive_of(tmp_path),
    ):
        pass


def test_unreadable_folder_is_an_error(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (album / "more").mkdir()
    really = os.scandir

    def denied(path: str) -> object:
        if str(path).endswith("more"):
            raise PermissionError(13, "Permission denied", str(path))
        return really(path)

    monkeypatch.setattr("os.scandir", denied)

    with pytest.raises(CommandError, match=r"Permission denied.*more"), archive_of(album):
        pass


def test_name_beyond_utf8_is_reported(album: Path) -> None:
    os.rename(album / "0.jpg", os.fsencode(album) + b"/\xff.jpg")  # noqa: PTH104
    with pytest.raises(CommandError, match=r"udcff\.jpg.*Rename it"), archive_of(album):
        pass
