"""The contact sheet of a dataset that is not sent yet: the report's own cards, with a person's decisions."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from lora_drop.datasets.images.formats import PHOTO_SUFFIXES
from lora_drop.datasets.problem_codes import MEANINGS
from lora_drop.datasets.report import ImageOutcome, ImageReport, ReportedChange
from lora_drop.datasets.reports import photo_card, picture_at
from lora_drop.datasets.reports.markup import OUTCOME_WORDS, Html, joined, tag
from lora_drop.datasets.reports.sheet import ADVISED, is_photo
from lora_drop.datasets.selection import suffix_of
from lora_drop.jobs.problems import MAX_NAME, shortened

if TYPE_CHECKING:
    from lora_drop.ui.drafts import Draft, DraftFile

REJECTED_BY_YOU = "rejected"
EDITED = "edited"
ALL = "all"
LEFT_OUT = ReportedChange(code="image_rejected", member="", message="You left it out.")


@dataclass(frozen=True, slots=True)
class SheetPhoto:
    """One photo of a draft: what the newest check says, and what a person has decided.

    ``checked``: the check has come to it; before that only its name and its size are known.
    """

    draft_id: str
    file: "DraftFile"
    report: ImageReport
    checked: bool
    rejected: bool
    edited: bool = False

    @property
    def address(self) -> str:
        """Where it is on the page."""
        return f"/drafts/{self.draft_id}/photos/{self.file.number}"

    @property
    def place(self) -> str:
        """Return the id of its card."""
        return f"photo-{self.file.number}"

    @property
    def kinds(self) -> frozenset[str]:
        """What a filter finds it by: outcome, advice, edits, and the codes of what was found."""
        if self.rejected:
            return frozenset({REJECTED_BY_YOU})
        if not self.checked:
            return frozenset()
        codes = {each.code for each in (*self.report.errors, *self.report.warnings)}
        more = {ADVISED} if self.report.warnings else set[str]()
        more |= {EDITED} if self.edited else set()
        return frozenset({self.report.fate.value, *codes, *more})


@dataclass(frozen=True, slots=True)
class Filter:
    """One choice of what the sheet shows, and how many photos that are."""

    key: str
    label: str
    count: int


def photos_of(draft: "Draft") -> list[SheetPhoto]:
    """Return the photos of a draft, in its order; those that a person left out among them."""
    known = {photo.member: photo for photo in draft.report.photos} if draft.report else {}
    found = []
    # While a folder is copied, new photos come at the end; once it is whole, they are in the order of their names.
    as_it_came = draft.zipped or not draft.complete
    files = draft.files if as_it_came else sorted(draft.files, key=_as_people_count)
    for file in files:
        rejected, report = file.name in draft.rejected, known.get(file.name)
        if report is not None and not rejected:
            if is_photo(report):
                edited = file.name in draft.captions
                found.append(SheetPhoto(draft.id, file, report, True, False, edited))  # noqa: FBT003
        elif rejected or (report is None and suffix_of(file.name) in PHOTO_SUFFIXES):
            found.append(_bare(draft, file, rejected=rejected))
    return found


def _as_people_count(file: "DraftFile") -> list[tuple[int, str]]:
    """Return what sorts IMG_2 before IMG_10."""
    parts = re.split(r"([0-9]+)", file.name.casefold())
    return [(int(part), part) if part.isascii() and part.isdigit() else (0, part) for part in parts]


def _bare(draft: "Draft", file: "DraftFile", *, rejected: bool) -> SheetPhoto:
    """Return a photo of which no check says anything: it is left out, or new."""
    report = ImageReport(
        member=file.name,
        fate=ImageOutcome.DROPPED if rejected else ImageOutcome.KEPT,
        size=file.size,
        caption_text=draft.captions.get(file.name, ""),
        changes=(LEFT_OUT,) if rejected else (),
    )
    return SheetPhoto(draft.id, file, report, checked=False, rejected=rejected)


def filters_of(photos: Sequence[SheetPhoto]) -> list[Filter]:
    """Return what can be shown: all, each outcome, and each problem that was found."""
    counts: dict[str, int] = {}
    for photo in photos:
        for kind in photo.kinds:
            counts[kind] = counts.get(kind, 0) + 1
    words = {each.value: OUTCOME_WORDS[each] for each in ImageOutcome}
    words |= {ADVISED: "Advice", EDITED: "Caption edited", REJECTED_BY_YOU: "Left out by you"}
    codes = {code: _label(code) for code in sorted(counts) if code not in words}
    there = [(key, label) for key, label in (words | codes).items() if counts.get(key)]
    return [Filter(ALL, "All", len(photos)), *(Filter(k, label, counts[k]) for k, label in there)]


def _label(code: str) -> str:
    meaning = MEANINGS.get(code)
    return meaning.means.removesuffix(".") if meaning else code


def shown(photos: Sequence[SheetPhoto], kind: str) -> list[SheetPhoto]:
    """Return the photos that a filter shows."""
    return [photo for photo in photos if kind in (ALL, "") or kind in photo.kinds]


def query_of(kind: str) -> str:
    """Return what an address says of a filter; nothing where all photos are shown."""
    return "" if kind in (ALL, "") else f"?{urlencode({'show': kind})}"


def card_of(photo: SheetPhoto, *, editable: bool, kind: str = ALL) -> Html:
    """Return a photo's card: that of report.html, with a preview that is loaded when it is seen."""
    badge = None
    if not photo.checked:
        badge = ("Left out", "dropped") if photo.rejected else ("Not checked", "pending")
    query = query_of(kind)
    controls: Callable[[ImageReport], Html | None] = partial(_controls, photo, query=query)
    return photo_card(
        photo.report,
        photo.place,
        picture=partial(_preview, photo, query=query),
        controls=controls if editable else None,
        badge=badge,
    )


def _preview(photo: SheetPhoto, report: ImageReport, *, query: str) -> Html:
    image = picture_at(f"{photo.address}/thumbnail?v={photo.file.size}", report)
    return tag("a", image, href=photo.address + query, tabindex="-1", aria_hidden="true")


def _controls(photo: SheetPhoto, _: ImageReport, *, query: str) -> Html:
    number, name = str(photo.file.number), shortened(photo.file.name, MAX_NAME)
    action, words = ("keep", "Keep") if photo.rejected else ("reject", "Leave out")
    at = f"{photo.address}/{action}{query}"
    button = tag(
        "button",
        words,
        tag("span", f" {name}", class_="unseen"),
        type="submit",
        id=f"decide-{number}",
        class_="small",
    )
    form = tag(
        "form",
        button,
        method="post",
        action=at,
        hx_post=at,
        hx_target=f"#{photo.place}",
        hx_swap="outerHTML",
    )
    look = tag(
        "a",
        "Look",
        tag("span", f" at {name} and its caption", class_="unseen"),
        href=photo.address + query,
    )
    return tag("div", joined((form, look)), class_="decide")
