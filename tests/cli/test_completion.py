"""Completion as a person has it: the shell itself is asked, with the script that it is given."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from lora_drop.cli import main, terminal
from lora_drop.client.errors import CommandError
from tests.support.client_fixtures import invoke

PATIENCE = 60.0  # seconds
TYPED = [
    ("lora-drop expl", "explain"),
    ("lora-drop explain image_too_sm", "image_too_small"),
    ("lora-drop usage ada-", "ada-0123456789"),
]
# What Tab does: the words are split as the shell splits them, then the function that is registered is called.
BASH = """
eval "$(lora-drop --show-completion bash)"
typed="$1"; COMP_LINE="$typed"; COMP_POINT=${#typed}; read -ra COMP_WORDS <<< "$typed"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
line=$(complete -p lora-drop); function=${line#*-F }; ${function%% *} lora-drop "${COMP_WORDS[COMP_CWORD]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """\
PS1=; unsetopt zle_bracketed_paste; autoload -U compinit; compinit -u
eval "$(lora-drop --show-completion zsh)"; compdef _lora_drop_completion lora-drop; print rea""dy
"""
LINE_SHOWN = (
    '\x01print -r -- "<\x05>"\n'  # Ctrl-A, Ctrl-E: what stands on the line, in angle brackets
)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A PATH with this checkout's command; its stack has one job."""
    command = tmp_path / "lora-drop"
    code = (
        "from lora_drop.cli import main, terminal\n"
        "from types import SimpleNamespace as Made\n"
        "client = Made(jobs=lambda **_: {'jobs': [{'job_id': 'ada-0123456789'}]})\n"
        "terminal.client_of = lambda _: client\n"
        "main.main()\n"
    )
    command.write_text(f"#!{sys.executable}\n{code}")
    command.chmod(0o755)
    shells = {
        "SHELL": "/bin/bash",
        "HOME": str(tmp_path),
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }
    return {**os.environ, **shells, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(("typed", "offered"), TYPED)
def test_bash_completes(environment: dict[str, str], typed: str, offered: str) -> None:
    done = subprocess.run(  # noqa: S603  # our own words
        ["bash", "--norc", "-c", BASH, "bash", typed],  # noqa: S607
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout.split(), done.stderr) == ([offered], "")


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
@pytest.mark.parametrize(("typed", "offered"), TYPED)
def test_zsh_completes(environment: dict[str, str], typed: str, offered: str) -> None:
    shell, terminal = pty.openpty()
    with subprocess.Popen(  # our own words
        ["zsh", "-f", "-i"],  # noqa: S607
        env={**environment, "SHELL": "/bin/zsh", "TERM": "dumb"},
        stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
    ) as zsh:  # fmt: skip
        try:
            os.write(shell, ZSH.encode())
            seen_on(shell, r"ready\r\n")
            os.write(shell, f"{typed}\t".encode())
            seen_on(shell, re.escape(offered))
            os.write(shell, LINE_SHOWN.encode())
            line = seen_on(shell, r"\r\n<(.*?)>")
        finally:
            zsh.kill()
            os.close(shell)
            os.close(terminal)
    assert line.split()[-1] == offered


def seen_on(shell: int, wanted: str) -> str:
    """Read what the terminal shows until this is there; its first group, or all of it."""
    seen, end = "", time.monotonic() + PATIENCE
    while not (found := re.search(wanted, seen)):
        ready, _, _ = select.select([shell], [], [], max(0, end - time.monotonic()))
        assert ready, seen
        seen += os.read(shell, 4096).decode(errors="replace")
    return found[1] if found.groups() else found[0]


@pytest.mark.parametrize(
    ("words", "meant", "other"),
    [
        (["che"], "Did you mean check?", "cancel"),
        (["chekc"], "check", "doctor"),
        (["check", "--tri", "x"], "--trigger", "--set"),
        (["train", "--ref", "x"], "--reference", "--force"),
    ],
)
def test_beginning_is_meant_first(words: list[str], meant: str, other: str) -> None:
    said = invoke(*words)
    assert (said.exit_code, meant in said.stderr, other in said.stderr) == (2, True, False)


@pytest.fixture
def context() -> typer.Context:
    context: typer.Context = main.command_of("job").make_context("job", [], resilient_parsing=True)
    return context


def test_job_ids_are_the_stacks(context: typer.Context, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = {terminal.SHOWN_IDS: {"jobs": [{"job_id": "ada-1"}, {"job_id": "bob-2"}]}}
    client = SimpleNamespace(jobs=lambda *, limit: jobs[limit])
    monkeypatch.setattr(terminal, "client_of", lambda _: client)
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
