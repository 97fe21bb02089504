"""Long parameter lists: a sample of each runs in the fast suite, the rest in ``make proof``."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def sweep[T](rows: Iterable[T], *, sample: int, ids: Callable[[T], str] | None = None) -> list[Any]:
    """Return all rows as parameters; all but about ``sample`` evenly spaced ones are marked ``proof``."""
    rows = list(rows)
    chosen = range(0, len(rows), max(1, len(rows) // sample)) if sample else ()
    return [
        pytest.param(
            row, id=ids(row) if ids else None, marks=() if number in chosen else pytest.mark.proof
        )
        for number, row in enumerate(rows)
    ]
