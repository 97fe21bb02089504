"""Faces: what is said of one photo, whose faces they are, and what a style is not asked."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_drop.datasets.faces.face import FacesSeen
from lora_drop.datasets.faces.findings import FaceFindings, findings_of
from lora_drop.datasets.faces.groups import centre_similarities, people_in
from lora_drop.datasets.faces.hints import face_hints
from lora_drop.datasets.images.hints import Photo
from lora_drop.datasets.report import FaceMark, ImageOutcome, Report
from lora_drop.datasets.reports import json_text
from lora_drop.jobs.problems import Problem
from tests.support.builders import make_archive, make_jpeg
from tests.support.checking import checked
from tests.support.faces import (
    NamedFaces,
    SeeingPictures,
    make_face,
    make_group,
    make_seen,
    make_seen_photo,
)

NO_FACE = FacesSeen()
SMALL = make_seen("ada", "small", pixels=20)
TURNED = make_seen("ada", "turned", turns=1)
GROUP = make_group("ada", "bo", "cy", "di", "ed")
FIVE: Mapping[str, FacesSeen] = {
    "stranger.jpg": make_seen("eve"),
    "group.jpg": GROUP,
    "back.jpg": NO_FACE,
    "far.jpg": SMALL,
    "lying.jpg": TURNED,
}


def one(person: str, count: int) -> list[Photo]:
    """Photos of a person."""
    return [
        make_seen_photo(f"{person}-{n:02}.jpg", make_seen(person, str(n))) for n in range(count)
    ]


def found(photos: Sequence[Photo], **how: Any) -> FaceFindings:
    findings = findings_of(photos, NamedFaces(), **how)
    assert findings is not None
    return findings


def named(problems: Sequence[Problem]) -> set[tuple[str, str | None]]:
    return {(problem.code, problem.member) for problem in problems}


def said(seen: FacesSeen, **look: Any) -> list[str]:
    return [hint.message for hint in face_hints(make_seen_photo("a.jpg", seen, **look))]


def dataset_report(
    faces: Mapping[str, FacesSeen], *, key: str = "portrait/ada.zip", **how: Any
) -> Report:
    """The check's report on photos with these faces."""
    images = {name: make_jpeg(name) for name in faces}
    seen = {images[name]: each for name, each in faces.items()}
    data = make_archive(images=0, members=images)
    given = {"pictures": SeeingPictures(seen), "faces": NamedFaces(), **how}
    return checked(data, key=key, **given).report


def with_five() -> dict[str, FacesSeen]:
    return {f"ada-{n:02}.jpg": make_seen("ada", str(n)) for n in range(9)} | FIVE


def face_codes(problems: Sequence[Problem]) -> set[tuple[str, str | None]]:
    return {each for each in named(problems) if "_face_" in each[0]}


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_exactly_the_five_are_named() -> None:
    """A stranger, a group, the back of a head, a tiny face and a photo on its side are named, and no other photo."""
    report = dataset_report(with_five())
    assert report.accepted
    assert face_codes(report.warnings) == {
        ("image_face_other_person", "stranger.jpg"),
        ("image_face_several", "group.jpg"),
        ("image_face_none", "back.jpg"),
        ("image_face_small", "far.jpg"),
        ("image_face_turned", "lying.jpg"),
    }
    warned = {photo.member for photo in report.photos if face_codes(photo.warnings)}
    assert warned == FIVE.keys()
