"""The contact sheet: every photo with what is known of it.

``report.html`` has it with the thumbnails inside; the page of ``lora-drop ui`` has the same with thumbnails
that are fetched, and with buttons.
"""

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lora_drop.datasets.report import FaceMark, FaceReport, ImageOutcome, ImageReport
from lora_drop.datasets.reports.markup import (
    OUTCOME_WORDS,
    Anchors,
    Html,
    counted,
    first_sentence,
    joined,
    named,
    remark,
    size_of,
    tag,
)
from lora_drop.jobs.problems import MAX_NAME, shortened

type Picture = Callable[[ImageReport], Html]
"""Makes what is in a photo's frame."""
type Controls = Callable[[ImageReport], Html | None]
"""Makes what stands at the end of a photo's card."""

JPEG = b"\xff\xd8\xff"
TIMES = "\N{MULTIPLICATION SIGN}"
# What people call them.
FORMATS = {"HEIF": "HEIC", "JXL": "JPEG XL", "JP2": "JPEG 2000"}
ADVISED = "advised"
RENAMED = "dataset_flattened"
MAX_CAPTION = 240  # characters
LEAST_BOX = 0.06  # of a photo's longer side
NO_FACE = "No face"
MARKS = {
    FaceMark.SMALL: "Small face",
    FaceMark.COVERED: "Covered face",
    FaceMark.BLURRED: "Blurred face",
    FaceMark.PROFILE: "Profile",
    FaceMark.TURNED: "Turned",
    FaceMark.OTHER_PERSON: "Another person",
    FaceMark.SECOND_PERSON: "Second person",
}
# Nothing that could be better: only said.
PLAIN_MARKS = frozenset({FaceMark.PROFILE})
# Fewer than that can be looked through.
WORTH_A_FILTER = 12


@dataclass(frozen=True, slots=True)
class Choice:
    """Some of the photos: the class that their cards have (“all” has none), in words, and how many they are."""

    key: str
    label: str
    number: int


def embedded_picture(photo: ImageReport) -> Html:
    """Return a photo's thumbnail with its bytes in the page, which then needs nothing but itself."""
    # Nothing but a JPEG is ever called one here, also in a report from another version.
    if not photo.thumbnail.startswith(JPEG):
        return tag("span", "No preview", class_="no-picture")
    data = base64.b64encode(photo.thumbnail).decode()
    return picture_at(f"data:image/jpeg;base64,{data}", photo)


def picture_at(address: str, photo: ImageReport) -> Html:
    """Return the picture of a photo that is at this address."""
    return tag(
        "img",
        src=address,
        alt=f"Preview of {shortened(photo.member, MAX_NAME)}",
        loading="lazy",
        decoding="async",
    )


def anchors_of(photos: Sequence[ImageReport]) -> Anchors:
    """Return the id of each photo's place, by its name as photos and as problems have it."""
    places: dict[str, str] = {}
    for number, photo in enumerate(photos, 1):
        for name in (photo.member, shortened(photo.member, MAX_NAME)) if is_photo(photo) else ():
            places.setdefault(name, _place(number))
    return places


def contact_sheet(
    photos: Sequence[ImageReport],
    *,
    picture: Picture = embedded_picture,
    controls: Controls | None = None,
) -> Html | None:
    """Return the section with every photo; None where no photo was found.

    Each card's id is the photo's place in ``anchors_of`` the same photos.
    """
    shown = [(photo, _place(number)) for number, photo in enumerate(photos, 1) if is_photo(photo)]
    if not shown:
        return None
    cards = [photo_card(photo, place, picture=picture, controls=controls) for photo, place in shown]
    heading = tag("h2", "Photos ", tag("span", f"{len(shown):,}", class_="count"))
    listed = tag("ol", *cards, class_="photos")
    choices = filter_choices([photo for photo, _ in shown])
    worth = len(shown) > WORTH_A_FILTER and choices
    return tag("section", heading, photo_filter(choices) if worth else None, listed, id="photos")


def photo_card(
    photo: ImageReport,
    place: str,
    *,
    picture: Picture = embedded_picture,
    controls: Controls | None = None,
    badge: tuple[str, str] | None = None,
) -> Html:
    """Return one photo as an item of the sheet's list; ``place`` is its id on the page.

    ``badge`` are words and their class in place of those of what becomes of it.
    """
    kinds = [photo.fate.value, *([ADVISED] if photo.warnings else [])]
    words, kind = badge or (OUTCOME_WORDS[photo.fate], photo.fate.value)
    remarks = list(_remarks(photo))
    return tag(
        "li",
        tag(
            "div",
            picture(photo),
            *_faces(photo),
            tag("span", words, class_=f"badge {kind}"),
            class_="frame",
        ),
        tag("p", named(photo.member), class_="title"),
        tag("p", _facts(photo), class_="facts"),
        tag(
            "p",
            tag("q", shortened(" ".join(photo.caption_text.split()), MAX_CAPTION)),
            class_="caption",
        )
        if photo.caption_text
        else None,
        tag("ul", *remarks, class_="remarks") if remarks else None,
        controls(photo) if controls else None,
        class_=" ".join(("photo", *kinds)),
        id=place,
    )


def _faces(photo: ImageReport) -> Iterator[Html]:
    """Yield a box around each face, and the word for what is remarkable of them; nothing where none was looked for."""
    if photo.faces is None:
        return
    if photo.faces and photo.width and photo.height:
        boxes = [_box(face, photo.width, photo.height) for face in photo.faces]
        # It is fitted into the frame as the picture is: in the middle, as large as it can be.
        view = f"0 0 {photo.width} {photo.height}"
        yield tag("svg", *boxes, viewBox=view, class_="faces", aria_hidden="true")
    mark = photo.faces[0].mark if photo.faces else None
    if mark is FaceMark.SEVERAL:
        marked = sum(face.mark is FaceMark.SEVERAL for face in photo.faces)
        yield tag("span", counted(marked, "face"), class_="mark")
    elif mark or not photo.faces:
        words = MARKS[mark] if mark else NO_FACE
        yield tag("span", words, class_="mark plain" if mark in PLAIN_MARKS else "mark")


def _box(face: FaceReport, width: int, height: int) -> Html:
    """Return a box around a face, in pixels of the photo; large enough to be seen in a small preview."""
    least = LEAST_BOX * max(width, height)
    wide, high = max(face.width * width, least), max(face.height * height, least)
    left = face.left * width - (wide - face.width * width) / 2
    top = face.top * height - (high - face.height * height) / 2
    return tag(
        "rect",
        x=f"{left:.0f}",
        y=f"{top:.0f}",
        width=f"{wide:.0f}",
        height=f"{high:.0f}",
        class_="marked" if face.mark and face.mark not in PLAIN_MARKS else "face",
    )


def filter_choices(photos: Sequence[ImageReport]) -> list[Choice]:
    """Return what the photos can be narrowed down to, “All” first; empty where each choice would leave all."""
    fates = [
        (fate.value, OUTCOME_WORDS[fate], [p for p in photos if p.fate is fate])
        for fate in ImageOutcome
    ]
    advised = [photo for photo in photos if photo.warnings]
    choices = [
        Choice(key, label, len(of)) for key, label, of in (*fates, (ADVISED, "Advice", advised))
    ]
    there = [choice for choice in choices if 0 < choice.number < len(photos)]
    return [Choice("all", "All", len(photos)), *there] if there else []


def photo_filter(choices: Sequence[Choice]) -> Html:
    """Return radio buttons that the style sheet goes by: a thousand photos take more than scrolling."""
    legend = tag("legend", "Show", class_="unseen")
    return tag("fieldset", legend, *map(_button, choices), class_="filter")


def _button(choice: Choice) -> Html:
    place = f"show-{choice.key}"
    button = tag("input", type="radio", name="show", id=place, checked=choice.key == "all")
    text = tag("label", choice.label, " ", tag("span", f"{choice.number:,}"), for_=place)
    return joined((button, text))


def is_photo(file: ImageReport) -> bool:
    """Return whether it is, or was meant to be, a photo; a clip or a document is left out and no more."""
    return file.format is not None or file.fate is not ImageOutcome.DROPPED


def _place(number: int) -> str:
    return f"photo-{number}"


def _facts(photo: ImageReport) -> Html:
    known = (photo.format or "").upper()
    sides = f"{photo.width:,} {TIMES} {photo.height:,}" if photo.width and photo.height else ""
    parts = (FORMATS.get(known, known), size_of(photo.size), "captioned" if photo.caption else "")
    file = " · ".join(part for part in parts if part)
    return joined(tag("span", line) for line in (sides, file) if line)


def _remarks(photo: ImageReport) -> Iterator[Html]:
    for error in photo.errors:
        yield tag("li", remark(error.message, photo.member), class_="error")
    changed = {change.code for change in photo.changes}
    for warning in photo.warnings:
        if warning.code in changed:
            continue  # said by what was done about it
        # What to do is said once, above: sixty photos may look the same.
        wrong, _ = first_sentence(warning.message, warning.member)
        yield tag("li", remark(wrong, photo.member), class_="warning")
    for change in photo.changes:
        yield tag("li", remark(change.message, photo.member), class_="change")
    if photo.name and photo.name != photo.member and RENAMED not in changed:
        yield tag("li", "Is called ", named(photo.name), " in the copy.", class_="change")
