"""A file that would cost far more work than its pixels are worth is refused by its structure alone."""

import pytest

from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.header import Flaw, InvalidImageError
from lora_drop.datasets.images.jpeg import MAX_SCANS
from lora_drop.datasets.images.reading import WholeImage
from tests.support import photos
from tests.support.photos import encoded, picture

PROGRESSIVE = encoded(picture(), "JPEG", progressive=True)
LAST_SCAN = PROGRESSIVE[PROGRESSIVE.rindex(b"\xff\xda") : -2]


def scans(count: int) -> bytes:
    """A progressive JPEG with so many scans, the last of them over and over."""
    more = count - PROGRESSIVE.count(b"\xff\xda")
    return PROGRESSIVE[:-2] + LAST_SCAN * more + b"\xff\xd9"


def refused(data: bytes) -> InvalidImageError:
    with pytest.raises(InvalidImageError) as caught:
        describe(WholeImage(data))
    return caught.value


def test_a_jpeg_that_is_drawn_over_and_over_is_refused() -> None:
    assert refused(scans(MAX_SCANS + 1)).flaw is Flaw.TOO_MUCH_WORK


def test_a_jpeg_of_as_many_scans_as_any_reader_takes_is_read() -> None:
    header = describe(WholeImage(scans(MAX_SCANS)))

    assert header.progressive
    assert photos.pixels(scans(MAX_SCANS))[0] == header.upright


def tiled(across: int, down: int, *, width: int = 640, height: int = 640) -> bytes:
    """The directory of a TIFF in tiles."""
    return photos.tiff(
        (256, 4, 1, width), (257, 4, 1, height), (322, 4, 1, across), (323, 4, 1, down)
    )


@pytest.mark.parametrize(
    ("across", "down", "flaw"),
    [
        (26_500, 26_500, Flaw.TOO_MANY_PIXELS),  # one tile of two gigabytes
        (16, 2**31, Flaw.TOO_MANY_PIXELS),
        (7_056, 7_056, None),
    ],
)
def test_a_tiles_size_is_held_to_what_a_picture_may_have(
    across: int, down: int, flaw: Flaw | None
) -> None:
    if flaw is None:
        assert describe(WholeImage(tiled(across, down))).upright == (640, 640)
    else:
        assert refused(tiled(across, down)).flaw is flaw


def test_tiles_that_are_hardly_shown_are_refused_and_those_of_a_real_writer_are_not() -> None:
    assert refused(tiled(16, 16_384, width=16_384, height=64)).flaw is Flaw.TOO_MUCH_WORK
    for side in (16, 64, 512):
        header = describe(WholeImage(tiled(side, side, width=8_192, height=6_103)))
        assert header.pixels > 49_000_000


def test_a_directory_too_long_to_be_read_whole_is_refused() -> None:
    """Whatever lies behind what is read here, libtiff would find it."""
    entries = [
        (256, 4, 1, 640),
        (257, 4, 1, 640),
        *((number, 4, 1, 1) for number in range(1000, 1600)),
    ]

    assert refused(photos.tiff(*entries, (322, 4, 1, 60_000))).flaw is Flaw.TOO_MUCH_WORK


def put_together(tiles: int, *, deep: bool = False) -> bytes:
    """A HEIF whose picture, item 0, is made of item 0's own size so many times."""
    parts = b"".join((1).to_bytes(2) for _ in range(tiles))
    dimg = photos.box(b"dimg", bytes(2), tiles.to_bytes(2), parts)
    again = photos.box(b"dimg", (1).to_bytes(2), (1).to_bytes(2), (2).to_bytes(2)) if deep else b""
    return photos.heif(photos.box(b"iref", bytes(4), dimg, again), sizes=(0, 1))


def test_a_grid_of_far_more_pixels_than_it_shows_is_refused() -> None:
    """48 tiles of 512 by 512 make a phone's photo; 65,535 are all that fit."""
    assert describe(WholeImage(put_together(48))).upright == (96, 72)
    assert refused(put_together(65_535)).flaw is Flaw.TOO_MUCH_WORK


def test_a_grid_of_grids_is_refused() -> None:
    assert refused(put_together(4, deep=True)).flaw is Flaw.TOO_MUCH_WORK
