"""The flat remainder of a picture that was cut off, opened and saved again: the file is sound, the picture is not.

A decoder that runs out of bytes fills what is left: libjpeg with blocks of zeros, which are grey 128 (jdhuff.c,
``insufficient_data``), from the middle of a row of blocks on; a browser with white or black. A photo that
was turned afterwards has them at another side. What makes no alarm: bars at two sides or at all four
(letterbox, frames), and plain areas without a hard edge from side to side (studios, night, paper).
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lora_drop.datasets.images.pictures import FlatPart

type Grid[T: np.generic] = NDArray[T]

GREY, NEAR_GREY = 128, 2  # what libjpeg fills with, and how far saving as JPEG moves it
ALIKE, APART = 8, 16  # grey values: what a flat colour becomes once saved as JPEG, and a hard edge
FRAME = 0.01  # of a side: less is no bar
LEAST, LEAST_OF_GREY = 0.06, 0.02  # of a side: less is no loss
STRAY = 0.05  # part of a row's pixels that ringing at the edge may change
AT_EDGE, ABOVE_STEP = (
    slice(-6, -2),
    slice(-40, -26),
)  # rows over the edge; a step has 16 at the most
PICTURE, PARTED = (
    0.55,
    0.85,
)  # parts of a row: another colour than the remainder; left and right of a step
MIN_STEP = 0.03  # of a row
MEASURED = 2048  # pixels


def flat_part(image: Image.Image) -> FlatPart | None:
    """Return the part of a picture, at one of its sides, that is filled with one colour; None without one."""
    image = image.convert("RGB")
    if max(image.size) > MEASURED:
        image = image.reduce(-(-max(image.size) // MEASURED))
    pixels = np.asarray(image, dtype=np.int16)
    for corner in (
        -1,
        0,
    ):  # what is filled at the bottom or on the right; at the top or on the left
        colour = pixels[corner, corner]
        found = _beside(np.abs(pixels - colour).max(axis=2), grey=_is_grey(colour))
        if found:
            return found
    return None


def _is_grey(colour: Grid[np.int16]) -> bool:
    return bool((np.abs(colour - GREY) <= NEAR_GREY).all())


def _beside(far: Grid[np.int16], *, grey: bool) -> FlatPart | None:
    """Return the part at one side; ``far`` is how far each pixel is from its colour."""
    other = far > ALIKE
    depths = [_depth(np.rot90(other, turns)) for turns in range(4)]
    bars = [turns for turns, depth in enumerate(depths) if depth > FRAME]
    if len(bars) != 1 or depths[bars[0]] < (LEAST_OF_GREY if grey else LEAST):
        return None
    depth = depths[bars[0]]
    upright = np.rot90(far, bars[0])
    picture = upright[: round(len(upright) * (1 - depth))] > APART
    if picture[ABOVE_STEP].size == 0 or picture[ABOVE_STEP].mean() < PICTURE:
        return None
    columns = picture[AT_EDGE].mean(axis=0)
    step = _is_step(columns)
    if not step and columns.mean() < PICTURE:
        return None
    return FlatPart(depth, sure=grey and step)


def _depth(other: Grid[np.bool_]) -> float:
    """Return which part of the rows, from the last one up, has one colour."""
    rows = np.flatnonzero(other.mean(axis=1) > STRAY)
    return 1 - (int(rows[-1]) + 1) / len(other) if rows.size else 1.0


def _is_step(columns: Grid[np.float64]) -> bool:
    """Return whether the rows over the edge are picture on one side and remainder on the other."""
    width = len(columns)
    for ordered in (columns, columns[::-1]):
        at = int(np.flatnonzero(ordered)[-1]) + 1 if ordered.any() else 0
        if MIN_STEP <= at / width <= 1 - MIN_STEP:
            return bool(ordered[:at].mean() >= PICTURE)
    return False
