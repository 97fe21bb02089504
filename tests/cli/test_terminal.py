"""How a command ends, and what a person sees who waits."""

import io
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import httpx
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from lora_drop.cli.display import Display
from lora_drop.cli.main import application
from lora_drop.cli.terminal import ENDS, ended_in_order, reporting
from lora_drop.client.stack import Stack
from lora_drop.jobs.status import Status
from tests.support.client_fixtures import answering, job_answer


def command_that(does: Callable[[], None]) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def command() -> None:
        with reporting(), ended_in_order():
            does()

    return app


@pytest.mark.parametrize("number", [signal.SIGINT, *ENDS])
def test_a_command_that_is_interrupted_says_so_in_a_line_and_exits_130(number: int) -> None:
    result = CliRunner().invoke(command_that(lambda: signal.raise_signal(number)))

    assert (result.exit_code, result.stderr) == (130, "Interrupted.\n")


def test_what_was_started_is_ended_however_often_one_asks() -> None:
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


def test_nohup_is_heeded() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        result = CliRunner().invoke(command_that(lambda: os.kill(os.getpid(), signal.SIGHUP)))
        after = signal.getsignal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)

    assert (result.exit_code, after) == (0, signal.SIG_IGN)


@pytest.fixture
def display() -> Display:
    return Display(Console(file=io.StringIO(), width=300))


def shown(display: Display) -> str:
    assert isinstance(display.console.file, io.StringIO)
    return display.console.file.getvalue()


def test_an_upload_is_shown_from_its_first_bytes_on(display: Display) -> None:
    with display.upload("ada.zip"):
        pass
    before = shown(display)
    with display.upload("ada.zip") as progress:
        progress(10, 10)

    assert before == ""
    assert "upload ada.zip" in shown(display)


def test_the_version_is_told() -> None:
    result = CliRunner().invoke(application(), ["--version"])

    assert (result.exit_code, result.stdout) == (0, f"lora-drop {version('lora-drop')}\n")


def looks_at(stack: Stack, status: Status, ago: timedelta) -> list[dict[str, Any]]:
    job = answering(stack, lambda _: job_answer(status=status)).job("x")
    at = (datetime.now(UTC) - ago).isoformat()
    return [{**job, "history": [*job["history"][:-1], {**job["history"][-1], "at": at}]}] * 3


@pytest.mark.parametrize(
    ("status", "minutes", "hints"),
    [(Status.RECEIVED, 11, 1), (Status.RECEIVED, 9, 0), (Status.TRAINING, 3, 0)],
)
def test_a_job_that_does_not_move_gets_one_hint(
    stack: Stack, display: Display, status: Status, minutes: int, hints: int
) -> None:
    looks = looks_at(stack, status, timedelta(minutes=minutes))

    display.follow("x", iter(looks))

    assert shown(display).count("dead-letter") == hints


def test_a_job_that_the_stack_never_sees_gets_one_hint(display: Display) -> None:
    for seconds in (1, 119, 121, 122):
        display.unseen(seconds)

    assert shown(display).count("dead-letter") == 1


def test_who_follows_learns_how_long_a_job_is_not_seen(stack: Stack) -> None:
    unknown = {"error": {"code": "job_unknown", "message": "There is no job x."}}
    answers = [httpx.Response(404, json=unknown)] * 2 + [job_answer(status=Status.REJECTED)]
    waited: list[float] = []
    lora_drop = answering(stack, lambda _: answers.pop(0))

    list(lora_drop.follow("x", interval=0.01, unseen=waited.append))

    assert len(waited) == 2
    assert 0 < waited[0] < waited[1] < 60
