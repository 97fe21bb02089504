"""As few of an image's first bytes are read as it takes, and never more than they can need."""

from collections.abc import Iterator

import pytest

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
from lora_drop.datasets.images.reading import (
    MOST,
    STEP,
    BeyondPrefixError,
    Part,
    Prefix,
    WholeImage,
)
from tests.support import photos
from tests.support.photos import encoded, jpeg_with, picture, png_with, segment

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
def test_a_small_file_says_the_same_in_pieces_as_whole(kind: str) -> None:
    data = encoded(picture(), kind)

    assert describe_beginning(Pieces(data)) == describe(WholeImage(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_a_large_photo_is_known_by_its_first_64_kib(kind: str) -> None:
    data = photos.with_exif(picture(), kind, 6)
    pieces = Pieces(data + bytes(3_000_000))
    header = describe_beginning(pieces)
    whole = describe(WholeImage(data))

    assert (header.width, header.height, header.format) == (whole.width, whole.height, whole.format)
    assert header.orientation == 6
    assert pieces.taken <= STEP + PIECE


def test_only_what_is_needed_is_taken() -> None:
    pieces = Pieces(photos.png_header(50_000, 50_000) + bytes(1_000_000))
    header = describe_beginning(pieces)

    assert pieces.taken <= STEP + PIECE
    with pytest.raises(InvalidImageError) as refused:
        check_size(header)
    assert refused.value.flaw is Flaw.TOO_MANY_PIXELS


@pytest.mark.parametrize("kilobytes", [100, 500, 900])
def test_a_jpeg_with_long_segments_is_read_on_in_steps(kilobytes: int) -> None:
    long = segment(0xE2, b"MPF\x00" + bytes(49_996))
    pieces = Pieces(jpeg_with(*[long] * (kilobytes // 50)) + bytes(2_000_000))

    assert describe_beginning(pieces).metadata == {Metadata.PICTURES}
    assert pieces.taken <= kilobytes * 1000 + STEP + PIECE


def test_a_header_that_goes_on_for_too_long_is_left_to_who_reads_the_whole_file() -> None:
    long = segment(0xEF, bytes(65_000))
    data = jpeg_with(*[long] * 20)
    pieces = Pieces(data)

    with pytest.raises(BeyondPrefixError):
        describe_beginning(pieces)
    assert pieces.taken <= MOST + PIECE
    assert describe(WholeImage(data)).width == 96


def test_a_tiff_whose_directory_lies_at_its_end_is_not_read_for_nothing() -> None:
    data = encoded(picture(2000, 1500), "TIFF")
    moved = data[:4] + (len(data)).to_bytes(4, "little") + data[8:] + data[8:400]
    pieces = Pieces(moved)

    with pytest.raises(BeyondPrefixError) as beyond:
        describe_beginning(pieces)
    assert beyond.value.end > len(data)
    assert pieces.taken <= STEP + PIECE


def test_what_lies_behind_the_pixels_is_told_only_of_the_whole_file() -> None:
    large = encoded(picture(800, 800), "PNG", compress_level=0)
    data = png_with(after=[photos.chunk(b"eXIf", photos.exif(3).tobytes()[6:])], image=large)

    beginning, whole = describe_beginning(Pieces(data)), describe(WholeImage(data))

    assert (beginning.complete, beginning.orientation) == (False, 1)
    assert (whole.complete, whole.orientation) == (True, 3)


def test_a_prefix_says_where_the_file_ends_and_what_it_does_not_have() -> None:
    prefix = Prefix([b"abc", b"defg", b"hi"], limit=5)

    assert prefix.read(1, 3) == b"bcd"
    assert prefix.taken == 7
    with pytest.raises(BeyondPrefixError):
        prefix.read(6, 2)
    prefix.grow(9)
    assert prefix.read(6, 9) == b"ghi"
    assert prefix.read(20, 1) == b""


def test_a_part_ends_where_it_ends() -> None:
    part = Part(WholeImage(b"abcdefgh"), 2, 4)

    assert (part.read(0, 99), part.read(3, 9), part.read(4, 1), part.read(9, 1)) == (
        *(b"cdef", b"f", b"", b""),
    )


@pytest.mark.parametrize(
    ("size", "flaw"),
    [
        *(((MAX_SIDE, MAX_PIXELS // MAX_SIDE), None), ((MAX_SIDE + 1, 64), Flaw.TOO_MANY_PIXELS)),
        *(((64, MAX_SIDE + 1), Flaw.TOO_MANY_PIXELS), ((10_000, 5_001), Flaw.TOO_MANY_PIXELS)),
        *(((MIN_SIDE, MIN_SIDE), None), ((MIN_SIDE - 1, 500), Flaw.TOO_SMALL)),
        ((500, MIN_SIDE - 1), Flaw.TOO_SMALL),
    ],
)
def test_an_image_is_refused_for_its_size_by_its_header(
    size: tuple[int, int], flaw: Flaw | None
) -> None:
    header = describe(WholeImage(photos.png_header(*size)))
    if flaw is None:
        check_size(header)
        return

    with pytest.raises(InvalidImageError) as refused:
        check_size(header)
    assert refused.value.flaw is flaw
    assert f"{size[0]:,}" in refused.value.says or str(size[0]) in refused.value.says


def test_sizes_that_overflow_elsewhere_do_not_here() -> None:
    with pytest.raises(InvalidImageError):
        check_not_too_large(2**31, 2**31)
