"""The jobs list with 10 to 100,000 jobs in the table: ``python -m benchmarks list``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.figures import Figure, Goal, Topic
from benchmarks.growth import exponent, measured, started

SIZES = (10, 1_000, 10_000, 100_000)
FLAT = Goal(most=0.1)
PAGE = 5  # jobs, so that the smallest table has a whole page of each kind
SAYS = {
    "first": "the first page",
    "filtered": "the first page of one status",
    "deep": "a page from the middle",
}


def measure() -> Topic:
    """Measure the pages at every size in turn."""
    rows = measured(started("list", *SIZES))
    return Topic(
        "list",
        "The jobs list",
        "`GET /jobs` by the function's handler and the adapter's own queries, over a table in memory that counts what DynamoDB would read "
        f"(with 1,000 jobs moto answers the same pages); {PAGE} jobs a page, the sizes in turn. The way to DynamoDB and back is not in it. "
        "The client asks this once for each page that is looked at.",
        [*figures(rows)],
    )


def figures(rows: Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    """Yield each page at each size, then what grows."""
    for page, says in SAYS.items():
        here = {row["jobs"]: row for row in rows if row["page"] == page}
        for jobs, row in here.items():
            key = f"list.{page}.{jobs}.ms"
            yield Figure(key, f"{says}, {jobs:,} jobs", "ms", tuple(row["runs"]))
        grows = exponent({jobs: row["p50"] for jobs, row in here.items()})
        key = f"list.{page}.exponent"
        yield Figure(key, f"{says}: its p50 over the jobs", "exponent", (grows,), goal=FLAT)
    read = tuple(row["rows"] for row in rows)
    says = "rows read for a page, whichever and however many jobs"
    yield Figure("list.rows", says, "count", read, goal=Goal(most=PAGE))
    asked = tuple(row["calls"] for row in rows)
    yield Figure("list.calls", "calls for a page", "calls", asked, goal=Goal(most=1))
