"""Whether a PNG's compressed pixels hold anything but pixels (ISO/IEC 15948, 7.2, 8.1 and 10)."""

import zlib
from collections.abc import Iterator

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
# Adam7: where each pass begins, across and down, and its steps.
PASSES = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)),
    (0, 1, 1, 2),
)
WHOLE = ((0, 0, 1, 1),)
WINDOW = 256 * 1024


def length_of(size: tuple[int, int], depth: int, colour: int, *, interlaced: bool) -> int:
    """Bytes of all rows, each with the byte that says its filter."""
    bits = CHANNELS[colour] * depth
    length = 0
    for left, top, across, down in PASSES if interlaced else WHOLE:
        width, height = -(-(size[0] - left) // across), -(-(size[1] - top) // down)
        if width > 0 and height > 0:
            length += height * (1 + -(-width * bits // 8))
    return length


def holds_more(pieces: Iterator[bytes], length: int) -> bool:
    """Whether a zlib stream is longer than this once unpacked, or anything follows on its end.

    No more than 256 KiB are unpacked at once, and nothing behind the first byte that is too many. A
    stream that is damaged is the decoder's to tell.
    """
    inflater, made = zlib.decompressobj(), 0
    try:
        for piece in pieces:
            rest, out = piece, b""
            while rest or len(out) == WINDOW:
                out = inflater.decompress(rest, WINDOW)
                rest, made = inflater.unconsumed_tail, made + len(out)
                if made > length:
                    return True
                if inflater.eof:
                    return bool(inflater.unused_data) or any(pieces)
    except zlib.error:
        return False
    return False
