"""Some hours of everything that can go wrong, by a seed; then everything is as promised."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.resilience.faults import functions
from tests.resilience.faults.decisions import Decisions, Dice, Script, made_of, told
from tests.resilience.faults.faults import Fault
from tests.resilience.faults.replay import by_decisions, by_seed, of_file, save, shrunk
from tests.resilience.faults.schedule import Outcome, Schedule

SEEDS = 60


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with functions.quietly():
        yield


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_happens_the_promises_hold(seed: int) -> None:
    assert by_seed(seed).wrong == ()


def test_most_kinds_of_fault_strike_in_a_few_schedules() -> None:
    struck = sum((by_seed(seed).struck for seed in range(SEEDS, SEEDS + 40)), Counter[Fault]())

    assert len(struck) > 45


def test_a_seed_is_the_same_schedule_every_time() -> None:
    first, second = by_seed(5), by_seed(5)

    assert first.made
    assert second == first


def test_the_decisions_alone_make_the_schedule_again(tmp_path: Path) -> None:
    drawn = by_seed(5)
    path = save("five", drawn, tmp_path)

    assert made_of(told(drawn.made)) == drawn.made
    assert by_decisions(drawn.made) == drawn
    assert of_file(path) == drawn


def test_without_a_decision_nothing_is_out_of_the_ordinary() -> None:
    calm = Schedule(Decisions(Script({}))).run()

    assert (calm.wrong, calm.made) == ((), {})
    assert set(calm.struck) == set()


def test_a_schedule_is_made_as_small_as_does_the_same() -> None:
    drawn = by_seed(5)

    def fails_to_train(outcome: Outcome) -> bool:
        return outcome.struck[Fault.DATASET_INVALID] > 0

    invalid = next(seed for seed in range(100) if fails_to_train(by_seed(seed)))
    small = shrunk(by_seed(invalid).made, fails_to_train)

    assert drawn.made
    assert len(told(small)) <= 3


def test_dice_and_scripts_choose_within_what_there_is() -> None:
    dice = [Dice(1).choose("any", number, 3, 1.0) for number in range(50)]

    assert set(dice) <= {1, 2}
    assert Script({"any": {4: 9}}).choose("any", 4, 3, 0.0) == 2
