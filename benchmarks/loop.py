"""The topic `loop`: from a fresh clone to a LoRA, a stack up and down, and how soon the command starts; by hand ``loop-cold``."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, Goal, Topic
from benchmarks.loop_start import starts, whole_check
from lora_drop.local.tools import ROOT, in_checkout

DEMOS, UPS, COLD_DEMOS = 3, 5, 2
WARM, COLD, UP = Goal(most=45), Goal(most=180), Goal(most=10)  # seconds
STEP = re.compile(r"^([a-zA-Z ]+?) +(\d+\.\d) s$", re.MULTILINE)
# Of each change of the job's state: seconds since the one before.
CHANGE = re.compile(r"  \+(\d+\.\d) s$", re.MULTILINE)
DONE = "SUCCEEDED"
STEPS: Mapping[str, str] = {
    "AWS emulator": "the emulator's start",
    "fal simulator": "the simulator's start",
    "sam build": "`sam build` of eight functions",
    "deploy": "upload and deployment",
}
KEYS = ("venv", "emulator", "simulator", "build", "deploy", "job", "rest")  # of the parts of a demo
# What a shell or an outer make has set and a person with a fresh clone has not.
FOREIGN = ("LORA_DROP_", "MAKE", "MFLAGS", "PYTHON", "TOPICS", "VIRTUAL_ENV")
HOW = (
    "A clone of this repository with a state folder of its own. `make demo` makes .venv, builds, starts and deploys the stack, "
    f"trains (three seconds of simulated training) and ends it: {DEMOS} clones, one after the other, for each takes most of a minute; "
    "with warm caches of uv and pip. `up` and `down` are of the built stack. The start times are CPU time, in turn with a Python that does "
    "nothing or imports typer and rich alone."
)


def clean_environment(**more: str) -> dict[str, str]:
    """Return this process's environment without what it owes to its own checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    own = str(Path(sys.executable).parent)
    path = os.pathsep.join(each for each in kept["PATH"].split(os.pathsep) if each not in ("", own))
    return {**kept, "PATH": path, **more}


@contextmanager
def clone() -> Iterator[Path]:
    """Yield a clone of what is committed, on the disk of the checkout: uv links there what its cache has."""
    if not in_checkout():
        sys.exit("This measures a checkout, and runs in none.")
    state = ROOT / ".lora-drop"
    state.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=state, prefix="clone-") as temporary:
        folder = Path(temporary) / "lora-drop"
        _run(["git", "clone", "--quiet", str(ROOT), str(folder)], ROOT, clean_environment())
        yield folder


def demo(folder: Path, environment: Mapping[str, str]) -> dict[str, float]:
    """Return the seconds of `make demo`, of `make venv` within it, and of each step that it prints."""
    began = time.monotonic()
    _run(["make", "venv"], folder, environment)
    made = time.monotonic()
    said = _run(["make", "demo"], folder, environment)
    done = time.monotonic()
    if DONE not in said:
        sys.exit(f"the demo has trained nothing:\n{said}")
    steps = {name: float(seconds) for name, seconds in STEP.findall(said)}
    job = sum(map(float, CHANGE.findall(said)))
    return {**steps, "venv": made - began, "job": job, "all": done - began}


def up_and_down(folder: Path, environment: Mapping[str, str]) -> dict[str, float]:
    """Return the seconds of `lora-drop up` on the built stack, of each step that it prints, and of `lora-drop down`."""
    program = str(folder / ".venv" / "bin" / "lora-drop")
    began = time.monotonic()
    said = _run([program, "up"], folder, environment)
    up = time.monotonic()
    _run([program, "down"], folder, environment)
    steps = {name: float(seconds) for name, seconds in STEP.findall(said)}
    return {**steps, "all": up - began, "down": time.monotonic() - up}


def measure() -> Topic:
    """Measure the demo in fresh clones, then the built stack of the last one, then the command's start."""
    environment, demos = clean_environment(), list[Mapping[str, float]]()
    ups: list[Mapping[str, float]] = []
    for number in range(DEMOS):
        with clone() as folder:
            demos.append(demo(folder, environment))
            if number == DEMOS - 1:
                ups = [up_and_down(folder, environment) for _ in range(UPS)]
    figures = [*_figures(demos), *_stack_figures(ups), whole_check(), *starts()]
    return Topic("loop", "The loop: from a clone to a LoRA", HOW, figures)


def _parts(demos: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, ...]]:
    """Return the seconds of each part of a demo, by what it is, in the order of KEYS."""
    measured = {"venv": "`make venv`", **STEPS, "job": "the job, from the drop to SUCCEEDED"}
    parts = {says: _runs(demos, name) for name, says in measured.items()}
    known = zip(*parts.values(), strict=True)
    rest = (
        "the upload, the comparison with the ledger, the end of the stack, and the command itself"
    )
    parts[rest] = tuple(each["all"] - sum(its) for each, its in zip(demos, known, strict=True))
    return parts


def _figures(demos: Sequence[Mapping[str, float]]) -> Iterator[Figure]:
    parts = _parts(demos)
    yield Figure(
        "loop.demo.warm.seconds",
        "`make demo` in a fresh clone, warm caches",
        "s",
        _runs(demos, "all"),
        goal=WARM,
        why=_profile(WARM, _runs(demos, "all"), parts),
    )
    for key, (says, runs) in zip(KEYS, parts.items(), strict=True):
        yield Figure(f"loop.demo.{key}.seconds", f"of it {says}", "s", runs)


def _stack_figures(ups: Sequence[Mapping[str, float]]) -> Iterator[Figure]:
    parts = {STEPS[name]: _runs(ups, name) for name in STEPS if name in ups[0]}
    yield Figure(
        "loop.up.built.seconds",
        "`lora-drop up` on a built stack",
        "s",
        _runs(ups, "all"),
        goal=UP,
        why=_profile(UP, _runs(ups, "all"), parts),
    )
    yield Figure("loop.down.seconds", "`lora-drop down`", "s", _runs(ups, "down"))


def _runs(rows: Sequence[Mapping[str, float]], name: str) -> tuple[float, ...]:
    return tuple(each[name] for each in rows)


def _profile(goal: Goal, whole: Sequence[float], parts: Mapping[str, Sequence[float]]) -> str:
    """Say where the time goes, the most first; empty where the goal holds."""
    if goal.holds(median(whole)):
        return ""
    shares = sorted(parts.items(), key=lambda part: -median(part[1]))
    return ", ".join(f"{says} {median(runs):.1f} s" for says, runs in shares)


def measure_cold() -> Topic:
    """Measure the demo with empty caches of uv and pip, by hand: the speed of the package index is in that."""
    demos: list[Mapping[str, float]] = []
    for _ in range(COLD_DEMOS):
        with clone() as folder, tempfile.TemporaryDirectory(dir=ROOT / ".lora-drop") as empty:
            caches = {"UV_CACHE_DIR": f"{empty}/uv", "PIP_CACHE_DIR": f"{empty}/pip"}
            demos.append(demo(folder, clean_environment(**caches)))
    says, runs = "`make demo` in a fresh clone, empty caches", _runs(demos, "all")
    why = _profile(COLD, runs, _parts(demos))
    figure = Figure("loop.demo.cold.seconds", says, "s", runs, goal=COLD, why=why)
    how = (
        "`python -m benchmarks loop-cold`, by hand: what uv and pip download is in it, from whatever index they are set to; so is the speed of the way there. "
        "Python and git are there already."
    )
    return Topic("loop-cold", "The loop with empty caches", how, [figure])


def _run(line: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    """Return what a program prints on both of its outputs; raises SystemExit where it fails."""
    done = subprocess.run(  # noqa: S603  # our own words
        line,
        cwd=folder,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(line)} has failed:\n{done.stdout}")
    return done.stdout
