"""How far a training is, as a person watches it: a live view on a terminal, a line now and then elsewhere."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from lora_drop.cli.job_table import coloured
from lora_drop.client.events import JobEvent, Log, Queued, StatusChanged, Training, Waiting
from lora_drop.client.job_words import slot_words
from lora_drop.datasets.reports.markup import visible
from lora_drop.fal.progress import progress_in
from lora_drop.fal.progress import visible as last_of_line
from lora_drop.jobs.status import Status

LINES = 4  # of the log
EVERY = 10  # percent, where there is no terminal
PER_SECOND = 4  # times that the view is drawn
MINUTE, HOUR = 60, 3600
NOW: dict[str, str] = {
    "": "waiting for the stack to see the dataset",
    Status.RECEIVED: "checking the dataset",
    Status.READY: "waiting for a slot at fal",
    Status.SUBMITTING: "submitting, once",
    Status.SUBMIT_UNKNOWN: "waiting for evidence from fal; nothing is sent again",
    Status.SUBMITTED: "in fal's queue",
    Status.TRAINING: "training at fal",
    Status.STORING: "copying the files",
}
NEXT: dict[str, str] = {
    Status.RECEIVED: "next: a slot at fal, and the one paid request",
    Status.READY: "next: the one paid request to fal",
    Status.SUBMITTING: "next: fal's queue",
    Status.SUBMIT_UNKNOWN: "next: fal's webhook, or its list of requests, shows whether it was accepted",
    Status.SUBMITTED: "next: the training, 15 to 30 minutes for most datasets",
    Status.TRAINING: "next: the LoRA is copied, checked and hashed",
    Status.STORING: "next: the LoRA lies where the last line says",
}


@dataclass(slots=True)
class ProgressView:
    """What is known of one training. ``facts`` are said beside its state: price, trigger phrase.

    ``leave`` says what Ctrl-C does.
    """

    console: Console
    leave: str
    facts: tuple[str, ...] = ()
    percents: bool = True
    now_of: Mapping[str, str] = field(default_factory=lambda: dict(NOW))
    next_of: Mapping[str, str] = field(default_factory=lambda: dict(NEXT))
    clock: Callable[[], float] = time.monotonic
    silence: str | None = None
    _status: str = ""
    _since: float = 0.0
    _waits: str = ""
    _training: Training | None = None
    _trained_at: float = 0.0
    _log: deque[str] = field(default_factory=lambda: deque(maxlen=LINES))
    _said: int = -1
    _live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw it on a terminal for as long as the block lasts; what is printed meanwhile stands above."""
        self._since = self.clock()
        if not self.console.is_terminal:
            yield
            return
        live = Live(
            self, console=self.console, refresh_per_second=PER_SECOND, transient=True, screen=False
        )
        with live:
            yield

    def take(self, event: JobEvent) -> None:
        """Learn from an event; without a terminal, say every tenth of the way in a line."""
        match event:
            case StatusChanged(status=status):
                self._status, self._since, self._waits = status, self.clock(), ""
            case Waiting(slots_taken=taken, slots=slots, jobs_before=before):
                self._wait(slot_words(taken, slots, before))
            case Queued(position=position) if position is not None:
                self._wait(f"{position} before it in fal's queue" if position else "next in line")
            case Log(message=message):
                self._read(last_of_line(message))
            case Training():
                if self._training and self._training.steps != event.steps:
                    self._said = -1
                self._training, self._trained_at = event, self.clock()
                self._waits = ""
                self._say_tenths(event)
            case _:
                pass

    def _read(self, line: str) -> None:
        """Keep a line of the log; of a bar that is drawn again and again the last alone."""
        is_bar = progress_in([line]) is not None
        if is_bar and self._log and progress_in([self._log[-1]]) is not None:
            self._log.pop()
        if line:
            self._log.append(line)

    def _wait(self, words: str) -> None:
        if self._waits == "" and not self.console.is_terminal and self.percents:
            self.console.print(f"  {words}", highlight=False, markup=False)
        self._waits = words

    def _say_tenths(self, training: Training) -> None:
        tenth = int(training.percent) // EVERY
        if self.console.is_terminal or not self.percents or tenth <= self._said:
            return
        self._said = tenth
        self.console.print(f"  {self._how_far(training)}", highlight=False, markup=False)

    def _how_far(self, training: Training) -> str:
        words = [f"{training.percent:.0f} %"]
        if training.steps:
            words.append(f"step {training.step:,} of {training.steps:,}")
        if training.eta is not None and training.percent < 100 and not self.silence:  # noqa: PLR2004  # all of it
            left = training.eta.total_seconds() - (self.clock() - self._trained_at)
            words.append(f"{duration(timedelta(seconds=max(0.0, left)))} left")
        return ", ".join(words)

    def __rich_console__(self, _console: Console, _options: ConsoleOptions) -> RenderResult:
        """Yield the view as it is now: rich asks for it at each refresh."""
        yield Group(*self._rows())

    @property
    def _stands(self) -> str:
        """Where the training is: fal may have begun it before the stack has heard of that."""
        begun = self._status == Status.SUBMITTED and self._training is not None
        return Status.TRAINING if begun else self._status

    def _rows(self) -> Iterator[Table | Text]:
        yield Text()
        if (training := self._training) is not None:
            bar = Table.grid(padding=(0, 1))
            done = ProgressBar(total=100, completed=training.percent, width=40)
            bar.add_row(" ", done, Text(self._how_far(training), "bold"))
            yield bar
        seconds = timedelta(seconds=self.clock() - self._since)
        line = Table.grid(padding=(0, 1))
        words = Text.assemble(coloured(self._status) if self._status else "", " ")
        words.append(self.now_of.get(self._stands, "done"))
        words.append(f", {duration(seconds)}")
        words.append("".join(f", {each}" for each in (self._waits, *self.facts) if each))
        line.add_row(" ", Spinner("dots"), words)
        yield line
        for message in self._log:
            yield Text(f"    {visible(message)}", "dim", no_wrap=True, overflow="ellipsis")
        if self.silence:
            yield Text(f"  {visible(self.silence)} Asking again.", "yellow")
        if coming := self.next_of.get(self._stands):
            yield Text(f"  {coming}", "dim")
        yield Text(f"  {self.leave}", "dim")


def duration(time_: timedelta) -> str:
    """Return a length of time in the words of a person: 45 s, 6 min, 1 h 5 min."""
    seconds = round(time_.total_seconds())
    if seconds < 2 * MINUTE:
        return f"{seconds} s"
    minutes = round(seconds / MINUTE)
    if minutes < MINUTE:
        return f"{minutes} min"
    return f"{minutes // MINUTE} h {minutes % MINUTE} min"
