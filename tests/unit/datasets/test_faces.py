"""Faces in a dataset: what is said of one photo and of the set, and what a style is not asked."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from lora_drop.datasets.faces.face import CROP_BYTES, Box, FacesSeen
from lora_drop.datasets.faces.findings import findings_of
from lora_drop.datasets.faces.hints import face_hints
from lora_drop.datasets.report import FaceMark, ImageOutcome, Report
from lora_drop.datasets.reports import html_text, json_text
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
from tests.support.reports import Page

NO_FACE = FacesSeen()
FIVE: Mapping[str, FacesSeen] = {
    "stranger.jpg": make_seen("eve"),
    "group.jpg": make_group("ada", "bo", "cy", "di", "ed"),
    "back.jpg": NO_FACE,
    "far.jpg": make_seen("ada", "far", pixels=20),
    "lying.jpg": make_seen("ada", "lying", turns=1),
}
FIVE_SAID = {
    ("image_face_other_person", "stranger.jpg"),
    ("image_face_several", "group.jpg"),
    ("image_face_none", "back.jpg"),
    ("image_face_small", "far.jpg"),
    ("image_face_turned", "lying.jpg"),
}


def of_one(count: int, **deviating: Any) -> dict[str, FacesSeen]:
    """Photos of one person."""
    return {f"ada-{n:02}.jpg": make_seen("ada", str(n), **deviating) for n in range(count)}


def report(
    seen: Mapping[str, FacesSeen | None], *, key: str = "portrait/ada.zip", **how: Any
) -> Report:
    """The check's report on photos with these faces."""
    images = {name: make_jpeg(name) for name in seen}
    by_bytes = {images[name]: each for name, each in seen.items()}
    data = make_archive(images=0, members=images, training=how.pop("training", None))
    given = {"pictures": SeeingPictures(by_bytes), "faces": NamedFaces(), **how}
    return checked(data, key=key, **given).report


def about_faces(problems: Sequence[Problem]) -> set[tuple[str, str | None]]:
    return {(each.code, each.member) for each in problems if "_face_" in each.code}


def said(seen: FacesSeen | None, **look: Any) -> list[str]:
    return [hint.message for hint in face_hints(make_seen_photo("a.jpg", seen, **look))]


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_exactly_five_photos_are_named() -> None:
    """A stranger, a group, the back of a head, a tiny face and a photo on its side are named, and no other."""
    found = report(of_one(9) | dict(FIVE))
    assert (found.accepted, found.faces_checked) == (True, True)
    assert about_faces(found.warnings) == FIVE_SAID
    assert {each.member for each in found.photos if about_faces(each.warnings)} == FIVE.keys()


def test_a_clear_face_needs_no_word() -> None:
    assert said(make_seen()) == []
    assert said(make_seen(yaw=-1.0)) == []
    assert said(None) == []


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (NO_FACE, "has no face that can be seen."),
        (make_seen(pixels=63), "has a face of only 63 pixels."),
        (make_seen(covered=0.8), "shows a face that is partly covered."),
        (make_seen(sharpness=1.0), "shows a blurred face."),
        (make_seen(turns=1), "lies on its side: its face is turned by 90 degrees."),
        (make_seen(turns=2), "is upside down: its face is turned by 180 degrees."),
        (make_group("ada", "bo", "cy"), "shows 3 faces."),
    ],
)
def test_each_photo_is_told_once(seen: FacesSeen, words: str) -> None:
    [message] = said(seen)
    assert message.startswith(f"a.jpg {words} ")


@pytest.mark.parametrize(
    ("turns", "way"), [(1, "a quarter to the right"), (2, "by half"), (3, "a quarter to the left")]
)
def test_the_way_to_turn_is_said(turns: int, way: str) -> None:
    assert f" Turn the photo {way} and save it" in said(make_seen(turns=turns))[0]


def test_a_face_in_the_background_is_none() -> None:
    """A face that is far smaller than the main one is not counted, and is shown all the same."""
    main, beside, behind = (make_face(pixels=pixels) for pixels in (300, 100, 99))
    assert said(FacesSeen((main, behind))) == []
    tiny = [make_face(pixels=pixels) for pixels in (80, 31)]
    assert said(FacesSeen(tuple(tiny))) == []
    assert said(FacesSeen((main, beside, behind)))[0].startswith("a.jpg shows 2 faces.")
    found = report({**of_one(9), "a.jpg": FacesSeen((main, beside, behind))})
    [faces] = [each.faces for each in found.photos if each.member == "a.jpg"]
    assert faces
    assert [each.mark for each in faces] == [FaceMark.SEVERAL, FaceMark.SEVERAL, None]


def test_a_blurred_photo_is_told_once() -> None:
    """A blurred face says nothing more of a photo that is blurred altogether; the mark stays."""
    assert said(make_seen(sharpness=1.0), sharpness=9.0) == []


def test_no_face_anywhere_is_one_problem() -> None:
    found = report({f"{number}.jpg": NO_FACE for number in range(12)})
    assert about_faces(found.warnings) == {("dataset_face_none", None)}
    assert {each.faces for each in found.photos} == {()}


@pytest.mark.parametrize(
    ("yaws", "words"),
    [
        ([0.1, -0.1], "All photos show the face from the front. Add photos with the head turned "),
        ([0.6, 0.9], "All photos show the face from one side. Add photos from the front"),
        ([-0.3, 0.3], ""),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.9], ""),
    ],
)
def test_one_angle_is_said(yaws: list[float], words: str) -> None:
    faces = {f"{n}.jpg": make_seen("ada", str(n), yaw=yaws[n % len(yaws)]) for n in range(20)}
    messages = [each.message for each in report(faces).warnings if each.code.endswith("one_angle")]
    assert [message[: len(words)] for message in messages] == [words] * bool(words)
    # Of fewer photos dataset_few_images says that they need other angles.
    few = dict(list(faces.items())[:19])
    assert about_faces(report(few).warnings) == set()


@pytest.mark.parametrize(("alike", "share"), [(10, "100%"), (8, "80%"), (7, "")])
def test_one_setting_is_said(alike: int, share: str) -> None:
    wall = bytes([120, 90, 60] * 64)
    same = {f"{n}.jpg": make_seen("ada", str(n), surroundings=wall) for n in range(alike)}
    found = report(of_one(10 - alike) | same)
    messages = [each.message for each in found.warnings if "_face_" in each.code]
    assert [message.partition(" of")[0] for message in messages] == [f"In {share}"] * bool(share)


def test_hidden_surroundings_are_not_the_same() -> None:
    """Where faces leave nothing to see around them, nothing is said of a place."""
    hidden = bytes([120, 90, 60] * 19 + [0, 0, 0] * 45)
    assert about_faces(report(of_one(10, surroundings=hidden)).warnings) == set()
    enough = bytes([120, 90, 60] * 20 + [0, 0, 0] * 44)
    assert len(about_faces(report(of_one(10, surroundings=enough)).warnings)) == 1


@pytest.mark.parametrize(
    "style",
    [
        {"key": "style/ada.zip"},
        {"key": "ada.zip", "metadata": {"preset": "style"}},
        {"key": "ada.zip", "training": {"preset": "style"}},
        {
            "key": "ada.zip",
            "metadata": {"trainer": "fal-ai/flux-lora-fast-training", "is_style": "true"},
        },
    ],
)
def test_a_style_is_not_asked(style: dict[str, Any]) -> None:
    comparer = NamedFaces()
    found = report(of_one(9) | dict(FIVE), faces=comparer, require_one_person=True, **style)
    assert (found.accepted, found.faces_checked, comparer.asked) == (True, False, [])
    assert about_faces(found.warnings) == set()
    assert {each.faces for each in found.photos} == {None}


def test_unknown_parameters_may_be_a_style() -> None:
    found = report(of_one(9) | dict(FIVE), metadata={"steps": "many"})
    assert (found.accepted, found.faces_checked) == (False, False)
    assert about_faces(found.warnings) == set()


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_one_person_can_be_required() -> None:
    """With RequireOnePerson a stranger refuses the dataset, by name; the other advice stays advice."""
    found = report(of_one(9) | dict(FIVE), require_one_person=True)
    assert not found.accepted
    assert about_faces(found.errors) == {("image_face_other_person", "stranger.jpg")}
    assert about_faces(found.warnings) == FIVE_SAID - about_faces(found.errors)
    assert found.errors[0].message.endswith(" its parameter RequireOnePerson is true.")
    [stranger] = [each for each in found.photos if each.fate is ImageOutcome.REFUSED]
    assert (stranger.member, stranger.errors) == ("stranger.jpg", found.errors)
    assert report(of_one(12), require_one_person=True).accepted


@pytest.mark.parametrize(
    ("faces", "code"),
    [
        ({f"{n}.jpg": NO_FACE for n in range(12)}, "dataset_face_none"),
        ({f"{n}.jpg": make_seen("ae"[n % 2], str(n)) for n in range(12)}, "dataset_face_two_people"),
        ({f"{n}.jpg": make_seen(str(n), "1") for n in range(12)}, "dataset_face_many_people"),
    ],
)  # fmt: skip
def test_several_people_can_be_refused(faces: dict[str, FacesSeen], code: str) -> None:
    assert about_faces(report(faces).warnings) == {(code, None)}
    found = report(faces, require_one_person=True)
    assert about_faces(found.errors) == {(code, None)}
    assert not found.accepted


def test_duplicates_and_masks_are_not_asked() -> None:
    faces = {**of_one(9), "ada-copy.jpg": make_seen("ada", "0"), "ada-01_mask.jpg": NO_FACE}
    images = {name: make_jpeg(name.replace("copy", "00")) for name in faces}
    seen = {images[name]: each for name, each in faces.items()}
    found = checked(
        make_archive(images=0, members=images),
        metadata={"trainer": "fal-ai/flux-lora-fast-training"},
        pictures=SeeingPictures(seen),
        faces=NamedFaces(),
    ).report
    unasked = {each.member for each in found.photos if each.faces is None}
    assert unasked == {"ada-copy.jpg", "ada-01_mask.jpg"}
    assert about_faces(found.warnings) == set()


def test_without_a_comparer_photos_are_judged() -> None:
    found = report(of_one(9) | dict(FIVE), faces=None)
    stranger = {("image_face_other_person", "stranger.jpg")}
    assert about_faces(found.warnings) == FIVE_SAID - stranger


def test_without_looking_nothing_is_said() -> None:
    found = report(dict.fromkeys(of_one(12)))
    assert (found.faces_checked, about_faces(found.warnings)) == (False, set())
    assert {each.faces for each in found.photos} == {None}
    assert findings_of([], NamedFaces()) is None


@pytest.mark.promise("nothing leaks")
def test_a_report_holds_no_crop() -> None:
    """A report has where a face is and one number of it: neither its pixels nor what they were compared by."""
    crop = bytes(range(256)) * (CROP_BYTES // 256)
    found = report(of_one(9) | {"a.jpg": make_seen(pixels=20, crop=crop)})
    [written] = [
        each for each in json.loads(json_text(found))["photos"] if each["member"] == "a.jpg"
    ]
    assert written["faces"] == [
        {"left": 0.3, "top": 0.2, "width": 0.4, "height": 0.4, "pixels": 20, "mark": "small", "similarity": None}
    ]  # fmt: skip
    assert "\\x01\\x02\\x03" not in repr(make_seen(crop=crop))


def test_the_sheet_shows_each_face() -> None:
    """The contact sheet has a box around each face, in the photo's own pixels, and the word for what was seen."""
    text = html_text(report(of_one(9) | dict(FIVE)))
    page = Page(text)
    drawn = [each for name, each in page.elements if name in {"svg", "rect"}]
    views = [each["viewbox"] for each in drawn if "viewbox" in each and each["class"] == "faces"]
    assert views == ["0 0 1024 1024"] * 13
    boxes = [each for each in drawn if each.get("class") in {"face", "marked"}]
    assert boxes[0] == {"x": "307", "y": "205", "width": "410", "height": "410", "class": "face"}
    assert [each["class"] for each in boxes] == ["face"] * 9 + ["marked"] * 8
    for words in ("Another person", "5 faces", "No face", "Small face", "Turned"):
        assert f'<span class="mark">{words}</span>' in text
    assert len(page.with_class("mark")) == 5


def test_a_tiny_face_has_a_box() -> None:
    far = FacesSeen((make_face(pixels=20, box=Box(0.5, 0.5, 0.02, 0.02)),))
    page = Page(html_text(report(of_one(9) | {"a.jpg": far})))
    [box] = [each for each in page.all("rect") if each["class"] == "marked"]
    assert (box["x"], box["y"], box["width"], box["height"]) == ("492", "492", "61", "61")


def test_a_style_sheet_draws_nothing() -> None:
    page = Page(html_text(report(of_one(9) | dict(FIVE), key="style/ada.zip")))
    assert (page.with_class("faces"), page.with_class("mark"), page.all("rect")) == ([], [], [])
