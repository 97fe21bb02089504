"""Programs in the background, with real ones."""

import os
import signal
import time
from pathlib import Path

import pytest

from lora_drop.local import processes
from lora_drop.local.processes import Background, NotStartedError, run, start

SLEEP = ("sleep", "60")
STUBBORN = ("sh", "-c", "(trap '' TERM; echo $$; while :; do sleep 0.1; done) & echo up; wait")


@pytest.fixture(autouse=True)
def _little_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE", 0.3)


def started_here(tmp_path: Path, line: tuple[str, ...], word: str = "") -> Background:
    log = tmp_path / "log"
    return start(
        "it", line, log=log, env=os.environ, ready=lambda: word in log.read_text(), timeout=10
    )


def test_a_program_ends_with_all_that_it_started_even_what_does_not_want_to(tmp_path: Path) -> None:
    program = started_here(tmp_path, STUBBORN, "up")

    program.end()

    assert not program.alive
    assert not processes._group_runs(program.pid)


def test_a_program_that_is_stopped_ends_too(tmp_path: Path) -> None:
    program = started_here(tmp_path, SLEEP)
    os.kill(program.pid, signal.SIGSTOP)

    program.end()

    assert not program.alive


def test_a_later_program_with_the_same_id_is_left_alone(tmp_path: Path) -> None:
    program = started_here(tmp_path, SLEEP)

    for born in ("another time", ""):
        Background(program.pid, born).end()

    assert program.alive
    program.end()


def test_a_program_that_has_ended_is_not_taken_for_one_that_runs(tmp_path: Path) -> None:
    program = started_here(tmp_path, SLEEP)

    program.end()

    assert not Background(program.pid, "").alive


def test_a_program_is_told_of_before_it_is_ready(tmp_path: Path) -> None:
    told: list[Background] = []

    program = start(
        "it",
        SLEEP,
        log=tmp_path / "log",
        env=os.environ,
        ready=lambda: bool(told),
        timeout=10,
        started=told.append,
    )

    assert told == [program]
    program.end()


def test_an_impatient_person_leaves_nothing_running(tmp_path: Path) -> None:
    told: list[Background] = []

    def interrupted() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start(
            "it",
            SLEEP,
            log=tmp_path / "log",
            env=os.environ,
            ready=interrupted,
            timeout=10,
            started=told.append,
        )

    assert not told[0].alive


def test_a_program_that_fails_shows_the_end_of_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(NotStartedError, match=r"it ended with 3:\nno luck"):
        started_here(tmp_path, ("sh", "-c", "echo no luck; exit 3"), "never")


def test_a_program_that_is_waited_for_tells_its_exit_code(tmp_path: Path) -> None:
    log = tmp_path / "log"

    code = run(("sh", "-c", "pwd; exit 3"), log=log, env=os.environ, cwd=tmp_path)

    assert (code, log.read_text()) == (3, f"{tmp_path}\n")


def test_a_program_that_is_waited_for_ends_with_all_that_it_started_when_we_are_interrupted(
    tmp_path: Path,
) -> None:
    told: list[Background] = []

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            run(
                STUBBORN,
                log=tmp_path / "log",
                env=os.environ,
                cwd=tmp_path,
                started=told.append,
            )
    finally:
        signal.signal(signal.SIGALRM, before)

    assert time.monotonic() - began < 10
    assert not processes._group_runs(told[0].pid)
