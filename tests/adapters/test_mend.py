"""A mended image shows the same, in a format that trains, and has no metadata."""

import io
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageOps

from lora_drop.adapters.pillow import PillowPictures
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import Colour, ImageHeader, InvalidImageError
from lora_drop.datasets.images.pictures import Change, Mended, Pictures, changes_for
from lora_drop.datasets.images.reading import WholeImage
from tests.support import photos
from tests.support.photos import encoded, picture

PICTURES: Pictures = PillowPictures()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))


def needed(data: bytes) -> tuple[ImageHeader, tuple[Change, ...]]:
    header = describe(WholeImage(data))
    return header, changes_for(header, transparent=PICTURES.look(data, header).transparent)


def mended(data: bytes) -> Mended:
    header, changes = needed(data)
    return PICTURES.mend(data, header, changes)


def opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image


def distance(one: Image.Image, other: Image.Image) -> float:
    """How far apart two pictures are, in grey values of a small copy; 1000 for other sizes."""
    if one.size != other.size:
        return 1000
    small = [
        image.convert("RGB").resize((16, 16), Image.Resampling.BOX).tobytes()
        for image in (one, other)
    ]
    return float(max(abs(a - b) for a, b in zip(*small, strict=True)))


NEEDY: dict[str, tuple[bytes, ImageFormat]] = {
    "a HEIC": (encoded(picture(), "HEIF"), ImageFormat.JPEG),
    "an AVIF": (encoded(picture(), "AVIF"), ImageFormat.JPEG),
    "a BMP": (encoded(picture(), "BMP"), ImageFormat.JPEG),
    "a TIFF": (encoded(picture(), "TIFF"), ImageFormat.JPEG),
    "a packed TIFF": (encoded(picture(), "TIFF", compression="tiff_lzw"), ImageFormat.JPEG),
    "a GIF": (encoded(picture(), "GIF"), ImageFormat.JPEG),
    "a grey TIFF": (encoded(picture(mode="L"), "TIFF"), ImageFormat.JPEG),
    "an animated GIF": (photos.animated("GIF"), ImageFormat.JPEG),
    "an APNG": (photos.animated("PNG"), ImageFormat.PNG),
    "an animated WEBP": (photos.animated("WEBP"), ImageFormat.JPEG),
    "an AVIF sequence": (photos.animated("AVIF"), ImageFormat.JPEG),
    "CMYK": (encoded(picture(mode="CMYK"), "JPEG"), ImageFormat.JPEG),
    "a CMYK TIFF": (encoded(picture(mode="CMYK"), "TIFF"), ImageFormat.JPEG),
    "stereo": (photos.mpo(picture(), picture(seed=1)), ImageFormat.JPEG),
    "a place": (photos.with_exif(picture(), "JPEG", 1, place=True), ImageFormat.JPEG),
    "a WEBP with a place": (photos.with_exif(picture(), "WEBP", 1, place=True), ImageFormat.WEBP),
}  # fmt: skip


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("kind", NEEDY)
def test_mended_image_shows_the_same(kind: str) -> None:
    """A mended image shows the same and is in a format that trains."""
    data, expected = NEEDY[kind]
    result = mended(data)

    assert result.data == mended(data).data
    assert result.header == describe(WholeImage(result.data))
    assert result.header.format is expected
    assert needed(result.data)[1] == ()
    assert not result.header.has_metadata
    assert opened(result.data).mode in ("RGB", "L")
    assert distance(opened(result.data), picture(mode="L" if "grey" in kind else "RGB")) < 20


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_image_is_turned_upright(kind: str, orientation: int) -> None:
    data = photos.with_exif(picture(), kind, orientation, place=kind != "TIFF")
    if kind == "TIFF":
        data = encoded(picture(), kind, tiffinfo={photos.ORIENTATION: orientation})
    result = mended(data)
    shown = ImageOps.exif_transpose(opened(photos.with_exif(picture(), "PNG", orientation)))
    assert distance(opened(result.data), shown) < 20
    assert (result.header.orientation, result.header.metadata) == (1, frozenset())
    assert result.header.upright == describe(WholeImage(data)).upright
    assert photos.PLACE not in result.data


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "AVIF", "HEIF", "TIFF"])
def test_transparency_becomes_white(kind: str) -> None:
    result = mended(
        encoded(picture(mode="RGBA"), kind, **({"lossless": True} if kind == "WEBP" else {}))
    )
    image = opened(result.data)
    assert (result.header.format, image.mode) == (ImageFormat.PNG, "RGB")
    assert image.getpixel((90, 70)) == (255, 255, 255)
    value = image.getpixel((5, 5))
    assert isinstance(value, tuple)
    assert (
        distance(Image.new("RGB", (16, 16), value), Image.new("RGB", (16, 16), (20, 30, 200))) < 25
    )


def test_opaque_alpha_is_left_alone() -> None:
    opaque = picture().convert("RGBA")
    assert needed(encoded(opaque, "PNG"))[1] == ()


@pytest.mark.parametrize(("kind", "near"), [("PNG", 4), ("TIFF", 4), ("HEIF", 12)])
def test_16_bits_become_8(kind: str, near: int) -> None:
    """16 bits, or 10 of a HEIC, become 8 with the same greys."""
    grey = picture(mode="L")
    image = grey.convert("I").point(lambda value: value * 257).convert("I;16")
    result = mended(encoded(image, kind))
    assert result.header.bit_depth == 8
    assert distance(opened(result.data), grey) < near


@pytest.mark.promise("nothing leaks")
def test_gps_is_removed_without_reencoding() -> None:
    """A GPS position is removed without a change of any pixel."""
    data = photos.with_exif(picture(640, 480), "JPEG", 1, place=True)
    result = mended(data)
    assert photos.pixels(result.data) == photos.pixels(data)
    assert photos.PLACE in data
    assert photos.PLACE not in result.data
    assert len(data) - 2000 < len(result.data) < len(data)


def test_other_profile_becomes_srgb() -> None:
    same = encoded(picture(), "HEIF", icc_profile=SRGB.tobytes())
    other = encoded(picture(), "HEIF", icc_profile=other_primaries())
    assert distance(opened(mended(same).data), picture()) < 12
    # The same numbers mean other colours, so they become other numbers.
    reds = [opened(mended(data).data).getpixel((30, 4)) for data in (same, other)]
    assert all(isinstance(red, tuple) for red in reds)
    assert reds[0] != reds[1]
    assert "icc_profile" not in opened(mended(other).data).info


def other_primaries() -> bytes:
    """sRGB's own profile with red and green primaries exchanged, which no device has."""
    profile = bytearray(SRGB.tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize("profile", [b"nonsense", bytes(200), LAB.tobytes(), SRGB.tobytes()[:300]])
def test_senseless_profile_is_ignored(profile: bytes) -> None:
    data = photos.encoded(picture(), "PNG", icc_profile=profile, exif=photos.exif(3).tobytes())
    assert distance(opened(mended(data).data), picture().rotate(180)) < 4


@pytest.mark.parametrize(
    ("name", "options"), [("JPEG", {"comment": b"SECRET"}), ("TIFF", {"description": "SECRET"})]
)
def test_comments_are_not_carried_over(name: str, options: dict[str, Any]) -> None:
    data = encoded(picture(mode="CMYK"), name, **options)
    assert b"SECRET" in data
    assert b"SECRET" not in mended(data).data


def test_incomplete_mending_is_refused() -> None:
    """Asked only to remove metadata, a CMYK photo keeps its colours and is refused."""
    data = photos.with_exif(picture(mode="CMYK"), "JPEG", 1)
    header = describe(WholeImage(data))
    with pytest.raises(InvalidImageError) as refused:
        PICTURES.mend(data, header, [Change.METADATA_REMOVED])
    assert refused.value.flaw == "image_not_mended"
    assert header.colour is Colour.CMYK


def test_truncated_image_is_not_mended() -> None:
    data = encoded(picture(), "HEIF")
    header = describe(WholeImage(data))
    with pytest.raises(InvalidImageError):
        PICTURES.mend(data[:-500], header, [Change.CONVERTED])


def grey_of_16_bits(transparent: int) -> bytes:
    """Return a PNG of 16 bits whose left half has this grey, which it declares transparent."""
    image = picture(mode="L").convert("I").point(lambda value: value * 256 + 1).convert("I;16")
    image.paste(transparent, (0, 0, 48, 72))
    return encoded(image, "PNG", transparency=transparent)


def test_transparent_16_bit_grey_becomes_white() -> None:
    data = grey_of_16_bits(0)
    assert opened(data).mode == "I;16"
    assert Change.FLATTENED in needed(data)[1]
    assert opened(mended(data).data).getpixel((5, 7)) == (255, 255, 255)
    value = opened(mended(data).data).getpixel((90, 60))
    assert value == (picture(mode="L").getpixel((90, 60)),) * 3


def test_16_bit_transparency_compares_all_bits() -> None:
    """tRNS says 2, and no pixel is 2: the others have the same high byte, or the same low one."""
    image = Image.new("I;16", (96, 72), 3)
    image.paste(258, (0, 0, 48, 72))
    assert needed(encoded(image, "PNG", transparency=2))[1] == (Change.DEPTH_REDUCED,)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_screen_profile_becomes_srgb(kind: str) -> None:
    own = other_primaries().replace(b"s\x00R\x00G\x00B", b"L\x00C\x00D\x00 ")
    assert own != other_primaries()
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    plain, data = (
        encoded(picture(), kind, icc_profile=profile, **options)
        for profile in (SRGB.tobytes(), own)
    )
    assert needed(plain)[1] == ()
    assert needed(data)[1] == (Change.SRGB, Change.METADATA_REMOVED)
    result = mended(data)
    assert "icc_profile" not in opened(result.data).info
    assert opened(result.data).getpixel((30, 4)) != opened(plain).getpixel((30, 4))


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize(
    "hidden",
    [
        photos.jpeg_with(image=encoded(picture(), "JPEG")[:-2] + b"SECRET"),
        photos.png_with(after=[photos.chunk(b"IDAT", b"SECRET")]),
    ],
)
def test_hidden_data_is_gone_after_saving(hidden: bytes) -> None:
    """Data that cannot be cut out is gone once the image is saved again."""
    result = mended(hidden)
    assert needed(hidden)[1] == (Change.METADATA_REMOVED,)
    assert b"SECRET" not in result.data
    assert distance(opened(result.data), picture()) < 20
