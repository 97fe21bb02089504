"""Faces with the real models: the sample's portrait, whole, turned, close, covered and blurred."""

import cmath
import importlib.util
import math
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from lora_drop.adapters import faces as adapter
from lora_drop.adapters.face_geometry import MOST_FOUND, Detection, without_overlaps
from lora_drop.adapters.face_measures import surroundings, yaw
from lora_drop.adapters.faces import OnnxFaces, faces_available, what_faces_lack
from lora_drop.adapters.pillow import PillowPictures
from lora_drop.datasets.faces.face import CROP_BYTES, Box, FacesSeen
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.reading import WholeImage
from tests.support.photos import picture
from tests.support.sample_faces import close, masked, portrait, sample_photos

FACES = OnnxFaces()
TURN = Image.Transpose
SAME, OTHER = 0.45, 0.35


def seen(photo: Image.Image) -> FacesSeen:
    return FACES.seen(photo, photo.size)


@pytest.mark.parametrize("name", sorted(sample_photos()))
def test_the_samples_face_is_found(name: str) -> None:
    found = seen(sample_photos()[name])

    [face] = found.faces
    assert face.score > 0.9
    assert face.turns == 0
    assert abs(face.yaw) < 0.2
    assert face.sharpness > 100
    assert face.covered < 0.5
    assert len(face.crop) == CROP_BYTES
    assert len(found.surroundings) == 192


def test_the_samples_photos_are_one_person() -> None:
    crops = [face.crop for photo in sample_photos().values() for face in seen(photo).faces]

    cosines = np.array(FACES.similarities(crops))

    assert cosines.shape == (14, 14)
    assert np.allclose(np.diag(cosines), 1)
    assert np.allclose(cosines, cosines.T)
    assert cosines.min() > SAME


def test_another_person_is_not_alike(corpora: Path) -> None:
    data = (corpora / "img/exif-samples/tiff__DudleyLeavittUtah.tiff").read_bytes()
    other = PillowPictures(FACES).look(data, describe(WholeImage(data)))
    assert other.faces
    assert other.faces.main

    both = FACES.similarities([_crop(portrait()), other.faces.main.crop])

    assert both[0][1] < OTHER


def _crop(photo: Image.Image) -> bytes:
    [face] = seen(photo).faces
    return face.crop


def test_same_photo_gives_same_numbers() -> None:
    photo = portrait()
    again = OnnxFaces()

    assert seen(photo) == again.seen(photo, photo.size)
    crops = [_crop(photo), _crop(sample_photos()["astronaut-12.jpg"])]
    assert FACES.similarities(crops) == again.similarities(crops)


@pytest.mark.parametrize(
    ("turn", "turns"), [(TURN.ROTATE_90, 1), (TURN.ROTATE_180, 2), (TURN.ROTATE_270, 3)]
)
def test_turned_face_is_found(turn: Image.Transpose, turns: int) -> None:
    photo = portrait()
    [upright], [face] = seen(photo).faces, seen(photo.transpose(turn)).faces

    assert face.turns == turns
    assert FACES.similarities([upright.crop, face.crop])[0][1] > 0.99
    assert abs(face.yaw - upright.yaw) < 0.1
    # Where the face is in the photo as it lies.
    mask = Image.new("L", photo.size)
    box = upright.box
    mask.paste(255, _pixels(box, photo.size))
    there = mask.transpose(turn).getbbox()
    assert there
    assert np.allclose(_pixels(face.box, photo.transpose(turn).size), there, atol=12)


@pytest.mark.parametrize("degrees", [-50, -45, -40, -35, 35, 40, 45, 50])
def test_tilted_head_is_the_same_person(degrees: int) -> None:
    """A head that is tilted as far as between upright and lying is compared as well as an upright one."""
    photo = portrait()
    tilted = photo.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=(128,) * 3)
    [upright], [face] = seen(photo).faces, seen(tilted).faces

    assert FACES.similarities([upright.crop, face.crop])[0][1] > 0.8
    left, top, right, bottom = _pixels(upright.box, photo.size)
    middle = complex((left + right) / 2, (top + bottom) / 2) - complex(*photo.size) / 2
    there = complex(*tilted.size) / 2 + middle * cmath.rect(1, math.radians(-degrees))
    left, top, right, bottom = _pixels(face.box, tilted.size)
    assert abs(there - complex((left + right) / 2, (top + bottom) / 2)) < 30


def _pixels(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    left, top = box.left * size[0], box.top * size[1]
    right, bottom = left + box.width * size[0], top + box.height * size[1]
    return round(left), round(top), round(right), round(bottom)


def test_face_that_fills_the_photo() -> None:
    photo = portrait()
    [face] = seen(photo).faces
    left, top, right, bottom = _pixels(face.box, photo.size)
    close_up = photo.crop((left + 25, top + 30, right - 25, bottom - 30))
    assert FACES._detected(close_up) == []

    [found] = seen(close_up).faces

    assert close(found.box, Box(0, 0, 1, 1))
    assert FACES.similarities([face.crop, found.crop])[0][1] > SAME


def test_nothing_is_no_face() -> None:
    for seed in range(3):
        assert seen(picture(600, 512, seed=seed)) == FacesSeen()


def test_covered_face_is_noticed() -> None:
    [face] = seen(masked(portrait())).faces
    assert face.covered > 0.67


def test_blurred_face_is_less_sharp() -> None:
    [face] = seen(portrait().filter(ImageFilter.GaussianBlur(7))).faces
    assert face.sharpness < 25


def test_profile_has_a_yaw() -> None:
    """The landmarks of a head that turns: its nose moves to one eye and beyond."""
    mouth = (40 + 90j, 60 + 90j)
    ahead, half, profile = (yaw((30 + 50j, 70 + 50j, x + 70j, *mouth)) for x in (50, 60, 75))
    assert (ahead, half, profile) == (0.0, 0.5, 1.0)
    assert yaw((30 + 50j, 70 + 50j, 25 + 70j, *mouth)) == -1.0


def test_surroundings_leave_the_face_out() -> None:
    photo = portrait()
    [face] = seen(photo).faces
    other = photo.copy()
    other.paste((0, 255, 0), _pixels(face.box, photo.size))

    boxes = [face.box]
    same = surroundings(photo, boxes)

    assert same == surroundings(other, boxes)
    assert same != surroundings(Image.new("RGB", photo.size, "white"), boxes)
    middle = 3 * len(same) // 8
    assert same[middle + 9 : middle + 12] == bytes(3)


def test_no_embedding_is_kept() -> None:
    own = OnnxFaces()
    photo = portrait()
    face = own.seen(photo, photo.size).main
    assert face
    own.similarities([face.crop, face.crop])

    kept = vars(own)

    assert sorted(kept) == ["_detector", "_loading", "_recognizer"]
    for session in (own._detector, own._recognizer):
        values = [value for value in vars(session).values() if isinstance(value, np.ndarray)]
        assert values == []
    assert "crop" not in repr(face)


def test_threads_share_the_models() -> None:
    own, photo = OnnxFaces(), portrait()
    found: list[FacesSeen] = []

    def look() -> None:
        found.append(own.seen(photo, photo.size))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [seen(photo)] * 4


@pytest.mark.parametrize("crops", [[b""], [bytes(CROP_BYTES), bytes(100)]])
def test_crop_of_another_size_fails(crops: list[bytes]) -> None:
    with pytest.raises(ValueError, match="37632"):
        FACES.similarities(crops)


def test_no_crops_have_no_similarities() -> None:
    assert list(FACES.similarities([])) == []


def test_faces_are_available_here() -> None:
    assert faces_available()


def test_missing_package_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def without(name: str, *more: Any) -> Any:
        return None if name == "onnxruntime" else real(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    assert not faces_available()
    assert what_faces_lack() == "onnxruntime is not installed"


@pytest.mark.parametrize("name", ["DETECTOR", "RECOGNIZER"])
def test_missing_model_is_noticed(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(adapter, name, tmp_path / "none.onnx")
    assert not faces_available()


def test_nothing_is_lacking_here() -> None:
    assert what_faces_lack() == ""


@pytest.mark.parametrize("spoiled", [None, b"half a mod"])
def test_wrong_model_is_named(
    spoiled: bytes | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    shutil.copytree(adapter.MODELS, models)
    monkeypatch.setattr(adapter, "MODELS", models)
    (models / "sface.onnx").unlink()
    if spoiled:
        (models / "sface.onnx").write_bytes(spoiled)
    said = "is not the model that is known" if spoiled else "is missing"
    assert what_faces_lack() == f"sface.onnx {said}"


@pytest.mark.promise("never get stuck")
def test_thousands_of_faces_are_cut_down() -> None:
    """A picture that is full of small faces costs no more than one with the most that is looked at."""
    apart = [
        Detection(0.9 - number / 1e5, (20.0 * (number % 100), 20.0 * (number // 100), 14, 14), ())
        for number in range(5_000)
    ]
    assert without_overlaps(apart) == apart[:MOST_FOUND]
    assert without_overlaps([*apart[:3], *apart[:3]]) == apart[:3]
    assert without_overlaps([]) == []
