"""Images from foreign corpora: described as Pillow describes them, and none does harm."""

import contextlib
import csv
import io
import random
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from lora_drop.adapters.pillow import PillowPictures
from lora_drop.datasets.images.cleaning import without_metadata
from lora_drop.datasets.images.describe import describe, describe_beginning
from lora_drop.datasets.images.formats import CONVERTED, TRAINED
from lora_drop.datasets.images.header import (
    Flaw,
    ImageHeader,
    InvalidImageError,
    Metadata,
    check_not_too_large,
)
from lora_drop.datasets.images.pictures import Change, changes_for
from lora_drop.datasets.images.reading import STEP, BeyondPrefixError, WholeImage
from tests.support import photos

PICTURES = PillowPictures()
READ = {"JPEG", "PNG", "WEBP", "AVIF", "HEIF", "GIF", "TIFF", "BMP"}
NO_PIXELS = "png__xdtn0g01.png"  # its header is sound, and it has no picture
# Pillow opens these and cannot decode them: only their beginning is an image.
UNDECODED = ("lenient__rle_overflow.bmp", "pal4rlecut.bmp", NO_PIXELS)
LONG = "tests__images__png__bugfixes__debug_triangle_corners_widescreen.png"
FEWEST = 320  # images of a format that is read, in the corpora as they are
FLIPS_EACH = 12
FUZZED = 1  # found by a fuzzer, with data between its segments: no camera or program has made it


class Foreign:
    """One foreign image: its name, its bytes, and what Pillow says of it."""

    def __init__(self, path: Path, word: str) -> None:
        self.name = path.name
        self.data = path.read_bytes()
        opened, kind, size, turn = [*word.split(":"), "", ""][:4]
        self.opens = opened == "ok"
        self.kind = kind
        self.size = tuple(map(int, size.split("x"))) if self.opens else ()
        self.orientation = int(turn[1:]) if turn[1:].isdigit() else 1

    def header(self) -> ImageHeader | InvalidImageError:
        try:
            return describe(WholeImage(self.data))
        except InvalidImageError as refused:
            return refused


@pytest.fixture(scope="module")
def images(corpora: Path) -> list[Foreign]:
    with (corpora / "img.csv").open(newline="") as file:
        return [Foreign(corpora / row["file"], row["pillow13"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def read(images: list[Foreign]) -> list[tuple[Foreign, ImageHeader]]:
    """The images that have a header here."""
    return [
        (image, header) for image in images if isinstance(header := image.header(), ImageHeader)
    ]


def test_headers_match_pillow(images: list[Foreign]) -> None:
    compared = 0
    for image in images:
        if not image.opens or image.kind not in READ:
            continue
        header = image.header()
        assert isinstance(header, ImageHeader), image.name
        size = header.upright if image.kind == "TIFF" else (header.width, header.height)
        assert (size, header.orientation) == (image.size, image.orientation), image.name
        assert header.format.name == image.kind, image.name
        compared += 1

    assert compared >= FEWEST


def test_headers_match_the_installed_pillow(read: list[tuple[Foreign, ImageHeader]]) -> None:
    for image, header in read:
        if not image.opens or image.name == NO_PIXELS:
            continue
        with warnings.catch_warnings(), Image.open(io.BytesIO(image.data)) as opened:
            warnings.simplefilter("ignore")
            size = header.upright if image.kind == "TIFF" else (header.width, header.height)
            assert size == opened.size, image.name
            assert header.animated == getattr(opened, "is_animated", False), image.name
            if header.orientation != 1:
                assert header.orientation == opened.getexif()[photos.ORIENTATION], image.name


def test_unread_formats_are_refused(images: list[Foreign]) -> None:
    flaws = {
        image.name: header.flaw
        for image in images
        if isinstance(header := image.header(), InvalidImageError)
    }
    others = [image for image in images if image.opens and image.kind not in READ]

    assert len(others) > 30
    assert {flaws.get(image.name) for image in others} == {Flaw.NO_IMAGE}


def test_first_64_kib_describe_the_file(read: list[tuple[Foreign, ImageHeader]]) -> None:
    long: list[str] = []
    for image, header in read:
        taken = 0

        def pieces(data: bytes = image.data) -> Iterator[bytes]:
            nonlocal taken
            for at in range(0, len(data), 4096):
                taken = at + 4096
                yield data[at : at + 4096]

        try:
            beginning = describe_beginning(pieces())
        except BeyondPrefixError:
            assert header.format.name == "TIFF", image.name
            continue
        if taken > STEP + 4096:
            long.append(image.name)
        assert (beginning.width, beginning.height, beginning.format, beginning.orientation) == (
            *(header.width, header.height, header.format, header.orientation),
        )
        assert beginning.metadata <= header.metadata
    # TIFFs whose directory lies behind their pixels, and a PNG with 66 KB of XMP before them.
    assert {name for name in long if not name.endswith((".tiff", ".tif"))} == {LONG}


def pixels(data: bytes) -> object:
    """All pixels, or the kind of error that Pillow has instead."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return photos.pixels(data)
        except (OSError, SyntaxError) as error:
            return type(error)


@pytest.mark.proof
@pytest.mark.promise("nothing leaks")
def test_metadata_goes_and_pixels_stay(read: list[tuple[Foreign, ImageHeader]]) -> None:
    """Cleaning removes the metadata of any image and changes no pixel."""
    cleaned = saved_again = 0
    for image, header in read:
        if header.format not in TRAINED or Metadata.HIDDEN in header.metadata:
            saved_again += header.format in TRAINED
            continue
        left = b"".join(without_metadata(WholeImage(image.data), header.format))
        after = describe(WholeImage(left))
        assert not after.has_metadata, image.name
        assert (left == image.data) == (not header.has_metadata), image.name
        assert pixels(left) == pixels(image.data), image.name
        cleaned += header.has_metadata

    assert cleaned > 90
    assert saved_again <= FUZZED


@pytest.mark.proof
def test_decodable_images_are_inspected_and_mended(read: list[tuple[Foreign, ImageHeader]]) -> None:
    mended, undecoded = 0, []
    for image, header in read:
        try:
            check_not_too_large(header.width, header.height)
            look = PICTURES.look(image.data, header)
        except InvalidImageError as refused:
            if image.opens and refused.flaw is not Flaw.TOO_MANY_PIXELS:
                undecoded.append(image.name)
            continue
        changes = changes_for(header, transparent=look.transparent)
        if changes:
            result = PICTURES.mend(image.data, header, changes)
            assert result.header.upright == header.upright, image.name
            assert not result.header.has_metadata, image.name
            mended += 1

    assert mended > 190
    assert all(name.endswith(UNDECODED) for name in undecoded)


@pytest.mark.promise("nothing leaks")
def test_no_gps_position_is_left(read: list[tuple[Foreign, ImageHeader]]) -> None:
    """No GPS position is left in any photo."""
    placed = [(image, header) for image, header in read if header.has_gps]
    assert len(placed) > 12
    for image, header in placed:
        changes = changes_for(header, transparent=False)
        assert Change.METADATA_REMOVED in changes
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(PICTURES.mend(image.data, header, changes).data)) as opened:
                assert dict(opened.getexif().get_ifd(photos.GPS)) == {}, image.name


@pytest.mark.proof
@pytest.mark.promise("never get stuck")
def test_mutated_images_raise_only_known_errors(images: list[Foreign]) -> None:
    """Images with changed bytes raise no error but the typed one."""
    source = random.Random(13)  # noqa: S311  # noise, no secret
    for image in images:
        for _ in range(FLIPS_EACH if len(image.data) < 200_000 else 1):
            data = bytearray(image.data)
            for _ in range(source.randrange(1, 5)):
                reach = len(data) if source.random() < 0.4 else min(len(data), 600)
                data[source.randrange(reach)] = source.randrange(256)
            # Anything but InvalidImageError that is raised here is a crash.
            with contextlib.suppress(InvalidImageError):
                header = describe(WholeImage(bytes(data)))
                assert header.format in TRAINED | CONVERTED
                if header.pixels < 10**6:
                    look = PICTURES.look(bytes(data), header)
                    PICTURES.mend(
                        bytes(data), header, changes_for(header, transparent=look.transparent)
                    )
