"""A check that looks at several photos beside each other says what one says that looks at them one after the other."""

import io
import itertools
import random
import time
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any, override

import pytest

from lora_drop.adapters.decoding_threads import DecodingThreads
from lora_drop.adapters.pillow import PillowPictures
from lora_drop.datasets.archives import Member
from lora_drop.datasets.faces.face import FacesSeen
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import Flaw, ImageHeader, InvalidImageError
from lora_drop.datasets.images.pictures import ImageInspection
from lora_drop.datasets.report import Report
from lora_drop.services.photo_queue import MOST_BYTES, MOST_PHOTOS, PhotoQueue, QueuedPhoto
from tests.support.builders import make_archive, make_jpeg
from tests.support.checking import checked
from tests.support.faces import NamedFaces, SeeingPictures
from tests.support.photos import encoded, noise, picture, with_exif
from tests.support.pictures import BlindPictures

threads = partial(ThreadPoolExecutor, 4)


def said(archive: bytes, threads: Callable[[], Executor] | None, **how: Any) -> Report:
    """Return the report, less the seconds."""
    found = checked(archive, threads=threads, **how).report
    return found.model_copy(update={"seconds": 0.0})


def mixed_archive() -> bytes:
    """Return photos of every format, some of them damaged, turned, small or no photos at all, and a caption."""
    images = {f"{kind}-{n}.{kind}": encoded(picture(700, 500 + n, seed=n), kind)
              for kind in ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF") for n in range(3)}  # fmt: skip
    noisy = encoded(noise(900, 700, 80).convert("RGB"), "JPEG")
    images |= {
        "turned.jpg": with_exif(picture(640, 480, seed=9), "JPEG", 6),
        "cut.jpg": noisy[: len(noisy) // 2],
        "struck.jpg": noisy[:9000] + bytes(500) + noisy[9500:],
        "same.jpg": images["JPEG-1.JPEG"],
        "small.png": encoded(picture(40, 40), "PNG"),
        "none.jpg": b"no photo",
        "notes.pdf": b"%PDF-1.4",
        "JPEG-2.txt": b"a photo of ada",
    }
    names = sorted(images)
    random.Random(17).shuffle(names)  # noqa: S311  # no secret
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as members:
        for name in names:
            members.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), images[name])
    return packed.getvalue()


@pytest.mark.parametrize("prepares", [False, True])
def test_report_is_the_same_to_the_byte(*, prepares: bool) -> None:
    """However many threads decode, each photo is judged as it is alone, and the report has the same order."""
    archive, how = mixed_archive(), {"pictures": PillowPictures(), "prepares": prepares}

    expected = said(archive, None, **how)

    assert expected.photos
    assert {each.code for each in expected.errors} >= {"image_damaged", "image_too_small"}
    assert said(archive, DecodingThreads, **how).model_dump_json() == expected.model_dump_json()


@pytest.mark.parametrize("photos", [60, 113, 114, 127, 128])
def test_time_that_a_check_takes_does_not_depend_on_threads(photos: int) -> None:
    """Faces are looked for in the same datasets, and the same datasets are refused for their time."""
    images = [make_jpeg(number, side=9000) for number in range(photos)]
    members = {f"{number:03}.jpg": image for number, image in enumerate(images)}
    archive = make_archive(images=0, members=members)
    how: Mapping[str, Any] = {
        "pictures": SeeingPictures(dict.fromkeys(images, FacesSeen())),
        "pictures_of_style": BlindPictures(),
        "faces": NamedFaces(),
        "patience": float("inf"),
    }

    expected = said(archive, None, **how)

    assert said(archive, threads, **how) == expected


class FailingBesideOthers(BlindPictures):
    """Pictures that run out of memory the first time, and take their time over it."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()

    @override
    def look(self, data: bytes, header: ImageHeader) -> ImageInspection:
        if data not in self.seen:
            self.seen.add(data)
            time.sleep(0.01)
            raise next(FAILURES)
        return super().look(data, header)


FAILURES = itertools.cycle([InvalidImageError(Flaw.TOO_MUCH_WORK, "was too much"), MemoryError()])


@pytest.mark.promise("never get stuck")
def test_a_photo_is_refused_for_its_own_fault_alone() -> None:
    """What fails beside other photos, which may have had the memory, is looked at once more by itself."""
    archive = make_archive(images=12)

    assert said(archive, threads, pictures=FailingBesideOthers()) == said(archive, None)


def test_photos_on_their_way_have_a_bound() -> None:
    """Memory does not grow with the archive: few photos are on their way, and few bytes of them; a larger one waits."""
    with threads() as pool:
        queue = PhotoQueue(pool)
        small, large = (queued(pixels) for pixels in (1000, MOST_BYTES // 12))
        assert queue.has_room(large)
        queue.put(large)
        assert not queue.has_room(large)
        while queue.has_room(small):
            queue.put(small)
        assert len(queue) < MOST_PHOTOS
        queue.take()
        while queue.has_room(small):
            queue.put(small)
        assert len(queue) == MOST_PHOTOS


def queued(pixels: int) -> QueuedPhoto:
    header = ImageHeader(ImageFormat.PNG, pixels, 1)
    return QueuedPhoto(Member("1.png", method=0, offset=0, compressed=0, size=0), header=header)
