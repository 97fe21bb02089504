"""What an image says of itself is what Pillow says of it, and what a viewer does with it."""

import io
import itertools
from typing import Any

import pillow_heif
import pytest
from PIL import Image, ImageCms, ImageOps

from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.header import Colour, ImageHeader, Metadata
from lora_drop.datasets.images.reading import WholeImage
from tests.support import photos
from tests.support.photos import encoded, jpeg_with, picture, png_with, riff, segment

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
XMP_NAME = b"http://ns.adobe.com/xap/1.0/\x00"
EXIF_BLOCK = photos.exif(8, place=True).tobytes()  # begins with “Exif”
TURNS = list(itertools.product(range(4), [None, 0, 1]))


def described(data: bytes) -> ImageHeader:
    return describe(WholeImage(data))


def by_pillow(data: bytes) -> tuple[tuple[int, int], int]:
    """Stored size and orientation, as Pillow has them."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.size, image.getexif().get(photos.ORIENTATION, 1)


@pytest.mark.parametrize("kind", photos.KINDS)
@pytest.mark.parametrize("size", [(96, 72), (72, 97), (1, 1), (641, 64)])
def test_every_format_tells_its_size(kind: str, size: tuple[int, int]) -> None:
    header = described(encoded(picture(*size), kind))
    assert (header.format.name, header.width, header.height) == (kind, *size)
    assert header.upright == size
    assert not header.animated


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_an_orientation_is_what_pillow_says(kind: str, orientation: int) -> None:
    data = photos.with_exif(picture(), kind, orientation)
    header = described(data)
    assert ((header.width, header.height), header.orientation) == by_pillow(data)
    assert header.orientation == orientation
    assert header.upright == ((96, 72) if orientation < 5 else (72, 96))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_heif_follows_its_own_turns(orientation: int) -> None:
    """pillow-heif turns the picture by itself, and says 1: what it shows has to be our upright."""
    data = photos.with_exif(picture(), "HEIF", orientation)
    header = described(data)
    assert header.orientation == orientation
    assert header.upright == by_pillow(data)[0]
    shown = ImageOps.exif_transpose(turned(picture(), header.orientation))
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == shown.size
        assert nearly(image.convert("RGB"), shown)


@pytest.mark.parametrize(("angle", "axis"), TURNS)
def test_turns_and_mirrors_follow_libheif(angle: int, axis: int | None) -> None:
    data = replaced_turns(angle, axis)
    header = described(data)
    shown = turned(picture(), header.orientation)
    heif = pillow_heif.open_heif(io.BytesIO(data))
    assert heif.size == header.upright
    assert nearly(heif.to_pillow().convert("RGB"), shown)


def test_a_heifs_turns_overrule_exif() -> None:
    turned_by_itself = photos.with_exif(picture(), "HEIF", 6)
    exif_at = turned_by_itself.index(b"\x01\x12\x00\x03\x00\x00\x00\x01")
    data = bytearray(turned_by_itself)
    data[exif_at + 8 : exif_at + 10] = b"\x00\x03"
    assert described(bytes(data)).orientation == 6


def test_a_tiff_is_upright_like_pillow() -> None:
    for orientation in range(1, 9):
        data = encoded(picture(), "TIFF", tiffinfo={photos.ORIENTATION: orientation})
        header = described(data)
        assert header.orientation == orientation
        assert header.upright == by_pillow(data)[0]


def test_a_heifs_clean_aperture_is_shown() -> None:
    """The clean aperture of a HEIF is what is shown, as libheif does; readers of AVIF show all of it."""
    fractions = b"".join(number.to_bytes(4) for number in (60, 1, 81, 2, 0, 1, 0, 1))
    heif = photos.heif(cropped=photos.box(b"clap", fractions))
    assert described(heif).upright == (60, 40)
    assert described(heif.replace(b"ftypheic", b"ftypavif")).upright == (96, 72)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_impossible_orientation_is_none(value: int) -> None:
    assert described(photos.with_exif(picture(), "JPEG", value)).orientation == 1


def test_xmp_gives_an_orientation_without_exif() -> None:
    only_xmp = jpeg_with(segment(0xE1, XMP_NAME + XMP))
    both = jpeg_with(segment(0xE1, XMP_NAME + XMP), segment(0xE1, EXIF_BLOCK))
    assert described(only_xmp).orientation == by_pillow(only_xmp)[1] == 6
    assert described(both).orientation == by_pillow(both)[1] == 8


def test_a_pngs_exif_is_found_anywhere() -> None:
    block = EXIF_BLOCK[6:]
    chunk = photos.chunk(b"eXIf", block)
    hexadecimal = b"\nexif\n%8d\n%s\n" % (len(EXIF_BLOCK), EXIF_BLOCK.hex().encode())
    text = photos.chunk(b"tEXt", b"Raw profile type exif\x00" + hexadecimal)
    for data in (png_with(chunk), png_with(after=[chunk]), png_with(text)):
        header = described(data)
        assert header.orientation == by_pillow(data)[1] == 8
        assert {Metadata.EXIF, Metadata.GPS} <= header.metadata


def test_a_webps_flags_decide_about_exif() -> None:
    plain = encoded(picture(), "WEBP")
    pixels = plain[20 : 20 + int.from_bytes(plain[16:20], "little")]
    for flags, orientation in ((0x08, 8), (0x00, 1)):
        canvas = bytes((flags, 0, 0, 0)) + (95).to_bytes(3, "little") + (71).to_bytes(3, "little")
        data = riff((b"VP8X", canvas), (b"VP8 ", pixels), (b"EXIF", EXIF_BLOCK[6:]))
        assert described(data).orientation == by_pillow(data)[1] == orientation
        assert Metadata.EXIF in described(data).metadata  # it is in the file all the same


GREY, PALETTE, ALPHA = {"colour": Colour.GREY}, {"colour": Colour.PALETTE}, {"has_alpha": True}
DEEP = GREY | {"bit_depth": 16}
SAVED: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    *(("JPEG", "L", {}, GREY), ("JPEG", "CMYK", {}, {"colour": Colour.CMYK})),
    ("JPEG", "RGB", {"progressive": True}, {"progressive": True}),
    *(("PNG", "RGBA", {}, ALPHA), ("PNG", "LA", {}, ALPHA | GREY)),
    ("PNG", "P", {"transparency": 0}, ALPHA | PALETTE),
    *(("PNG", "1", {}, GREY | {"bit_depth": 1}), ("PNG", "I;16", {}, DEEP)),
    *(("WEBP", "RGBA", {}, ALPHA), ("WEBP", "RGBA", {"lossless": True}, ALPHA)),
    *(("WEBP", "RGB", {"lossless": True}, {}), ("AVIF", "RGBA", {}, ALPHA)),
    *(("HEIF", "RGBA", {}, ALPHA), ("HEIF", "L", {}, GREY)),
    ("HEIF", "I;16", {}, GREY | {"bit_depth": 10}),
    *(("GIF", "RGBA", {}, ALPHA | PALETTE), ("BMP", "P", {}, PALETTE)),
    *(("TIFF", "CMYK", {}, {"colour": Colour.CMYK}), ("TIFF", "RGBA", {}, ALPHA)),
    ("TIFF", "I;16", {}, DEEP),
]


@pytest.mark.parametrize(("kind", "mode", "options", "said"), SAVED)
def test_depth_colours_and_transparency_are_known(
    kind: str, mode: str, options: dict[str, Any], said: dict[str, Any]
) -> None:
    usual = {"colour": Colour.RGB, "bit_depth": 8, "has_alpha": False, "progressive": False}
    header = described(encoded(picture(mode=mode), kind, **options))
    assert {name: getattr(header, name) for name in usual} == usual | said


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_a_colour_profile_is_no_metadata(kind: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    header = described(encoded(picture(), kind, icc_profile=profile))
    assert header.has_profile
    assert not header.has_metadata
    assert not described(encoded(picture(), kind)).has_profile


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
def test_an_animation_is_recognised(kind: str) -> None:
    """An animation differs from a picture, and so does a TIFF of several pages."""
    assert described(photos.animated(kind)).animated
    assert not described(photos.animated(kind, frames=1)).animated
    assert described(photos.animated("TIFF")).animated


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """What a viewer shows."""
    tagged = encoded(image, "PNG", exif=photos.exif(orientation))
    with Image.open(io.BytesIO(tagged)) as opened:
        return ImageOps.exif_transpose(opened)


def nearly(one: Image.Image, other: Image.Image) -> bool:
    """Whether two pictures are the same but for what compression does."""
    if one.size != other.size:
        return False
    small = [each.resize((12, 12), Image.Resampling.BOX).tobytes() for each in (one, other)]
    return all(abs(a - b) < 24 for a, b in zip(*small, strict=True))


def replaced_turns(angle: int, axis: int | None) -> bytes:
    """A HEIF that says itself how it is turned and mirrored, whatever it said before."""
    data = photos.with_exif(picture(), "HEIF", 5)  # turned and mirrored: it has both properties
    irot, imir = data.index(b"irot"), data.index(b"imir")
    changed = bytearray(data)
    changed[irot + 4] = angle
    if axis is None:
        changed[imir : imir + 4] = b"free"
    else:
        changed[imir + 4] = axis
    return bytes(changed)
