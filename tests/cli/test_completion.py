"""A shell completes commands, options and job ids."""

import os
import subprocess
import sys
import threading
from typing import Any

import pytest
import typer

from lora_drop.cli import main, terminal
from lora_drop.client.errors import CommandError


class Client:
    """A stack with two jobs."""

    def jobs(self, *, limit: int) -> dict[str, Any]:
        assert limit == terminal.SHOWN_IDS
        return {"jobs": [{"job_id": "ada-1"}, {"job_id": "bob-2"}], "next": None}


@pytest.fixture
def context() -> typer.Context:
    context: typer.Context = main.command_of("job").make_context("job", [], resilient_parsing=True)
    return context


def test_job_ids_are_the_stacks(context: typer.Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "client_of", lambda _: Client())
    assert terminal.job_ids(context, "") == ["ada-1", "bob-2"]
    assert terminal.job_ids(context, "b") == ["bob-2"]


@pytest.mark.parametrize("failure", [CommandError("no stack"), OSError("no network")])
def test_a_failure_completes_nothing_quietly(
    context: typer.Context,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    failure: Exception,
) -> None:
    def fails(_: object) -> None:
        raise failure

    monkeypatch.setattr(terminal, "client_of", fails)

    assert terminal.job_ids(context, "") == []
    assert capfd.readouterr() == ("", "")


def test_a_slow_stack_is_not_waited_for(
    context: typer.Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "COMPLETION_TIMEOUT", 0.01)
    end = threading.Event()
    monkeypatch.setattr(terminal, "client_of", lambda _: end.wait())
    assert terminal.job_ids(context, "") == []
    end.set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(("typed", "offered"), [("budg", "budget"), ("jobs --lim", "--limit")])
def test_commands_and_options_are_completed(shell: str, typed: str, offered: str) -> None:
    words = f"lora-drop {typed}"
    asked = {
        "_LORA_DROP_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
        "_TYPER_COMPLETE_ARGS": words,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }

    done = subprocess.run(  # our own words
        [sys.executable, "-c", "from lora_drop.cli.main import main; main()"],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )

    assert offered in done.stdout
    assert done.stderr == ""
