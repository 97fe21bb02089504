"""The process dies, or a call fails, at every effect of a life; the rest of that life is as usual."""

import random
from collections.abc import Iterator

import pytest

from tests.resilience.faults import functions
from tests.resilience.faults.crash import Blow, Life, Report, every_single, live, some_triples
from tests.resilience.faults.effects import PORTS
from tests.resilience.faults.scenarios import HAPPY, SCENARIOS, Scenario


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with functions.quietly():
        yield


def broken(*lives: Life) -> list[str]:
    return [str(life) for life in lives if life.wrong]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_an_undisturbed_life_keeps_every_promise(scenario: Scenario) -> None:
    assert broken(live(scenario=scenario)) == []


def test_every_way_out_of_the_services_is_taken_by_some_life() -> None:
    taken = {effect.port for scenario in SCENARIOS for effect, _ in live(scenario=scenario).effects}

    # What has a double that can more is counted as that; dead letters need five failures, and
    # forgetting has lives of its own (tests/unit/services/test_forget_interrupted.py).
    others = {"ResultStore", "DeadLetters", "Erasures", "Eraser", "Payloads"}
    assert taken - {"Secret"} == set(PORTS) - others


def test_death_or_failure_at_any_effect_of_the_ordinary_life_breaks_nothing() -> None:
    report = Report()

    every_single(report)

    assert report.singles == 4 * report.effects
    assert report.effects >= 70, "it would prove nothing"
    assert broken(*report.broken) == []


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_death_at_any_effect_of_any_life_breaks_nothing(scenario: Scenario) -> None:
    whole = live(scenario=scenario)

    lives = [live(blow, scenario=scenario) for blow, _ in whole.further()]

    assert broken(*lives) == []


def test_only_an_accident_around_the_post_needs_a_person() -> None:
    whole = live()
    doubtful = [
        live(Blow(at, after)) for at in range(1, len(whole.effects) + 1) for after in (False, True)
    ]

    needed = [
        (str(whole.effects[life.blows[0].at - 1][0]), life.blows[0].after)
        for life in doubtful
        if life.doubted
    ]

    assert [(name.split()[0], bool(after)) for name, after in needed] == [
        ("JobStore.replace", True),
        ("FalClient.submit", False),
    ]


def test_two_deaths_in_one_life_are_no_worse() -> None:
    chance = random.Random(1)  # noqa: S311  # to be repeated
    pairs = []
    for first, _ in live().further():
        seconds = [blow for blow, _ in live(first).further()]
        pairs += [live(first, second) for second in chance.sample(seconds, 2)]

    assert len(pairs) > 140
    assert broken(*pairs) == []


def test_three_deaths_in_one_life_are_no_worse() -> None:
    report = Report()

    some_triples(report, 60, seed=3)

    assert broken(*report.broken) == []


def test_a_life_that_is_not_as_promised_says_where_and_what() -> None:
    never = Scenario("never", HAPPY.prepare, ((7,),))

    life = live(Blow(23, after=True), scenario=never)

    assert str(life).startswith(
        "never; killed after 23 (FalClient.submit flux-lora-portrait-trainer"
    )
    assert "paid 1 times, ended as SUCCEEDED" in str(life)
