"""What a check may take: by the photos' own numbers, the same in the stack and on a person's machine."""

import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, override

import pytest

from lora_drop.client import check
from lora_drop.datasets.faces.face import FacesSeen
from lora_drop.datasets.images.check_time import check_seconds
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import ImageHeader
from lora_drop.datasets.images.pictures import Change, ImageInspection, Prepared
from lora_drop.datasets.images.reading import WholeImage
from lora_drop.datasets.report import Verdict
from lora_drop.jobs.time_limits import CHECK_PATIENCE
from lora_drop.services.check import Checker
from lora_drop.services.inspect import MOST_SECONDS
from lora_drop.services.prepared import MOST, PreparedPhotos
from tests.support.builders import make_archive, make_jpeg, make_png
from tests.support.checking import checked
from tests.support.faces import NamedFaces, SeeingPictures, make_face
from tests.support.pictures import BlindPictures
from tests.support.template import properties

JPEG, PNG = (describe(WholeImage(make(0))) for make in (make_jpeg, make_png))
FACE = FacesSeen((make_face(),))
CHANGES = (Change.CONVERTED, Change.METADATA_REMOVED)


def photo(kind: ImageFormat, *, turned: bool = False, megapixels: float = 12) -> ImageHeader:
    header = PNG if kind is ImageFormat.PNG else JPEG
    width = round(megapixels * 1000)
    return replace(header, format=kind, width=width, height=1000, orientation=6 if turned else 1)


@pytest.mark.parametrize(
    ("header", "transparent", "seconds"),
    [
        (photo(ImageFormat.JPEG), False, 0.24),
        (photo(ImageFormat.JPEG, turned=True), False, 0.54),
        (photo(ImageFormat.HEIF), False, 1.92),
        (photo(ImageFormat.HEIF, megapixels=48.8), False, 7.81),
        (photo(ImageFormat.PNG), False, 0.84),
        (photo(ImageFormat.PNG), True, 4.44),
        (photo(ImageFormat.AVIF), False, 0.84),
        (photo(ImageFormat.BMP), False, 0.78),
    ],
    ids=lambda given: str(getattr(given, "format", given)),
)
def test_seconds_of_a_photo(header: ImageHeader, *, transparent: bool, seconds: float) -> None:
    assert check_seconds(header, transparent=transparent) == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize(("megapixels", "most"), [(12.2, 200), (48.8, 50), (66, 40)])
@pytest.mark.parametrize("faces", [None, FACE], ids=["no faces", "faces"])
def test_what_is_called_best_fits(megapixels: float, most: int, faces: FacesSeen | None) -> None:
    header = photo(ImageFormat.HEIF, megapixels=megapixels)
    assert most * check_seconds(header, transparent=False, faces=faces) < MOST_SECONDS


@pytest.mark.parametrize(("faces", "more"), [(None, 0.0), (FACE, 0.3), (FacesSeen(), 0.4)])
def test_seconds_of_looking_for_faces(faces: FacesSeen | None, more: float) -> None:
    for header in (photo(ImageFormat.JPEG), photo(ImageFormat.HEIF, megapixels=66)):
        without = check_seconds(header, transparent=False)
        seconds = check_seconds(header, transparent=False, faces=faces)
        assert seconds == pytest.approx(without + more)


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("kind", ImageFormat)
def test_a_hundred_large_photos_are_looked_through(kind: ImageFormat) -> None:
    """A hundred photos of 12 megapixels are checked in the submitter's time, with and without a face in them."""
    for faces in (FACE, FacesSeen()):
        seconds = check_seconds(photo(kind), transparent=False, faces=faces)
        assert 100 * seconds < MOST_SECONDS


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(
    ("photos", "strict", "errors", "looked"),
    [
        (113, False, [], True),
        (113, True, ["dataset_face_none"], True),
        (114, False, [], False),
        (114, True, ["dataset_check_too_long"], False),
        (127, False, [], False),
        (128, False, ["dataset_check_too_long"], False),
    ],
)
def test_faces_refuse_no_dataset_for_time(
    photos: int,
    strict: bool,  # noqa: FBT001
    errors: list[str],
    looked: bool,  # noqa: FBT001
) -> None:
    """Without the time to look for faces in every photo the dataset is trained on without, and its report says so."""
    images = [make_jpeg(number, side=9000) for number in range(photos)]
    members = {f"{number:03}.jpg": image for number, image in enumerate(images)}
    archive = make_archive(images=0, members=members)
    report = checked(
        archive,
        pictures=SeeingPictures(dict.fromkeys(images, FacesSeen())),
        pictures_of_style=BlindPictures(),
        faces=NamedFaces(),
        require_one_person=strict,
        patience=float("inf"),
    ).report
    assert [each.code for each in report.errors] == errors
    assert report.faces_checked is looked
    about_faces = {each.code for each in report.warnings if "face" in each.code}
    assert looked or about_faces == (set() if strict else {"dataset_face_no_time"})


@pytest.mark.promise("never get stuck")
def test_time_is_kept_for_the_other_photos() -> None:
    """What is spent on faces before they are no longer looked for is little enough to look at every photo."""
    images = [make_jpeg(number, side=4000) for number in range(900)]
    members = {f"{number:03}.jpg": image for number, image in enumerate(images)}
    archive = make_archive(images=0, members=members)
    spent = Spent(dict.fromkeys(images, FacesSeen()))
    of_style = Spent({})
    found = checked(archive, pictures=spent, pictures_of_style=of_style, now=lambda: 0.0).report
    assert found.verdict is Verdict.ACCEPTED
    assert spent.seconds
    assert MOST_SECONDS * 0.9 < spent.seconds + of_style.seconds <= MOST_SECONDS


@dataclass
class Spent(SeeingPictures):
    """Pictures that count what looking at them takes."""

    seconds: float = 0.0

    @override
    def look(self, data: bytes, header: ImageHeader) -> ImageInspection:
        look = super().look(data, header)
        self.seconds += check_seconds(header, transparent=False, faces=look.faces)
        return look


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("photos", [127, 128])
def test_stack_and_local_check_agree(photos: int) -> None:
    """What takes longer than the stack has for a check is refused on a person's machine as well, and nothing else for its time."""
    members = {f"{number}.jpg": make_jpeg(number, side=9000) for number in range(photos)}
    archive = make_archive(images=0, members=members)
    stack = checked(archive, prepares=True, now=lambda: 0.0).report
    slow = checked(archive, now=partial(next, itertools.count(step=100.0)), patience=float("inf"))
    assert [each.code for each in stack.errors] == ["dataset_check_too_long"] * (photos > 127)
    assert slow.report.errors == stack.errors


def test_a_slow_machine_refuses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hours = partial(next, itertools.count(step=3600.0))

    def slow(_: object, *ports: Any, **how: Any) -> Checker:
        return replace(Checker(BlindPictures(), *ports, **how), now=hours)

    monkeypatch.setattr(check, "Checker", slow)
    archive = tmp_path / "ada.zip"
    archive.write_bytes(make_archive())
    assert check.check_dataset(archive).verdict is Verdict.ACCEPTED


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize(
    ("most", "changes", "found"),
    [
        (10, CHANGES, [b"first", b"other"]),
        (9, CHANGES, [b"first", None]),
        (4, CHANGES, [None, None]),
        (10, CHANGES[:1], [None, None]),
    ],
)
def test_prepared_photos_have_no_name(
    folder: Path, most: int, changes: tuple[Change, ...], found: list[bytes | None]
) -> None:
    """A converted photo waits for the clean copy in a file without a name, which ends with the process."""
    prepared = PreparedPhotos(most)
    for name in ("first", "other"):
        prepared.put(name, Prepared(name.encode(), CHANGES))
    assert list(folder.iterdir()) == []
    assert [prepared.take(name, changes) for name in ("first", "other")] == found
    assert prepared.take("first", CHANGES) is None


def test_a_full_disk_costs_a_second_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = PreparedPhotos()
    prepared.put("kept", Prepared(b"kept", CHANGES))
    with monkeypatch.context() as patch, Path("/dev/full").open("r+b", buffering=0) as full:
        patch.setattr(prepared, "_file", full)
        prepared.put("lost", Prepared(b"lost", CHANGES))
    assert prepared.take("lost", CHANGES) is None
    assert prepared.take("kept", CHANGES) == b"kept"


def test_prepared_photos_find_room() -> None:
    assert properties("SubmitFunction")["EphemeralStorage"]["Size"] * 1024**2 > MOST
    assert CHECK_PATIENCE.total_seconds() == MOST_SECONDS
