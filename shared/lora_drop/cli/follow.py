"""A training as a person follows it: each state in a line, its steps in a view, until it has ended."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import sleep
from typing import Any

from lora_drop.cli.display import Display
from lora_drop.cli.job_table import moment, step_line
from lora_drop.cli.progress_view import ProgressView
from lora_drop.client.direct_following import RequestReader
from lora_drop.client.events import JobEvent, StatusChanged, Training
from lora_drop.client.following import STOPS, EventReader
from lora_drop.fal.trainers.trainer import TRIGGER_PHRASE
from lora_drop.jobs.status import Status

NOW_DIRECT: Mapping[str, str] = {
    "": "sent; waiting for fal to begin",
    Status.SUBMITTED: "in fal's queue",
    Status.TRAINING: "training at fal",
    Status.SUCCEEDED: "done; fetching the LoRA",
}
NEXT_DIRECT: Mapping[str, str] = {
    Status.SUBMITTED: "next: the training, 15 to 30 minutes for most datasets",
    Status.TRAINING: "next: the LoRA is fetched into a folder here, and checked",
}
LEAVE = "Ctrl-C ends the view; the job goes on."
UNSEEN = "not seen yet"
USUAL: Mapping[str, float] = {  # seconds; what lasts longer may never end by itself
    UNSEEN: 120,
    Status.RECEIVED: 600,  # every photo is looked at, twice if a function was stopped
    Status.READY: 4 * 3600,
    Status.SUBMITTING: 120,
    Status.SUBMIT_UNKNOWN: 3600,
    Status.SUBMITTED: 3600,
    Status.TRAINING: 3600,
    Status.STORING: 900,
}


def follow_job(
    display: Display,
    reader: EventReader,
    *,
    percents: bool = True,
    sleep: Callable[[float], None] = sleep,
) -> dict[str, Any]:
    """Show a job as it goes on, until it has ended; the job as it was seen last.

    ``percents``: without a terminal, each tenth of its training is a line as well.
    """
    job_id = reader.watch.job_id
    display.say(f"job    {job_id}")
    view = ProgressView(display.console, LEAVE, percents=percents)
    shown = _JobLines(display, reader, view)
    try:
        _follow(view, reader, shown.take, shown.looked, sleep)
    except KeyboardInterrupt:
        display.say(f"The job goes on by itself. To see it: lora-drop watch {job_id}")
        raise
    return reader.job or {}


def follow_request(
    display: Display,
    reader: RequestReader,
    about: Mapping[str, Any],
    *,
    leave: str,
    sleep: Callable[[float], None] = sleep,
) -> None:
    """Show a training without a stack as it goes on, until it has ended."""
    view = ProgressView(display.console, leave, now_of=NOW_DIRECT, next_of=NEXT_DIRECT)
    view.facts = tuple(_facts(about.get("estimated_cost_usd"), about))
    silence: str | None = None

    def take(event: JobEvent) -> None:
        view.take(event)
        if isinstance(event, StatusChanged):
            step = {"status": event.status, "at": event.at.isoformat()}
            display.console.print(step_line(step))
            display.progress({"request_id": reader.request_id, **step})
        elif isinstance(event, Training):
            display.progress({"request_id": reader.request_id, "training": _far(event)})

    def looked() -> None:
        nonlocal silence
        if (
            reader.silence != silence and not display.console.is_terminal
        ):  # on a terminal the view shows it
            display.say(f"  {reader.silence or 'fal answers again.'}")
        silence = reader.silence

    _follow(view, reader, take, looked, sleep)


def _follow(
    view: ProgressView,
    reader: EventReader | RequestReader,
    take: Callable[[JobEvent], None],
    looked: Callable[[], None],
    sleep: Callable[[float], None],
) -> None:
    """Look until it has ended; ``looked`` is called after each look."""
    with view.shown():
        while not reader.ended:
            for event in reader.look():
                take(event)
            view.silence = reader.silence
            looked()
            if not reader.ended:
                sleep(reader.pause)


@dataclass(slots=True)
class _JobLines:
    """The lines of a job that is followed: its states, what is wrong, and once that it takes too long."""

    display: Display
    reader: EventReader
    view: ProgressView
    before: Mapping[str, Any] | None = None  # the step that was shown last
    problems: list[Any] = field(default_factory=list)
    hinted: set[str] = field(default_factory=set)

    def take(self, event: JobEvent) -> None:
        """Show an event, and pass it on to a program that follows."""
        job = self.reader.job or {}
        self.view.facts = tuple(_facts(job.get("estimated_cost_usd"), job.get("parameters")))
        self.view.take(event)
        if isinstance(event, StatusChanged):
            step, before = _step_of(event, job), self.before
            self.before = step
            self.display.console.print(step_line(step, before))
            if before and before["status"] == Status.RECEIVED != event.status:
                self.display.accepted(job)
            self.display.progress({"job_id": job["job_id"], **step})
        elif isinstance(event, Training):
            self.display.progress({"job_id": job["job_id"], "training": _far(event)})

    def looked(self) -> None:
        """Say what is wrong as soon as it is known, and whether it takes too long."""
        job = self.reader.job
        if job is None:
            self._hint(UNSEEN, self.reader.watch.seconds)
            return
        since = (datetime.now(UTC) - moment(job["history"][-1]["at"])).total_seconds()
        self._hint(job["status"], since)
        if job["problems"] != self.problems and Status(job["status"]) not in STOPS:
            self.display.problems(job)
        self.problems = job["problems"]

    def _hint(self, status: str, seconds: float) -> None:
        """Where to look when nothing moves; said once for each state."""
        if status in self.hinted or seconds <= USUAL.get(status, math.inf):
            return
        self.hinted.add(status)
        self.display.say(
            f"{status} for more than {USUAL[status] / 60:.0f} minutes, which is unusual. Look into the "
            "functions' logs and the stack's dead-letter queues, or stop waiting with Ctrl-C."
        )


def _step_of(event: StatusChanged, job: Mapping[str, Any]) -> Mapping[str, Any]:
    """The step of the job's history that an event is about: a place in a history that shrinks says nothing."""
    for step in job["history"]:
        if step["status"] == event.status and moment(step["at"]) == event.at:
            return dict(step)
    return {"status": event.status, "at": event.at.isoformat()}


def _far(training: Training) -> dict[str, Any]:
    """How far a training is, for a program."""
    eta = None if training.eta is None else training.eta.total_seconds()
    far = {"step": training.step, "steps": training.steps, "percent": training.percent}
    return {**far, "eta_seconds": eta}


def _facts(usd: float | None, parameters: Mapping[str, Any] | None) -> Iterator[str]:
    """What a person wants to know of a training while it lasts."""
    if usd:
        yield f"about ${usd:.2f}"
    if phrase := (parameters or {}).get(TRIGGER_PHRASE):
        yield f"trigger phrase {phrase}"
