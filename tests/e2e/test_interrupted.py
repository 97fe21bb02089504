"""Whatever ends the command that brings a stack up, nothing is left that `down` does not know of."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lora_drop.local.processes import Background, _group_runs
from lora_drop.local.stack import HOME
from lora_drop.local.state_file import PROCESSES
from tests.e2e.conftest import run_command

pytestmark = pytest.mark.stack


@contextmanager
def coming_up(home: Path) -> Iterator[subprocess.Popen[str]]:
    """`lora-drop up`, on its way."""
    with subprocess.Popen(  # the project's own command
        [sys.executable, "-m", "lora_drop", "up"],
        env={**os.environ, HOME: str(home), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as command:
        try:
            yield command
        finally:
            command.kill()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def processes_of(home: Path) -> list[Background]:
    file = home / "processes.json"
    return PROCESSES.validate_json(file.read_bytes()) if file.exists() else []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_command_that_is_told_to_end_takes_everything_along(tmp_path: Path, number: int) -> None:
    with coming_up(tmp_path) as command:
        wait_for(lambda: len(processes_of(tmp_path)) == 1)
        [emulator] = processes_of(tmp_path)
        command.send_signal(number)
        said = command.communicate(timeout=60)[1]

    assert command.returncode == 130
    assert said.splitlines()[-1] == "Interrupted."
    assert not _group_runs(emulator.pid)
    assert processes_of(tmp_path) == []


def test_an_interrupted_sam_ends_with_all_that_it_started(tmp_path: Path) -> None:
    with coming_up(tmp_path) as command:
        wait_for((tmp_path / "sam-build.log").exists)
        wait_for(lambda: len(processes_of(tmp_path)) == 3)
        started = processes_of(tmp_path)
        time.sleep(4)  # by now make runs, and uv below it
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=60)

    assert command.returncode == 130
    assert [process for process in started if _group_runs(process.pid)] == []


def test_what_a_killed_command_leaves_is_ended_by_down(tmp_path: Path) -> None:
    with coming_up(tmp_path) as command:
        wait_for(lambda: len(processes_of(tmp_path)) == 1)
        [emulator] = processes_of(tmp_path)
        command.kill()
        command.communicate(timeout=60)
    assert emulator.alive

    told = run_command(tmp_path, "down")

    assert told == "The stack is down.\n"
    assert not _group_runs(emulator.pid)
