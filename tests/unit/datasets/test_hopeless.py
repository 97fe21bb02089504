"""A large archive that cannot be trained on, whatever its files hold, is refused by its directory alone."""

import io
import random
import zipfile
from collections.abc import Mapping

import pytest

from lora_drop.datasets.dataset import WORTH_READING
from tests.support.builders import make_jpeg
from tests.support.checking import checked

MB = 1_000_000


def archive(files: Mapping[str, int]) -> bytes:
    """Return a ZIP of photos with so many bytes behind each."""
    noise, packed = random.Random(17), io.BytesIO()  # noqa: S311  # no secret
    with zipfile.ZipFile(packed, "w") as members:
        for number, (name, size) in enumerate(files.items()):
            members.writestr(name, make_jpeg(number) + noise.randbytes(size))
    return packed.getvalue()


def few(size: int) -> dict[str, int]:
    return {"1.jpg": 0, "2.jpg": 0, "3.jpg": 0, "a.mov": size, "b.MP4": size, "c.arw": size}


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    "others",
    [
        ("a.mov", "b.MP4", "c.arw"),
        ("a.pdf", "b.PPTX", "c.wav"),
        ("a.docx", "b.PSD", "c.safetensors"),
    ],
)
def test_a_large_archive_with_few_photos_costs_two_requests(others: tuple[str, ...]) -> None:
    """Three photos beside hundreds of megabytes of anything else are refused for a hundredth of the bytes."""
    photos = dict.fromkeys(("1.jpg", "2.jpg", "3.jpg"), 0)
    data = archive({**photos, **dict.fromkeys(others, 15 * MB)})

    report = checked(data).report

    [error] = report.errors
    assert error.code == "dataset_insufficient_images"
    assert "3 files that may be photos besides 3 videos, raw files or documents" in error.message
    assert report.requests <= 2
    assert report.bytes_read <= len(data) / 100


def test_a_small_one_is_read_and_every_photo_judged() -> None:
    """Who drops three photos hears what is wrong with each."""
    data = archive(few(MB))
    assert len(data) < WORTH_READING

    report = checked(data).report

    assert [each.code for each in report.errors] == ["dataset_insufficient_images"]
    assert len(report.photos) == len(few(0))
    assert report.bytes_read >= len(data)


def test_photos_without_an_ending_may_be_photos() -> None:
    """Only what is never a photo by its name is not counted: what a file is, its bytes say."""
    data = archive({f"photo {number}": 4 * MB for number in range(10)})

    assert checked(data).report.errors == ()
