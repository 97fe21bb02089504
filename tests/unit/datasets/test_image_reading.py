"""What a file is follows from its first bytes, and no more of them are read than it takes."""

from collections.abc import Iterator

import pytest

from lora_drop.datasets.images import formats, reading
from lora_drop.datasets.images.describe import describe, describe_beginning
from lora_drop.datasets.images.header import (
    MAX_PIXELS,
    MAX_SIDE,
    MIN_SIDE,
    Flaw,
    InvalidImageError,
    Metadata,
    check_not_too_large,
    check_size,
)
from tests.support import photos
from tests.support.photos import (
    KINDS,
    animated,
    box,
    encoded,
    jpeg_with,
    mpo,
    picture,
    png_with,
    segment,
    tiff,
)

JPEG2000_BOX = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
NEF = tiff((254, 4, 1, 1), (271, 2, 4, 0x4B494E00), (330, 4, 1, 500))
OTHERS = [
    *((formats.ImageFormat.PDF, b"%PDF-1.7\n"), (formats.ImageFormat.PHOTOSHOP, b"8BPS\x00\x01")),
    *((formats.ImageFormat.JPEG_XL, b"\xff\x0a\xfa"), (formats.ImageFormat.JPEG_XL, b"\0\0\0\x0cJXL \r\n\x87\n")),
    *((formats.ImageFormat.JPEG_2000, JPEG2000_BOX), (formats.ImageFormat.JPEG_2000, b"\xff\x4f\xff\x51\x00")),
    (formats.ImageFormat.SVG, b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">'),
    (formats.ImageFormat.SVG, b"\xef\xbb\xbf  <SVG>"),
    *((formats.ImageFormat.HTML, b"<!DOCTYPE html><html>"), (formats.ImageFormat.HTML, b"\n<html>")),
    *((formats.ImageFormat.VIDEO, box(b"ftyp", b"isom", bytes(4), b"mp41")), (formats.ImageFormat.VIDEO, box(b"ftyp", b"qt  "))),
    *((formats.ImageFormat.VIDEO, box(b"moov", bytes(64))), (formats.ImageFormat.VIDEO, b"\x1a\x45\xdf\xa3")),
    (formats.ImageFormat.VIDEO, b"RIFF\x00\x00\x00\x00AVI LIST"),
    *((formats.ImageFormat.RAW, b"II*\x00\x10\x00\x00\x00CR\x02\x00"), (formats.ImageFormat.RAW, NEF)),
    (formats.ImageFormat.RAW, tiff((50706, 1, 4, 0x00000401))),  # DNG
    (formats.ImageFormat.RAW, tiff((259, 3, 1, 32767), order=">")),  # an older ARW
    (formats.ImageFormat.RAW, box(b"ftyp", b"crx ", bytes(4), b"isom")),
    *((formats.ImageFormat.RAW, b"FUJIFILMCCD-RAW 0201"), (formats.ImageFormat.RAW, b"IIRO\x08\x00")),
]  # fmt: skip


UNKNOWN = [
    *(b"", b"BM", b"BMW is a car maker in Munich", b"GIF", b"RIFF\x00\x00\x00\x00WAVE", b"II*"),
    *(b"a portrait of [trigger]", b"PK\x03\x04", b"<", b"<xml>", b"\xff\xd8", bytes(64)),
]
SNIFFED_AS: list[tuple[bytes, formats.ImageFormat | None]] = [
    *((encoded(picture(), kind)[: formats.SNIFFED], formats.ImageFormat[kind]) for kind in KINDS),
    *((encoded(picture(), kind)[:32], formats.ImageFormat[kind]) for kind in KINDS),
    *(
        (mpo(picture(), picture(seed=1)), formats.ImageFormat.JPEG),
        (animated("PNG"), formats.ImageFormat.PNG),
    ),
    *((animated("WEBP"), formats.ImageFormat.WEBP), (animated("AVIF"), formats.ImageFormat.AVIF)),
    (box(b"ftyp", b"mif1", bytes(4), b"mif1", b"avif"), formats.ImageFormat.AVIF),
    (box(b"ftyp", b"mif1", bytes(4), b"mif1", b"heic"), formats.ImageFormat.HEIF),
    (box(b"ftyp", b"msf1", bytes(4), b"hevc"), formats.ImageFormat.HEIF),
    (tiff((256, 3, 1, 4), (257, 3, 1, 4)), formats.ImageFormat.TIFF),
    (tiff((254, 4, 1, 1), (256, 3, 1, 4)), formats.ImageFormat.TIFF),  # a preview of nothing else
    *((head, None) for head in UNKNOWN),
]


@pytest.mark.parametrize(("data", "expected"), SNIFFED_AS)
def test_a_format_follows_from_bytes(data: bytes, expected: formats.ImageFormat | None) -> None:
    """A format is known by its first bytes in all its variants, and unknown bytes are none."""
    assert formats.sniff(data[: formats.SNIFFED]) is expected


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(("expected", "head"), OTHERS)
def test_what_is_no_photo_is_named(expected: formats.ImageFormat, head: bytes) -> None:
    """A file that is no photo is named: a PDF, a video, a raw file."""
    assert formats.sniff(head) is expected
    assert expected not in formats.TRAINED | formats.CONVERTED


@pytest.mark.parametrize(
    ("expected", "head"),
    [*OTHERS, *((formats.ImageFormat[kind], encoded(picture(), kind)) for kind in KINDS)],
)
def test_a_beginning_is_no_other_format(expected: formats.ImageFormat, head: bytes) -> None:
    """Only the directory of a TIFF says that it is a raw file."""
    allowed = {None, expected} | (
        {formats.ImageFormat.TIFF} if expected is formats.ImageFormat.RAW else set()
    )
    assert {formats.sniff(head[:length]) for length in range(min(len(head), 400))} <= allowed


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_suffixes_are_those_trainers_know() -> None:
    """A photo gets a suffix that fal's trainers take: jpg, jpeg, png or webp."""
    meant = {"jfif", "jpe", "mpo", "apng", "jpg", "jpeg", "png", "webp", "heic", "heif", "avif"}
    trained = {suffix for kind in formats.TRAINED for suffix in kind.suffixes}
    assert trained == {"jpg", "jpeg", "png", "webp"}
    assert set(formats.LABELS) == set(formats.ImageFormat)
    assert set(formats.SUFFIXES) == formats.TRAINED | formats.CONVERTED
    assert all(kind.suffix in kind.suffixes for kind in formats.SUFFIXES)
    assert {*meant, "bmp", "gif", "tif", "tiff", "hif", "dib"} == formats.PHOTO_SUFFIXES
    assert {kind.suffix for kind in formats.TRAINED | formats.CONVERTED} <= formats.PHOTO_SUFFIXES


PIECE = 1000


class Pieces:
    """A file in pieces, and how many bytes of it were taken."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        for at in range(0, len(self.data), PIECE):
            self.taken = min(at + PIECE, len(self.data))
            yield self.data[at : at + PIECE]


@pytest.mark.parametrize("kind", photos.KINDS)
def test_pieces_say_what_the_whole_says(kind: str) -> None:
    data = encoded(picture(), kind)
    assert describe_beginning(Pieces(data)) == describe(reading.WholeImage(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_photos_are_known_by_64_kib(kind: str) -> None:
    data = photos.with_exif(picture(), kind, 6)
    pieces = Pieces(data + bytes(3_000_000))
    header = describe_beginning(pieces)
    whole = describe(reading.WholeImage(data))
    assert (header.width, header.height, header.format) == (whole.width, whole.height, whole.format)
    assert header.orientation == 6
    assert pieces.taken <= reading.STEP + PIECE


@pytest.mark.parametrize("kilobytes", [100, 500, 900])
def test_long_segments_are_read_in_steps(kilobytes: int) -> None:
    long = segment(0xE2, b"MPF\x00" + bytes(49_996))
    pieces = Pieces(jpeg_with(*[long] * (kilobytes // 50)) + bytes(2_000_000))
    assert describe_beginning(pieces).metadata == {Metadata.PICTURES}
    assert pieces.taken <= kilobytes * 1000 + reading.STEP + PIECE


def test_an_endless_header_is_given_up() -> None:
    """A header that goes on for too long is left to the reader of the whole file."""
    long = segment(0xEF, bytes(65_000))
    data = jpeg_with(*[long] * 20)
    pieces = Pieces(data)
    with pytest.raises(reading.BeyondPrefixError):
        describe_beginning(pieces)
    assert pieces.taken <= reading.MOST + PIECE
    assert describe(reading.WholeImage(data)).width == 96


def test_a_tiff_directory_at_the_end() -> None:
    data = encoded(picture(2000, 1500), "TIFF")
    moved = data[:4] + (len(data)).to_bytes(4, "little") + data[8:] + data[8:400]
    pieces = Pieces(moved)
    with pytest.raises(reading.BeyondPrefixError) as beyond:
        describe_beginning(pieces)
    assert beyond.value.end > len(data)
    assert pieces.taken <= reading.STEP + PIECE


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("entries", [((50706, 1, 4, 4),), ((254, 4, 1, 1), (330, 4, 1, 500)), ((262, 3, 1, 32803),), ((259, 3, 1, 34713),)])  # fmt: skip
def test_raw_with_its_directory_at_the_end(
    entries: tuple[tuple[int, ...], ...], order: str
) -> None:
    """A DNG, a NEF, a sensor's pixels and Nikon's compression are named as raw wherever their directory lies."""
    plain = tiff((256, 3, 1, 640), (257, 3, 1, 640), *entries, order=order)  # type: ignore[arg-type]
    end = (9000).to_bytes(4, "little" if order == "<" else "big")
    with pytest.raises(InvalidImageError) as refused:
        describe(reading.WholeImage(plain[:4] + end + bytes(8992) + plain[8:]))
    assert "Export the photo as JPEG" in refused.value.says


def test_what_follows_pixels_needs_the_whole() -> None:
    """What lies behind the pixels is known only of the whole file."""
    large = encoded(picture(800, 800), "PNG", compress_level=0)
    data = png_with(after=[photos.chunk(b"eXIf", photos.exif(3).tobytes()[6:])], image=large)
    beginning, whole = describe_beginning(Pieces(data)), describe(reading.WholeImage(data))
    assert (beginning.complete, beginning.orientation) == (False, 1)
    assert (whole.complete, whole.orientation) == (True, 3)


def test_a_prefix_knows_its_end() -> None:
    prefix, part = (
        reading.Prefix([b"abc", b"defg", b"hi"], limit=5),
        reading.Part(reading.WholeImage(b"abcdefgh"), 2, 4),
    )

    assert prefix.read(1, 3) == b"bcd"
    assert prefix.taken == 7
    with pytest.raises(reading.BeyondPrefixError):
        prefix.read(6, 2)
    prefix.grow(9)
    assert (prefix.read(6, 9), prefix.read(20, 1)) == (b"ghi", b"")
    assert [part.read(0, 99), part.read(3, 9)] == [b"cdef", b"f"]
    assert [part.read(4, 1), part.read(9, 1)] == [b"", b""]


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    ("size", "flaw"),
    [
        *(((MAX_SIDE + 1, 64), Flaw.TOO_MANY_PIXELS), ((64, MAX_SIDE + 1), Flaw.TOO_MANY_PIXELS)),
        *(((10_000, 6_601), Flaw.TOO_MANY_PIXELS), ((50_000, 50_000), Flaw.TOO_MANY_PIXELS)),
        *(((MIN_SIDE - 1, 500), Flaw.TOO_SMALL), ((500, MIN_SIDE - 1), Flaw.TOO_SMALL)),
    ],
)
def test_sizes_are_refused_by_the_header(size: tuple[int, int], flaw: Flaw) -> None:
    """An image that is too large or too small is refused by its header."""
    pieces = Pieces(photos.png_header(*size) + bytes(1_000_000))
    with pytest.raises(InvalidImageError) as refused:
        check_size(describe_beginning(pieces))
    assert refused.value.flaw is flaw
    assert f"{size[0]:,}" in refused.value.says or str(size[0]) in refused.value.says
    assert pieces.taken <= reading.STEP + PIECE


def test_sizes_up_to_the_limits_pass() -> None:
    for size in ((MAX_SIDE, MAX_PIXELS // MAX_SIDE), (MIN_SIDE, MIN_SIDE)):
        check_size(describe(reading.WholeImage(photos.png_header(*size))))
    with pytest.raises(InvalidImageError):  # a product that overflows elsewhere
        check_not_too_large(2**31, 2**31)
