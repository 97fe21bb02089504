"""``python -m tests.resilience.faults.stack``: the two runs on the deployed stack, and one table."""

import logging
import sys

from tests.resilience.faults import bad_wires, burst
from tests.resilience.faults.quiescence import HEAD
from tests.resilience.faults.report import table


def main() -> int:
    # A worker that was killed leaves the simulator with sockets that are not read.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    figures = burst.run(burst.Burst())
    report = bad_wires.run(bad_wires.Wires())
    lines = table(HEAD, [*figures.rows, *report.rows])
    violations = [*figures.violations, *report.violations]
    lines += [f"VIOLATION {wrong}" for wrong in violations]
    kinds = sum(count > 0 for count in report.struck.values())
    lines.append(
        f"burst: {figures.paid} paid, {figures.succeeded} succeeded, {figures.killed} workers "
        f"killed, {figures.at_fal_by_slots} at fal at most, {figures.dead_letters} dead letters; "
        f"wires: {report.calls} calls, {sum(report.struck.values())} faults of {kinds} kinds; "
        f"{len(violations)} violations"
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return int(bool(violations))


if __name__ == "__main__":
    sys.exit(main())
