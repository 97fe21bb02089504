"""A file that would cost far more work than its pixels are worth is refused by its structure alone."""

import pytest

from shared.domain.images.describe import describe
from shared.domain.images.header import Flaw, InvalidImage
from shared.domain.images.jpeg import MAX_SCANS
from shared.domain.images.reading import Whole
from tests import photos
from tests.photos import encoded, picture

PROGRESSIVE = encoded(picture(), "JPEG", progressive=True)
LAST_SCAN = PROGRESSIVE[PROGRESSIVE.rindex(b"\xff\xda") : -2]


def scans(count: int) -> bytes:
    """A progressive JPEG with so many scans, the last of them over and over."""
    more = count - PROGRESSIVE.count(b"\xff\xda")
    return PROGRESSIVE[:-2] + LAST_SCAN * more + b"\xff\xd9"


def refused(data: bytes) -> InvalidImage:
    with pytest.raises(InvalidImage) as caught:
        describe(Whole(data))
    return caught.value


def test_a_jpeg_that_is_drawn_over_and_over_is_refused() -> None:
    assert refused(scans(MAX_SCANS + 1)).flaw is Flaw.TOO_MUCH_WORK


def test_a_jpeg_of_as_many_scans_as_any_reader_takes_is_read() -> None:
    header = describe(Whole(scans(MAX_SCANS)))

    assert header.progressive
    assert photos.pixels(scans(MAX_SCANS))[0] == header.upright
