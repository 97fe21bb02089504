"""What lies beside a picture is found; what is damaged, hostile or costly is refused in words."""

import contextlib
import random
import zlib
from collections.abc import Callable

import pytest

from lora_drop.datasets.images.cleaning import without_metadata
from lora_drop.datasets.images.describe import describe, describe_beginning
from lora_drop.datasets.images.formats import TRAINED
from lora_drop.datasets.images.header import Flaw, ImageHeader, InvalidImageError, Metadata
from lora_drop.datasets.images.jpeg_segments import MAX_SCANS
from lora_drop.datasets.images.reading import BeyondPrefixError, WholeImage
from tests.support import photos
from tests.support.cpu_limit import cpu_limit
from tests.support.photos import box, encoded, jpeg_with, picture, png_with, riff, segment
from tests.support.sweeps import sweep

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


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize(("data", "found"), FOUND)
def test_all_metadata_is_found(data: bytes, found: set[Metadata]) -> None:
    """All that lies beside the picture is found."""
    header = described(data)
    assert header.metadata == found
    assert header.has_metadata == bool(found)
    assert header.complete or header.animated


def test_a_stereo_photo_is_a_jpeg() -> None:
    header = described(photos.mpo(picture(), picture(seed=1)))
    assert (header.format.name, header.width, header.height) == ("JPEG", 96, 72)
    assert {Metadata.PICTURES, Metadata.TRAILER} <= header.metadata


NO_IMAGES = [
    *((b"", Flaw.EMPTY), (b"a caption", Flaw.NO_IMAGE), (b"%PDF-1.7", Flaw.UNSUPPORTED)),
    *((b"\xff\xd8\xff", Flaw.TRUNCATED), (b"\xff\xd8\xff\xe0\x00\x01", Flaw.DAMAGED)),
    *((b"\xff\xd8\xff\xd9", Flaw.DAMAGED), (photos.png_header(0, 9), Flaw.DAMAGED)),
    *((photos.png_header(9, 9, depth=3), Flaw.DAMAGED), (riff((b"ALPH", bytes(20))), Flaw.DAMAGED)),
    (encoded(picture(), "PNG").replace(b"\x00\x00\x00\x60", b"\x00\x00\x00\x61", 1), Flaw.DAMAGED),
    (photos.tiff((256, 3, 1, 0), (257, 3, 1, 4)), Flaw.DAMAGED),
    (photos.box(b"ftyp", b"heic") + photos.box(b"mdat", bytes(9)), Flaw.DAMAGED),
    (b"GIF89a" + bytes(7) + b";", Flaw.DAMAGED),
    (b"BM" + bytes(12) + (41).to_bytes(4, "little") + bytes(60), Flaw.DAMAGED),
]


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(("data", "flaw"), NO_IMAGES)
def test_what_is_no_image_is_refused(data: bytes, flaw: Flaw) -> None:
    """A file that is no image is refused with a code and what to do."""
    error = refused(data)
    problem = error.problem("photos/anna.jpg")
    assert error.flaw is flaw
    assert problem.code.startswith("image_")
    assert problem.member == "photos/anna.jpg"
    assert problem.message.startswith("photos/anna.jpg ")
    assert problem.message.endswith((".", "instead."))


SMALL: dict[str, bytes] = {
    "JPEG": photos.with_exif(picture(24, 16), "JPEG", 6, place=True),
    "progressive": encoded(picture(24, 16), "JPEG", progressive=True),
    "MPO": photos.mpo(picture(24, 16), picture(24, 16)),
    "PNG": photos.with_exif(picture(24, 16), "PNG", 6, place=True),
    "APNG": photos.animated("PNG", frames=2),
    "WEBP": photos.with_exif(picture(24, 16), "WEBP", 6, place=True),
    "lossless": encoded(picture(24, 16, "RGBA"), "WEBP", lossless=True),
    "HEIF": photos.with_exif(picture(24, 16), "HEIF", 5, place=True),
    "AVIF": photos.with_exif(picture(24, 16), "AVIF", 5, place=True),
    "sequence": photos.animated("AVIF", frames=2),
    "GIF": photos.animated("GIF", frames=2),
    "TIFF": encoded(picture(24, 16), "TIFF"),
    "BMP": encoded(picture(24, 16), "BMP"),
}
FLIPS = 100


def verdict(data: bytes) -> ImageHeader | InvalidImageError:
    """What is said of these bytes, whole and in pieces; anything else that is raised is an error."""
    with contextlib.suppress(InvalidImageError, BeyondPrefixError):
        describe_beginning([data[:40], data[40:]])
    try:
        header = describe(WholeImage(data))
        if header.format in TRAINED and Metadata.HIDDEN not in header.metadata:
            list(without_metadata(WholeImage(data), header.format))
    except InvalidImageError as refused:
        return refused
    return header


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("offset", sweep(range(10), sample=1))
def test_a_cut_image_has_a_verdict(kind: str, offset: int) -> None:
    """An image that is cut at any byte has a header or a typed refusal."""
    data = SMALL[kind]
    whole = describe(WholeImage(data))
    for length in range(offset, len(data), 10):
        found = verdict(data[:length])
        if isinstance(found, ImageHeader) and kind != "GIF":
            assert (found.width, found.height) in {(whole.width, whole.height), (0, 0)}


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("run", sweep(range(4), sample=1))
def test_a_changed_image_has_a_verdict(kind: str, run: int) -> None:
    """An image with some bytes changed has a header or a typed refusal."""
    source = random.Random(f"{kind} {run}")  # noqa: S311  # noise, no secret
    for _ in range(FLIPS):
        data = bytearray(SMALL[kind])
        for _ in range(source.randrange(1, 6)):
            # Most of them where the structure is: the first bytes.
            reach = len(data) if source.random() < 0.3 else min(len(data), 400)
            data[source.randrange(reach)] = source.randrange(256)
        verdict(bytes(data))


# A directory as long as a segment, and a HEIF that names it as EXIF ten thousand times.
DIRECTORY = photos.tiff(*[(number, 4, 1, 1) for number in range(5000)])
PLACE_AND_LENGTH = b"\x00\x00\x00\x01" + (20).to_bytes(4) + len(DIRECTORY).to_bytes(4)
NUMBERS = [number.to_bytes(2) for number in range(10_000)]
NAMED = [box(b"infe", b"\x02\x00\x00\x00", each, bytes(2), b"Exif\x00") for each in NUMBERS]
EXIFS = (
    box(b"iinf", b"\x00\x00\x00\x00\x27\x10", *NAMED),
    box(b"iloc", b"\x00\x00\x00\x00\x44\x00\x27\x10", *[n + PLACE_AND_LENGTH for n in NUMBERS]),
)
NO_WIDTH = box(
    b"iloc", b"\x01\x00\x00\x00\x00\x00\x4e\x20", b"\x00\x00\x00\x00\x00\x00\xff\xff" * 20_000
)
HOSTILE: dict[str, Callable[[], bytes]] = {  # made by their own tests: large ones are slow to make
    "segments without end": lambda: b"\xff\xd8" + b"\xff\xd8" * 3_000_000,
    "fill bytes without end": lambda: b"\xff\xd8" + b"\xff" * 20_000_000,
    "markers in the picture": lambda: b"\xff\xd8\xff\xda\x00\x02" + b"\xff\x01" * 3_000_000,
    "chunks without end": lambda: photos.png_header(9, 9) + photos.chunk(b"IDAT", b"") * 500_000,
    "a chunk longer than the file": lambda: photos.png_header(9, 9)[:-16] + b"\xff\xff\xff\xffIDAT",
    "riff chunks without end": lambda: riff((b"VP8L", b"\x2f" + bytes(9)), *[(b"JUNK", b"")] * 500_000),
    "boxes without end": lambda: box(b"ftyp", b"heic") + box(b"free") * 500_000,
    "boxes in boxes": lambda: box(b"ftyp", b"heic") + box(b"meta", b"\xff" * 400_000),
    "a box of all bytes there are": lambda: box(b"ftyp", b"heic") + b"\x00\x00\x00\x01meta" + b"\xff" * 8,
    "blocks without end": lambda: b"GIF89a\x09\x00\x09\x00\x00\x00\x00!\xfe" + b"\x01a" * 2_000_000,
    "frames without size": lambda: b"GIF89a\x09\x00\x09\x00\x00\x00\x00" + b"\x00" * 300_000,
    "a directory of itself": lambda: photos.tiff((256, 4, 2**31, 8), (257, 4, 2**31, 8)),
    "a directory beyond the file": lambda: b"MM\x00+\x00\x08\x00\x00" + b"\xff" * 8,
    "items of no width": lambda: photos.heif(NO_WIDTH),
    "the same exif ten thousand times": lambda: photos.heif(*EXIFS, before=box(b"free", bytes(4), DIRECTORY)),
    "exif without end": lambda: b"\xff\xd8" + photos.segment(0xE1, b"Exif\x00\x00" + DIRECTORY) * 3000,
    "texts that unpack without end": lambda: photos.png_header(9, 9)
    + photos.chunk(b"zTXt", b"Raw profile type exif\x00\x00" + zlib.compress(bytes(10**6))) * 20_000,
    "text that unpacks without end": lambda: photos.png_with(
        photos.chunk(b"zTXt", b"Raw profile type exif\x00\x00" + zlib.compress(bytes(9**8)))
    ),
}  # fmt: skip


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_has_a_verdict(name: str) -> None:
    """A hostile file has a verdict, and does not occupy the check for minutes."""
    data = HOSTILE[name]()
    with cpu_limit():
        verdict(data)


PROGRESSIVE = encoded(picture(), "JPEG", progressive=True)
LAST_SCAN = PROGRESSIVE[PROGRESSIVE.rindex(b"\xff\xda") : -2]


def scans(count: int) -> bytes:
    """A progressive JPEG with so many scans, the last of them over and over."""
    more = count - PROGRESSIVE.count(b"\xff\xda")
    return PROGRESSIVE[:-2] + LAST_SCAN * more + b"\xff\xd9"


def refused(data: bytes) -> InvalidImageError:
    with pytest.raises(InvalidImageError) as caught:
        described(data)
    return caught.value


def tiled(across: int, down: int, *, width: int = 640, height: int = 640) -> bytes:
    """The directory of a TIFF in tiles."""
    return photos.tiff(
        (256, 4, 1, width), (257, 4, 1, height), (322, 4, 1, across), (323, 4, 1, down)
    )


def put_together(tiles: int, *, deep: bool = False) -> bytes:
    """A HEIF whose picture, item 0, is made of item 0's own size so many times."""
    parts = b"".join((1).to_bytes(2) for _ in range(tiles))
    dimg = photos.box(b"dimg", bytes(2), tiles.to_bytes(2), parts)
    again = photos.box(b"dimg", (1).to_bytes(2), (1).to_bytes(2), (2).to_bytes(2)) if deep else b""
    return photos.heif(photos.box(b"iref", bytes(4), dimg, again), sizes=(0, 1))


ENTRIES = [(256, 4, 1, 640), (257, 4, 1, 640), *((tag, 4, 1, 1) for tag in range(1000, 1600))]
COSTLY = {
    "scans without end": (scans(MAX_SCANS + 1), Flaw.TOO_MUCH_WORK),
    "a tile of two gigabytes": (tiled(26_500, 26_500), Flaw.TOO_MANY_PIXELS),
    "an endless tile": (tiled(16, 2**31), Flaw.TOO_MANY_PIXELS),
    "tiles hardly shown": (tiled(16, 16_384, width=16_384, height=64), Flaw.TOO_MUCH_WORK),
    # Whatever lies behind what is read here, libtiff would find it.
    "a long directory": (photos.tiff(*ENTRIES, (322, 4, 1, 60_000)), Flaw.TOO_MUCH_WORK),
    "65,535 tiles": (put_together(65_535), Flaw.TOO_MUCH_WORK),
    "a grid of grids": (put_together(4, deep=True), Flaw.TOO_MUCH_WORK),
}


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(("data", "flaw"), COSTLY.values(), ids=COSTLY)
def test_costly_files_are_refused(data: bytes, flaw: Flaw) -> None:
    """A file that costs far more work than its pixels are worth is refused by its structure."""
    assert refused(data).flaw is flaw


def test_files_of_real_writers_are_read() -> None:
    """As many scans as readers take, tiles of real writers and a phone's 48 tiles are read."""
    many = scans(MAX_SCANS)
    assert described(many).progressive
    assert photos.pixels(many)[0] == described(many).upright
    assert described(tiled(7_056, 7_056)).upright == (640, 640)
    for side in (16, 64, 512):
        assert described(tiled(side, side, width=8_192, height=6_103)).pixels > 49_000_000
    assert described(put_together(48)).upright == (96, 72)
