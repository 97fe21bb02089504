"""What a shell completes, how a command ends, and what a person sees who waits."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from lora_drop.cli import main
from lora_drop.cli.main import application
from lora_drop.cli.terminal import ENDS, reporting
from lora_drop.local.events import ABOUT_JOBS, ABOUT_OBJECTS, EVENTS
from lora_drop.local.stack import HOME


def command_that(does: Callable[[], None]) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def command() -> None:
        with reporting():
            does()

    return app


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, *ENDS])
def test_interrupted_command_exits_130(number: int) -> None:
    result = CliRunner().invoke(command_that(lambda: signal.raise_signal(number)))
    assert (result.exit_code, result.stderr) == (130, "Interrupted.\n")


@pytest.mark.promise("never get stuck")
def test_cleanup_survives_more_signals() -> None:
    """What was started is ended, however many signals come."""
    ended = []

    def ask_and_ask() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGTERM)
            ended.append(True)

    result = CliRunner().invoke(command_that(ask_and_ask))

    assert (result.exit_code, ended) == (130, [True])


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        result = CliRunner().invoke(command_that(lambda: os.kill(os.getpid(), signal.SIGHUP)))
        after = signal.getsignal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (result.exit_code, after) == (0, signal.SIG_IGN)


@pytest.mark.parametrize("words", [["jobs", "--limit", "0"], ["job"], ["jobs", "--lmit", "1"]])
def test_wrong_words_are_json_too(words: list[str]) -> None:
    result = CliRunner().invoke(application(), [*words, "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["message"] in result.stderr
    assert CliRunner().invoke(application(), words).stdout == ""


def test_wrong_words_are_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal_of = SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(main, "sys", terminal_of)
    monkeypatch.setenv("COLUMNS", "40")
    for words in (["jobs", "--status", "none"], ["jobs", "--lmit"], ["trian"], ["--nothing"]):
        result = CliRunner().invoke(application(), words)
        said = result.stderr[result.stderr.index("Error: ") :].splitlines()
        assert (result.exit_code, max(map(len, said)) <= 40) == (2, True)


STREAMS: dict[str, tuple[str, str]] = {  # a shell's line, and what it says
    "full disk": ("explain image_srgb > /dev/full", "cannot be written: No space left on device."),
    "closed output": ("explain image_srgb >&-", ""),
    "closed input": ("init <&-", "There is no terminal to ask on"),
    "closed errors": ("jobs --stack local 2>&-", ""),
    "ASCII": ("PYTHONIOENCODING=ascii explain Zoë", "There is no code Zo\\xeb."),
    "pipe": ("skill | head -1 > /dev/null", ""),
}


@pytest.mark.parametrize("case", STREAMS)
def test_streams_end_no_command_with_a_traceback(case: str) -> None:
    line, said = STREAMS[case]
    setting, words = line.split(" ", 1) if "=" in line else ("", line)
    command = (
        f'{setting} "{sys.executable}" -c "from lora_drop.cli.main import main; main()" {words}'
    )
    done = subprocess.run(  # noqa: S603  # our own words
        ["bash", "-c", command],  # noqa: S607
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert said in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_version_is_printed() -> None:
    result = CliRunner().invoke(application(), ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"lora-drop {version('lora-drop')}\n")


@pytest.fixture(autouse=True)
def _no_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME, str(tmp_path))


def refusal(*words: str) -> str:
    result = CliRunner().invoke(application(), ["event", *words])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


@pytest.mark.parametrize(
    ("name", "given", "missing"),
    [
        *((name, ("--key", "ada.zip"), "--job") for name in sorted(ABOUT_JOBS)),
        *((name, ("--job", "ada-1"), "--key") for name in sorted(ABOUT_OBJECTS)),
    ],
)
def test_event_names_the_missing_option(name: str, given: tuple[str, ...], missing: str) -> None:
    assert missing in refusal(name, *given)


def test_other_events_need_a_stack() -> None:
    others = {file.stem for file in EVENTS.glob("*.json")} - ABOUT_JOBS - ABOUT_OBJECTS
    assert others == {"schedule", "schedule_drift", "jobs_list", "datasets_post"}
    assert {name: "lora-drop up" in refusal(name) for name in others} == dict.fromkeys(others, True)


def test_wrong_event_name_is_corrected() -> None:
    assert "webhook_ok" in refusal("webhook")


def test_unreadable_stack_is_explained(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")
    assert "lora-drop down" in refusal("schedule")
