"""Whatever the bytes are, there is a header or a typed refusal, and in no long time."""

import contextlib
import random
import time
import zlib

import pytest

from lora_drop.datasets.images.cleaning import without_metadata
from lora_drop.datasets.images.describe import describe, describe_beginning
from lora_drop.datasets.images.formats import TRAINED
from lora_drop.datasets.images.header import ImageHeader, InvalidImageError, Metadata
from lora_drop.datasets.images.reading import BeyondPrefixError, WholeImage
from tests.support import photos
from tests.support.photos import box, encoded, picture, riff

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
FLIPS = 400
SECONDS = 2.0


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


@pytest.mark.parametrize("kind", SMALL)
def test_an_image_cut_at_any_byte_has_a_verdict(kind: str) -> None:
    data = SMALL[kind]
    whole = describe(WholeImage(data))
    for length in range(len(data)):
        found = verdict(data[:length])
        if isinstance(found, ImageHeader):
            assert (found.width, found.height) in {(whole.width, whole.height), (0, 0)} or (
                kind == "GIF"
            )


@pytest.mark.parametrize("kind", SMALL)
def test_an_image_with_bytes_changed_has_a_verdict(kind: str) -> None:
    source = random.Random(kind)  # noqa: S311  # noise, no secret
    for _ in range(FLIPS):
        data = bytearray(SMALL[kind])
        for _ in range(source.randrange(1, 6)):
            # Most of them where the structure is: the first bytes.
            reach = len(data) if source.random() < 0.3 else min(len(data), 400)
            data[source.randrange(reach)] = source.randrange(256)
        verdict(bytes(data))


# A directory as long as a segment, and a HEIF that names it as EXIF ten thousand times.
DIRECTORY = photos.tiff(*[(number, 4, 1, 1) for number in range(5000)])
EXIFS = (
    box(
        b"iinf",
        b"\x00\x00\x00\x00\x27\x10",
        *[
            box(b"infe", b"\x02\x00\x00\x00", number.to_bytes(2), bytes(2), b"Exif\x00")
            for number in range(10_000)
        ],
    ),
    box(
        b"iloc",
        b"\x00\x00\x00\x00\x44\x00\x27\x10",
        *[
            number.to_bytes(2) + b"\x00\x00\x00\x01" + (20).to_bytes(4) + len(DIRECTORY).to_bytes(4)
            for number in range(10_000)
        ],
    ),
)
NO_WIDTH = box(
    b"iloc", b"\x01\x00\x00\x00\x00\x00\x4e\x20", b"\x00\x00\x00\x00\x00\x00\xff\xff" * 20_000
)
HOSTILE: dict[str, bytes] = {
    "segments without end": b"\xff\xd8" + b"\xff\xd8" * 3_000_000,
    "fill bytes without end": b"\xff\xd8" + b"\xff" * 20_000_000,
    "markers in the picture": b"\xff\xd8\xff\xda\x00\x02" + b"\xff\x01" * 3_000_000,
    "chunks without end": photos.png_header(9, 9) + photos.chunk(b"IDAT", b"") * 500_000,
    "a chunk longer than the file": photos.png_header(9, 9)[:-16] + b"\xff\xff\xff\xffIDAT",
    "riff chunks without end": riff((b"VP8L", b"\x2f" + bytes(9)), *[(b"JUNK", b"")] * 500_000),
    "boxes without end": box(b"ftyp", b"heic") + box(b"free") * 500_000,
    "boxes in boxes": box(b"ftyp", b"heic") + box(b"meta", b"\xff" * 400_000),
    "a box of all bytes there are": box(b"ftyp", b"heic") + b"\x00\x00\x00\x01meta" + b"\xff" * 8,
    "blocks without end": b"GIF89a\x09\x00\x09\x00\x00\x00\x00!\xfe" + b"\x01a" * 2_000_000,
    "frames without size": b"GIF89a\x09\x00\x09\x00\x00\x00\x00" + b"\x00" * 300_000,
    "a directory of itself": photos.tiff((256, 4, 2**31, 8), (257, 4, 2**31, 8)),
    "a directory beyond the file": b"MM\x00+\x00\x08\x00\x00" + b"\xff" * 8,
    "items of no width": photos.heif(NO_WIDTH),
    "the same exif ten thousand times": photos.heif(*EXIFS, before=box(b"free", bytes(4), DIRECTORY)),
    "exif without end": b"\xff\xd8" + photos.segment(0xE1, b"Exif\x00\x00" + DIRECTORY) * 3000,
    "texts that unpack without end": photos.png_header(9, 9)
    + photos.chunk(b"zTXt", b"Raw profile type exif\x00\x00" + zlib.compress(bytes(10**6))) * 20_000,
    "text that unpacks without end": photos.png_with(
        photos.chunk(b"zTXt", b"Raw profile type exif\x00\x00" + zlib.compress(bytes(9**8)))
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_has_a_verdict_soon(kind: str) -> None:
    begun = time.process_time()
    verdict(HOSTILE[kind])

    assert time.process_time() - begun < SECONDS


def test_an_empty_and_a_random_file_are_refused() -> None:
    source = random.Random(4)  # noqa: S311  # noise, no secret
    for length in (0, 1, 2, 11, 64, 5000):
        assert isinstance(verdict(source.randbytes(length)), InvalidImageError)
