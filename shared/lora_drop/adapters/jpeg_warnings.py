"""What libjpeg says of a JPEG's coded data, over simplejpeg, which hands its warnings on.

Pillow decodes with the same libjpeg-turbo and gives libjpeg a message function that does nothing
(src/libImaging/JpegDecode.c, ``output``): a picture of which half is missing comes out as if it were
whole. simplejpeg raises for a warning where ``strict`` is set (its documentation, "decode_jpeg").
"""

import re

import simplejpeg

from lora_drop.datasets.images.header import broken
from lora_drop.datasets.images.jpeg import coded_picture
from lora_drop.datasets.images.reading import ImageBytes

SMALL = 8  # pixels: all of the coded data is read, and a picture of an eighth is made from it
# The warnings of libjpeg that speak of the coded data (jerror.h); the others speak of headers.
BEHIND = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
LOSSLESS_FRAME = b"\xff\xc3"  # it cannot lie within coded data (T.81, B.1.1.5)
PADDING = 16  # zero bytes behind the last pixel, as webcams write them
OF_DAMAGE = ("Corrupt JPEG data", "Premature end of JPEG file")


def check_coded_data(source: ImageBytes) -> None:
    """Raise InvalidImageError where libjpeg warns of the coded data: it is cut, or other bytes are in it.

    Bytes between two segments of the header are left out before: they do no harm. What simplejpeg
    cannot read at all, Pillow has the last word on; so it has on a lossless JPEG, for which simplejpeg
    writes past its buffer and the process ends.
    """
    picture, ended = coded_picture(source)
    if LOSSLESS_FRAME in picture:
        return
    try:
        simplejpeg.decode_jpeg(picture, "GRAY", min_height=SMALL, min_width=SMALL, strict=True)
    except ValueError as error:
        if any(words in str(error) for words in OF_DAMAGE) and not _whole(
            str(error), picture, ended=ended
        ):
            raise broken() from error


def _whole(warning: str, picture: bytes, *, ended: bool) -> bool:
    """Return whether all of the picture was read, and what is too much lies behind it: padding, or a foreign tail."""
    found = BEHIND.search(warning)
    if found is None:
        return False
    length = int(found[1])
    return not ended or (length <= PADDING and not any(picture[-2 - length : -2]))
