"""``python -m benchmarks.start_time``: how much CPU the command takes until it does something.

Each line of the table is a program's user and system time, as the least of several runs, and its ratio to
a Python that only imports typer and rich (for the command) or that does nothing (for the import).
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

from lora_drop.local.tools import ROOT

RUNS = 7
NOTHING = "pass"
BASE = "import typer, rich"
MAIN = "from lora_drop.cli.main import main; main()"
# What it is, its baseline, the code, its arguments, and the ratio that is aimed at.
PROGRAMS: Sequence[tuple[str, str, str, tuple[str, ...], float]] = (
    ("import lora_drop", NOTHING, "import lora_drop", (), 1.3),
    ("lora-drop --version", BASE, MAIN, ("--version",), 1.5),
    ("lora-drop --help", BASE, MAIN, ("--help",), 1.5),
    ("lora-drop jobs --help", BASE, MAIN, ("jobs", "--help"), 1.5),
    ("lora-drop train --help", BASE, MAIN, ("train", "--help"), 1.5),
)


def cpu_seconds(code: str, arguments: Sequence[str], environment: Mapping[str, str]) -> float:
    """User and system time of a Python that runs this, as the least of several runs."""
    line = [sys.executable, "-c", code, *arguments]
    found = []
    for _ in range(RUNS):
        process = subprocess.Popen(line, env=dict(environment), stdout=subprocess.DEVNULL)  # noqa: S603  # our own words
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{line} exited with {process.returncode}")
        found.append(usage.ru_utime + usage.ru_stime)
    return min(found)


def rows(environment: Mapping[str, str]) -> list[str]:
    """The table for one state of the bytecode caches."""
    baselines = {code: cpu_seconds(code, (), environment) for code in (NOTHING, BASE)}
    lines = []
    for name, baseline, code, arguments, most in PROGRAMS:
        seconds = cpu_seconds(code, arguments, environment)
        ratio = seconds / baselines[baseline]
        lines.append(f"{name:<24} {seconds * 1000:6.0f} ms  {ratio:5.2f}  (at most {most})")
    return lines


def main() -> None:
    """Print the table, with bytecode and without."""
    own = {**os.environ, "PYTHONPATH": str(ROOT / "shared")}
    cpu_seconds(MAIN, ("--help",), own)  # writes what bytecode is missing
    sys.stdout.write("with bytecode\n" + "\n".join(rows(own)) + "\n")
    with tempfile.TemporaryDirectory() as empty:
        without = {**own, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": empty}
        sys.stdout.write("without bytecode\n" + "\n".join(rows(without)) + "\n")


if __name__ == "__main__":
    main()
