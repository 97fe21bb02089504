"""`lora-drop up`: interrupted it leaves nothing that `down` does not know of; it can use another fal."""

import json
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
from lora_drop.local.stack import HOME, SAMPLE
from lora_drop.local.state_file import PROCESSES
from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.running import running_simulator
from tests.e2e.conftest import run_command

pytestmark = [pytest.mark.stack, pytest.mark.proof]


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
def test_interrupted_up_ends_its_processes(tmp_path: Path, number: int) -> None:
    with coming_up(tmp_path) as command:
        wait_for(lambda: len(processes_of(tmp_path)) == 1)
        [emulator] = processes_of(tmp_path)
        command.send_signal(number)
        said = command.communicate(timeout=60)[1]

    assert command.returncode == 130
    assert said.splitlines()[-1] == "Interrupted."
    assert not _group_runs(emulator.pid)
    assert processes_of(tmp_path) == []


def test_interrupted_build_ends_its_processes(tmp_path: Path) -> None:
    with coming_up(tmp_path) as command:
        wait_for((tmp_path / "sam-build.log").exists)
        wait_for(lambda: len(processes_of(tmp_path)) == 3)
        started = processes_of(tmp_path)
        time.sleep(4)  # by now make runs, and uv below it
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=60)

    assert command.returncode == 130
    assert [process for process in started if _group_runs(process.pid)] == []


def test_down_ends_what_was_left(tmp_path: Path) -> None:
    with coming_up(tmp_path) as command:
        wait_for(lambda: len(processes_of(tmp_path)) == 1)
        [emulator] = processes_of(tmp_path)
        command.kill()
        command.communicate(timeout=60)
    assert emulator.alive

    output = run_command(tmp_path, "down")

    assert output == "The stack is down.\n"
    assert not _group_runs(emulator.pid)


def test_stack_trains_at_another_fal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = SimulatorConfig(
        key="another-key", user_id="user_other", training_seconds=0.2, lora_rank=1
    )
    with running_simulator(config) as fal:
        monkeypatch.setenv("FAL_KEY", fal.key)
        monkeypatch.setenv("FAL_USER_ID", fal.user_id)
        words = ["up", "--fal", fal.base_url, "--fal-ca", str(fal.ca_file), "--json"]
        access = json.loads(run_command(tmp_path, *words))
        try:
            job = json.loads(run_command(tmp_path, "train", str(SAMPLE), "--json"))
        finally:
            run_command(tmp_path, "down")
        ledger = fal.ledger()

    assert (access["fal_url"], access["fal_simulated"]) == (fal.base_url, False)
    assert job["status"] == "SUCCEEDED"
    assert [row["request_id"] for row in ledger["submissions"]] == [job["request_id"]]


def test_invalid_fal_address_is_refused(tmp_path: Path) -> None:
    run_command(tmp_path, "up", "--fal", "http://fal.example", code=1)

    assert not (tmp_path / "emulator.log").exists()
