"""A clean copy of a phone's photos, made with real decoders: it shows the same and says nothing else."""

import io
import itertools
import zipfile
from collections.abc import Iterator

import pytest

from lora_drop.adapters.pillow import PillowPictures
from lora_drop.datasets.archives import records
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.reading import WholeImage
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.services.check import ValidDataset
from lora_drop.services.mend import Mender
from tests.support.checking import good
from tests.support.memory_files import MemoryRange
from tests.support.phone import PHOTOS, phone_dataset
from tests.support.photos import PLACE

PICTURES = PillowPictures()


@pytest.fixture(scope="module")
def data() -> bytes:
    return phone_dataset()


@pytest.fixture(scope="module")
def checked(data: bytes) -> ValidDataset:
    return good(data, pictures=PICTURES)


def pieces(data: bytes, checked: ValidDataset, mender: Mender | None = None) -> Iterator[bytes]:
    mender = mender or Mender(PICTURES)
    return mender.mended(MemoryRange(data), checked.structure, checked.plan)


@pytest.fixture(scope="module")
def copy(data: bytes, checked: ValidDataset) -> bytes:
    return b"".join(pieces(data, checked))


def files(copy: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(copy)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_every_photo_is_there_once_upright_and_in_a_format_that_trains(copy: bytes) -> None:
    photos = {name: data for name, data in files(copy).items() if not name.endswith(".txt")}
    headers = {name: describe(WholeImage(data)) for name, data in photos.items()}

    assert len(photos) == PHOTOS
    assert {header.format for header in headers.values()} == {"jpeg"}
    assert {header.orientation for header in headers.values()} == {1}
    assert (headers["IMG_0000.jpg"].width, headers["IMG_0000.jpg"].height) == (480, 640)


def test_nobody_finds_out_where_or_with_what_a_photo_was_taken(data: bytes, copy: bytes) -> None:
    originals = files(data)
    assert any(PLACE in photo for photo in originals.values())

    for name, photo in files(copy).items():
        assert PLACE not in photo, name
        assert b"Exif" not in photo, name
        assert b"Camera" not in photo, name
        if not name.endswith(".txt"):
            assert not describe(WholeImage(photo)).has_metadata


def test_captions_lie_beside_their_photos_in_utf_8(copy: bytes) -> None:
    captions = {name: text.decode() for name, text in files(copy).items() if name.endswith(".txt")}

    assert captions == {
        f"IMG_{number:04}.txt": f"[trigger] f\u00fcr Zo\u00eb \u2013 {number}"
        for number in range(3)
    }


def test_the_same_dataset_makes_the_same_bytes(
    data: bytes, checked: ValidDataset, copy: bytes
) -> None:
    assert b"".join(pieces(data, checked)) == copy


def test_a_copy_of_a_copy_needs_nothing(copy: bytes) -> None:
    assert good(copy, pictures=PICTURES).plan == ()


def test_mending_that_takes_too_long_ends_with_a_verdict(
    data: bytes, checked: ValidDataset
) -> None:
    moments = itertools.count(step=30.0)
    slow = Mender(PICTURES, patience=100.0, now=lambda: next(moments))

    with pytest.raises(DatasetRejectedError) as refused:
        list(pieces(data, checked, slow))

    assert [problem.code for problem in refused.value.problems] == ["dataset_check_too_long"]


def test_a_photo_that_has_changed_since_it_was_checked_is_never_mended(
    data: bytes, checked: ValidDataset
) -> None:
    other = bytearray(data)
    other[checked.plan[0].photo.member.offset + 300] ^= 0xFF

    with pytest.raises(DatasetRejectedError):
        list(pieces(bytes(other), checked))


def test_photos_that_become_too_many_bytes_are_refused(
    data: bytes, checked: ValidDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MAX_SIZE", 10_000)

    with pytest.raises(DatasetRejectedError) as refused:
        list(pieces(data, checked))

    assert [problem.code for problem in refused.value.problems] == ["dataset_too_large"]
