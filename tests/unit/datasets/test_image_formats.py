"""What a file is follows from its first bytes, whatever its name says."""

import pytest

from lora_drop.datasets.images.formats import (
    CONVERTED,
    LABELS,
    PHOTO_SUFFIXES,
    SNIFFED,
    SUFFIXES,
    TRAINED,
    ImageFormat,
    sniff,
)
from tests.support.photos import KINDS, animated, box, encoded, mpo, picture, tiff

JPEG2000_BOX = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
NEF = tiff((254, 4, 1, 1), (271, 2, 4, 0x4B494E00), (330, 4, 1, 500))
OTHERS = [
    *((ImageFormat.PDF, b"%PDF-1.7\n"), (ImageFormat.PHOTOSHOP, b"8BPS\x00\x01")),
    *((ImageFormat.JPEG_XL, b"\xff\x0a\xfa"), (ImageFormat.JPEG_XL, b"\0\0\0\x0cJXL \r\n\x87\n")),
    *((ImageFormat.JPEG_2000, JPEG2000_BOX), (ImageFormat.JPEG_2000, b"\xff\x4f\xff\x51\x00")),
    (ImageFormat.SVG, b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">'),
    (ImageFormat.SVG, b"\xef\xbb\xbf  <SVG>"),
    *((ImageFormat.HTML, b"<!DOCTYPE html><html>"), (ImageFormat.HTML, b"\n<html>")),
    *((ImageFormat.VIDEO, box(b"ftyp", b"isom", bytes(4), b"mp41")), (ImageFormat.VIDEO, box(b"ftyp", b"qt  "))),
    *((ImageFormat.VIDEO, box(b"moov", bytes(64))), (ImageFormat.VIDEO, b"\x1a\x45\xdf\xa3")),
    (ImageFormat.VIDEO, b"RIFF\x00\x00\x00\x00AVI LIST"),
    *((ImageFormat.RAW, b"II*\x00\x10\x00\x00\x00CR\x02\x00"), (ImageFormat.RAW, NEF)),
    (ImageFormat.RAW, tiff((50706, 1, 4, 0x00000401))),  # DNG
    (ImageFormat.RAW, tiff((259, 3, 1, 32767), order=">")),  # an older ARW
    (ImageFormat.RAW, box(b"ftyp", b"crx ", bytes(4), b"isom")),
    *((ImageFormat.RAW, b"FUJIFILMCCD-RAW 0201"), (ImageFormat.RAW, b"IIRO\x08\x00")),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_known_by_its_first_bytes(kind: str) -> None:
    data = encoded(picture(), kind)

    assert sniff(data[:SNIFFED]) is ImageFormat[kind]
    assert sniff(data[:32]) is ImageFormat[kind]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (mpo(picture(), picture(seed=1)), ImageFormat.JPEG),
        (animated("PNG"), ImageFormat.PNG),
        (animated("WEBP"), ImageFormat.WEBP),
        (animated("AVIF"), ImageFormat.AVIF),
        (box(b"ftyp", b"mif1", bytes(4), b"mif1", b"avif"), ImageFormat.AVIF),
        (box(b"ftyp", b"mif1", bytes(4), b"mif1", b"heic"), ImageFormat.HEIF),
        (box(b"ftyp", b"msf1", bytes(4), b"hevc"), ImageFormat.HEIF),
        (tiff((256, 3, 1, 4), (257, 3, 1, 4)), ImageFormat.TIFF),
        (tiff((254, 4, 1, 1), (256, 3, 1, 4)), ImageFormat.TIFF),  # a preview of nothing else
    ],
)
def test_kinds_of_one_format_are_one_format(data: bytes, expected: ImageFormat) -> None:
    assert sniff(data[:SNIFFED]) is expected


@pytest.mark.parametrize(("expected", "head"), OTHERS)
def test_what_is_no_photo_is_named(expected: ImageFormat, head: bytes) -> None:
    assert sniff(head) is expected
    assert expected not in TRAINED | CONVERTED


@pytest.mark.parametrize(
    "head",
    [
        *(b"", b"BM", b"BMW is a car maker in Munich", b"GIF", b"RIFF\x00\x00\x00\x00WAVE", b"II*"),
        *(b"a portrait of [trigger]", b"PK\x03\x04", b"<", b"<xml>", b"\xff\xd8", bytes(64)),
    ],
)
def test_what_is_nothing_known_is_nothing(head: bytes) -> None:
    assert sniff(head) is None


def test_no_beginning_of_a_file_is_taken_for_another_format() -> None:
    for expected, head in [
        *OTHERS,
        *((ImageFormat[kind], encoded(picture(), kind)) for kind in KINDS),
    ]:
        for length in range(min(len(head), 400)):
            # That a TIFF is a raw file is told by its directory.
            allowed = {None, expected} | (
                {ImageFormat.TIFF} if expected is ImageFormat.RAW else set()
            )
            assert sniff(head[:length]) in allowed


def test_every_format_has_a_name_for_people_and_every_image_its_suffixes() -> None:
    assert set(LABELS) == set(ImageFormat)
    assert set(SUFFIXES) == TRAINED | CONVERTED
    assert all(kind.suffix in kind.suffixes for kind in SUFFIXES)


def test_what_trains_keeps_no_ending_that_a_trainer_does_not_know() -> None:
    """fal's trainers take jpg, jpeg, png and webp; photos by other names would not be trained on."""
    known = {suffix for kind in TRAINED for suffix in kind.suffixes}

    assert known == {"jpg", "jpeg", "png", "webp"}


def test_a_name_that_means_a_photo_means_it_in_every_format_that_is_read() -> None:
    meant = {"jfif", "jpe", "mpo", "apng", "jpg", "jpeg", "png", "webp", "heic", "heif", "avif"}

    assert {*meant, "bmp", "gif", "tif", "tiff", "hif", "dib"} == PHOTO_SUFFIXES
    assert {kind.suffix for kind in TRAINED | CONVERTED} <= PHOTO_SUFFIXES
