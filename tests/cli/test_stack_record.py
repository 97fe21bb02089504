"""What is known of a stack outlives the command that brought it up."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_drop.local import processes, stack
from lora_drop.local.fal_server import FalServer
from lora_drop.local.processes import Background, start
from lora_drop.local.stack import LocalStack
from lora_drop.local.state_file import Record, RunningStack, StackError


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Background]:
    """Something that runs."""
    made = start(
        "it",
        ("sleep", "60"),
        log=tmp_path / "log",
        env=os.environ,
        ready=lambda: True,
        timeout=10,
    )
    yield made
    made.end()


def known(emulator: Background, simulator: Background, url: str) -> RunningStack:
    fal = FalServer(
        url=url,
        key="k",
        user_id="u",
        artifact_hosts="",
        jwks_url=url,
        api_url=url,
        rest_url=url,
        cdn_url=url,
        ca_file=None,
        simulated=True,
    )
    return RunningStack(
        emulator=emulator, emulator_url="http://127.0.0.1:1", simulator=simulator, fal=fal, host="h"
    )


def test_a_process_is_ended_by_whoever_comes_later_though_nothing_else_was_written(
    tmp_path: Path, program: Background
) -> None:
    Record(tmp_path).keep(program)

    ended = Record(tmp_path).end()

    assert ended
    assert not program.alive
    assert not Record(tmp_path).end()


def test_a_stack_that_cannot_be_read_says_what_to_do_and_ends_all_the_same(
    tmp_path: Path, program: Background
) -> None:
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


def test_processes_that_cannot_be_read_are_left_to_a_person(tmp_path: Path) -> None:
    (tmp_path / "processes.json").write_text("{")

    with pytest.raises(StackError, match=r"processes\.json cannot be read"):
        LocalStack(tmp_path).down(say=print)

    assert (tmp_path / "processes.json").exists()


def test_a_simulator_that_hangs_costs_the_ledger_and_nothing_else(
    tmp_path: Path, program: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "LEDGER_TIMEOUT", 0.2)
    monkeypatch.setattr(processes, "GRACE", 0.3)
    os.kill(program.pid, signal.SIGSTOP)
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        record = Record(tmp_path)
        record.keep(program)
        record.write(known(program, program, url))

        ended = LocalStack(tmp_path).down(say=said.append)

    assert ended
    assert not program.alive
    assert [line.partition(":")[0] for line in said] == ["The simulator's ledger could not be had"]
    assert not (tmp_path / "ledger.json").exists()
