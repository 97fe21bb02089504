"""What a person sees who waits: of an upload, and of a job that is followed."""

import io
import itertools
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from lora_drop.cli.display import Display
from lora_drop.cli.follow import follow_job
from lora_drop.cli.main import application
from lora_drop.cli.progress_view import ProgressView
from lora_drop.cli.terminal import ENDS
from lora_drop.client.errors import JobUnknownError
from lora_drop.client.events import JobEvent, Log, StatusChanged, Training, Waiting
from lora_drop.client.following import EventReader, Watch
from lora_drop.client.stack import Stack
from lora_drop.jobs.status import Status
from tests.support.client_fixtures import Api, Run, answering, error_answer, job_answer


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
