"""Where faces are: YuNet's outputs read, overlapping faces left out, and a face turned and scaled as SFace takes it.

Source of the outputs and of the landmarks' places: OpenCV's FaceDetectorYN and FaceRecognizerSF
(https://github.com/opencv/opencv, modules/objdetect/src/face_detect.cpp and face_recognize.cpp).
"""

import cmath
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from lora_drop.datasets.faces.face import CROP_SIDE

DETECTOR_SIDE = 640  # pixels
STRIDES = (8, 16, 32)
LEAST_SCORE, MOST_OVERLAP = 0.7, 0.3
MOST_FOUND = 400  # by far more than any photo has, each found several times
LEAST_GAP = 1.01  # made smaller by a whole factor first: half the time, and no face is lost by it
# Where SFace has the eyes, the nose and the corners of the mouth, those on the left of the picture first.
PLACES = (
    complex(38.2946, 51.6963),
    complex(73.5318, 51.5014),
    complex(56.0252, 71.7366),
    complex(41.5493, 92.3655),
    complex(70.7299, 92.2041),
)
# A head on one's shoulder is tilted by less; from here on the photo lies on its side. Degrees.
LYING = 60

type Array = npt.NDArray[np.float32]
type Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Detection:
    """One face: its box (left, top, width, height) and five landmarks (x + iy), in pixels of an image."""

    score: float
    box: Rectangle
    landmarks: tuple[complex, ...]

    @property
    def area(self) -> float:
        """Return the box's area."""
        return self.box[2] * self.box[3]

    @property
    def side(self) -> float:
        """Return the box's shorter side."""
        return min(self.box[2:])

    def scaled(self, across: float, down: float) -> "Detection":
        """Return the same in an image that is so many times as wide and as high."""
        left, top, width, height = self.box
        return replace(
            self,
            box=(left * across, top * down, width * across, height * down),
            landmarks=tuple(complex(at.real * across, at.imag * down) for at in self.landmarks),
        )

    def moved(self, across: float, down: float) -> "Detection":
        """Return the same, moved by so many pixels."""
        left, top, width, height = self.box
        return replace(
            self,
            box=(left + across, top + down, width, height),
            landmarks=tuple(at + complex(across, down) for at in self.landmarks),
        )

    def turned(self, degrees: float, size: tuple[int, int], into: tuple[int, int]) -> "Detection":
        """Return the same in an image of size ``into`` that is turned clockwise by so many degrees about its middle.

        The box keeps its width and its height.
        """
        turn = cmath.rect(1, math.radians(degrees))
        middle, before = complex(*into) / 2, complex(*size) / 2
        left, top, width, height = self.box
        half = complex(width, height) / 2
        corner = middle + (complex(left, top) + half - before) * turn - half
        return replace(
            self,
            box=(corner.real, corner.imag, width, height),
            landmarks=tuple(middle + (at - before) * turn for at in self.landmarks),
        )


def fitting(image: Image.Image) -> Image.Image:
    """Return the image as large as fits into the detector's 640 by 640, its shape kept."""
    factor = DETECTOR_SIDE / max(image.size)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    if size == image.size:
        return image
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=LEAST_GAP)


def detections(outputs: Mapping[str, Array], least: float) -> list[Detection]:
    """Return the faces with at least this score of YuNet's outputs, by their names, in pixels of its 640 by 640."""
    found = [each for stride in STRIDES for each in _of_stride(outputs, stride, least)]
    return without_overlaps(found)


def _of_stride(outputs: Mapping[str, Array], stride: int, least: float) -> list[Detection]:
    classes, objects, boxes, points = (
        outputs[f"{name}_{stride}"][0] for name in ("cls", "obj", "bbox", "kps")
    )
    scores = np.sqrt(np.clip(classes[:, 0], 0, 1) * np.clip(objects[:, 0], 0, 1))
    found = []
    surest = np.argsort(-scores, kind="stable")[:MOST_FOUND]
    for index in surest[scores[surest] >= least].tolist():
        row, column = divmod(index, DETECTOR_SIDE // stride)
        across, down, width, height = (float(value) for value in boxes[index])
        width, height = math.exp(width) * stride, math.exp(height) * stride
        left, top = (column + across) * stride - width / 2, (row + down) * stride - height / 2
        landmarks = tuple(
            complex((column + float(x)) * stride, (row + float(y)) * stride)
            for x, y in points[index].reshape(-1, 2)
        )
        found.append(Detection(float(scores[index]), (left, top, width, height), landmarks))
    return found


def without_overlaps(found: Iterable[Detection]) -> list[Detection]:
    """Return the faces, the surest first, without those that overlap a surer one (non-maximum suppression).

    Of more than ``MOST_FOUND`` the surest are looked at: a picture full of small faces is not worth minutes.
    """
    left = sorted(found, key=lambda face: -face.score)[:MOST_FOUND]
    boxes = np.array([each.box for each in left], np.float64).reshape(-1, 4)
    kept: list[Detection] = []
    while left:
        kept.append(left[0])
        apart = np.flatnonzero(_overlaps(boxes[0], boxes) <= MOST_OVERLAP)
        apart = apart[apart > 0]
        left, boxes = [left[index] for index in apart], boxes[apart]
    return kept


def overlap(one: Rectangle, other: Rectangle) -> float:
    """Return the part that two boxes have in common, of what they cover together."""
    return float(_overlaps(np.array(one, np.float64), np.array([other], np.float64))[0])


def _overlaps(
    one: npt.NDArray[np.float64], others: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    corner, far = (
        np.maximum(others[:, :2], one[:2]),
        np.minimum(others[:, :2] + others[:, 2:], one[:2] + one[2:]),
    )
    common = np.clip(far - corner, 0, None).prod(axis=1)
    areas = others[:, 2:].prod(axis=1) + one[2:].prod()
    return cast("npt.NDArray[np.float64]", common / (areas - common))


def in_upright(found: Detection, turns: int, size: tuple[int, int]) -> Detection:
    """Return a face of an image that was turned clockwise by quarters, in the pixels of the image before; ``size`` is its."""
    for left_to_turn in range(turns, 0, -1):
        # The width of the image before this turn is the height of the turned one.
        height = size[1] if left_to_turn % 2 else size[0]
        left, top, width, height_of_box = found.box
        found = replace(
            found,
            box=(top, height - left - width, height_of_box, width),
            landmarks=tuple(complex(at.imag, height - at.real) for at in found.landmarks),
        )
    return found


def quarter_turns(landmarks: tuple[complex, ...]) -> int:
    """Return by how many quarter turns, clockwise, the image has to be turned until the face is upright."""
    eyes, mouth = (landmarks[0] + landmarks[1]) / 2, (landmarks[3] + landmarks[4]) / 2
    down = (mouth - eyes) / 1j  # 1 for a face that is upright; y points down
    tilt = math.degrees(math.atan2(down.imag, down.real))
    if abs(tilt) < LYING:
        return 0
    return -round(tilt / 90) % 4


def aligned(image: Image.Image, landmarks: tuple[complex, ...]) -> Image.Image:
    """Return the face as SFace takes it: 112 by 112 pixels, its landmarks where they belong.

    The least-squares similarity transform. A face that is larger is made smaller by a whole factor before: an affine
    transform takes single pixels, and would make noise of the finer ones.
    """
    factor, move = similarity(landmarks)
    shrink = max(1, math.floor(1 / abs(factor)))
    corners = [(complex(x, y) - move) / factor for x in (0, CROP_SIDE) for y in (0, CROP_SIDE)]
    left, right = min(at.real for at in corners), max(at.real for at in corners)
    top, bottom = min(at.imag for at in corners), max(at.imag for at in corners)
    part = (
        max(math.floor(left) - shrink, 0),
        max(math.floor(top) - shrink, 0),
        min(math.ceil(right) + shrink, image.width),
        min(math.ceil(bottom) + shrink, image.height),
    )
    smaller = image.crop(part).reduce(shrink)
    # Pillow asks where each pixel of the result comes from.
    back, origin = 1 / (factor * shrink), (-move / factor - complex(*part[:2])) / shrink
    coefficients = (back.real, -back.imag, origin.real, back.imag, back.real, origin.imag)
    return smaller.transform(
        (CROP_SIDE, CROP_SIDE), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
    )


def similarity(landmarks: tuple[complex, ...]) -> tuple[complex, complex]:
    """Return the factor and the move that bring the landmarks closest to their places: ``factor * at + move``."""
    points, places = np.array(landmarks), np.array(PLACES)
    middle, wanted = points.mean(), places.mean()
    factor = np.vdot(points - middle, places - wanted) / np.vdot(points - middle, points - middle)
    return complex(factor), complex(wanted - factor * middle)
