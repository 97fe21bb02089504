"""Faces by YuNet and SFace on onnxruntime, which are loaded when the first picture is looked at.

Sources: https://github.com/opencv/opencv_zoo, models/face_detection_yunet and models/face_recognition_sface
(their inputs, outputs and the landmarks that a face is aligned to). Embeddings are biometric data: they are local
variables of ``OnnxFaces.similarities`` and live nowhere else.
"""

import importlib.util
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from lora_drop.adapters.face_geometry import (
    DETECTOR_SIDE,
    LEAST_SCORE,
    MOST_OVERLAP,
    Detection,
    aligned,
    detections,
    fitting,
    in_upright,
    overlap,
    quarter_turns,
    without_overlaps,
)
from lora_drop.adapters.face_measures import covered, sharpness, surroundings, yaw
from lora_drop.adapters.model_files import unusable
from lora_drop.datasets.faces.face import CROP_BYTES, CROP_SIDE, Box, Face, FacesSeen, Similarities

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MODELS = Path(__file__).parents[1] / "models"
DETECTOR, RECOGNIZER = MODELS / "yunet.onnx", MODELS / "sface.onnx"
SMALLEST = 12  # pixels in the full photo; below that a "face" is noise
# Scores: what no other try is needed after, by how much another try has to be better, and what it has to have at least (a
# machine seen upside down has a face for 0.77).
SURE, SURER, LEAST_AGAIN = 0.93, 0.03, 0.8
# By one, two and three quarters, clockwise.
TURNS = (Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90)
# A head that is tilted by 30 to 60 degrees, either way, is found with landmarks of one that is nearly upright.
TILTS, SURER_TILTED = (40, -40), 0.01
MOST_FACES, MOST_CROPS = 32, 4
# A face that fills the picture is found only with something around it: a third on each side.
PADDING = 1 / 3
GREY = (127, 127, 127)
# Small faces are looked for in parts of this many pixels a side, which overlap by so many; not in a panorama, which
# has more parts.
PART, OVERLAP, MOST_PARTS = 640, 80, 12
# A score that is worth a second look, how many of them, and how much of the image around one is enlarged.
LEAST_HINT, MOST_HINTS, AROUND = 0.3, 4, 10
ERRORS_ALONE = 3  # onnxruntime's own level of logging


class _Detect(Protocol):
    def __call__(self, image: Image.Image, least: float = ...) -> list[Detection]: ...


def faces_available() -> bool:
    """Return whether onnxruntime (the extra ``faces``) and both models are installed; loads neither."""
    installed = importlib.util.find_spec("onnxruntime") is not None
    return installed and DETECTOR.is_file() and RECOGNIZER.is_file()


def what_faces_lack() -> str:
    """Return what keeps faces from being looked for: no onnxruntime, a model that is missing or not the known one; else empty."""
    if importlib.util.find_spec("onnxruntime") is None:
        return "onnxruntime is not installed"
    for name, found in unusable(MODELS):
        return f"{name} is not the model that is known" if found else f"{name} is missing"
    return ""


class OnnxFaces:
    """Finds and compares faces on one thread; safe to share among threads. Holds the two models and nothing of a photo."""

    def __init__(self) -> None:
        self._loading = threading.Lock()
        self._detector: InferenceSession | None = None
        self._recognizer: InferenceSession | None = None

    def seen(self, image: Image.Image, full_size: tuple[int, int]) -> FacesSeen:
        """Return the faces of an upright RGB image, the largest first, and what is around them.

        ``full_size``: width and height of the photo in pixels, of which the image may be a smaller copy. Where
        nothing is found for sure, the image is tried on its sides, upside down and with a border, a face that is
        found all the same with the image tilted, and where there is nothing at all, in parts.
        """
        factor = full_size[0] / image.width
        fitted = fitting(image)
        found = _best_turned(fitted, self._detected)
        if _surest(found) < SURE:
            found = _better(found, _padded(fitted, self._detected))
        if found and _surest(found) < SURE:
            found = _best_tilted(fitted, found, self._detected)
        factors = image.width / fitted.width, image.height / fitted.height
        found = [each.scaled(*factors) for each in found]
        least = SMALLEST / factor
        found = _at_least(found, least) or _at_least(_in_parts(image, self._detected), least)
        found = sorted(found, key=lambda each: -each.area)[:MOST_FACES]
        if not found:
            return FacesSeen()
        faces = [
            _face(image, each, factor, with_crop=number < MOST_CROPS)
            for number, each in enumerate(found)
        ]
        return FacesSeen(tuple(faces), surroundings(image, [each.box for each in faces]))

    def similarities(self, crops: Sequence[bytes]) -> Similarities:
        """Return the cosine of each two of these aligned faces; raises ValueError for a crop of another size."""
        if not crops:
            return ()
        recognizer = self._recognizing()
        embeddings = np.stack([_embedding(recognizer, crop) for crop in crops])
        cosines = np.clip(embeddings @ embeddings.T, -1, 1)
        return [[float(value) for value in row] for row in cosines]

    def _detected(self, image: Image.Image, least: float = LEAST_SCORE) -> list[Detection]:
        """Return the faces of one image with at least this score, in its own pixels."""
        fitted = fitting(image)
        pixels = np.zeros((1, 3, DETECTOR_SIDE, DETECTOR_SIDE), np.float32)
        for channel, band in enumerate(reversed(fitted.split())):  # BGR
            pixels[0, channel, : fitted.height, : fitted.width] = np.asarray(band)
        detector = self._detecting()
        outputs = detector.run(None, {"input": pixels})
        names = [each.name for each in detector.get_outputs()]
        found = detections(dict(zip(names, outputs, strict=True)), least)
        factors = image.width / fitted.width, image.height / fitted.height
        return [each.scaled(*factors) for each in found]

    def _detecting(self) -> "InferenceSession":
        with self._loading:
            if self._detector is None:
                self._detector = _session(DETECTOR)
            return self._detector

    def _recognizing(self) -> "InferenceSession":
        with self._loading:
            if self._recognizer is None:
                self._recognizer = _session(RECOGNIZER)
            return self._recognizer


def _session(model: Path) -> "InferenceSession":
    """Load a model for one thread; its 8-bit weights become floats once, here, and not with each picture."""
    # Read when the library is loaded. Else it looks up Microsoft's host and writes an id of this machine to the disk;
    # its own call ends “non-essential” events alone (Privacy.md in the package).
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # noqa: PLC0415  # the check without faces does without

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ALONE
    # A plan of its memory and copies of the weights in another order take 15 MB, and save no time here.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return cast(
        "InferenceSession",
        onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"]),
    )


def _embedding(recognizer: "InferenceSession", crop: bytes) -> npt.NDArray[np.float32]:
    if len(crop) != CROP_BYTES:
        message = f"an aligned face has {CROP_BYTES} bytes, not {len(crop)}"
        raise ValueError(message)
    pixels = np.frombuffer(crop, np.uint8).reshape(CROP_SIDE, CROP_SIDE, 3).astype(np.float32)
    [[vector]] = recognizer.run(["fc1"], {"data": pixels.transpose(2, 0, 1)[np.newaxis]})
    return cast("npt.NDArray[np.float32]", vector / np.linalg.norm(vector))


def _face(image: Image.Image, found: Detection, factor: float, *, with_crop: bool) -> Face:
    left, top, width, height = found.box
    shown = Box(
        left=max(left / image.width, 0.0),
        top=max(top / image.height, 0.0),
        width=min(width + min(left, 0), image.width - max(left, 0)) / image.width,
        height=min(height + min(top, 0), image.height - max(top, 0)) / image.height,
    )
    face = aligned(image, found.landmarks) if with_crop else None
    return Face(
        box=shown,
        score=found.score,
        pixels=round(found.side * factor),
        turns=quarter_turns(found.landmarks),
        yaw=yaw(found.landmarks),
        sharpness=sharpness(face) if face else 0.0,
        covered=covered(face) if face else 0.0,
        crop=face.tobytes() if face else b"",
    )


def _best_turned(fitted: Image.Image, detect: _Detect) -> list[Detection]:
    """Return what is found in the best of the four quarter turns of a copy that the detector sees whole.

    A face on its side is often found all the same, with landmarks that are none and less sure than an upright one.
    """
    found = detect(fitted)
    if _surest(found) < SURE:
        for turns, turn in enumerate(TURNS, 1):
            turned = detect(fitted.transpose(turn))
            found = _better(found, [in_upright(each, turns, fitted.size) for each in turned])
    return found


def _best_tilted(fitted: Image.Image, found: list[Detection], detect: _Detect) -> list[Detection]:
    """Return these faces, or what is found for surer where the image is tilted."""
    for degrees in TILTS:
        tilted = fitted.rotate(degrees, Image.Resampling.BILINEAR, expand=True, fillcolor=GREY)
        back = (each.turned(degrees, tilted.size, fitted.size) for each in detect(tilted))
        found = _better(found, list(back), SURER_TILTED)
    return found


def _better(found: list[Detection], other: list[Detection], by: float = SURER) -> list[Detection]:
    """Return the other faces where they are clearly surer, ``by`` so much, and no fewer."""
    clearly = _surest(other) >= max(_surest(found) + by, LEAST_AGAIN)
    return other if clearly and len(other) >= len(found) else found


def _surest(found: Sequence[Detection]) -> float:
    return max((each.score for each in found), default=0.0)


def _padded(fitted: Image.Image, detect: _Detect) -> list[Detection]:
    """Return what is found with a grey border around such a copy."""
    across, down = round(fitted.width * PADDING), round(fitted.height * PADDING)
    padded = ImageOps.expand(fitted, (across, down, across, down), GREY)
    return [each.moved(-across, -down) for each in detect(padded)]


def _in_parts(image: Image.Image, detect: _Detect) -> list[Detection]:
    """Return the small faces, looked for in parts of the image; what may be one is looked at once more, enlarged."""
    found: list[Detection] = []
    for left, top in _corners(image.size):
        part = image.crop((left, top, min(left + PART, image.width), min(top + PART, image.height)))
        found.extend(each.moved(left, top) for each in detect(part, LEAST_HINT))
    hints = without_overlaps(found)
    sure = [each for each in hints if each.score >= LEAST_SCORE]
    if sure:
        return sure
    return [face for each in hints[:MOST_HINTS] for face in _enlarged(image, each, detect)]


def _enlarged(image: Image.Image, hint: Detection, detect: _Detect) -> list[Detection]:
    """Return the face at this place, where there is one."""
    left, top, width, height = hint.box
    around = hint.side * AROUND
    corner = round(left + width / 2 - around / 2), round(top + height / 2 - around / 2)
    part = image.crop((*corner, corner[0] + round(around), corner[1] + round(around)))
    moved = (each.moved(*corner) for each in detect(part, LEAST_AGAIN))
    return [each for each in moved if overlap(each.box, hint.box) > MOST_OVERLAP]


def _at_least(found: Sequence[Detection], side: float) -> list[Detection]:
    return [each for each in found if each.side >= side]


def _corners(size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    across, down = (_starts(length) for length in size)
    if 1 < len(across) * len(down) <= MOST_PARTS:
        yield from ((left, top) for top in down for left in across)


def _starts(length: int) -> list[int]:
    count = max(1, -(-(length - OVERLAP) // (PART - OVERLAP)))
    if count == 1:
        return [0]
    return [round(number * (length - PART) / (count - 1)) for number in range(count)]
