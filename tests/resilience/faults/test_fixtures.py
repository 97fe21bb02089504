"""Schedules that once broke a promise keep it for ever."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.resilience.faults import functions
from tests.resilience.faults.replay import FIXTURES, of_file


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with functions.quietly():
        yield


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
def test_what_once_went_wrong_goes_right(path: Path) -> None:
    outcome = of_file(path)

    assert outcome.made, "none of its decisions is asked for any more: it proves nothing"
    assert outcome.wrong == ()
