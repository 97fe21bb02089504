"""The report's sections: problems and changes by their code, and the contact sheet with every photo.

Thirty photos with one problem are one thing to read.
"""

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from lora_drop.datasets.problem_codes import MEANINGS, rank
from lora_drop.datasets.report import ImageOutcome, ImageReport, ReportedChange
from lora_drop.datasets.reports.markup import (
    OUTCOME_WORDS,
    Anchors,
    Html,
    counted,
    first_sentence,
    joined,
    named,
    remark,
    sentence,
    size_of,
    tag,
)
from lora_drop.jobs.problems import MAX_NAME, Problem, shortened

type Case = Problem | ReportedChange

SHOWN = 3  # cases of a group that are shown at once
JPEG = b"\xff\xd8\xff"
TIMES = "\N{MULTIPLICATION SIGN}"
# What people call them.
FORMATS = {"HEIF": "HEIC", "JXL": "JPEG XL", "JP2": "JPEG 2000"}
ADVISED = "advised"
RENAMED = "dataset_flattened"
MAX_CAPTION = 240  # characters
# Fewer than that can be looked through.
WORTH_A_FILTER = 12


@dataclass(frozen=True, slots=True)
class Group:
    """All that was found of one code, in the order in which it was found."""

    code: str
    cases: tuple[Case, ...]

    @property
    def heading(self) -> str:
        """What the code means; the code itself where it is not known."""
        meaning = MEANINGS.get(self.code)
        return meaning.means.removesuffix(".") if meaning else self.code

    @property
    def count(self) -> str:
        """How many cases there are, as what they are: “3 photos”."""
        noun = {"image": "photo", "caption": "caption"}.get(self.code.partition("_")[0], "time")
        return counted(len(self.cases), noun)


def groups_of(cases: Iterable[Case]) -> list[Group]:
    """Return a group for each code, in the order of the first of each."""
    found: dict[str, list[Case]] = {}
    for each in cases:
        found.setdefault(each.code, []).append(each)
    return [Group(code, tuple(those)) for code, those in found.items()]


def by_importance(groups: Iterable[Group]) -> list[Group]:
    """Return the groups in the order in which they have to be mended."""
    return sorted(groups, key=lambda group: rank(group.code))


def group_item(group: Group, anchors: Anchors, shown: int = SHOWN) -> Html:
    """Return one group as an item of a list; so many of its cases are seen at once."""
    if len(group.cases) == 1:
        body = _one(group.cases[0], anchors)
    else:
        count = tag("span", group.count, class_="count")
        body = joined((tag("h3", group.heading, " ", count), _several(group.cases, anchors, shown)))
    return tag("li", body, tag("code", group.code), class_="group")


def shared_end(messages: Sequence[str]) -> str:
    """Return the sentences with which all of them end, behind the first sentence of each; often none."""
    letters = zip(*(reversed(message) for message in messages), strict=False)
    common = "".join(each[0] for each in takewhile(lambda each: len(set(each)) == 1, letters))
    _, found, end = common[::-1].partition(". ")
    return end if found else ""


def _one(case: Case, anchors: Anchors) -> Html:
    """Return the first sentence, which says what is wrong, above the others, which say what to do."""
    first, others = first_sentence(case.message, case.member)
    heading = tag("h3", sentence(first.removesuffix("."), case.member, anchors))
    return joined((heading, tag("p", others) if others else None))


def _several(cases: Sequence[Case], anchors: Anchors, shown: int) -> Html:
    """Return what all of them say once, and what each says by itself."""
    end = shared_end([case.message for case in cases])
    items = [
        tag("li", sentence(case.message.removesuffix(end).rstrip(), case.member, anchors))
        for case in cases
    ]
    # One more than is shown takes as much room as the word that there is one more.
    cut = shown if len(items) > shown + 1 else len(items)
    return joined(
        (
            tag("p", end) if end else None,
            tag("ul", *items[:cut], class_="cases") if cut else None,
            _hidden(items[cut:], "more" if cut else "files") if items[cut:] else None,
        )
    )


def _hidden(items: Sequence[Html], which: str) -> Html:
    summary = tag("summary", f"Show {len(items):,} {which}")
    return tag("details", summary, tag("ul", *items, class_="cases"))


def anchors_of(photos: Sequence[ImageReport]) -> Anchors:
    """Return the id of each photo's place, by its name as photos and as problems have it."""
    places: dict[str, str] = {}
    for number, photo in enumerate(photos, 1):
        for name in (photo.member, shortened(photo.member, MAX_NAME)) if is_photo(photo) else ():
            places.setdefault(name, _place(number))
    return places


def contact_sheet(photos: Sequence[ImageReport]) -> Html | None:
    """Return the section with every photo; None where no photo was found."""
    shown = [(photo, _place(number)) for number, photo in enumerate(photos, 1) if is_photo(photo)]
    if not shown:
        return None
    cards = [_card(photo, place) for photo, place in shown]
    heading = tag("h2", "Photos ", tag("span", f"{len(shown):,}", class_="count"))
    listed = tag("ol", *cards, class_="photos")
    return tag("section", heading, _filter([photo for photo, _ in shown]), listed, id="photos")


def is_photo(file: ImageReport) -> bool:
    """Return whether it is, or was meant to be, a photo; a clip or a document is left out and no more."""
    return file.format is not None or file.fate is not ImageOutcome.DROPPED


def _place(number: int) -> str:
    return f"photo-{number}"


def _filter(photos: Sequence[ImageReport]) -> Html | None:
    """Return radio buttons that the style sheet goes by: a thousand photos take more than scrolling."""
    fates = [
        (fate.value, OUTCOME_WORDS[fate], [p for p in photos if p.fate is fate])
        for fate in ImageOutcome
    ]
    advised = [photo for photo in photos if photo.warnings]
    choices = [(key, label, len(of)) for key, label, of in (*fates, (ADVISED, "Advice", advised))]
    there = [choice for choice in choices if 0 < choice[2] < len(photos)]
    if len(photos) <= WORTH_A_FILTER or not there:
        return None
    legend = tag("legend", "Show", class_="unseen")
    return tag(
        "fieldset",
        legend,
        *(_choice(*choice) for choice in (("all", "All", len(photos)), *there)),
        class_="filter",
    )


def _choice(key: str, label: str, number: int) -> Html:
    place = f"show-{key}"
    button = tag("input", type="radio", name="show", id=place, checked=key == "all")
    text = tag("label", label, " ", tag("span", f"{number:,}"), for_=place)
    return joined((button, text))


def _card(photo: ImageReport, place: str) -> Html:
    kinds = [photo.fate.value, *([ADVISED] if photo.warnings else [])]
    badge = tag("span", OUTCOME_WORDS[photo.fate], class_=f"badge {photo.fate.value}")
    remarks = list(_remarks(photo))
    return tag(
        "li",
        tag("div", _picture(photo), badge, class_="frame"),
        tag("p", named(photo.member), class_="title"),
        tag("p", _facts(photo), class_="facts"),
        tag("p", tag("q", shortened(photo.caption_text, MAX_CAPTION)), class_="caption")
        if photo.caption_text
        else None,
        tag("ul", *remarks, class_="remarks") if remarks else None,
        class_=" ".join(("photo", *kinds)),
        id=place,
    )


def _picture(photo: ImageReport) -> Html:
    # Nothing but a JPEG is ever called one here, also in a report from another version.
    if not photo.thumbnail.startswith(JPEG):
        return tag("span", "No preview", class_="no-picture")
    data = base64.b64encode(photo.thumbnail).decode()
    return tag(
        "img",
        src=f"data:image/jpeg;base64,{data}",
        alt=f"Preview of {shortened(photo.member, MAX_NAME)}",
        loading="lazy",
        decoding="async",
    )


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
