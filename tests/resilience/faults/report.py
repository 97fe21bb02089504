"""What a run says: one plain table, and how to see again what went wrong."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lora_drop.jobs.status import Status
from tests.resilience.faults.faults import Fault, Tally

SHOWN = 40  # violations of a part


@dataclass
class Result:
    part: str
    figures: dict[str, object] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0
    reached: Counter[Status] = field(default_factory=Counter)
    tally: Tally | None = None
    lines: list[str] = field(default_factory=list)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in cells
    ]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def render(results: Sequence[Result], *, seed: int) -> str:
    lines: list[str] = []
    for result in results:
        figures = "  ".join(f"{name} {value}" for name, value in result.figures.items())
        broken = len(result.violations)
        lines.append(f"{result.part:10} {figures}  violations {broken}  {result.seconds:.1f} s")
    for result in results:
        if result.tally is not None:
            lines += ["", *_faults(result.tally)]
        lines += ["", *result.lines] if result.lines else []
    reached = sum((result.reached for result in results), Counter[Status]())
    if reached:
        lines += [
            "",
            *table(("state reached", "times"), [(each, reached[each]) for each in Status]),
        ]
    for result in results:
        lines += [""] * bool(result.violations)
        lines += [f"{result.part}: {promise}" for promise in result.violations[:SHOWN]]
        lines += [f"{result.part}: and {len(result.violations) - SHOWN} more"] * (
            len(result.violations) > SHOWN
        )
    seconds = sum(result.seconds for result in results)
    broken = sum(len(result.violations) for result in results)
    lines += ["", f"{broken} violations, {seconds:.0f} s, seed {seed}"]
    return "\n".join(lines)


def _faults(tally: Tally) -> list[str]:
    head = ("kind of fault", "schedules", "injected", "violations")
    rows = [
        (kind, tally.schedules[kind], tally.injected[kind], tally.violations[kind])
        for kind in Fault
    ]
    kinds = sum(tally.injected[kind] > 0 for kind in Fault)
    lines = table(head, rows)
    return [*lines, f"{kinds} of {len(Fault)} kinds struck, {tally.injected.total()} times"]


def finish(figures: Mapping[str, object], lines: Iterable[str], violations: Sequence[str]) -> None:
    """Print what one run came to, and exit with 1 when there are violations."""
    said = [f"{name.replace('_', ' '):22} {value}" for name, value in figures.items()]
    said += [*lines, *(f"VIOLATION {wrong}" for wrong in violations)]
    sys.stdout.write("\n".join(said) + "\n")
    sys.exit(bool(violations))
