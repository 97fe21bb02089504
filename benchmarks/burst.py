"""Many datasets at once: ``python -m benchmarks burst``; by hand ``burst-10000``, and ``emulator`` for a thousand on the deployed stack."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.figures import Figure, Goal, Topic
from benchmarks.growth import exponent, measured, started

SIZES = (100, 300, 1_000)
FLAT, DRAINED = Goal(most=0.1), Goal(most=1.05)
HOW = (
    "So many different datasets dropped at the same moment, 50 slots, 30 minutes a training, a round of the reconciler every 5 minutes, until each "
    "job has succeeded and is closed: the real services and the real DynamoDB adapter over a table in memory, the other ports in memory, by a "
    "clock that is set, on which a check takes two seconds and a copy none. One run of each size, which is thousands of jobs; the CPU is of the services and those fakes."
)
WHY = (
    "from the smallest burst to the largest, calls a job go from {calls[0]:.0f} to {calls[1]:.0f} and rows read from {rows[0]:.0f} to {rows[1]:.0f}. Of the smallest burst half the jobs wait for a slot, of the others nearly all, and one that waits takes two calls of submit: one checks it, the other sends it when its turn comes. "
    "What grows besides is the two lists that a round reads: of open jobs, and of those that wait"
)
COUNTED: Sequence[tuple[str, str, Any]] = (
    ("cpu", "CPU of all functions a job", "ms"),
    ("calls", "calls a job, to AWS and fal", "calls"),
    ("dynamodb", "of these to DynamoDB", "calls"),
    ("rows", "rows read a job", "count"),
    ("read_units", "DynamoDB's read units a job", "count"),
    ("write_units", "DynamoDB's write units a job", "count"),
)


GROWING = {
    "cpu": "CPU a job",
    "calls": "calls a job",
    "rows": "rows read a job",
    "read_units": "read units a job",
}


def measure() -> Topic:
    """Measure the largest on one core, the others meanwhile on the other."""
    large, small = started("burst", SIZES[-1]), started("burst", *SIZES[:-1])
    rows = [*measured(small), *measured(large)]
    return Topic("burst", "Many datasets at once", HOW, [*figures(rows)])


def measure_ten_thousand() -> Topic:
    """Measure the largest burst, by hand: it takes five minutes."""
    how = f"`python -m benchmarks burst-10000`, by hand. {HOW}"
    rows = measured(started("burst", 10_000))
    return Topic("burst-10000", "Ten thousand datasets at once", how, [*of_size(rows[0])])


def of_size(row: Mapping[str, Any]) -> Iterator[Figure]:
    """Yield what a burst has cost."""
    jobs = row["jobs"]
    says = f"{jobs:,} jobs: time until the last is stored, over jobs / slots * 30 minutes"
    yield Figure(f"burst.{jobs}.drain", says, "ratio", (row["drain"],), goal=DRAINED)
    for name, what, unit in COUNTED:
        yield Figure(f"burst.{jobs}.{name}", f"{jobs:,} jobs: {what}", unit, (row[name],))


def figures(rows: Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    """Yield what each size has cost, then what grows."""
    for row in rows:
        yield from of_size(row)
    for name, what in GROWING.items():
        grows = exponent({row["jobs"]: row[name] for row in rows})
        ends = {each: [rows[0][each], rows[-1][each]] for each in ("calls", "rows")}
        key, why = f"burst.{name}.exponent", "" if FLAT.holds(grows) else WHY.format(**ends)
        yield Figure(key, what, "exponent", (grows,), goal=FLAT, why=why)
