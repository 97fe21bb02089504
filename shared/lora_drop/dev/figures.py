"""Measured numbers in the docs: each stands between marks, and is what ``benchmarks/results.json`` says.

In a line, ``<!-- figure: KEY -->2.6 s<!-- end -->``; ``KEY ratio``, ``KEY min`` and ``KEY max`` are other numbers of the same figure.
Between lines of their own, ``<!-- figures: PREFIX … -->`` and ``<!-- end -->`` hold a table of all figures whose keys begin with one of these.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lora_drop.local.tools import ROOT

RESULTS = ROOT / "benchmarks" / "results.json"
# Dated history says what was measured then, and stays.
HISTORY = frozenset({"decisions.md"})
INLINE = re.compile(r"(<!-- figure: (\S+)(?: (median|ratio|min|max))? -->)(.*?)(<!-- end -->)")
TABLE = re.compile(
    r"^(<!-- figures: (\S+(?: \S+)*) -->)\n(.*?)^(<!-- end -->)$", re.MULTILINE | re.DOTALL
)
UNMEASURED = "Not measured yet: `python -m benchmarks {}`."

type Row = Mapping[str, Any]


class FigureError(ValueError):
    """Raised when the docs name a figure that was not measured."""


def rows_of(results: Mapping[str, Any]) -> Mapping[str, Row]:
    """Return every figure by its key."""
    return {
        key: row for topic in results["topics"].values() for key, row in topic["figures"].items()
    }


def measured() -> Mapping[str, Any]:
    """Return results.json."""
    found: Mapping[str, Any] = json.loads(RESULTS.read_text())
    return found


def shown(row: Row, which: str = "") -> str:
    """Return a figure's number as a person reads it."""
    if which == "ratio":
        return f"{row['ratio']:.2f} times"
    return with_unit(row[which or "median"], row["unit"])


def with_unit(number: float, unit: str) -> str:
    """Return a number with its unit; large ones without fractions."""
    text = f"{number:,.0f}" if abs(number) >= 100 or number == int(number) else f"{number:.3g}"  # noqa: PLR2004  # three digits
    match unit:
        case "$":
            return f"${number:,.2f}"
        case "exponent":
            return f"n^{round(number, 2) + 0.0:.2f}"  # never -0.00
        case "count":
            return text
        case "ratio":
            return f"{number:.3g} times"
    return f"{text} {unit}"


def filled(text: str, rows: Mapping[str, Row]) -> str:
    """Return the page with what was measured between its marks; raises FigureError for a key that was not."""

    def inline(mark: re.Match[str]) -> str:
        if mark[2] not in rows:
            raise FigureError(f"{mark[2]}: no such figure in {RESULTS.name}")
        return f"{mark[1]}{shown(rows[mark[2]], mark[3] or '')}{mark[5]}"

    def table(mark: re.Match[str]) -> str:
        return "\n".join([mark[1], *_table(mark[2].split(), rows), mark[4]])

    return TABLE.sub(table, INLINE.sub(inline, text))


def _table(prefixes: list[str], rows: Mapping[str, Row]) -> Iterator[str]:
    found = [row for key, row in rows.items() if key.startswith(tuple(prefixes))]
    missing = [each for each in prefixes if not any(key.startswith(each) for key in rows)]
    for each in missing:
        yield UNMEASURED.format(each.partition(".")[0])
    if missing and found:
        yield ""
    if not found:
        return
    peers, goals = (any(what in row for row in found) for what in ("ratio", "goal"))
    yield f"| | measured |{' beside it |' * peers}{' goal |' * goals}"
    yield f"|---|---|{'---|' * peers}{'---|' * goals}"
    for row in found:
        ratio = shown(row, "ratio") if "ratio" in row else ""
        goal = f"{row['goal']}: {'held' if row['holds'] else '**missed**'}" if "goal" in row else ""
        yield f"| {row['says']} | {shown(row)} |{f' {ratio} |' * peers}{f' {goal} |' * goals}"


def pages() -> Iterator[Path]:
    """Yield the pages that may have figures."""
    yield ROOT / "README.md"
    yield from (page for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in HISTORY)
