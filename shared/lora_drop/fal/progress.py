"""How far a training is, read from the lines of fal's log.

Trainers draw their progress with tqdm, which ends an update with a carriage return, so one line of the log may
hold many of them (https://github.com/tqdm/tqdm, ``tqdm.format_meter``:
``{desc}: {percentage}%|{bar}| {n}/{total} [{elapsed}<{remaining}, {rate}{postfix}]``, the rate as ``it/s``, or as
``s/it`` for what is slower than one a second). Others print ``step 75/2500``.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# ECMA-48, 5.4 and 8.3.89: colours and movements of the cursor; and every control character but tab, CR and LF.
CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|[^\t\r\n -~\xa0-\U0010ffff]"
)
CLOCK = r"(?:\d+:)?\d+:\d\d"
TQDM = re.compile(
    r"\b\d{1,3}%\|[^|\r\n]*\|\s*(?P<step>\d{1,9})/(?P<steps>\d{1,9})\s*"
    rf"\[(?P<elapsed>{CLOCK})<(?P<left>{CLOCK}|\?)(?:,\s*(?P<rate>\d+(?:\.\d+)?)\s*"
    r"(?:(?P<fast>[A-Za-z]+/s)|s/[A-Za-z]+))?"
)
PLAIN = re.compile(
    r"\bsteps?\b\s*[:=#]?\s*\[?(?P<step>\d{1,9})\s*(?:/|of)\s*(?P<steps>\d{1,9})"
    r"|(?<![\d.])(?P<step_>\d{1,9})\s*(?:/|of)\s*(?P<steps_>\d{1,9})\s*(?:training\s+)?steps?\b",
    re.IGNORECASE,
)
OF_TRAINING = re.compile(r"\b(?:steps?|train(?:ing)?)\b", re.IGNORECASE)
# What a trainer does before and between its steps, with bars of its own, as "Loading training images".
OF_OTHER_WORK = re.compile(
    r"\b(?:(?:pre)?cach|encod|(?:down|up)?load|fetch|caption|prepar|preprocess|resiz|crop|sampl|generat|sav)(?:ing|e)\b",
    re.IGNORECASE,
)
ROUNDED = (
    10  # a trainer that counts whole epochs has up to a tenth more or fewer steps than were ordered
)
MAX_LINE = 20_000  # characters of one line of the log that are read, its last ones


@dataclass(frozen=True, slots=True)
class Progress:
    """A training has done ``step`` of ``steps``; the times in seconds are None where the log has none."""

    step: int
    steps: int
    seconds_left: float | None = None
    seconds_per_step: float | None = None

    @property
    def percent(self) -> float:
        """Return the part that is done, 0 to 100; 100 only when all of it is."""
        return 1000 * self.step // self.steps / 10


def progress_in(lines: Iterable[str], steps: int | None = None) -> Progress | None:
    """Return how far the training is by these lines of its log; None where they do not say.

    ``steps`` is how many the job has. A bar of as many is the training's own. Without one, only a bar of nearly
    as many that calls itself steps or training is believed: downloads, captions and samples have bars as well.
    Where a runner was replaced and has begun again, the furthest step counts.
    """
    exact: Progress | None = None
    named: Progress | None = None
    other: Progress | None = None
    for found, label in _bars(lines):
        if OF_OTHER_WORK.search(label):
            other = _further(other, found)
        elif found.steps == steps:
            exact = _further(exact, found)
        elif OF_TRAINING.search(label) and _near(found.steps, steps):
            named = _further(named, found)
        else:
            other = _further(other, found)
    return exact or named or (other if steps is None else None)


def _near(found: int, steps: int | None) -> bool:
    return steps is None or abs(found - steps) * ROUNDED <= steps


def visible(message: str) -> str:
    """Return what a terminal would show of a line in the end: after its last carriage return, without codes."""
    parts = [part.strip() for part in CONTROL.sub("", message).split("\r")]
    return next((part for part in reversed(parts) if part), "")


def _bars(lines: Iterable[str]) -> Iterator[tuple[Progress, str]]:
    """Yield every reading in the order of the log, with the words before it."""
    for line in lines:
        for part in re.split(r"[\r\n]", CONTROL.sub("", line[-MAX_LINE:])):
            end = 0
            for match in TQDM.finditer(part):
                label, end = part[end : match.start()], match.end()
                if (progress := _of_tqdm(match)) is not None:
                    yield progress, label
            if end:
                continue
            for match in PLAIN.finditer(part):
                step, steps = match["step"] or match["step_"], match["steps"] or match["steps_"]
                if 0 <= int(step) <= int(steps) and int(steps):
                    yield Progress(int(step), int(steps)), part[: match.end()]


def _of_tqdm(match: re.Match[str]) -> Progress | None:
    step, steps = int(match["step"]), int(match["steps"])
    if not 0 <= step <= steps or not steps:
        return None
    elapsed, pace = _seconds(match["elapsed"]), None
    if match["rate"] and float(match["rate"]):
        rate = float(match["rate"])
        pace = 1 / rate if match["fast"] else rate
    elif step and elapsed:
        pace = elapsed / step
    left = None if match["left"] == "?" else float(_seconds(match["left"]))
    if left is None and pace is not None:
        left = pace * (steps - step)
    return Progress(step, steps, left, pace)


def _further(one: Progress | None, other: Progress) -> Progress:
    """Return the later of two readings, unless it is of fewer steps."""
    if one is None or other.steps > one.steps:
        return other
    return other if other.steps == one.steps and other.step >= one.step else one


def _seconds(clock: str) -> int:
    seconds = 0
    for part in clock.split(":"):
        seconds = seconds * 60 + int(part)
    return seconds
