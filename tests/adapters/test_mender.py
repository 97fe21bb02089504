"""Clean copies made with real decoders: photos of a phone, and masks with all their values."""

import io
import itertools
import zipfile
from collections.abc import Iterator

import pytest
from PIL import Image, ImageCms

from lora_drop.adapters.pillow import PillowPictures
from lora_drop.datasets.archives import records as writing
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.pictures import Mended, changes_for
from lora_drop.datasets.images.reading import WholeImage
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.services.check import ValidDataset
from lora_drop.services.mend import Mender
from tests.support import photos
from tests.support.builders import make_archive
from tests.support.checking import good
from tests.support.memory_files import MemoryRange
from tests.support.phone import PHOTOS, phone_dataset
from tests.support.photos import PLACE, encoded, noise, picture

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


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_copy_has_every_photo_once(copy: bytes) -> None:
    """A clean copy has every photo once, upright and in a format that trains."""
    photos = {name: data for name, data in files(copy).items() if not name.endswith(".txt")}
    headers = {name: describe(WholeImage(data)) for name, data in photos.items()}
    assert len(photos) == PHOTOS
    assert {header.format for header in headers.values()} == {"jpeg"}
    assert {header.orientation for header in headers.values()} == {1}
    assert (headers["IMG_0000.jpg"].width, headers["IMG_0000.jpg"].height) == (480, 640)


@pytest.mark.promise("nothing leaks")
def test_copy_has_no_metadata(data: bytes, copy: bytes) -> None:
    """A clean copy says neither where nor with what a photo was taken."""
    originals = files(data)
    assert any(PLACE in photo for photo in originals.values())
    for name, photo in files(copy).items():
        assert PLACE not in photo, name
        assert b"Exif" not in photo, name
        assert b"Camera" not in photo, name
        if not name.endswith(".txt"):
            assert not describe(WholeImage(photo)).has_metadata


def test_captions_lie_beside_their_photos(copy: bytes) -> None:
    captions = {name: text.decode() for name, text in files(copy).items() if name.endswith(".txt")}
    assert captions == {
        f"IMG_{number:04}.txt": f"[trigger] f\u00fcr Zo\u00eb \u2013 {number}"
        for number in range(3)
    }


def test_same_dataset_makes_same_bytes(data: bytes, checked: ValidDataset, copy: bytes) -> None:
    assert b"".join(pieces(data, checked)) == copy


def test_copy_needs_no_more_changes(copy: bytes) -> None:
    assert good(copy, pictures=PICTURES).plan == ()


@pytest.mark.promise("never get stuck")
def test_slow_mending_ends_with_a_problem(data: bytes, checked: ValidDataset) -> None:
    """Mending that takes too long ends with a problem."""
    moments = itertools.count(step=30.0)
    slow = Mender(PICTURES, patience=100.0, now=lambda: next(moments))
    with pytest.raises(DatasetRejectedError) as refused:
        list(pieces(data, checked, slow))
    assert [problem.code for problem in refused.value.problems] == ["dataset_check_too_long"]


def test_changed_photo_is_never_mended(data: bytes, checked: ValidDataset) -> None:
    other = bytearray(data)
    other[checked.plan[0].photo.member.offset + 300] ^= 0xFF
    with pytest.raises(DatasetRejectedError):
        list(pieces(bytes(other), checked))


def test_too_large_copy_is_refused(
    data: bytes, checked: ValidDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MAX_SIZE", 10_000)
    with pytest.raises(DatasetRejectedError) as refused:
        list(pieces(data, checked))
    assert [problem.code for problem in refused.value.problems] == ["dataset_too_large"]


def opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image


def losslessly(data: bytes) -> Mended:
    header = describe(WholeImage(data))
    look = PICTURES.look(data, header)
    changes = changes_for(header, transparent=look.transparent, lossless=True)
    return PICTURES.mend(data, header, changes, lossless=True)


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "GIF"])
def test_mask_keeps_every_value(kind: str) -> None:
    mask = noise(96, 72, 90)
    result = losslessly(encoded(mask, kind))
    assert result.header.format is ImageFormat.PNG
    assert opened(result.data).convert("L").tobytes() == mask.tobytes()


def test_mask_in_alpha_stays() -> None:
    """A white mask with an alpha channel would be all white with white behind it."""
    mask = Image.new("RGBA", (96, 72), (255, 255, 255, 255))
    mask.putalpha(noise(96, 72, 90))
    before = describe(WholeImage(encoded(mask, "PNG")))
    assert changes_for(before, transparent=True, lossless=True) == ()
    result = losslessly(encoded(mask, "TIFF"))
    assert opened(result.data).tobytes() == mask.tobytes()


def test_mask_ignores_its_colour_profile() -> None:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    mask = picture()
    result = losslessly(encoded(mask, "TIFF", icc_profile=bytes(profile)))
    assert opened(result.data).tobytes() == mask.tobytes()
    assert "icc_profile" not in opened(result.data).info


def test_mask_with_metadata_keeps_format() -> None:
    data = photos.with_exif(picture(), "JPEG", 1, place=True)
    result = losslessly(data)
    assert result.header.format is ImageFormat.JPEG
    assert photos.pixels(result.data) == photos.pixels(data)
    turned = losslessly(photos.with_exif(picture(), "JPEG", 6))
    assert turned.header.format is ImageFormat.PNG


FAST = "fal-ai/flux-lora-fast-training"


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_mask_stays_lossless_in_a_copy() -> None:
    """A mask in a clean copy keeps every value: it is neither flattened nor saved as JPEG."""
    photos = {f"p{n}.jpg": encoded(picture(640, 480, seed=n), "JPEG") for n in range(12)}
    shape = Image.linear_gradient("L").resize((640, 480))
    seen_through = Image.new("LA", (640, 480), 255)
    seen_through.putalpha(shape)
    masks = {"p0_mask.bmp": encoded(shape, "BMP"), "p1_mask.png": encoded(seen_through, "PNG")}
    data = make_archive(images=0, members=photos | masks)
    pictures = PillowPictures()
    found = good(data, application=FAST, pictures=pictures)
    copy = b"".join(Mender(pictures).mended(MemoryRange(data), found.structure, found.plan))
    with zipfile.ZipFile(io.BytesIO(copy)) as archive:
        from_bmp = Image.open(io.BytesIO(archive.read("p0_mask.png")))
        from_alpha = Image.open(io.BytesIO(archive.read("p1_mask.png")))
        assert from_bmp.convert("L").tobytes() == shape.tobytes()
        assert from_alpha.getchannel("A").tobytes() == shape.tobytes()
