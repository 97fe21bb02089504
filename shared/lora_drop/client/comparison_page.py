"""The page of two jobs beside each other: one file without scripts that fetches nothing."""

import base64
from collections.abc import Callable, Iterator
from functools import partial

from lora_drop.client.comparison import Comparison
from lora_drop.client.comparison_rows import (
    OTHER_CONTENT,
    SAME_PHOTOS,
    comparison_rows,
    likeness_notes,
    photo_words,
)
from lora_drop.client.differences import PhotoChanges
from lora_drop.datasets.reports.markup import Html, named, tag
from lora_drop.datasets.reports.page import document
from lora_drop.datasets.reports.style import COLOURS, GENERAL

STYLE = (
    COLOURS
    + GENERAL
    + """\
body{max-width:112rem}
table{width:100%;border-collapse:collapse;table-layout:fixed;font-size:.9375rem}
th,td{padding:.5rem .75rem .5rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;font-weight:400}
thead th{font-weight:600}
thead th:first-child{width:7rem}
tbody th{color:var(--faint)}
.differs td{font-weight:600}
.pictures thead th:first-child{width:3rem}
.pictures img{display:block;width:100%;height:auto;border-radius:.5rem;background:var(--calm)}
.pictures p{margin-top:.375rem;font-size:.875rem}
.none{color:var(--faint)}
"""
)

type Picture = Callable[[str], bytes | None]


def comparison_page(compared: Comparison, picture: Picture) -> str:
    """Return the page; ``picture`` gives the picture under a key as a small JPEG, or None."""
    names = compared.a.job_id, compared.b.job_id
    title = f"{names[0]} and {names[1]}"
    return document(
        title,
        tag("header", tag("h1", title)),
        tag(
            "main", _table(compared, names), _photos(compared), _pictures(compared, names, picture)
        ),
        style=STYLE,
    )


def _heads(first: str, names: tuple[str, str]) -> Html:
    cells = [tag("th", name, scope="col") for name in (first, *names)]
    return tag("thead", tag("tr", *cells))


def _table(compared: Comparison, names: tuple[str, str]) -> Html:
    rows = [
        tag(
            "tr",
            tag("th", row.name, scope="row"),
            tag("td", row.a),
            tag("td", row.b),
            class_="differs" if row.differs else "same",
        )
        for row in comparison_rows(compared)
    ]
    notes = [tag("p", each) for each in likeness_notes(compared)]
    return tag("section", tag("table", _heads("", names), tag("tbody", *rows)), *notes)


def _photos(compared: Comparison) -> Html | None:
    photos = compared.changes.photos
    if photos is None:
        said = "Which photos differ is not known: a report is missing, or is of an earlier version."
    else:
        said = photo_words(photos) or SAME_PHOTOS
        said = OTHER_CONTENT if compared.changes.other_content else said
    lists = _lists(photos) if photos else ()
    return tag("section", tag("h2", "Photos"), tag("p", said), *lists)


def _lists(photos: PhotoChanges) -> Iterator[Html]:
    for title, members in (
        ("Added", photos.added),
        ("Removed", photos.removed),
        ("Caption changed", photos.captions),
    ):
        if members:
            yield tag("h3", title)
            yield tag("ul", *(tag("li", named(member)) for member in members))


def _pictures(compared: Comparison, names: tuple[str, str], picture: Picture) -> Html | None:
    if not compared.pictures:
        return None
    rows = [
        tag(
            "tr",
            tag("th", str(number), scope="row"),
            *map(partial(_cell, picture), keys, compared.captions.get(number, ("", ""))),
        )
        for number, keys in compared.pictures.items()
    ]
    table = tag("table", _heads("", names), tag("tbody", *rows), class_="pictures")
    note = tag("p", compared.simulated, class_="note") if compared.simulated else None
    return tag("section", tag("h2", "Proof sheets"), note, table)


def _cell(picture: Picture, key: str | None, caption: str) -> Html:
    data = picture(key) if key else None
    if data is None:
        return tag("td", "no picture", class_="none")
    source = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
    said = tag("p", caption) if caption else None
    return tag("td", tag("img", src=source, alt=f"picture of {key}"), said)
