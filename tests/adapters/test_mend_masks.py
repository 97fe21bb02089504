"""A mask is numbers: whatever has to change about its file, none of them does."""

import io

import pytest
from PIL import Image, ImageCms

from lora_drop.adapters.pillow import PillowPictures
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.pictures import Mended, Pictures, changes_for
from lora_drop.datasets.images.reading import WholeImage
from tests.support import photos
from tests.support.photos import encoded, picture

PICTURES: Pictures = PillowPictures()


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
def test_a_mask_keeps_every_number(kind: str) -> None:
    mask = Image.effect_noise((96, 72), 90)
    result = losslessly(encoded(mask, kind))

    assert result.header.format is ImageFormat.PNG
    assert opened(result.data).convert("L").tobytes() == mask.tobytes()


def test_a_mask_in_an_alpha_channel_stays_there() -> None:
    """White everywhere, it would be all white with white behind it."""
    mask = Image.new("RGBA", (96, 72), (255, 255, 255, 255))
    mask.putalpha(Image.effect_noise((96, 72), 90))
    before = describe(WholeImage(encoded(mask, "PNG")))

    assert changes_for(before, transparent=True, lossless=True) == ()
    result = losslessly(encoded(mask, "TIFF"))
    assert opened(result.data).tobytes() == mask.tobytes()


def test_a_masks_profile_changes_none_of_its_numbers() -> None:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    mask = picture()
    result = losslessly(encoded(mask, "TIFF", icc_profile=bytes(profile)))

    assert opened(result.data).tobytes() == mask.tobytes()
    assert "icc_profile" not in opened(result.data).info


def test_a_mask_that_only_says_too_much_stays_in_its_format() -> None:
    data = photos.with_exif(picture(), "JPEG", 1, place=True)
    result = losslessly(data)

    assert result.header.format is ImageFormat.JPEG
    assert photos.pixels(result.data) == photos.pixels(data)
    turned = losslessly(photos.with_exif(picture(), "JPEG", 6))
    assert turned.header.format is ImageFormat.PNG
