"""What a shell completes, how a command ends, and what a person sees who waits."""

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from lora_drop.cli import main, terminal
from lora_drop.cli.display import Display
from lora_drop.cli.follow import follow_job
from lora_drop.cli.main import application
from lora_drop.cli.progress_view import ProgressView
from lora_drop.cli.terminal import ENDS, reporting
from lora_drop.client.errors import CommandError, JobUnknownError
from lora_drop.client.events import JobEvent, Log, StatusChanged, Training, Waiting
from lora_drop.client.following import EventReader, Watch
from lora_drop.client.stack import Stack
from lora_drop.jobs.status import Status
from lora_drop.local.events import ABOUT_JOBS, ABOUT_OBJECTS, EVENTS
from lora_drop.local.stack import HOME
from tests.support.client_fixtures import Api, Run, answering, error_answer, job_answer


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


@pytest.fixture
def display() -> Display:
    return Display(Console(file=io.StringIO(), width=300))


def shown(display: Display) -> str:
    assert isinstance(display.console.file, io.StringIO)
    return display.console.file.getvalue()


def test_upload_shows_from_its_first_bytes(display: Display) -> None:
    with display.upload("ada.zip"):
        pass
    before = shown(display)
    with display.upload("ada.zip") as progress:
        progress(10, 10)
    assert before == ""
    assert "upload ada.zip" in shown(display)


def test_progress_is_a_line_each(stack: Stack) -> None:
    seen: list[object] = []
    job = answering(stack, lambda _: job_answer(status=Status.TRAINING)).job("x")
    display = Display(Console(file=io.StringIO()), seen.append)
    with display.step("sam build"):
        pass
    with display.upload("ada.zip") as sending:
        sending(1, 2)
    follow_job(display, reading([job, {**job, "status": "FAILED"}]), sleep=lambda _: None)
    states = [{"job_id": job["job_id"], **step} for step in job["history"]]
    assert seen[1:] == [{"step": "upload", "sent": 1, "size": 2}, *states]
    refused = CliRunner().invoke(application(), ["up", "--progress"])
    assert (refused.exit_code, "--json" in refused.stderr) == (1, True)


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


def reading(
    looks: list[Any], clock: Callable[[], float] = lambda: 0.0, log: Iterator[Any] | None = None
) -> EventReader:
    """A reader of a job that looks like this, one look after the other."""
    left = list(looks)

    def job(_: str) -> dict[str, Any]:
        look = left.pop(0)
        if isinstance(look, Exception):
            raise look
        return dict(look)

    source = SimpleNamespace(job=job, logs=lambda *_, **__: next(log or iter(()), {"status": "?"}))
    return EventReader(Watch(source, "x", clock=clock))


ADVANCE = [
    {"status": "TRAINING", "lines": [], "next": 0, "queue_position": None}
    | {"progress": {"step": n, "steps": 1000, "percent": n / 10, "eta_seconds": 90.0}}
    for n in range(0, 1001, 4)
]


def test_pipe_gets_a_line_for_each_tenth(stack: Stack, display: Display) -> None:
    job = answering(stack, lambda _: job_answer(status=Status.TRAINING)).job("x")
    reader = reading([job] * 90 + [{**job, "status": "FAILED"}], log=iter(ADVANCE))
    follow_job(display, reader, sleep=lambda _: None)
    said = [line.strip() for line in shown(display).splitlines() if "%" in line]
    assert [line.partition(" %")[0] for line in said] == [str(n) for n in range(0, 101, 10)]
    assert said[3] == "30 %, step 300 of 1,000, 90 s left"


def test_shorter_history_is_shown(stack: Stack) -> None:
    """A submission that fal had no room for is taken back; the view goes on with what comes after it."""
    job = answering(stack, lambda _: job_answer(status=Status.SUBMITTING)).job("x")
    ready = {**job, "status": "READY", "history": job["history"][:-1]}
    cancelled = {**job["history"][-1], "status": "CANCELLED"}
    end = {**ready, "status": "CANCELLED", "history": [*ready["history"], cancelled]}
    seen: list[Any] = []
    display = Display(Console(file=io.StringIO()), seen.append)
    follow_job(display, reading([job, ready, job, end]), sleep=lambda _: None)
    tail = ["SUBMITTING", "READY", "SUBMITTING", "CANCELLED"]
    assert [each["status"] for each in seen][-4:] == tail


def test_terminal_shows_all_that_is_known() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    view = ProgressView(console, "Ctrl-C ends the view", ("about $3.60", "trigger phrase ada"))
    events: list[JobEvent] = [
        StatusChanged(Status.READY, datetime.now(UTC)),
        Waiting(2, 2, 3),
        StatusChanged(Status.TRAINING, datetime.now(UTC)),
        Log("\r 10%|#  | 1/10\r 43%|####  | 430/1000 [00:10<00:20, 20it/s]", None),
        Log(" 44%|####  | 440/1000 [00:11<00:19, 20it/s]", None),
        Log("a \x1b[31mred\x1b[0m line", None),
        Training(430, 1000, 43.0, timedelta(minutes=6)),
    ]
    seen = []
    with view.shown():
        for event in events:
            view.take(event)
            seen.append(drawn(view))
    assert "2 of 2 slots taken, 3 jobs before it" in seen[1]
    for words in (
        *("43 %, step 430 of 1,000, 6 min left", "about $3.60", "trigger phrase ada"),
        *("44%|####  | 440/1000", "a red line", "next: the LoRA is copied", "Ctrl-C"),
    ):
        assert words in seen[-1]
    assert "430/1000 [" not in seen[-1]


def drawn(view: ProgressView) -> str:
    """What a view looks like at this moment."""
    page = Console(file=io.StringIO(), width=100)
    page.print(view)
    return shown(Display(page))


def looks_at(stack: Stack, status: Status, ago: timedelta) -> list[dict[str, Any]]:
    job = answering(stack, lambda _: job_answer(status=status)).job("x")
    at = (datetime.now(UTC) - ago).isoformat()
    return [{**job, "history": [*job["history"][:-1], {**job["history"][-1], "at": at}]}] * 3


@pytest.mark.parametrize(
    ("status", "minutes", "hints"),
    [(Status.RECEIVED, 11, 1), (Status.RECEIVED, 9, 0), (Status.TRAINING, 3, 0)],
)
def test_unmoving_job_gets_one_hint(
    stack: Stack, display: Display, status: Status, minutes: int, hints: int
) -> None:
    looks = looks_at(stack, status, timedelta(minutes=minutes))
    follow_job(display, reading([*looks, {**looks[0], "status": "FAILED"}]), sleep=lambda _: None)
    assert shown(display).count("dead-letter") == hints


@pytest.mark.promise("interfaces stay")
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, *ENDS])
@pytest.mark.parametrize("command", ["watch", "train"])
def test_interrupted_view_says_that_the_job_goes_on(
    run: Run,
    api: Api,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    number: int,
) -> None:
    """Ctrl-C, SIGTERM and a closed terminal end the view of a job with 130, and it says that the job goes on."""
    api.answers = [job_answer(status=Status.READY)] * 3
    monkeypatch.setattr(
        "lora_drop.cli.follow.follow_job.__kwdefaults__",
        {"percents": True, "sleep": lambda _: signal.raise_signal(number)},
    )
    result = run(command, "x" if command == "watch" else str(folder))
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (130, "Interrupted.")
    assert "The job goes on by itself. To see it: lora-drop watch " in result.stderr


def test_unseen_job_gets_one_hint(stack: Stack, display: Display) -> None:
    unknown = JobUnknownError("There is no job x.")
    job = answering(stack, lambda _: job_answer(status=Status.REJECTED)).job("x")
    seconds = itertools.count(0.0, 50.0)
    reader = reading([unknown] * 5 + [job], clock=lambda: next(seconds))
    follow_job(display, reader, sleep=lambda _: None)
    assert shown(display).count("dead-letter") == 1


def test_unseen_time_is_reported(stack: Stack) -> None:
    ticks = itertools.count(100.0, 7.0)
    unknown = error_answer(404, "job_unknown", "There is no job x.")
    answers = [unknown, unknown, job_answer(status=Status.REJECTED)]
    client = answering(stack, lambda _: answers.pop(0))
    watch = Watch(client, "x", clock=lambda: next(ticks))
    waited: list[float] = []
    while watch.look() is None:
        waited.append(watch.seconds)

    assert len(waited) == 2
    assert 0 < waited[0] < waited[1] < 60


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
