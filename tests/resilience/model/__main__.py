"""``python -m tests.resilience.model [--full] [--mutants]``: every reachable moment of a job's life.

Without ``--full`` the bounds are those of the test suite. ``--mutants`` takes every guard off the
real code in turn, and ``-v`` prints the counterexample of each. Ends with 1 when a promise is
broken, or when a guard's absence shows nowhere.
"""

import argparse
import sys
from collections.abc import Sequence

from tests.resilience.model.search import Found, check
from tests.resilience.model.world import FULL, SMALL, Bounds
from tests.resilience.mutations import OF_MODEL


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.resilience.model",
        description="every reachable moment of a job's life",
    )
    parser.add_argument("--full", action="store_true", help="larger bounds: several minutes")
    parser.add_argument("--mutants", action="store_true", help="take off every guard in turn")
    parser.add_argument("-v", "--verbose", action="store_true", help="print all counterexamples")
    options = parser.parse_args()
    good = searched(FULL if options.full else SMALL)
    if options.mutants:
        good = mutated(verbose=options.verbose) and good
    return 0 if good else 1


def searched(configurations: Sequence[Bounds]) -> bool:
    say(f"{'':44}{'states':>12}{'transitions':>13}{'seconds':>9}  violations")
    all_ = []
    for bounds in configurations:
        found = check(bounds)
        all_.append(found)
        verdict = "1" if found.wrong else "0" if found.complete else "0, not complete"
        say(f"{bounds.name:44}{_numbers(found)}  {verdict}")
        if found.wrong:
            _print_trace(found)
    say(
        f"{'together':44}{sum(each.states for each in all_):12,}"
        f"{sum(each.transitions for each in all_):13,}{sum(each.seconds for each in all_):9.1f}\n"
    )
    return all(found.complete and not found.wrong for found in all_)


def mutated(*, verbose: bool) -> bool:
    say(f"{'without this guard':63}{'steps':>5}  what is violated")
    good = True
    for mutation in OF_MODEL:
        assert mutation.model
        with mutation.off():
            found = check(mutation.model)
        good = good and bool(found.wrong)
        say(f"{mutation.name:63}{len(found.steps):5}  {found.wrong or 'NOTHING'}")
        if verbose:
            _print_trace(found)
    return good


def say(line: str) -> None:
    """A line, at once: the next one may take minutes."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _numbers(found: Found) -> str:
    return f"{found.states:12,}{found.transitions:13,}{found.seconds:9.1f}"


def _print_trace(found: Found) -> None:
    say(f"\n  {found.wrong}\n")
    for number, step in enumerate(found.steps, start=1):
        say(f"  {number:3}. {step}")
    say("")


if __name__ == "__main__":
    sys.exit(main())
