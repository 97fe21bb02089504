"""The grey remainder of a picture that was cut off, opened and saved again: the file is sound, the picture is not.

libjpeg, where it runs out of bytes, fills what is left with blocks of zeros, which are grey 128 (jdhuff.c,
``insufficient_data``), from the middle of a row of blocks on. A photo that was turned afterwards has them at another
side. Any other colour is none of libjpeg's: burnt-out skies, studios, paper, bars and letterboxes make no alarm.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lora_drop.datasets.images.pictures import FlatPart

type Grid[T: np.generic] = NDArray[T]

GREY, NEAR_GREY = 128, 2  # what libjpeg fills with, and how far saving as JPEG moves it
ALIKE, APART = 8, 16  # grey values: what grey becomes once saved as JPEG, and a hard edge
FRAME, LEAST = 0.01, 0.02  # of a side: less is no bar, less is no loss
STRAY = 0.05  # part of a row's pixels that ringing at the edge may change
BLOCK, STEP = 8, 16  # pixels: what is filled begins at a block, and a row of them has 8 or 16
OVER_STEP, ROOM = slice(-40, -26), 40  # rows over the edge, and over a step in it
PICTURE = 0.55  # part of them that is no grey
LEAST_STEP, LEAST_OTHER = (
    0.03,
    0.25,
)  # parts of a row: each side of a step, and what is no grey beside it
TONES = 32  # grey values in the rows of a step: fewer are drawn, not photographed
MEASURED = 2048  # pixels


def flat_part(image: Image.Image) -> FlatPart | None:
    """Return the part of a picture, at one of its sides and from edge to edge, that is grey; None without one."""
    if image.mode != "RGB":
        image = image.convert("RGB")
    if max(image.size) > MEASURED:
        image = image.reduce(-(-max(image.size) // MEASURED))
    # Corners first: all of its pixels take longer than the rest of looking at a photo.
    width, height = image.size
    corners = (image.crop((0, 0, 1, 1)), image.crop((width - 1, height - 1, width, height)))
    if min(_far(np.asarray(corner)).max() for corner in corners) > NEAR_GREY:
        return None
    far = _far(np.asarray(image))
    sides = [np.rot90(far, turns) for turns in range(4)]
    edges = [_edge(side > ALIKE) for side in sides]
    shares = [1 - edge / len(side) for edge, side in zip(edges, sides, strict=True)]
    bars = [turns for turns, share in enumerate(shares) if share > FRAME]
    if len(bars) != 1 or shares[bars[0]] < LEAST:
        return None
    turns = bars[0]
    picture = sides[turns][: edges[turns]][OVER_STEP] > APART
    if edges[turns] < ROOM or picture.mean() < PICTURE:
        return None
    return FlatPart(shares[turns], turns)


def as_filled(image: Image.Image, part: FlatPart) -> FlatPart | None:
    """Return the same, as it is in all of the picture's pixels; None where its edge is not one of blocks.

    It is ``sure`` where the row of blocks over it is picture on one side and grey on the other.
    """
    grey = np.rot90(np.asarray(image.convert("L")), part.turns)
    other = (grey < GREY - ALIKE) | (grey > GREY + ALIKE)
    edge = _edge(other)
    if edge % BLOCK or edge < ROOM:
        return None
    over = slice(edge - STEP, edge), slice(edge - BLOCK, edge)
    sure = len(np.unique(grey[over[0]])) >= TONES and any(_is_step(other[rows]) for rows in over)
    if not sure and other[edge - 1].mean() < PICTURE:
        return None
    return FlatPart(part.share, part.turns, sure=sure)


def _far(pixels: Grid[np.uint8]) -> Grid[np.int16]:
    """Return how far each pixel is from grey, in its most distant colour."""
    return np.abs(pixels.astype(np.int16) - GREY).max(axis=2)


def _edge(other: Grid[np.bool_]) -> int:
    """Return the row from which on all is grey."""
    rows = np.flatnonzero(other.mean(axis=1) > STRAY)
    return int(rows[-1]) + 1 if rows.size else 0


def _is_step(other: Grid[np.bool_]) -> bool:
    """Return whether these rows are picture up to the edge of a block, and grey from there on; or the other way round."""
    columns = other.mean(axis=0)
    for ordered in (columns, columns[::-1]):
        at = int(np.flatnonzero(ordered)[-1]) + 1 if ordered.any() else 0
        if at % BLOCK == 0 and LEAST_STEP <= at / len(columns) <= 1 - LEAST_STEP:
            return bool(ordered[:at].mean() >= LEAST_OTHER)
    return False
