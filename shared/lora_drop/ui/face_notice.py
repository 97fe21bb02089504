"""What stands beside the verdict about the faces: whose they are, and that they were not looked for."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from lora_drop.client.face_check import EXTRA_MISSING, FaceCheck, missed
from lora_drop.datasets.report import FaceMark, Report
from lora_drop.datasets.reports.markup import counted

OTHER, NO_FACE = "image_face_other_person", "image_face_none"


@dataclass(frozen=True, slots=True)
class FaceNotice:
    """One sentence; ``kind`` is the filter that shows its photos, empty where there is none."""

    sentence: str
    kind: str = ""


def face_notices(report: Report) -> list[FaceNotice]:
    """Return what a person should look at before a training is paid; nothing of what is refused: that is said anyhow."""
    return list(_notices(report))


def unlooked(report: Report | None, faces: FaceCheck) -> str:
    """Return that faces were not looked for, and how they would be; empty where they were, or are not wanted.

    Raises CommandError for defaults that cannot be read.
    """
    return EXTRA_MISSING if report is not None and missed(report, faces) else ""


def _notices(report: Report) -> Iterator[FaceNotice]:
    codes = Counter(each.code for each in report.warnings)
    if codes["dataset_face_none"]:
        yield FaceNotice("No photo has a face that can be seen.")
    if codes["dataset_face_many_people"]:
        yield FaceNotice("The photos show many people, and none of them in most of the photos.")
    if codes["dataset_face_two_people"]:
        second = sum(
            any(face.mark is FaceMark.SECOND_PERSON for face in photo.faces or ())
            for photo in report.photos
        )
        yield FaceNotice(f"The photos seem to show two people: the second one is in {second}.")
    if number := codes[OTHER]:
        show = "seems" if number == 1 else "seem"
        yield FaceNotice(
            f"{counted(number, 'photo')} {show} to show another person than the others.", OTHER
        )
    if (number := codes[NO_FACE]) and not codes["dataset_face_none"]:
        have = "has" if number == 1 else "have"
        yield FaceNotice(f"{counted(number, 'photo')} {have} no face that can be seen.", NO_FACE)
