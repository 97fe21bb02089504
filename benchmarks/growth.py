"""What grows with the number of jobs: the runs of ``python -m tests.growth``, whose fakes no benchmark imports, and their exponents."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from lora_drop.local.tools import ROOT


def started(what: str, *sizes: int) -> subprocess.Popen[str]:
    """Begin to measure."""
    command = [sys.executable, "-m", "tests.growth", what, *map(str, sizes)]
    # Powertools says of each event without a metric that it has none.
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore:No application metrics"}
    return subprocess.Popen(command, cwd=ROOT, env=quiet, stdout=subprocess.PIPE, text=True)  # noqa: S603  # our own


def measured(run: subprocess.Popen[str]) -> Sequence[Mapping[str, Any]]:
    """Return the lines that were measured; raises SystemExit where that failed."""
    output, _ = run.communicate()
    if run.returncode:
        sys.exit(f"{' '.join(map(str, run.args))} ended with {run.returncode}")  # type: ignore[arg-type]  # a list
    return [json.loads(line) for line in output.splitlines()]


def exponent(values: Mapping[int, float]) -> float:
    """Return the k of value = c · size^k that fits best by least squares of the logarithms; 0 is flat, 1 is in proportion."""
    points = [(math.log(size), math.log(value)) for size, value in values.items()]
    x_mean = sum(x for x, _ in points) / len(points)
    y_mean = sum(y for _, y in points) / len(points)
    above = sum((x - x_mean) * (y - y_mean) for x, y in points)
    return above / sum((x - x_mean) ** 2 for x, _ in points)
