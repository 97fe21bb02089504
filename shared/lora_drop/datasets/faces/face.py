"""What is seen of the faces in a picture, and how much they are the same person's."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

CROP_SIDE = 112  # pixels; what SFace takes
CROP_BYTES = CROP_SIDE * CROP_SIDE * 3

type Similarities = Sequence[Sequence[float]]
"""The cosine of each pair of faces, -1 to 1, in the order of the crops; 1 on the diagonal."""


@dataclass(frozen=True, slots=True)
class Box:
    """A part of an upright picture, each number from 0 to 1 of its width or height."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Face:
    """One face of a picture.

    ``score``: how sure the detector is, 0 to 1. ``pixels``: the shorter side of its box in pixels of the
    picture's full size. ``turns``: by how many quarter turns, clockwise, the upright picture has to be turned until
    the face is upright. ``yaw``: 0 is seen from the front, -1 and 1 are the two profiles, measured on the five
    landmarks. ``sharpness``: the variance of the aligned face's Laplacian, in squared grey values; 0 where it
    was not measured. ``covered``: how much of the face is covered, 0 to 1.
    ``crop``: the aligned face as 112 by 112 RGB pixels, a photo and no embedding; empty where it was not made.
    """

    box: Box
    score: float
    pixels: int
    turns: int = 0
    yaw: float = 0.0
    sharpness: float = 0.0
    covered: float = 0.0
    crop: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class FacesSeen:
    """The faces of one picture, the largest first, and what is around them.

    ``surroundings``: 8 by 8 RGB pixels (192 bytes) of the picture, those of the faces left out (all zero), so that
    pictures with the same background and clothes have nearly the same; empty where there is no face.
    """

    faces: tuple[Face, ...] = ()
    surroundings: bytes = field(default=b"", repr=False)

    @property
    def main(self) -> Face | None:
        """Return the largest face."""
        return self.faces[0] if self.faces else None


class FaceComparer(Protocol):
    """Compares faces. Embeddings live during one call and nowhere else: biometric data is never kept."""

    def similarities(self, crops: Sequence[bytes]) -> Similarities:
        """Return how similar each two of these aligned faces are; each crop has ``CROP_BYTES`` bytes."""
