"""``python -m tests.resilience.faults``: the pipeline under everything that can go wrong, and one table."""

import argparse
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lora_drop.jobs.status import Status
from tests.resilience.faults import functions
from tests.resilience.faults.cloud import on_moto
from tests.resilience.faults.crash import Report, every_pair, every_single, some_triples
from tests.resilience.faults.faults import Made, Tally, shrunk
from tests.resilience.faults.report import Result, render
from tests.resilience.faults.scenarios import SCENARIOS
from tests.resilience.faults.schedule import (
    FIXTURES,
    Outcome,
    by_decisions,
    by_seed,
    same_kind,
    save,
)

TRIPLES = 1000
LAST = 20  # lines of what a program has said
SAVED = 3  # of the schedules that broke a promise, made small


@dataclass(frozen=True)
class Options:
    seeds: int
    seed: int


def crash(options: Options) -> Result:
    """Run every interruption of every scenario, every pair in the ordinary one, some triples."""
    report = Report()
    for scenario in SCENARIOS:
        every_single(report, scenario)
    every_pair(report)
    some_triples(report, TRIPLES, options.seed)
    return _of_runs("crash", report)


def aws(_: Options) -> Result:
    """Every call to AWS and every request to fal of an ordinary run, on moto."""
    report = Report()
    every_single(report, on=on_moto)
    return _of_runs("aws", report)


def _of_runs(part: str, report: Report) -> Result:
    figures: dict[str, object] = {"effects": report.effects, "singles": report.singles}
    if report.pairs:
        figures |= {"pairs": report.pairs, "triples": report.triples}
    figures |= {"runs": report.runs, "in doubt": report.doubted}
    broken = [str(run) for run in report.broken]
    return Result(part, figures, broken, reached=report.reached)


def schedules(options: Options) -> Result:
    tally, reached, violations = Tally(), Counter[Status](), list[str]()
    saved = 0
    for seed in range(options.seed, options.seed + options.seeds):
        outcome = by_seed(seed)
        tally.add(outcome.struck, violated=len(outcome.wrong))
        reached += outcome.reached
        if outcome.wrong:
            violations.append(f"seed {seed}: {'; '.join(outcome.wrong)}")
        if outcome.wrong and saved < SAVED:
            saved += 1
            small = _smallest(outcome)
            save(f"seed-{seed}", by_decisions(small))
            violations.append(
                f"again: python -m tests.resilience.faults --seed {seed} --seeds 1 --only schedules; "
                f"the decisions that matter are in {FIXTURES}, which pytest will repeat from now on"
            )
    figures: dict[str, object] = {"schedules": options.seeds}
    return Result("schedules", figures, violations, reached=reached, tally=tally)


def _smallest(outcome: Outcome) -> Made:
    same = same_kind(outcome.wrong)
    return shrunk(outcome.made, lambda made: same(by_decisions(made)))


def model(_: Options) -> Result:
    return _module("model", "tests.resilience.model")


def stack(_: Options) -> Result:
    """Faults on the wires of the deployed stack; it takes minutes."""
    return _module("stack", "tests.resilience.faults.stack")


def _module(part: str, name: str) -> Result:
    """A part that is a program of its own: it says its figures, and exits with 1 if broken."""
    done = subprocess.run(  # noqa: S603  # this very Python, and a module of ours
        [sys.executable, "-m", name], capture_output=True, text=True, check=False
    )
    said = done.stdout.strip().splitlines()
    failed = [*said, *done.stderr.strip().splitlines()][-LAST:]
    broken = [f"python -m {name} exited with {done.returncode}", *failed]
    return Result(
        part, {"said": said[-1] if said else ""}, broken if done.returncode else [], lines=said[:-1]
    )


type Part = Callable[[Options], Result]
PARTS: Mapping[str, Part] = {
    "crash": crash,
    "aws": aws,
    "schedules": schedules,
    "model": model,
    "stack": stack,
}


def run(name: str, options: Options) -> Result:
    began = time.monotonic()
    with functions.quietly():
        result = PARTS[name](options)
    result.seconds = time.monotonic() - began
    return result


def main() -> int:
    """1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.resilience.faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many schedules (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the first one's seed (%(default)s)")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be repeated")
    said = parser.parse_args()
    warnings.filterwarnings("ignore", "No application metrics to publish")
    options = Options(said.seeds, said.seed)
    results = []
    for name in said.only or PARTS:
        sys.stderr.write(f"{name} …\n")
        results.append(run(name, options))
    sys.stdout.write(render(results, seed=options.seed) + "\n")
    return int(any(result.violations for result in results))


if __name__ == "__main__":
    sys.exit(main())
