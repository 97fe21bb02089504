"""What would find nothing proves nothing: each of these mistakes in the code is noticed."""

from collections.abc import Iterator

import pytest

from tests.resilience.faults import functions
from tests.resilience.faults.crash import live
from tests.resilience.faults.replay import FIXTURES, by_seed, of_file
from tests.resilience.faults.sabotage import MISTAKES, Mistake
from tests.resilience.faults.scenarios import SCENARIOS

ENOUGH = 60  # schedules, all of them sound without a mistake


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with functions.quietly():
        yield


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda each: each.name)
def test_a_mistake_in_the_code_is_noticed(mistake: Mistake) -> None:
    with mistake.made():
        noticed = (
            any(live(scenario=scenario).wrong for scenario in SCENARIOS)
            or any(
                of_file(path).wrong for path in sorted(FIXTURES.glob("without-this-guard-*.json"))
            )
            or any(by_seed(seed).wrong for seed in range(ENOUGH))
        )

    assert noticed
