"""What libjpeg says of a JPEG's coded data, over simplejpeg, which hands its warnings on.

Pillow decodes with the same libjpeg-turbo and gives libjpeg a message function that does nothing
(src/libImaging/JpegDecode.c, ``output``): a picture of which half is missing comes out as if it were
whole. simplejpeg raises for a warning where ``strict`` is set (its documentation, "decode_jpeg").
"""

import re

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from lora_drop.datasets.images.header import broken
from lora_drop.datasets.images.jpeg import coded_picture, has_lossless_frame
from lora_drop.datasets.images.reading import WholeImage

SMALL = 8  # pixels: all of the coded data is read, and a picture of an eighth is made from it
# The warnings of libjpeg that speak of the coded data (jerror.h); the others speak of headers.
BEHIND = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
PADDING = 16  # zero bytes behind the last pixel, as webcams write them
OF_DAMAGE = ("Corrupt JPEG data", "Premature end of JPEG file")
COLOURS = {"L": "GRAY", "RGB": "RGB"}  # of Pillow's modes


def sound_pixels(source: WholeImage, size: tuple[int, int], mode: str) -> NDArray[np.uint8] | None:
    """Return the picture in the size and mode in which Pillow would decode it, where libjpeg warns of nothing at all.

    They are the pixels that Pillow has: both are libjpeg-turbo, and a test compares them. None where there is anything to
    say of the file, or where simplejpeg has no such size: Pillow, and ``check_coded_data``, have the last word.
    """
    if mode not in COLOURS or has_lossless_frame(source):
        return None
    width, height = size
    try:
        pixels = simplejpeg.decode_jpeg(
            source.data,
            COLOURS[mode],
            min_height=height,
            min_width=width,
            strict=True,
        )
    except (ValueError, MemoryError):
        return None
    return pixels if pixels.shape[:2] == (height, width) else None


def check_coded_data(source: WholeImage) -> None:
    """Raise InvalidImageError where libjpeg warns of the coded data: it is cut, or other bytes are in it.

    Bytes between two segments of the header are left out before: they do no harm. What simplejpeg
    cannot read at all, Pillow has the last word on; so it has on a lossless JPEG, for which simplejpeg
    writes past its buffer and the process ends.
    """
    if has_lossless_frame(source):
        return
    picture = coded_picture(source)
    try:
        simplejpeg.decode_jpeg(picture.data, "GRAY", min_height=SMALL, min_width=SMALL, strict=True)
    except ValueError as error:
        if any(words in str(error) for words in OF_DAMAGE) and not _whole(
            str(error), picture.data, ended=picture.ended
        ):
            raise broken() from error


def _whole(warning: str, picture: bytes, *, ended: bool) -> bool:
    """Return whether all of the picture was read, and what is too much lies behind it: padding, or a foreign tail."""
    found = BEHIND.search(warning)
    if found is None:
        return False
    length = int(found[1])
    return not ended or (length <= PADDING and not any(picture[-2 - length : -2]))
