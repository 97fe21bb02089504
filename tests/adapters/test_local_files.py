"""A file on this machine is read as one in S3 is."""

from pathlib import Path

import pytest

from lora_drop.adapters.local_files import open_range
from lora_drop.datasets.archives import members_of
from lora_drop.jobs.errors import DatasetUnreadableError
from tests.support.builders import make_archive

DATA = bytes(range(256)) * 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ada.zip"
    path.write_bytes(DATA)
    return path


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 1), (0, len(DATA)), (100, 50), (len(DATA) - 1, 1), (len(DATA) - 10, 100), (255, 2)],
)
def test_any_range_is_read_exactly(path: Path, offset: int, length: int) -> None:
    with open_range(path) as archive:
        assert archive.read(offset, length) == DATA[offset : offset + length]


@pytest.mark.parametrize(("offset", "length"), [(len(DATA), 1), (len(DATA) + 5, 10), (0, 0)])
def test_beyond_the_end_there_is_nothing(path: Path, offset: int, length: int) -> None:
    with open_range(path) as archive:
        assert archive.size == len(DATA)
        assert archive.read(offset, length) == b""


def test_an_archive_is_read_from_its_file(path: Path) -> None:
    path.write_bytes(make_archive(images=30))

    with open_range(path) as archive:
        assert len(members_of(archive)) == 30


def test_a_file_that_becomes_shorter_is_not_taken_for_a_short_archive(path: Path) -> None:
    with open_range(path) as archive:
        path.write_bytes(b"shorter")

        with pytest.raises(DatasetUnreadableError, match="changed while it was read"):
            archive.read(5000, 10)


def test_a_file_that_is_not_there_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), open_range(tmp_path / "gone.zip"):
        pass
