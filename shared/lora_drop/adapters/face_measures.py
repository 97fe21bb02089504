"""What is measured of a face that was found: how far it is turned, how sharp it is, and what is around it."""

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw, ImageStat

from lora_drop.adapters.picture_looks import LAPLACIAN, LAPLACIAN_SCALE
from lora_drop.datasets.faces.face import CROP_SIDE, Box

# Of an aligned face: the two eyes and the mouth (left, top, right, bottom).
REGIONS = ((26, 42, 52, 62), (60, 42, 86, 62), (36, 82, 76, 104))
SURROUNDINGS = 8  # pixels a side
# Before it is averaged: the face's edge falls between the pixels of the result.
FINE = SURROUNDINGS * 8


def yaw(landmarks: tuple[complex, ...]) -> float:
    """Return how far a face is turned to a side: 0 from the front, -1 and 1 the two profiles.

    Where the nose is between the eyes, along the line through them; in a profile it is beyond one of them.
    """
    left, right, nose = landmarks[:3]
    eyes = right - left
    if not abs(eyes):
        return 1.0
    place = ((nose - left) / eyes).real  # 0 at the one eye, 1 at the other
    return float(np.clip(2 * place - 1, -1, 1))


def sharpness(face: Image.Image) -> float:
    """Return the variance of an aligned face's Laplacian, in squared grey values; the outermost pixels have none."""
    edges = face.convert("L").filter(LAPLACIAN).crop((1, 1, CROP_SIDE - 1, CROP_SIDE - 1))
    return ImageStat.Stat(edges).var[0] * LAPLACIAN_SCALE**2


def covered(face: Image.Image) -> float:
    """Return how likely a part of an aligned face is covered, 0 to 1: how much less there is to see in that part.

    Between the eyes' and the mouth's regions the mean change from one row to the next is nearly the same, also in a blurred
    photo: the smaller one has 0.45 to 1 of the larger. Where a mask, a hand, a thing or the picture's edge is in one
    of them it has less than 0.35. Sunglasses have edges of their own, and are seldom noticed.
    Measured on photos of seven people (benchmarks/face_photos.py), with such covers painted into them, and on 100 other faces.
    """
    grey = np.asarray(face.convert("L"), np.float32)
    changes = np.abs(np.diff(grey, axis=0))
    means = [float(changes[top:bottom, left:right].mean()) for left, top, right, bottom in REGIONS]
    return 1 - min(means) / max(*means, 1.0)


def surroundings(image: Image.Image, faces: Iterable[Box]) -> bytes:
    """Return 8 by 8 RGB pixels of an image, those of the faces and their hair zero."""
    small = image.resize((FINE, FINE), Image.Resampling.BOX, reducing_gap=2.0)
    mask = Image.new("L", small.size, 1)
    draw = ImageDraw.Draw(mask)
    for face in faces:
        # The box ends at the forehead and the ears.
        left, right = face.left - face.width / 3, face.left + face.width * 4 / 3
        top, bottom = face.top - face.height / 2, face.top + face.height * 1.1
        draw.rectangle([value * FINE for value in (left, top, right, bottom)], fill=0)
    pixels, kept = np.asarray(small, np.float32), np.asarray(mask, np.float32)[..., np.newaxis]
    blocks = (SURROUNDINGS, FINE // SURROUNDINGS, SURROUNDINGS, FINE // SURROUNDINGS, -1)
    sums = (pixels * kept).reshape(blocks).sum(axis=(1, 3))
    counts = kept.reshape(blocks).sum(axis=(1, 3))
    return np.rint(sums / np.maximum(counts, 1)).astype(np.uint8).tobytes()
