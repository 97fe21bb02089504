"""The likeness of real pictures: the sample's own person is like the photos, drawings are not, and nothing of a face is kept."""

import io
import zipfile
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageEnhance

from lora_drop.adapters import faces as adapter
from lora_drop.adapters.faces import OnnxFaces, faces_available
from lora_drop.adapters.pillow import PillowPictures
from lora_drop.local.stack import SAMPLE
from tests.support import photos
from tests.support.likeness import Training, trained

pytestmark = pytest.mark.skipif(
    not faces_available(), reason="onnxruntime or the models of faces are not installed"
)


@pytest.fixture(scope="module")
def faces() -> OnnxFaces:
    return OnnxFaces()


def sample_views() -> list[bytes]:
    """The photos of the sample dataset, which show one person."""
    with zipfile.ZipFile(SAMPLE) as archive:
        return [archive.read(name) for name in archive.namelist() if name.endswith(".jpg")]


def picture_of(view: bytes) -> bytes:
    """A picture of the same person: smaller, darker and mirrored."""
    with Image.open(io.BytesIO(view)) as image:
        changed = ImageEnhance.Brightness(image.convert("RGB")).enhance(0.8)
    buffer = io.BytesIO()
    changed.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((576, 576)).save(buffer, "JPEG")
    return buffer.getvalue()


def with_pictures(faces: OnnxFaces, *pictures: bytes) -> Training:
    """A training on the sample dataset, with these pictures."""
    labels = [f"picture {number}" for number, _ in enumerate(pictures, 1)]
    training = trained(*labels, archive=SAMPLE.read_bytes())
    for number, data in enumerate(pictures, 1):
        training.world.results.files[f"{training.job.prefix}proof/{number}/picture.jpg"] = data
    seeing = PillowPictures(faces=faces)
    training.results = replace(training.results, pictures=seeing, faces=faces)
    return training


@pytest.mark.promise("it can be operated")
def test_own_person_is_like_the_photos(faces: OnnxFaces) -> None:
    """Real pictures of the person in the photos have a high likeness."""
    views = sample_views()
    sheet = with_pictures(faces, picture_of(views[0]), picture_of(views[1])).measure()

    assert sheet.likeness is not None
    assert sheet.likeness.likeness is not None
    assert sheet.likeness.among_photos is not None
    assert sheet.likeness.likeness > 0.75 * sheet.likeness.among_photos
    assert sheet.likeness.advice == ""


def test_picture_without_a_face_is_said(faces: OnnxFaces) -> None:
    grained = photos.noise(768, 1024, 60).convert("RGB")
    buffer = io.BytesIO()
    grained.save(buffer, "JPEG")
    training = with_pictures(faces, buffer.getvalue())
    sheet = training.measure()

    assert sheet.likeness is not None
    assert sheet.likeness.advice.startswith("The pictures have no face that can be compared.")
    assert "It has no face that can be compared." in training.file("proof.html")


@pytest.mark.promise("nothing leaks")
def test_no_embedding_leaves_the_comparison(
    faces: OnnxFaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No value of an embedding is in a file, an event or the row that a proof sheet leaves, in bytes or in digits."""
    made, real = list[npt.NDArray[np.float32]](), adapter._embedding

    def kept(recognizer: Any, crop: bytes) -> npt.NDArray[np.float32]:
        made.append(real(recognizer, crop))
        return made[-1]

    monkeypatch.setattr(adapter, "_embedding", kept)
    training = with_pictures(faces, picture_of(sample_views()[0]))
    sheet = training.measure()

    world = training.world
    [event] = world.events.sheets
    written = [*world.results.files.values(), event.model_dump_json().encode()]
    everything = b"\n".join((*written, sheet.model_dump_json().encode(), repr(faces).encode()))
    assert len(made) == 1 + len(sample_views())
    for vector in made:
        assert vector.tobytes() not in everything
        assert vector[:2].tobytes() not in everything
        assert all(f"{value:.4f}".encode() not in everything for value in vector)
