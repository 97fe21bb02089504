"""What the long proofs visited: ``python -m benchmarks proofs``, by hand, for it takes about ten minutes."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping

from benchmarks.figures import Figure, Goal, Topic
from lora_drop.local.tools import ROOT

SEEDS = 2000
PARTS = ("crash", "aws", "schedules", "model")
COMMAND = ("-m", "tests.resilience.faults", "--seeds", str(SEEDS))
# What a line of its table says, by the key that it is kept under.
SAID: Mapping[str, tuple[str, str]] = {
    "crash.effects": (r"^crash .*\beffects (\d+)", "every effect: effects of all scenarios"),
    "crash.singles": (r"^crash .*\bsingles (\d+)", "every effect: single accidents"),
    "crash.pairs": (
        r"^crash .*\bpairs (\d+)",
        "every effect: pairs of accidents, all of the ordinary scenario",
    ),
    "crash.triples": (r"^crash .*\btriples (\d+)", "every effect: triples"),
    "aws.effects": (r"^aws .*\beffects (\d+)", "every AWS call: calls"),
    "aws.singles": (r"^aws .*\bsingles (\d+)", "every AWS call: single accidents"),
    "schedules": (r"^schedules .*\bschedules (\d+)", "schedules"),
    "faults": (r"kinds struck, (\d+) times", "schedules: faults that struck"),
    "kinds": (r"(\d+) of \d+ kinds struck", "schedules: kinds of fault that struck"),
    "states": (r"together +([\d,]+)", "every state: states, on a small table"),
    "transitions": (r"together +[\d,]+ +([\d,]+)", "every state: transitions"),
}
VIOLATIONS = r"^(\d+) violations,"


def measure() -> Topic:
    """Run the proofs; raises SystemExit where one found a violation."""
    only = [word for part in PARTS for word in ("--only", part)]
    done = subprocess.run(  # noqa: S603  # this very Python, and a module of ours
        [sys.executable, *COMMAND, *only], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stdout)
    return Topic(
        "proofs",
        "The long proofs",
        f"`python -m benchmarks proofs`, by hand: one run of each part of `make chaos SEEDS={SEEDS}` that needs no stack.",
        [*figures(done.stdout)],
    )


def figures(said: str) -> Iterator[Figure]:
    """Yield what the table of the proofs says; raises SystemExit where it does not say it."""
    for key, (pattern, says) in SAID.items():
        yield Figure(f"proofs.{key}", says, "count", (_number(pattern, said),))
    broken = _number(VIOLATIONS, said)
    yield Figure(
        "proofs.violations", "violations of a promise", "count", (broken,), goal=Goal(most=0)
    )


def _number(pattern: str, said: str) -> float:
    found = re.search(pattern, said, re.MULTILINE)
    if found is None:
        sys.exit(f"the proofs do not say {pattern}:\n{said}")
    return float(found[1].replace(",", ""))
