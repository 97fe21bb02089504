"""One table for everything that was made to go wrong."""

from collections import Counter

import pytest

from lora_drop.jobs.status import Status
from tests.resilience.faults import __main__ as program
from tests.resilience.faults.faults import Fault, Tally
from tests.resilience.faults.parts import PARTS, Options, run
from tests.resilience.faults.report import Result, table, told


def test_columns_stand_under_each_other() -> None:
    assert table(("kind", "n"), [("a", 1), ("longer", 20)]) == [
        "kind     n",
        "------  --",
        "a        1",
        "longer  20",
    ]


def test_every_kind_of_fault_has_its_row_and_every_violation_its_line() -> None:
    tally = Tally()
    tally.add(Counter({Fault.EVENT_LOST: 3}), violated=1)
    result = Result("schedules", {"schedules": 1}, ["seed 7: it is so"], 1.5, Counter(), tally)
    result.reached[Status.SUCCEEDED] = 2

    lines = told([result], seed=7).splitlines()

    assert all(any(line.startswith(kind) for line in lines) for kind in Fault)
    assert any(line.split() == ["S3", "event", "lost", "1", "3", "1"] for line in lines)
    assert any(line.split() == ["SUCCEEDED", "2"] for line in lines)
    assert "schedules: seed 7: it is so" in lines
    assert lines[-1] == "1 violations, 2 s, seed 7"


def test_a_few_schedules_are_told_and_end_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ["tests.resilience.faults", "--seeds", "2", "--seed", "30", "--only", "schedules"]
    monkeypatch.setattr("sys.argv", argv)

    assert program.main() == 0

    assert "0 violations" in capsys.readouterr().out


def test_a_broken_promise_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["tests.resilience.faults", "--only", "model"])
    monkeypatch.setitem(
        PARTS,
        "model",
        lambda _: Result("model", violations=["no"]),
    )

    assert program.main() == 1


def test_a_part_that_is_not_there_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.resilience.faults.parts._runnable", lambda _: False)

    assert "skipped" in run("model", Options(seeds=0, seed=0)).figures
