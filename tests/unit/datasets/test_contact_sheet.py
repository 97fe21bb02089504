"""The contact sheet is the same in report.html and on a page that brings pictures and buttons of its own."""

import re

import pytest

from lora_drop.datasets.report import ImageOutcome, ImageReport
from lora_drop.datasets.reports import (
    COLOURS,
    SHEET_STYLE,
    anchors_of,
    contact_sheet,
    filter_choices,
    html_text,
    photo_card,
    picture_at,
)
from lora_drop.datasets.reports.markup import Html, tag
from tests.support.reports import Page, make_photo, make_report, whole_report

HOSTILE = '"><script>alert(1)</script>.jpg'
PHOTOS = (
    *whole_report().photos,
    *(make_photo(f"{number}.jpg", caption_text="ada") for number in range(12)),
    make_photo("clip.mov", fate=ImageOutcome.DROPPED, format=None),
    make_photo(HOSTILE, fate=ImageOutcome.DROPPED, thumbnail=b""),
)


def fetched(photo: ImageReport) -> Html:
    return picture_at(f"/thumbnails/{photo.size}", photo)


def button(photo: ImageReport) -> Html | None:
    return tag("button", "Leave out") if photo.fate is ImageOutcome.KEPT else None


def text(html: Html | None) -> str:
    assert html
    return html.text


def test_the_report_has_the_sheet() -> None:
    assert text(contact_sheet(PHOTOS)) in html_text(make_report(photos=PHOTOS))


def test_a_page_brings_pictures_and_controls() -> None:
    plain = text(contact_sheet(PHOTOS))
    own = text(contact_sheet(PHOTOS, picture=fetched, controls=button))
    assert own.count("<button>Leave out</button></li>") == 13
    assert {each["src"] for each in Page(own).all("img")} == {"/thumbnails/2400000"}
    framed = r'(?<=<div class="frame">)<.*?>(No preview</span>)?(?=<span class="badge)'
    without = own.replace("<button>Leave out</button>", "")
    assert re.sub(framed, "", without) == re.sub(framed, "", plain)


def test_a_card_alone_is_the_sheets() -> None:
    places = anchors_of(PHOTOS)
    sheet = text(contact_sheet(PHOTOS, picture=fetched, controls=button))
    cards = [
        photo_card(each, places[each.member], picture=fetched, controls=button).text
        for each in PHOTOS
        if each.member in places
    ]
    assert "".join(cards) in sheet
    assert (len(cards), "clip.mov" in places) == (len(PHOTOS) - 1, False)


def test_choices_leave_photos_out() -> None:
    photos = [each for each in PHOTOS if each.member != "clip.mov"]
    assert [(each.key, each.label, each.number) for each in filter_choices(photos)] == [
        ("all", "All", 16),
        ("kept", "Kept", 13),
        ("mended", "Mended", 1),
        ("dropped", "Left out", 1),
        ("refused", "Refused", 1),
        ("advised", "Advice", 1),
    ]
    assert filter_choices(photos[4:7]) == []


@pytest.mark.promise("nothing leaks")
def test_a_card_holds_names_as_text() -> None:
    """A card's picture, title and caption are text, also with a picture from an address."""
    photo = make_photo(HOSTILE, caption_text=HOSTILE)
    page = Page(photo_card(photo, "photo-1", picture=fetched).text)
    assert (page.text.count(HOSTILE), page.all("script")) == (2, [])
    assert page.all("img")[0]["alt"] == f"Preview of {HOSTILE}"


def test_the_sheets_style_is_whole() -> None:
    """Each class of the sheet has a rule in its style, and each colour of these is declared."""
    used = {
        name
        for _, each in Page(text(contact_sheet(PHOTOS))).elements
        for name in (each.get("class") or "").split()
    }
    # A name is only kept apart from the reading direction around it.
    assert {each for each in used if f".{each}" not in SHEET_STYLE} == {"name"}
    colours = set(re.findall(r"var\(--([a-z-]+)\)", SHEET_STYLE))
    assert {each for each in colours if f"--{each}:" not in COLOURS} == set()
