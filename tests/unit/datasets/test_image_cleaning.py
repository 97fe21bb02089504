"""Metadata goes, and every pixel stays as it is."""

import io
import struct
import zlib

import pytest
from PIL import Image, ImageCms

from lora_drop.datasets.images.cleaning import PIECE, without_metadata
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.header import Flaw, InvalidImageError, Metadata
from lora_drop.datasets.images.pictures import changes_for, is_lossless
from lora_drop.datasets.images.png import length_of
from lora_drop.datasets.images.reading import WholeImage
from tests.support import photos
from tests.support.photos import PLACE, chunk, encoded, jpeg_with, noise, picture, png_with, segment

SECRET = b"the street where she lives"
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta><rdf:Description exif:GPSLatitude="48,8N">' + SECRET + b"</rdf:Description>"
EXIF = photos.exif(1, place=True).tobytes()
THUMBNAIL = b"JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x09\x01" + SECRET + b"!"


def cleaned(data: bytes) -> bytes:
    return b"".join(without_metadata(WholeImage(data), describe(WholeImage(data)).format))


def webp_with_secrets(image: Image.Image, **options: bool) -> bytes:
    return encoded(image, "WEBP", exif=EXIF, xmp=XMP, icc_profile=PROFILE, **options)


PROGRESSIVE = encoded(picture(), "JPEG", progressive=True)
PLAIN = encoded(picture(), "JPEG")
LAST_SCAN = PROGRESSIVE.rindex(b"\xff\xda")
FRAME = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 96, 72, 0, 0, 1, 1, 0, 0))
CARRYING: dict[str, bytes] = {
    "EXIF": jpeg_with(segment(0xE1, EXIF)),
    "XMP": jpeg_with(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + XMP)),
    "long XMP": jpeg_with(segment(0xE1, b"http://ns.adobe.com/xmp/extension/\x00" + SECRET)),
    "IPTC": jpeg_with(segment(0xED, b"Photoshop 3.0\x00" + SECRET)),
    "a comment": jpeg_with(segment(0xFE, SECRET)),
    "a comment between scans": PROGRESSIVE[:LAST_SCAN] + segment(0xFE, SECRET) + PROGRESSIVE[LAST_SCAN:],
    "content credentials": jpeg_with(segment(0xEB, b"JP\x00\x01" + SECRET)),
    "a maker's block": jpeg_with(segment(0xE4, SECRET), segment(0xE1, SECRET), segment(0xE2, SECRET)),
    "a JFIF thumbnail": b"\xff\xd8" + segment(0xE0, THUMBNAIL) + encoded(picture(), "JPEG")[20:],
    "a JFXX thumbnail": jpeg_with(segment(0xE0, b"JFXX\x00\x10" + SECRET)),
    "a ZIP behind it": jpeg_with(behind=b"PK\x03\x04" + SECRET),
    "a second photo": photos.mpo(picture(), picture(seed=1)) + SECRET,
    "all of a JPEG": encoded(
        picture(), "JPEG", exif=EXIF, xmp=XMP, comment=SECRET, icc_profile=PROFILE
    ),
    "a segment of Adobe's with more in it": jpeg_with(segment(0xEE, b"Adobe\x00\x64" + bytes(4) + b"\x01" + SECRET)),
    "a height that comes later": jpeg_with(segment(0xDC, SECRET)),
    "a profile between scans": PROGRESSIVE[:LAST_SCAN] + segment(0xE2, b"ICC_PROFILE\x00\x01\x01" + SECRET) + PROGRESSIVE[LAST_SCAN:],
    "a JFIF header between scans": PROGRESSIVE[:LAST_SCAN] + segment(0xE0, b"JFIF\x00" + SECRET[:9]) + PROGRESSIVE[LAST_SCAN:],
    "a comment before the end": PLAIN[:-2] + segment(0xFE, SECRET) + PLAIN[-2:],
    "CMYK": encoded(picture(mode="CMYK"), "JPEG", exif=EXIF, comment=SECRET),
    "PNG EXIF": png_with(chunk(b"eXIf", EXIF[6:])),
    "PNG EXIF behind": png_with(after=[chunk(b"eXIf", EXIF[6:])]),
    "PNG texts": png_with(
        chunk(b"tEXt", b"Author\x00" + SECRET), chunk(b"iTXt", b"Title\x00\x00\x00\x00\x00" + SECRET)
    ),
    "a time": png_with(chunk(b"tIME", SECRET[:7])),
    "a private chunk": png_with(chunk(b"prVt", SECRET)),
    "a page behind it": png_with(behind=b"<html>" + SECRET),
    "a palette that is suggested": png_with(chunk(b"sPLT", SECRET + b"\x00\x08" + bytes(6))),
    "a size in metres and more": png_with(chunk(b"pHYs", bytes(9) + SECRET)),
    "bits that matter and more": png_with(chunk(b"sBIT", b"\x08\x08\x08" + SECRET)),
    "a background and more": png_with(chunk(b"bKGD", bytes(6) + SECRET)),
    "a colour space and more": png_with(chunk(b"cICP", b"\x01\x0d\x00\x01" + SECRET)),
    "a frame that is never shown": png_with(chunk(b"acTL", struct.pack(">II", 1, 0)), after=[FRAME, chunk(b"fdAT", bytes(4) + SECRET)]),
    "all of a PNG": encoded(
        picture(mode="RGBA"), "PNG", exif=EXIF, icc_profile=PROFILE, dpi=(300, 300)
    )
    + SECRET,
    "APNG": photos.animated("PNG") + SECRET,
    "16 bits": encoded(picture(mode="I;16"), "PNG", exif=EXIF),
    "WEBP": webp_with_secrets(picture()),
    "a lossless WEBP": webp_with_secrets(picture(mode="RGBA"), lossless=True) + SECRET,
    "an animated WEBP": encoded(
        picture(), "WEBP", save_all=True, append_images=[picture(seed=1)], exif=EXIF, xmp=XMP
    ),
}  # fmt: skip


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("kind", CARRYING)
def test_metadata_goes_and_pixels_stay(kind: str) -> None:
    """Metadata is gone from a cleaned photo, in structure and in bytes, and every pixel is there."""
    data = CARRYING[kind]
    left = cleaned(data)
    before, after = describe(WholeImage(data)), describe(WholeImage(left))

    assert before.has_metadata
    assert not after.has_metadata
    assert photos.pixels(left) == photos.pixels(data)
    assert after.has_profile == before.has_profile
    assert after.animated == (before.animated and kind != "APNG")
    for said in (SECRET, PLACE, b"Exif", b"GPS", b"xmpmeta", b"Camera", b"Photoshop"):
        assert said not in left
    with Image.open(io.BytesIO(left)) as image:
        image.load()
        assert dict(image.getexif()) == {}
        assert not {"exif", "xmp", "comment", "photoshop"} & set(image.info)
    assert cleaned(left) == left


SCAN_DATA = PLAIN.index(b"\xff\xda") + 100
PNG = encoded(picture(), "PNG")
DATA, IEND = PNG.index(b"IDAT") - 4, PNG.index(b"IEND") - 4
PIXELS = zlib.decompress(PNG[DATA + 8 : IEND - 4])


def png_of(*packed: bytes, end: bytes = b"") -> bytes:
    """The same PNG with these bytes for pixels."""
    return b"".join((PNG[:DATA], *(chunk(b"IDAT", each) for each in packed), chunk(b"IEND", end)))


HIDING_IN_PNG = {
    "text behind the pixels": png_of(zlib.compress(PIXELS) + SECRET),
    "text in a chunk of pixels": png_of(zlib.compress(PIXELS), SECRET),
    "text among the pixels": png_of(zlib.compress(PIXELS + SECRET)),
    "pixels without end": png_of(zlib.compress(PIXELS + bytes(10**8))),
    "text in the end": png_of(zlib.compress(PIXELS), end=SECRET),
    "text between pixels": png_of(zlib.compress(PIXELS)[:300]) [:-12]
    + chunk(b"tEXt", SECRET) + chunk(b"IDAT", zlib.compress(PIXELS)[300:]) + PNG[IEND:],
    "too much transparency": png_with(chunk(b"tRNS", SECRET * 11)),
}  # fmt: skip


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(96, 72), (1, 1), (5, 3), (641, 64)])
def test_plain_pixels_hide_nothing(mode: str, size: tuple[int, int]) -> None:
    header = describe(WholeImage(encoded(picture(*size, mode=mode), "PNG")))
    assert not header.has_metadata


@pytest.mark.parametrize(("width", "height"), [(96, 72), (1, 1), (5, 3), (3, 9), (2, 1), (33, 4)])
def test_interlaced_pixels_are_counted_by_pass(width: int, height: int) -> None:
    """Adam7, drawn out: the pixels of each pass are those whose place in an 8 by 8 square it takes."""
    odd, fifths = "77777777", "56565656"
    square = ["16462646", odd, fifths, odd, "36463646", odd, fifths, odd]
    length = 0
    for number in "1234567":
        rows = [[square[y % 8][x % 8] for x in range(width)].count(number) for y in range(height)]
        length += sum(1 + 3 * row for row in rows if row)
    assert length_of((width, height), 8, 2, interlaced=True) == length


WEBP = encoded(picture(), "WEBP")[12:]
CANVAS = (95).to_bytes(3, "little") + (71).to_bytes(3, "little")
HIDING_IN_WEBP = {
    "a frame with more in it": photos.riff(
        (b"VP8X", b"\x02\x00\x00\x00" + CANVAS),
        (b"ANIM", bytes(6)),
        (b"ANMF", bytes(6) + CANVAS + bytes(4) + WEBP + b"EXIF\x1a\x00\x00\x00" + SECRET),
    ),
    "a second picture": photos.riff((b"VP8 ", WEBP[8:]), (b"VP8 ", SECRET)),
}


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("data", [*HIDING_IN_PNG.values(), *HIDING_IN_WEBP.values()])
def test_hidden_data_is_encoded_away(data: bytes) -> None:
    """An image that hides something beside what is shown is encoded again."""
    header = describe(WholeImage(data))
    assert Metadata.HIDDEN in header.metadata
    assert not is_lossless(header, changes_for(header, transparent=False))
    assert not header.animated


HIDING = {
    "a segment within a scan": PLAIN[:SCAN_DATA] + segment(0xE1, SECRET) + PLAIN[SCAN_DATA:],
    "a comment within a scan": PLAIN[:SCAN_DATA] + segment(0xFE, SECRET) + PLAIN[SCAN_DATA:],
    "a restart behind a segment": PLAIN[:-2] + segment(0xFE, SECRET) + b"\xff\xd0" + PLAIN[-2:],
    "text in place of the end": PLAIN[:-2] + SECRET,
    "no end": PLAIN[:-2],
}


@pytest.mark.parametrize("data", HIDING.values(), ids=HIDING)
def test_doubtful_segments_are_not_cut_out(data: bytes) -> None:
    """A decoder stops at a marker, so what comes behind one within a scan is shown only once it goes."""
    header = describe(WholeImage(data))
    assert Metadata.HIDDEN in header.metadata
    assert not is_lossless(header, changes_for(header, transparent=False))
    with pytest.raises(InvalidImageError) as refused:
        cleaned(data)
    assert refused.value.flaw is Flaw.NOT_MENDED


@pytest.mark.parametrize("step", [1, 7])
def test_a_marker_never_changes_pixels(step: int) -> None:
    """Each stuffed byte of a scan in turn becomes the beginning of a segment, as damage makes them."""
    grained = encoded(noise(64, 48, 60), "JPEG", quality=95)
    scan = range(grained.index(b"\xff\xda"), len(grained))
    stuffed = [at for at in scan if grained[at : at + 2] == b"\xff\x00"]
    assert len(stuffed) > 9
    for at in stuffed[::step]:
        data = grained[: at + 1] + b"\xe1\x00\x09" + grained[at + 4 :]
        header = describe(WholeImage(data))
        if Metadata.HIDDEN not in header.metadata:
            assert photos.pixels(cleaned(data)) == photos.pixels(data)


@pytest.mark.parametrize(
    "data",
    [
        *(encoded(picture(), "JPEG"), encoded(picture(), "JPEG", progressive=True)),
        *(encoded(picture(), "PNG", icc_profile=PROFILE), encoded(picture(), "WEBP")),
        *(encoded(picture(mode="RGBA"), "WEBP", lossless=True),),
        *(encoded(picture(), "JPEG", icc_profile=PROFILE), encoded(picture(mode="CMYK"), "JPEG")),
        b"\xff\xd8\xff" + encoded(picture(), "JPEG")[2:],  # a fill byte
    ],
)
def test_a_clean_image_stays_bytewise(data: bytes) -> None:
    assert not describe(WholeImage(data)).has_metadata
    assert cleaned(data) == data


def test_profile_and_adobe_transform_are_kept() -> None:
    """A long profile and Adobe's transform stay; the size and flags of a WebP fit what is left."""
    profile = PROFILE + bytes(100_000)
    data = encoded(picture(mode="CMYK"), "JPEG", icc_profile=profile, exif=EXIF)
    webp = cleaned(webp_with_secrets(picture()))
    with Image.open(io.BytesIO(cleaned(data))) as image:
        assert image.info["icc_profile"] == profile
        assert image.info["adobe_transform"] in (0, 2)
    assert int.from_bytes(webp[4:8], "little") == len(webp) - 8
    assert webp[20] & 0x2C == 0x20  # a profile, no EXIF, no XMP


def test_a_large_image_comes_in_pieces() -> None:
    grained = encoded(noise(1000, 1000, 90), "JPEG", quality=100)
    data = jpeg_with(segment(0xFE, SECRET), image=grained)
    pieces = list(without_metadata(WholeImage(data), describe(WholeImage(data)).format))
    assert len(data) > PIECE
    assert max(map(len, pieces)) <= PIECE
