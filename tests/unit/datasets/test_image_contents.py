"""What lies beside a picture is found, and what is no picture is refused in words."""

import pytest

from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.header import Flaw, ImageHeader, InvalidImageError, Metadata
from lora_drop.datasets.images.reading import WholeImage
from tests.support import photos
from tests.support.photos import encoded, jpeg_with, picture, png_with, riff, segment

XMP_PLACE = b'<x:xmpmeta><rdf:Description exif:GPSLatitude="48,8.0N"/></x:xmpmeta>'
XMP_NAME = b"http://ns.adobe.com/xap/1.0/\x00"


def described(data: bytes) -> ImageHeader:
    return describe(WholeImage(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF"])
def test_a_place_is_found(kind: str) -> None:
    without = described(photos.with_exif(picture(), kind, 1))
    header = described(photos.with_exif(picture(), kind, 1, place=True))

    assert header.has_gps
    assert Metadata.EXIF in header.metadata or kind == "TIFF"  # its tags are the file's own
    assert without.has_metadata
    assert not without.has_gps


FOUND: list[tuple[bytes, set[Metadata]]] = [
    (encoded(picture(), "JPEG"), set()),
    (encoded(picture(), "PNG"), set()),
    (encoded(picture(), "WEBP"), set()),
    (jpeg_with(segment(0xFE, b"my house")), {Metadata.TEXT}),
    (jpeg_with(segment(0xE1, XMP_NAME + XMP_PLACE)), {Metadata.XMP, Metadata.GPS}),
    (jpeg_with(segment(0xE1, b"http://ns.adobe.com/xmp/extension/\x00" + bytes(99))), {Metadata.XMP}),
    (jpeg_with(segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04")), {Metadata.IPTC}),
    (jpeg_with(segment(0xE2, b"MPF\x00II*\x00")), {Metadata.PICTURES}),
    (jpeg_with(segment(0xEB, b"JP\x00\x01content credentials")), {Metadata.OTHER}),
    (jpeg_with(segment(0xE0, b"JFXX\x00\x10thumbnail")), {Metadata.THUMBNAIL}),
    (jpeg_with(segment(0xFE, b"") + b"\x00junk"), {Metadata.TEXT, Metadata.OTHER}),
    (jpeg_with(behind=b"PK\x03\x04a ZIP"), {Metadata.TRAILER}),
    (png_with(photos.chunk(b"tEXt", b"Author\x00me")), {Metadata.TEXT}),
    (png_with(after=[photos.chunk(b"tIME", bytes(7))]), {Metadata.TIME}),
    (png_with(photos.chunk(b"caBX", b"content credentials")), {Metadata.OTHER}),
    (png_with(photos.chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + XMP_PLACE)), {Metadata.XMP, Metadata.GPS}),
    (png_with(photos.chunk(b"zTXt", b"Raw profile type iptc\x00\x00x")), {Metadata.IPTC}),
    (png_with(behind=b"<html><script>"), {Metadata.TRAILER}),
    (encoded(picture(), "WEBP") + b"behind", {Metadata.TRAILER}),
    (encoded(picture(), "WEBP", xmp=XMP_PLACE), {Metadata.XMP, Metadata.GPS}),
    (encoded(picture(), "HEIF", xmp=XMP_PLACE), {Metadata.XMP, Metadata.GPS}),
    (encoded(picture(), "AVIF", xmp=XMP_PLACE), {Metadata.XMP, Metadata.GPS}),
    (encoded(picture(), "GIF", comment=b"my house"), {Metadata.TEXT}),
]  # fmt: skip


@pytest.mark.parametrize(("data", "found"), FOUND)
def test_all_that_is_beside_the_picture_is_found(data: bytes, found: set[Metadata]) -> None:
    header = described(data)

    assert header.metadata == found
    assert header.has_metadata == bool(found)
    assert header.complete or header.animated


def test_a_stereo_photo_is_a_jpeg_with_more_behind_it() -> None:
    header = described(photos.mpo(picture(), picture(seed=1)))

    assert (header.format.name, header.width, header.height) == ("JPEG", 96, 72)
    assert {Metadata.PICTURES, Metadata.TRAILER} <= header.metadata


@pytest.mark.parametrize(
    ("data", "flaw"),
    [
        *((b"", Flaw.EMPTY), (b"a caption", Flaw.NO_IMAGE), (b"%PDF-1.7", Flaw.UNSUPPORTED)),
        (b"\xff\xd8\xff", Flaw.TRUNCATED),
        (b"\xff\xd8\xff\xe0\x00\x01", Flaw.DAMAGED),
        (b"\xff\xd8\xff\xd9", Flaw.DAMAGED),
        *((photos.png_header(0, 9), Flaw.DAMAGED), (photos.png_header(9, 9, depth=3), Flaw.DAMAGED)),
        (riff((b"ALPH", bytes(20))), Flaw.DAMAGED),
        (photos.tiff((256, 3, 1, 0), (257, 3, 1, 4)), Flaw.DAMAGED),
        (photos.box(b"ftyp", b"heic") + photos.box(b"mdat", bytes(9)), Flaw.DAMAGED),
        (b"GIF89a" + bytes(7) + b";", Flaw.DAMAGED),
        (b"BM" + bytes(12) + (41).to_bytes(4, "little") + bytes(60), Flaw.DAMAGED),
    ],
)  # fmt: skip
def test_what_is_no_image_is_refused_with_a_code_and_what_to_do(data: bytes, flaw: Flaw) -> None:
    with pytest.raises(InvalidImageError) as refused:
        described(data)

    problem = refused.value.problem("photos/anna.jpg")
    assert refused.value.flaw is flaw
    assert problem.code.startswith("image_")
    assert problem.member == "photos/anna.jpg"
    assert problem.message.startswith("photos/anna.jpg ")
    assert problem.message.endswith((".", "instead."))


def test_a_changed_png_header_is_noticed() -> None:
    data = bytearray(encoded(picture(), "PNG"))
    data[19] ^= 1

    with pytest.raises(InvalidImageError) as refused:
        described(bytes(data))
    assert refused.value.flaw is Flaw.DAMAGED
