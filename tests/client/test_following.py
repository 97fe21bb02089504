"""A job is followed: typed events, each once, in order, whatever the stack answers meanwhile."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from lora_drop.client.errors import CommandError, JobUnknownError, StackUnreachableError
from lora_drop.client.events import (
    Ended,
    Held,
    JobEvent,
    Log,
    Queued,
    StackAnswers,
    StackUnreachable,
    StatusChanged,
    Stored,
    Training,
    Waiting,
)
from lora_drop.client.following import EventReader, Watch
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status

AT = "2026-11-29T12:00:00+00:00"
FILE = {"name": "lora.safetensors", "bucket": "m", "key": "k", "size": 1, "sha256": "0" * 64}
ORDER = ("RECEIVED", "READY", "SUBMITTING", "SUBMITTED", "TRAINING", "STORING", "SUCCEEDED")


def job(status: str, **more: Any) -> dict[str, Any]:
    reached = ORDER[: ORDER.index(status) + 1] if status in ORDER else ("RECEIVED", status)
    history = [{"status": each, "at": AT} for each in reached]
    files = [FILE] if status == "SUCCEEDED" else []
    plain = {"job_id": "ada", "status": status, "history": history, "files": files}
    return {**plain, "parameters": {"steps": 1000}, "duplicate_of": None, **more}


def log(percent: float | None = None, *, status: str = "TRAINING", **more: Any) -> dict[str, Any]:
    progress = None
    if percent is not None:
        step = round(10 * percent)
        progress = {"step": step, "steps": 1000, "percent": percent, "eta_seconds": 60, "at": AT}
    plain = {"status": status, "lines": [], "next": 0, "progress": progress}
    return {**plain, "queue_position": None, **more}


@dataclass
class FakeStack:
    """A stack at its own clock: what it answers is decided by the time."""

    said: Callable[[float], Any]
    logged: Callable[[float], Any] = lambda _: log()
    takes: float = 0.1  # seconds of a question
    now: float = 0.0
    asked: list[str] = field(default_factory=list)

    def job(self, job_id: str) -> dict[str, Any]:  # noqa: ARG002
        return self._answer("job", self.said)

    def logs(self, job_id: str, after: int = 0) -> dict[str, Any]:  # noqa: ARG002
        return self._answer("logs", self.logged)

    def _answer(self, name: str, answers: Callable[[float], Any]) -> dict[str, Any]:
        self.asked.append(name)
        self.now += self.takes
        answer = answers(self.now)
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    def follow(self, **options: Any) -> Iterator[tuple[float, JobEvent]]:
        reader = EventReader(Watch(self, "ada", clock=lambda: self.now, **options))
        while not reader.ended:
            for event in reader.look():
                yield self.now, event
            self.now += reader.pause


def events(stack: FakeStack, **options: Any) -> list[JobEvent]:
    return [event for _, event in stack.follow(**options)]


def in_turn(*answers: Any) -> Callable[[float], Any]:
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def test_steps_taken_back_hide_no_later_one() -> None:
    """A try that was taken back shortens the history; what comes after it is an event all the same."""

    def after(*steps: str) -> dict[str, Any]:
        history = [
            {"status": each, "at": f"{AT[:17]}{at:02}+00:00"} for at, each in enumerate(steps)
        ]
        return job(steps[-1], history=history)

    held = ("RECEIVED", "HELD")
    stack = FakeStack(
        in_turn(
            after(*held[:1], "READY", "SUBMITTING"),
            job(
                "READY",
                history=[
                    *after("RECEIVED")["history"],
                    {"status": "READY", "at": f"{AT[:17]}07+00:00"},
                ],
            ),
            after(*held),
        )
    )
    seen = [each.status for each in events(stack) if isinstance(each, StatusChanged)]
    assert seen == [*map(Status, ("RECEIVED", "READY", "SUBMITTING", "READY", "HELD"))]


def test_try_taken_back_is_said_with_what_it_waits_for() -> None:
    """A submission that was not accepted leaves the job READY since then as before, and waiting."""
    waits = {"slots_taken": 2, "slots": 2, "jobs_before": 3}
    ready = job("READY", waiting=waits)
    stack = FakeStack(in_turn(ready, job("SUBMITTING"), ready, job("CANCELLED")))
    seen = [getattr(each, "status", each) for each in events(stack)]
    assert seen[1:6] == ["READY", Waiting(2, 2, 3), "SUBMITTING", "READY", Waiting(2, 2, 3)]


def test_whole_way_is_said_once() -> None:
    waits = {"slots_taken": 2, "slots": 2, "jobs_before": 3}
    stack = FakeStack(
        in_turn(
            *(JobUnknownError("no such job"), job("RECEIVED")),
            *(job("READY", waiting=waits), job("READY", waiting=waits)),
            *(job("SUBMITTED", queue_position=4), job("TRAINING"), job("STORING")),
            job("SUCCEEDED"),
        ),
        in_turn(
            log(status="SUBMITTED", queue_position=1),
            log(status="TRAINING", lines=[{"message": "begun", "at": None}], next=1),
            log(40.0),
            log(30.0),
            log(40.0, status="STORING"),
        ),
    )
    seen = events(stack)
    assert [each.status for each in seen if isinstance(each, StatusChanged)] == [
        *map(Status, ORDER)
    ]
    others = [each for each in seen if not isinstance(each, StatusChanged)]
    assert others[:-2] == [
        *(Waiting(2, 2, 3), Queued(4), Queued(1), Log("begun", None)),
        Training(400, 1000, 40.0, timedelta(seconds=60)),
        Training(1000, 1000, 100.0, timedelta(0)),
    ]
    assert isinstance(others[-2], Stored)
    assert others[-1] == Ended(Status.SUCCEEDED)


def test_percent_of_another_total_gives_way() -> None:
    """A total that the stack has corrected is shown at once, though its percent is less."""
    wrong = {"step": 5, "steps": 5, "percent": 100.0, "eta_seconds": None, "at": AT}
    stack = FakeStack(
        in_turn(*[job("TRAINING")] * 2, job("STORING"), job("SUCCEEDED")),
        in_turn(log(progress=wrong), *map(log, (1.0, 1.0, 2.0, 1.0)), log(status="STORING")),
    )
    seen = [each.percent for each in events(stack) if isinstance(each, Training)]
    assert seen == [100.0, 1.0, 2.0, 100.0]


@pytest.mark.parametrize("status", ["REJECTED", "CANCELLED"])
def test_other_ends_have_no_percent(status: str) -> None:
    assert events(FakeStack(in_turn(job("RECEIVED"), job(status))))[-1] == Ended(Status(status))


def test_held_job_has_not_ended() -> None:
    """A job that waits for a decision says for which one, and not that it has ended."""
    problem = Problem(code="job_over_limit", message="lora-drop approve JOB")
    held = job("HELD", problems=[problem.model_dump()])
    assert events(FakeStack(in_turn(job("RECEIVED"), held)))[-1] == Held((problem,))


def test_duplicate_was_not_trained() -> None:
    seen = events(FakeStack(lambda _: job("SUCCEEDED", duplicate_of="ada-1")))
    assert not any(isinstance(each, Training) for each in seen)


SILENT = StackUnreachableError("The stack's API does not answer")


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("takes", [0.05, 0.8])
def test_percent_is_three_seconds_old_at_most(takes: float) -> None:
    """While a job is followed, the percent shown is never more than 3 s old, never falls, and ends at 100."""
    begin, lasts = 5.0, 200.0  # seconds; tqdm writes a line a second

    def done(at: float) -> float:
        return min(100.0, max(0.0, int(at - begin)) * 100 / lasts)

    def status(at: float) -> str:
        late = begin + lasts + 4
        return "TRAINING" if at < late else "STORING" if at < late + 5 else "SUCCEEDED"

    stack = FakeStack(
        lambda at: job(status(at)), lambda at: log(done(at), status=status(at)), takes
    )
    shown: list[tuple[float, float]] = [
        (at, event.percent) for at, event in stack.follow() if isinstance(event, Training)
    ]
    percents = [percent for _, percent in shown]
    assert percents == sorted(percents)
    assert percents[-1] == 100.0
    for (_, percent), (until, _) in pairwise(shown):
        assert percent >= done(until - 3.0) - 1e-9
    questions = stack.asked.count("job")
    assert questions < stack.asked.count("logs") / 2


@pytest.mark.parametrize("fails", ["job", "logs"])
def test_silent_stack_is_asked_again_later(fails: str) -> None:
    """Answers that fail are asked for again, less and less often, and nothing is lost."""

    def silent(answer: Any) -> Callable[[float], Any]:
        return lambda at: SILENT if 5 < at < 65 else answer(at)

    def status(at: float) -> str:
        return "TRAINING" if at < 90 else "SUCCEEDED"

    said: Callable[[float], Any] = lambda at: job(status(at))  # noqa: E731
    logged: Callable[[float], Any] = lambda at: log(min(99, at), status=status(at))  # noqa: E731
    stack = FakeStack(
        silent(said) if fails == "job" else said, silent(logged) if fails == "logs" else logged
    )
    assert events(stack)[-1] == Ended(Status.SUCCEEDED)


def test_silence_is_an_event_and_ends() -> None:
    """A stack that stops to answer, and that answers again, is said once each."""
    late = job("SUCCEEDED")
    for fails in (
        in_turn(job("READY"), *[SILENT] * 3, late),
        in_turn(job("TRAINING"), *[SILENT] * 3, late),
    ):
        stack = FakeStack(fails, lambda _: SILENT)
        turns = [
            each for each in events(stack) if isinstance(each, StackUnreachable | StackAnswers)
        ]
        assert turns[0] == StackUnreachable(str(SILENT))
        assert isinstance(turns[1], StackAnswers)
        assert timedelta(seconds=5) < turns[1].after < timedelta(seconds=20)
        assert len(turns) == 2


REFUSED = StackUnreachableError("The stack's API does not answer")
REFUSED.__cause__ = ConnectionRefusedError()
GOES_ON = r"The stack goes on with the job by itself\. Once it answers: lora-drop watch ada"
LOST = r"was taken down, its jobs are lost: lora-drop up starts one.*lora-drop watch ada"
ANSWERED = job("READY")


@pytest.mark.parametrize(
    ("answers", "options", "least", "said"),
    [
        ((SILENT,), {}, 20, GOES_ON),
        ((ANSWERED, SILENT), {}, 300, GOES_ON),
        ((ANSWERED, REFUSED), {"local": True}, 30, LOST),
        ((ANSWERED, REFUSED), {"patience": 100}, 100, GOES_ON),
        ((ANSWERED, SILENT), {"patience": 3}, 3, GOES_ON),
        ((SILENT,), {"patience": 100, "local": True}, 100, LOST),
    ],
)
def test_silence_ends_at_last(
    answers: tuple[Any, ...], options: dict[str, Any], least: float, said: str
) -> None:
    """A silent stack is waited for as long as ``patience`` says, and the error says what becomes of the job."""
    stack = FakeStack(in_turn(*answers))
    with pytest.raises(StackUnreachableError, match=said):
        events(stack, **options)
    assert least < stack.now < least + 20


def test_timeout_says_that_the_job_goes_on() -> None:
    for status in ("READY", "TRAINING"):
        with pytest.raises(CommandError, match=f"is {status} after 30 s.*lora-drop watch ada"):
            events(FakeStack(in_turn(job(status))), timeout=30)
