"""Faces in what is looked at of a photo: whatever its format, its size and its orientation."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lora_drop.adapters.faces import OnnxFaces
from lora_drop.adapters.pillow import PillowPictures
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.pictures import ImageInspection
from lora_drop.datasets.images.reading import WholeImage
from tests.support.photos import encoded, with_exif
from tests.support.sample_faces import close, in_large_photo, portrait

FACES = OnnxFaces()
PICTURES = PillowPictures(FACES)
MEMORY = """
    import re, sys
    from pathlib import Path
    from lora_drop.adapters.faces import OnnxFaces
    from lora_drop.adapters.pillow import PillowPictures
    from lora_drop.datasets.images.describe import describe
    from lora_drop.datasets.images.reading import WholeImage
    faces = OnnxFaces()
    data = Path(sys.argv[1]).read_bytes()
    looks = [PillowPictures(faces).look(data, describe(WholeImage(data))) for _ in range(5)]
    faces.similarities([look.faces.main.crop for look in looks])
    print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""
# Its threads for telemetry hold open files of SQLite and sockets.
SOCKETS = 'print(any("socket:" in str(each.resolve()) for each in Path("/proc/self/fd").iterdir()))'


def looked(data: bytes, pictures: PillowPictures = PICTURES) -> ImageInspection:
    return pictures.look(data, describe(WholeImage(data)))


@pytest.mark.parametrize("pixels", [20, 40, 120])
def test_small_face_in_large_photo(pixels: int) -> None:
    look = looked(encoded(in_large_photo(pixels), "JPEG", quality=92))

    assert look.faces
    [face] = look.faces.faces
    assert abs(face.pixels - pixels) <= max(3, pixels // 5)
    assert abs(face.box.left + face.box.width / 2 - 0.6) < 0.05


def test_faces_are_not_looked_for() -> None:
    data = encoded(portrait(), "JPEG")
    assert looked(data, PillowPictures()).faces is None


def test_look_stays_as_it_was() -> None:
    data = encoded(in_large_photo(900), "JPEG", quality=92)
    before, after = looked(data, PillowPictures()), looked(data)

    assert (before.fingerprint ^ after.fingerprint).bit_count() <= 8
    assert abs(before.sharpness - after.sharpness) < 0.2 * before.sharpness
    assert abs(before.brightness - after.brightness) < 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"])
def test_turned_by_its_orientation(kind: str) -> None:
    """A photo that its metadata turns upright is not called turned."""
    lying = portrait().transpose(Image.Transpose.ROTATE_90)
    look = looked(with_exif(lying, kind, 6))

    assert look.faces
    [face] = look.faces.faces
    assert face.turns == 0
    photo = portrait()
    [upright] = FACES.seen(photo, photo.size).faces
    assert close(face.box, upright.box)
    assert abs(face.pixels - upright.pixels) < 10


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "LA", "I;16"])
def test_every_kind_of_pixels(mode: str) -> None:
    photo = portrait()
    grey = photo.convert("L")
    as_16 = Image.fromarray(np.asarray(grey, np.uint16) * 257)
    image = {"I;16": as_16, "LA": grey.convert("LA")}.get(mode) or photo.convert(mode)

    look = looked(encoded(image, "JPEG" if mode == "CMYK" else "PNG"))

    assert look.faces
    assert len(look.faces.faces) == 1


def test_mending_looks_for_faces_too() -> None:
    data = encoded(portrait().convert("RGBA"), "PNG")
    look, _ = PICTURES.look_and_mend(data, describe(WholeImage(data)), keep_metadata=False)
    assert look.faces
    assert len(look.faces.faces) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone says it in /proc")
@pytest.mark.promise("it can be operated")
def test_memory_with_both_models(tmp_path: Path) -> None:
    """Looking for faces in photos of 12 megapixels takes at most 250 MiB, the whole process included."""
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(encoded(portrait().resize((3000, 4000)), "JPEG"))
    code = "\n".join(line[4:] for line in MEMORY.splitlines())
    done = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", code, str(photo)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 250 * 1024


@pytest.mark.promise("nothing leaks")
def test_models_send_and_write_nothing(tmp_path: Path) -> None:
    """Looking for faces opens no connection and writes no file: the library's telemetry is off before it is loaded."""
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(encoded(portrait(), "JPEG"))
    home = tmp_path / "home"
    home.mkdir()
    code = "\n".join(line[4:] for line in f"{MEMORY}    {SOCKETS}".splitlines())
    done = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", code, str(photo)],
        env={"PYTHONPATH": ":".join(sys.path), "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[1:] == ["False"]
    assert list(home.rglob("*")) == []
