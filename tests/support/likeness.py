"""Photos whose faces are what their bytes say, a comparer that knows no more than that, and trainings with pictures."""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random

from lora_drop.datasets.faces.face import CROP_BYTES, FacesSeen, Similarities
from lora_drop.datasets.images.header import ImageHeader
from lora_drop.datasets.images.pictures import ImageInspection
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.job import Job
from lora_drop.jobs.proof import PICTURE_NAME, PROOF_FOLDER, PictureOrder, ProofSheet
from lora_drop.jobs.status import Status
from lora_drop.services.proof_results import ProofResults
from tests.support.builders import make_archive, make_dataset, make_job, make_jpeg
from tests.support.faces import make_face
from tests.support.pictures import BlindPictures
from tests.support.world import World

LABEL = re.compile(rb"photo (.*)\xff\xd9$", re.DOTALL)
DIMENSIONS = 128
# The cosine of two photos of one person, and of one to a picture that is "unlike".
ALIKE, UNLIKE = 0.75, 0.25
SMALL_JPEG = b"\xff\xd8\xff\xe0 a small picture \xff\xd9"


@dataclass
class FacePictures(BlindPictures):
    """Pictures of images from ``make_jpeg("ada 1")``: one face, of the person before the number.

    “nobody” has none; the words small, blurred, group, black and unlike are what they say. ``off``: faces are not looked for.
    """

    off: bool = False
    looked: list[str] = field(default_factory=list)

    def look(self, data: bytes, header: ImageHeader) -> ImageInspection:
        found = LABEL.search(data)
        assert found
        label = found[1].decode()
        self.looked.append(label)
        look = replace(super().look(data, header), thumbnail=SMALL_JPEG)
        if "black" in label:
            look = replace(look, highlights=0)
        return look if self.off else replace(look, faces=_faces(label))


def _faces(label: str) -> FacesSeen:
    if label.startswith("nobody") or "black" in label:
        return FacesSeen()
    face = make_face(
        pixels=20 if "small" in label else 300,
        sharpness=1.0 if "blurred" in label else 300.0,
        crop=label.encode().ljust(CROP_BYTES, b"\0"),
    )
    return FacesSeen((face, face) if "group" in label else (face,))


@dataclass
class LabelComparer:
    """A FaceComparer by what crops are labelled: equal labels are one face, equal people are alike; it counts its calls."""

    calls: int = 0

    def similarities(self, crops: Sequence[bytes]) -> Similarities:
        self.calls += 1
        vectors = [_vector(crop.rstrip(b"\0").decode()) for crop in crops]
        return [[sum(map(float.__mul__, one, other)) for other in vectors] for one in vectors]


@cache
def _vector(label: str) -> list[float]:
    person, own = _direction(label.split(maxsplit=1)[0]), _direction(label)
    shared = UNLIKE if "unlike" in label else ALIKE
    parts = zip(person, own, strict=True)
    return _normalised([math.sqrt(shared) * p + math.sqrt(1 - shared) * o for p, o in parts])


def _direction(label: str) -> list[float]:
    random = Random(hashlib.sha256(label.encode()).digest())  # noqa: S311  # the same each time
    return _normalised([random.gauss(0, 1) for _ in range(DIMENSIONS)])


def _normalised(vector: Sequence[float]) -> list[float]:
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector]


def photos_of(*labels: str) -> bytes:
    """A dataset of one JPEG for each label, called after it."""
    return make_archive(images=0, members={f"{each}.jpg": make_jpeg(each) for each in labels})


ADA = tuple(f"ada {number}" for number in range(1, 13))


@dataclass
class Training:
    """A training that has its LoRA and its pictures, in a world of its own."""

    world: World
    job: Job
    pictures: tuple[Job, ...]
    results: ProofResults

    def measure(self) -> ProofSheet:
        """What comes of its proof sheet."""
        return self.results.measure(self.job, self.pictures)

    def file(self, name: str) -> str:
        """A file of its proof sheet."""
        return self.world.results.files[f"{self.job.prefix}{PROOF_FOLDER}/{name}"].decode()


def trained(
    *labels: str,
    photos: Sequence[str] = ADA,
    archive: bytes | None = None,
    comparer: LabelComparer | None = None,
    failed: Mapping[int, Status] | None = None,
    **changes: object,
) -> Training:
    """A training on these photos, and a picture of each of the labels; ``failed`` has how others have ended."""
    world = World()
    world.datasets.put(make_dataset().key, archive or photos_of(*photos))
    numbers = range(1, len(labels) + 1)
    ids = tuple(f"ada-{number:010x}" for number in numbers)
    job = make_job(Status.SUCCEEDED, proof=ProofSheet(pictures=ids)).model_copy(update=changes)
    pictures = tuple(
        _picture(world, job, number, label, (failed or {}).get(number, Status.SUCCEEDED))
        for number, label in zip(numbers, labels, strict=True)
    )
    faces = FacePictures()
    results = ProofResults(world.record, world.datasets, faces, comparer or LabelComparer())
    return Training(world, job, pictures, results)


def _picture(world: World, parent: Job, number: int, label: str, status: Status) -> Job:
    order = PictureOrder(
        proof_of=parent.job_id,
        number=number,
        prompt=f"a photo of ada, number {number}",
        seed=1000 + number,
        width=768,
        height=1024,
    )
    stored: tuple[StoredFile, ...] = ()
    if status is Status.SUCCEEDED:
        key = f"{parent.prefix}{PROOF_FOLDER}/{number}/{PICTURE_NAME}"
        world.results.files[key] = make_jpeg(label)
        stored = (world.results.reread(key),)
    return make_job(status, job_id=f"ada-{number:010x}", picture=order, files=stored)
