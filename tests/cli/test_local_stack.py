"""The stack on this machine: its processes, what is written down of them, and what they are given."""

import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from lora_drop.client.stack import _local
from lora_drop.local import deployment, overlay, processes, stack
from lora_drop.local.deployment import SamError
from lora_drop.local.fal_server import FalServer, start_simulator
from lora_drop.local.overlay import variables
from lora_drop.local.processes import Background, NotStartedError, run, start
from lora_drop.local.simulator_words import DRAWN, PHOTOS
from lora_drop.local.stack import LocalStack
from lora_drop.local.state_file import Record, RunningStack, StackError
from tests.simulator.fal_calls import LIMIT

SLEEP = ("sleep", "3600")
STUBBORN = ("sh", "-c", "(trap '' TERM; echo $$; while :; do sleep 0.1; done) & echo up; wait")
type Start = Callable[..., Background]


@pytest.fixture(autouse=True)
def _little_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ignores SIGTERM is killed at once; what is killed has all the time it needs to end."""
    really, waits = processes._wait_for, itertools.count()

    def wait_for(done: Callable[[], bool], seconds: float) -> None:
        after_term = seconds == processes.GRACE and next(waits) % 2 == 0
        really(done, 0.3 if after_term else LIMIT)

    monkeypatch.setattr(processes, "_wait_for", wait_for)


@pytest.fixture
def started(tmp_path: Path) -> Start:
    """Start a program whose output goes to a log."""
    log = tmp_path / "log"

    def begin(line: tuple[str, ...] = SLEEP, word: str = "", **how: Any) -> Background:
        ready = how.pop("ready", lambda: word in log.read_text())
        return start("it", line, log=log, env=os.environ, ready=ready, timeout=LIMIT, **how)

    return begin


@pytest.fixture
def program(started: Start) -> Iterator[Background]:
    """A program that runs."""
    made = started()
    yield made
    made.end()


def test_program_ends_with_its_children(started: Start) -> None:
    program = started(STUBBORN, "up")
    program.end()
    assert not program.alive
    assert not processes._group_runs(program.pid)


def test_stopped_program_ends(program: Background) -> None:
    os.kill(program.pid, signal.SIGSTOP)
    program.end()
    assert not program.alive
    assert not Background(program.pid, "").alive


def test_later_program_is_left_alone(program: Background) -> None:
    for born in ("another time", ""):
        Background(program.pid, born).end()
    assert program.alive


def test_program_is_reported_before_ready(started: Start) -> None:
    reported: list[Background] = []
    program = started(ready=lambda: bool(reported), started=reported.append)
    assert reported == [program]
    program.end()


def test_interrupted_start_leaves_nothing(started: Start) -> None:
    reported: list[Background] = []

    def interrupted() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        started(ready=interrupted, started=reported.append)
    assert not reported[0].alive


def test_failed_program_shows_its_output(started: Start) -> None:
    with pytest.raises(NotStartedError, match=r"it ended with 3:\nno luck"):
        started(("sh", "-c", "echo no luck; exit 3"), "never")


def test_run_returns_the_exit_code(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = run(("sh", "-c", "pwd; exit 3"), log=log, env=os.environ, cwd=tmp_path)
    assert (code, log.read_text()) == (3, f"{tmp_path}\n")


@pytest.mark.promise("never get stuck")
def test_interrupted_run_ends_everything(tmp_path: Path) -> None:
    """A program that is waited for ends with all that it started when the command is interrupted."""
    reported: list[Background] = []
    log = tmp_path / "log"

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    def interrupt_when_up() -> None:
        while not (reported and log.exists() and "up" in log.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        threading.Thread(target=interrupt_when_up, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            run(STUBBORN, log=log, env=os.environ, cwd=tmp_path, started=reported.append)
    finally:
        signal.signal(signal.SIGALRM, before)

    assert not processes._group_runs(reported[0].pid)


def known(program: Background, url: str) -> RunningStack:
    names = ("url", "jwks_url", "api_url", "rest_url", "cdn_url")
    fal = FalServer(
        **dict.fromkeys(names, url),
        key="k",
        user_id="u",
        artifact_hosts="",
        ca_file=None,
        simulated=True,
    )
    emulator_url = "http://127.0.0.1:1"
    return RunningStack(
        emulator=program, emulator_url=emulator_url, simulator=program, fal=fal, host="h"
    )


def test_process_is_ended_by_its_record(tmp_path: Path, program: Background) -> None:
    """A process is ended by a later command though nothing else was written."""
    Record(tmp_path).keep(program)
    ended = Record(tmp_path).end()
    assert ended
    assert not program.alive
    assert not Record(tmp_path).end()


def test_failed_update_leaves_the_stack(
    tmp_path: Path, program: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise SamError("The stack failed: it cannot replace FalKeySecret")

    unchanged = {"build": lambda *_, **__: tmp_path, "digest_of_build": lambda _: "new"}
    for name, instead in {**unchanged, "deploy": fails, "put_fal_key": fails}.items():
        monkeypatch.setattr(deployment, name, instead)
    monkeypatch.setattr(overlay, "lay_over", lambda *_: None)
    before = known(program, "https://127.0.0.1:1").model_copy(
        update={"outputs": {"JobsTableName": "jobs"}, "built": "old"}
    )
    Record(tmp_path).keep(program)
    Record(tmp_path).write(before)
    steps: list[str] = []

    def step(name: str) -> AbstractContextManager[None]:
        steps.append(name)
        return nullcontext()

    with pytest.raises(StackError, match="FalKeySecret") as failed:
        LocalStack(tmp_path).up(step=step)
    assert "The stack still runs" in str(failed.value)
    assert "lora-drop down, then lora-drop up" in str(failed.value)
    assert steps == ["sam build", "deploy"]
    assert LocalStack(tmp_path).running() == before  # so the next up tries it again
    assert program.alive


def test_pictures_are_decided_at_start(tmp_path: Path, program: Background) -> None:
    """The folder of photos is written down, and is not taken by a stack that runs, or without photos."""
    folder = tmp_path / "photos"
    folder.mkdir()
    with pytest.raises(StackError, match="is no folder with photos"):
        LocalStack(tmp_path).up(step=lambda _: nullcontext(), pictures=folder)
    (folder / "ada.jpg").write_bytes(b"")
    up = known(program, "https://127.0.0.1:1").model_copy(
        update={"outputs": dict.fromkeys(("DatasetsBucketName", "ModelsBucketName"), "a")}
    )
    up = up.model_copy(
        update={"fal": up.fal.model_copy(update={"pictures": folder}), "host": "127.0.0.1"}
    )
    Record(tmp_path).keep(program)
    Record(tmp_path).write(up)
    with pytest.raises(StackError, match="its pictures were decided when it started"):
        LocalStack(tmp_path).up(step=lambda _: nullcontext(), pictures=folder)
    access = LocalStack(tmp_path).access()
    assert access
    assert _local(access).simulated == PHOTOS.format(folder)
    assert _local({**access, "fal_pictures": ""}).simulated == DRAWN
    assert _local({**access, "fal_simulated": False}).simulated == ""
    others: list[dict[str, Any]] = [{}, {"pictures": None}, {"simulated": False}]
    said = {
        variables("http://127.0.0.1:1", up.fal.model_copy(update=changes)).get("SIMULATED_PICTURES")
        for changes in others
    }
    assert said == {PHOTOS.format(folder), DRAWN, None}


def test_hint_says_what_down_deletes() -> None:
    assert "lora-drop down, which deletes the stack with its jobs" in DRAWN


def test_simulator_gets_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "ada.jpg").write_bytes(b"")
    process, fal = start_simulator(tmp_path, "127.0.0.1", 0.1, folder)
    try:
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
    finally:
        process.end()
    assert line[line.index(b"--pictures") + 1] == str(folder).encode()
    assert (fal.pictures, fal.simulated) == (folder, True)


@pytest.mark.promise("never get stuck")
def test_unreadable_stack_still_ends(tmp_path: Path, program: Background) -> None:
    """A stack whose record cannot be read says what to do, and can be ended."""
    Record(tmp_path).keep(program)
    said: list[str] = []
    for broken in (b"{", b"\xff", b"[]"):
        (tmp_path / "stack.json").write_bytes(broken)
        with pytest.raises(StackError, match="lora-drop down"):
            LocalStack(tmp_path).access()
    ended = LocalStack(tmp_path).down(say=said.append)

    assert ended
    assert not program.alive
    assert len(said) == 1
    assert LocalStack(tmp_path).access() is None


def test_unreadable_processes_are_left(tmp_path: Path) -> None:
    (tmp_path / "processes.json").write_text("{")
    with pytest.raises(StackError, match=r"processes\.json cannot be read"):
        LocalStack(tmp_path).down(say=print)
    assert (tmp_path / "processes.json").exists()


def test_silent_simulator_costs_its_ledger(
    tmp_path: Path, program: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "LEDGER_TIMEOUT", 0.2)
    os.kill(program.pid, signal.SIGSTOP)
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        record = Record(tmp_path)
        record.keep(program)
        record.write(known(program, url))
        ended = LocalStack(tmp_path).down(say=said.append)

    assert ended
    assert not program.alive
    assert [line.partition(":")[0] for line in said] == ["The simulator's ledger could not be had"]
    assert not (tmp_path / "ledger.json").exists()
