"""How much CPU the command takes until it does something, beside a Python that imports what it cannot do without."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.figures import Figure, Goal
from lora_drop.local.stack import SAMPLE
from lora_drop.local.tools import ROOT

RUNS = 5
MAIN = "from lora_drop.cli.main import main; main()"


@dataclass(frozen=True, slots=True)
class Start:
    """A program, the peer that it is divided by, and the ratio that is aimed at."""

    key: str
    says: str
    code: str
    words: tuple[str, ...] = ()
    peer: str = ""
    goal: Goal | None = None


STARTS: Sequence[Start] = (
    Start("python", "a Python that does nothing", "pass"),
    Start("typer", "a Python that imports typer and rich", "import typer, rich"),
    Start("import", "`import lora_drop`", "import lora_drop", peer="python", goal=Goal(most=1.3)),
    Start("help", "`lora-drop --help`", MAIN, ("--help",), "typer", Goal(most=1.5)),
)  # fmt: skip


def starts() -> Iterator[Figure]:
    """Yield the CPU time of each program with bytecode and without, in turn."""
    own = _environment()
    for start in STARTS:
        _cpu_milliseconds(start, own)  # writes what bytecode is missing
    yield from _figures("", "", own)
    with tempfile.TemporaryDirectory() as empty:
        without = {**own, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": empty}
        yield from _figures("source.", ", without bytecode", without)


def _environment() -> dict[str, str]:
    """Return this process's environment, in which a Python imports this checkout and keeps bytecode."""
    own = {**os.environ, "PYTHONPATH": str(ROOT / "shared")}
    own.pop("PYTHONDONTWRITEBYTECODE", None)
    return own


def whole_check() -> Figure:
    """Return how long a person waits for the check of the sample, from the shell."""
    line, runs = [sys.executable, "-c", MAIN, "check", str(SAMPLE)], list[float]()
    own = _environment()
    for _ in range(RUNS + 1):
        began = time.monotonic()
        subprocess.run(line, env=own, check=True, capture_output=True)  # noqa: S603  # our own words
        runs.append(time.monotonic() - began)
    says = "`lora-drop check` of 14 photos of 768 pixels, 1.3 MB, from its start to its end, with the search for faces"
    return Figure("loop.check.seconds", says, "s", tuple(runs[1:]))  # the first writes bytecode


def _figures(infix: str, words: str, environment: Mapping[str, str]) -> Iterator[Figure]:
    runs = [[_cpu_milliseconds(start, environment) for start in STARTS] for _ in range(RUNS)]
    for number, start in enumerate(STARTS):
        yield Figure(
            f"loop.start.{infix}{start.key}.ms",
            f"{start.says}{words}: CPU",
            "ms",
            tuple(row[number] for row in runs),
            peer=f"loop.start.{infix}{start.peer}.ms" if start.peer else "",
            goal=start.goal,
        )


def _cpu_milliseconds(start: Start, environment: Mapping[str, str]) -> float:
    """User and system time of a Python that runs this; raises SystemExit where it fails."""
    line = [sys.executable, "-c", start.code, *start.words]
    process = subprocess.Popen(line, env=dict(environment), stdout=subprocess.DEVNULL)  # noqa: S603  # our own words
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{line} exited with {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1000
