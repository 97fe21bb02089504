"""``python -m tests.resilience.faults``: the pipeline under everything that can go wrong, and one table."""

import argparse
import sys
import warnings

from tests.resilience.faults.parts import PARTS, Options, run
from tests.resilience.faults.report import told


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
    sys.stdout.write(told(results, seed=options.seed) + "\n")
    return int(any(result.violations for result in results))


if __name__ == "__main__":
    sys.exit(main())
