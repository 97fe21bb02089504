"""A sound JPEG is decoded once, by simplejpeg, and its pixels are those that Pillow decodes."""

import io
from collections.abc import Iterator

import pytest
from PIL import Image

from lora_drop.adapters.jpeg_warnings import sound_pixels
from lora_drop.datasets.images.reading import WholeImage
from tests.support.photos import encoded, noise, picture, segment

SIZES = [(96, 72), (641, 479), (1031, 777), (2400, 1601)]
SAMPLINGS = ["4:4:4", "4:2:2", "4:2:0"]
JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"


def jpegs() -> Iterator[tuple[str, bytes]]:
    """Yield JPEGs as cameras and programs write them."""
    for size in SIZES:
        grained = Image.blend(picture(*size), noise(*size, 60).convert("RGB"), 0.3)
        for sampling in SAMPLINGS:
            for progressive in (False, True):
                options = {"subsampling": sampling, "progressive": progressive, "quality": 85}
                yield f"{size} {options}", encoded(grained, "JPEG", **options)
        yield f"{size} grey", encoded(grained.convert("L"), "JPEG")
        yield f"{size} RGB", encoded(grained, "JPEG", keep_rgb=True)
        yield f"{size} restarts", encoded(grained, "JPEG", restart_marker_rows=1)


def by_pillow(data: bytes, least: int) -> Image.Image:
    """Return the picture as Pillow decodes it."""
    image = Image.open(io.BytesIO(data))
    image.draft(None, (least, least))
    image.load()
    return image


def test_pixels_are_those_of_pillow() -> None:
    """A report says the same, with either decoder."""
    for name, data in jpegs():
        for least in (64, 200, 512, 5000):
            expected = by_pillow(data, least)

            pixels = sound_pixels(WholeImage(data), expected.size, expected.mode)

            assert pixels is not None, name
            assert pixels.tobytes() == expected.tobytes(), (name, least)


@pytest.mark.parametrize("marked", [False, True])
def test_jfif_decides_what_the_numbers_mean(*, marked: bool) -> None:
    """Without the segment that says so, components called R, G and B are RGB."""
    plain = encoded(picture(), "JPEG", keep_rgb=True)
    data = plain[:2] + JFIF + plain[2:] if marked else plain
    expected = by_pillow(data, 5000)

    pixels = sound_pixels(WholeImage(data), expected.size, expected.mode)

    assert pixels is not None
    assert pixels.tobytes() == expected.tobytes()


def test_what_lies_beside_the_picture_changes_no_pixel() -> None:
    """The file goes to the decoder as it lies: with metadata, a comment, and another picture behind it."""
    plain = encoded(picture(641, 479), "JPEG")
    beside = segment(0xE1, b"Exif\0\0" + plain) + segment(0xFE, b"a comment")
    expected = by_pillow(plain, 64)

    for data in (plain[:2] + beside + plain[2:], plain + plain, plain + bytes(99)):
        pixels = sound_pixels(WholeImage(data), expected.size, expected.mode)

        assert pixels is not None
        assert pixels.tobytes() == expected.tobytes()


def test_lossless_frame_never_reaches_the_decoder() -> None:
    """simplejpeg writes past its buffer for one, whatever frame stands before it."""
    plain = encoded(picture(641, 479), "JPEG")
    at = plain.index(b"\xff\xc0")
    lossless = plain[:at] + b"\xff\xc3" + plain[at + 2 :]
    both = plain[: at + 19] + lossless[at:]

    for data in (lossless, both, plain[:-2] + segment(0xC3, plain[at + 4 : at + 19]) + plain[-2:]):
        assert sound_pixels(WholeImage(data), (641, 479), "RGB") is None


def test_anything_to_say_leaves_it_to_pillow() -> None:
    """A cut, a stray byte and colours for printing are judged as before."""
    data = encoded(picture(641, 479), "JPEG")
    zeros = data[:-1000] + b"\x00" * 200 + data[-800:]
    for wrong in (data[: len(data) // 2], zeros, data[:-2]):
        assert sound_pixels(WholeImage(wrong), (641, 479), "RGB") is None
    printed = encoded(picture(641, 479).convert("CMYK"), "JPEG")
    assert sound_pixels(WholeImage(printed), (641, 479), "CMYK") is None
