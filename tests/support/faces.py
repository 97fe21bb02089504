"""Faces for tests that see none, and a comparer that knows whose they are by what is written in their crops."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, override

from lora_drop.datasets.faces.face import Box, Face, FacesSeen, Similarities
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import ImageHeader
from lora_drop.datasets.images.hints import Photo
from lora_drop.datasets.images.pictures import ImageInspection
from tests.support.pictures import BlindPictures

HEADER = ImageHeader(ImageFormat.JPEG, 1024, 1024)
DIMENSIONS = 128
# With this much noise in each photo two of a person have a cosine of about 0.7, as SFace's have.
NOISE = 0.65


def make_face(person: str = "ada", photo: str = "1", **deviating: Any) -> Face:
    usual = {
        "box": Box(0.3, 0.2, 0.4, 0.4),
        "score": 0.9,
        "pixels": 400,
        "sharpness": 300.0,
        "crop": f"{person}/{photo}".encode(),
    }
    return Face(**{**usual, **deviating})


def make_seen(person: str = "ada", photo: str = "1", **deviating: Any) -> FacesSeen:
    """A photo of one face, in a place of its own."""
    places = random.Random(f"{person}/{photo}")  # noqa: S311  # no secret
    surroundings = deviating.pop("surroundings", bytes(places.randbytes(8 * 8 * 3)))
    yaw = deviating.pop("yaw", places.uniform(-0.4, 0.4))
    return FacesSeen((make_face(person, photo, yaw=yaw, **deviating),), surroundings)


def make_group(*people: str) -> FacesSeen:
    faces = tuple(make_face(person, pixels=200 - number) for number, person in enumerate(people))
    return FacesSeen(faces, bytes(8 * 8 * 3))


@dataclass
class NamedFaces:
    """A FaceComparer: crops of one name (before the slash) are of one person, seen a little differently each time."""

    asked: list[int] = field(default_factory=list)

    def similarities(self, crops: Sequence[bytes]) -> Similarities:
        self.asked.append(len(crops))
        vectors = [_vector(crop.decode()) for crop in crops]
        return [
            [math.sumprod(one, other) if one is not other else 1.0 for other in vectors]
            for one in vectors
        ]


@cache
def _vector(crop: str) -> tuple[float, ...]:
    person, _, _ = crop.partition("/")
    face = zip(_direction(person), _direction(f"{crop} alone"), strict=True)
    return _unit([own + NOISE * noise for own, noise in face])


@cache
def _direction(seed: str) -> tuple[float, ...]:
    values = random.Random(seed)  # noqa: S311  # no secret
    return _unit([values.gauss() for _ in range(DIMENSIONS)])


def _unit(values: Sequence[float]) -> tuple[float, ...]:
    length = math.hypot(*values)
    return tuple(value / length for value in values)


def make_look(faces: FacesSeen | None, **deviating: Any) -> ImageInspection:
    usual = {
        "fingerprint": 0,
        "brightness": 128.0,
        "highlights": 220,
        "sharpness": 500.0,
        "transparent": False,
        "thumbnail": b"",
    }
    return ImageInspection(**{**usual, **deviating}, faces=faces)


def make_seen_photo(member: str, faces: FacesSeen | None, **look: Any) -> Photo:
    return Photo(member, member, HEADER, make_look(faces, **look))


@dataclass
class SeeingPictures(BlindPictures):
    """Pictures that sees in each image the faces that are laid down for it, by its bytes."""

    faces: Mapping[bytes, FacesSeen | None]

    @override
    def look(self, data: bytes, header: ImageHeader) -> ImageInspection:
        return replace(super().look(data, header), faces=self.faces.get(data))
