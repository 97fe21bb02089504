"""What was measured stands in the docs between marks, and is what results.json says."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lora_drop.dev.docs import PAGES
from lora_drop.dev.figures import INLINE, TABLE, FigureError, filled, pages, rows_of, with_unit
from lora_drop.local.tools import ROOT

RESULTS: dict[str, Any] = {
    "topics": {
        "copy": {
            "figures": {
                "copy.full.ours": {
                    "says": "ours",
                    "unit": "s",
                    "median": 2.6,
                    "min": 2.5,
                    "max": 3.0,
                    "ratio": 0.9512,
                },
                "copy.memory": {"says": "memory", "unit": "MiB", "median": 17.0, "min": 17.0},
            }
        }
    }
}
ROWS = rows_of(RESULTS)
# A duration, a rate, a share, a size of memory, a ratio, calls, dollars for many: what only a measurement can say.
MEASURED = re.compile(
    r"(?<![\w.])\d[\d,.]*(?: (?:s|seconds|minutes|calls|requests)| ?(?:ms|MiB|KiB|[KMG]B/s|times as|jobs/s))\b"
    r"|\d ?%"
    "|\\d ?\u00d7|\\$[\\d.,]+ (?:per|for|a|an) (?:1,000|thousand)"
)
# Set, not measured: each with where it is set.
LIMITS = {
    "photographers.md": {"up to 256 KiB": "adapters/dataset_urls: fal's limit of a data URL"},
    "developers.md": {"5 requests a second": "template.yaml, ServicePlan"},
    "events.md": {
        "above 64 MiB": "services/submit.py, CHECKED_SOON",
        "within 15 seconds": "adapters/receivers.py, ANSWER_TIMEOUT",
        "after 5 seconds, then 1, 5, 15, 30 minutes": "jobs/notifications.py, BACKOFF",
    },
    "privacy.md": {"every 15 minutes": "template.yaml, ForgetFunction's schedule"},
    "runbook.md": {
        "every 18 minutes": "template.yaml, StoreQueue's VisibilityTimeout",
        "every 60 minutes": "template.yaml, InboxQueue's VisibilityTimeout",
        "within 15 seconds": "adapters/receivers.py, ANSWER_TIMEOUT",
        "for 15 minutes": "services/reconcile.py, DOUBT_DEADLINE",
    },
    "webhook-vectors.md": {
        "beyond 64 KiB": "adapters/signing_keys.py, MAX_DOCUMENT",
        "300 seconds": "fal/webhooks.py, TOLERANCE_SECONDS: fal's own limit",
    },
    "reliability.md": {
        "2,048 MB, 600 s": "template.yaml, SubmitFunction",
        "Lambda's 60 s timeout": "tests/resilience/comparison, naive_pipeline.py",
        "fal_client's pauses (about 50 s over ten attempts)": "fal_client 1.0.3, its backoff",
        "fal_client's own 120 s": "fal_client 1.0.3, its read timeout",
        "redriven 16 minutes later": "tests/resilience/comparison, when it is redriven",
        "redriven 61 minutes after": "tests/resilience/comparison, when it is redriven",
    },
}


def prose(page: Path) -> str:
    """The page without what is between marks, without code, and without the limits that are set."""
    text = TABLE.sub("", INLINE.sub("", page.read_text()))
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`\n]*`", "", text)
    for limit in LIMITS.get(page.name, ()):
        text = text.replace(limit, "")
    return text


def written() -> Iterator[Path]:
    """The pages that people write."""
    yield from (page for page in pages() if page.name not in PAGES)


@pytest.mark.parametrize("page", [*written()], ids=lambda page: page.name)
def test_measured_numbers_stand_between_marks(page: Path) -> None:
    """A number that only a measurement can say is made from results.json."""
    assert MEASURED.findall(prose(page)) == []


@pytest.mark.parametrize("name", LIMITS)
def test_limits_are_still_said(name: str) -> None:
    [text] = [page.read_text() for page in pages() if page.name == name]
    assert [limit for limit in LIMITS[name] if limit not in text] == []


@pytest.mark.parametrize(
    ("mark", "number"),
    [
        ("copy.full.ours", "2.6 s"),
        ("copy.full.ours ratio", "0.95 times"),
        ("copy.full.ours max", "3 s"),
        ("copy.memory", "17 MiB"),
    ],
)
def test_figure_is_written_between_its_marks(mark: str, number: str) -> None:
    text = f"It takes <!-- figure: {mark} -->9 s<!-- end -->, or less."
    made = filled(text, ROWS)
    assert made == f"It takes <!-- figure: {mark} -->{number}<!-- end -->, or less."
    assert filled(made, ROWS) == made


def test_table_has_every_figure_of_its_prefix() -> None:
    made = filled("<!-- figures: copy.full copy.mem -->\nold\n<!-- end -->\n", ROWS)
    assert made.splitlines()[1:-1] == [
        "| | measured | beside it |",
        "|---|---|---|",
        "| ours | 2.6 s | 0.95 times |",
        "| memory | 17 MiB |  |",
    ]
    assert filled(made, ROWS) == made


def test_table_says_what_was_not_measured() -> None:
    made = filled("<!-- figures: check.deep -->\n<!-- end -->\n", ROWS)
    assert "python -m benchmarks check" in made


def test_unknown_figure_is_an_error() -> None:
    with pytest.raises(FigureError, match=r"copy\.none"):
        filled("<!-- figure: copy.none --><!-- end -->", ROWS)


@pytest.mark.parametrize(
    "text",
    [
        "2.6 s",
        "0.9 s.",
        "100 ms",
        "17.4 MiB",
        "95 MB/s",
        "2 times as long",
        "1.5\u00d7",
        "20 minutes",
        "55 calls",
        "0.4 %",
        "$3 per 1,000",
    ],
)
def test_measured_number_is_found(text: str) -> None:
    assert MEASURED.search(f"It is {text}")


@pytest.mark.parametrize("text", ["20 steps", "$2.40 a job", "v1.2 s3", "50 MB"])
def test_set_number_is_not_found(text: str) -> None:
    assert not MEASURED.search(f"It is {text}")


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        *((1234.0, "count", "1,234"), (0.0312, "exponent", "n^0.03"), (2.4, "$", "$2.40")),
        *((0.123456, "s", "0.123 s"), (40.0, "calls", "40 calls"), (123.4, "ms", "123 ms")),
    ],
)
def test_number_is_written_for_people(number: float, unit: str, text: str) -> None:
    assert with_unit(number, unit) == text


def test_tables_of_results_are_results_json() -> None:
    """benchmarks/RESULTS.md has every figure of results.json as it is there."""
    folder = ROOT / "benchmarks"
    line = [sys.executable, "-m", "benchmarks", "--tables"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603  # our own words
    assert done.stdout == (folder / "RESULTS.md").read_text()
