"""Schedules by seed, by file and under a mutation; and the report of a run."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_drop.jobs.status import Status
from tests.resilience.faults import __main__ as program
from tests.resilience.faults import faults, functions
from tests.resilience.faults.__main__ import PARTS
from tests.resilience.faults.crash import run_scenario
from tests.resilience.faults.report import Result, render, table
from tests.resilience.faults.scenarios import SCENARIOS
from tests.resilience.faults.schedule import (
    Outcome,
    Schedule,
    by_decisions,
    by_seed,
    fixture_of,
    fixtures,
    of_fixture,
    save,
)
from tests.resilience.mutations import OF_FAULTS, Mutation
from tests.support.sweeps import sweep

SEEDS = 60


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with functions.quietly():
        yield


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("seed", sweep(range(SEEDS), sample=30))
def test_every_schedule_keeps_all_promises(seed: int) -> None:
    """Whatever faults strike, each job ends, is paid for once and has its files."""
    assert by_seed(seed).wrong == ()


def test_most_faults_strike_in_few_schedules() -> None:
    struck = sum(
        (by_seed(seed).struck for seed in range(SEEDS, SEEDS + 40)), Counter[faults.Fault]()
    )
    assert len(struck) > 45


def test_a_seed_repeats_its_schedule() -> None:
    first, second = by_seed(5), by_seed(5)
    assert first.made
    assert second == first


def test_the_decisions_repeat_the_schedule(tmp_path: Path) -> None:
    drawn = by_seed(5)
    save("five", drawn, tmp_path / "kept.json")
    save("six", by_seed(6), tmp_path / "kept.json")
    assert faults.made_of(faults.as_list(drawn.made)) == drawn.made
    assert by_decisions(drawn.made) == drawn
    assert of_fixture(fixtures(tmp_path / "kept.json")["five"]) == drawn


def test_without_decisions_no_fault_strikes() -> None:
    calm = Schedule(faults.Decisions(faults.ScriptedSource({}))).run()
    assert (calm.wrong, calm.made) == ((), {})
    assert set(calm.struck) == set()


def test_shrinking_keeps_what_matters() -> None:
    drawn = by_seed(5)

    def fails_to_train(outcome: Outcome) -> bool:
        return outcome.struck[faults.Fault.DATASET_INVALID] > 0

    invalid = next(seed for seed in range(100) if fails_to_train(by_seed(seed)))
    small = faults.shrunk(by_seed(invalid).made, lambda made: fails_to_train(by_decisions(made)))

    assert drawn.made
    assert len(faults.as_list(small)) <= 3


def test_sources_choose_within_the_options() -> None:
    drawn = [faults.RandomSource(1).choose("any", number, 3, 1.0) for number in range(50)]
    assert set(drawn) <= {1, 2}
    assert faults.ScriptedSource({"any": {4: 9}}).choose("any", 4, 3, 0.0) == 2


@pytest.mark.parametrize("name", fixtures())
def test_fixed_schedules_stay_fixed(name: str) -> None:
    outcome = of_fixture(fixtures()[name])
    assert outcome.made, "none of its decisions is asked for any more: it proves nothing"
    assert outcome.wrong == ()


@pytest.mark.parametrize("mutation", sweep(OF_FAULTS, sample=8, ids=lambda each: each.name))
def test_a_missing_guard_is_noticed(mutation: Mutation) -> None:
    """Each guard matters: without it a schedule or a scenario breaks a promise."""
    own = fixtures().get(fixture_of(mutation.name))
    with mutation.off():
        noticed = (
            (own and of_fixture(own).wrong)
            or any(run_scenario(scenario=scenario).wrong for scenario in SCENARIOS)
            or any(by_seed(seed).wrong for seed in range(SEEDS))
        )

    assert noticed


def test_each_mutation_file_has_its_mutation() -> None:
    named = {fixture_of(mutation.name) for mutation in OF_FAULTS}
    assert {name for name in fixtures() if name.startswith("without-")} <= named


def test_columns_are_aligned() -> None:
    assert table(("kind", "n"), [("a", 1), ("longer", 20)]) == [
        "kind     n",
        "------  --",
        "a        1",
        "longer  20",
    ]


def test_the_report_names_faults_and_violations() -> None:
    tally = faults.Tally()
    tally.add(Counter({faults.Fault.EVENT_LOST: 3}), violated=1)
    result = Result("schedules", {"schedules": 1}, ["seed 7: it is so"], 1.5, Counter(), tally)
    result.reached[Status.SUCCEEDED] = 2

    lines = render([result], seed=7).splitlines()

    assert all(any(line.startswith(kind) for line in lines) for kind in faults.Fault)
    assert any(line.split() == ["S3", "event", "lost", "1", "3", "1"] for line in lines)
    assert any(line.split() == ["SUCCEEDED", "2"] for line in lines)
    assert "schedules: seed 7: it is so" in lines
    assert lines[-1] == "1 violations, 2 s, seed 7"


def test_the_command_runs_schedules(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ["tests.resilience.faults", "--seeds", "2", "--seed", "30", "--only", "schedules"]
    monkeypatch.setattr("sys.argv", argv)
    assert program.main() == 0
    assert "0 violations" in capsys.readouterr().out


def test_a_violation_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["tests.resilience.faults", "--only", "model"])
    monkeypatch.setitem(PARTS, "model", lambda _: Result("model", violations=["no"]))
    assert program.main() == 1
