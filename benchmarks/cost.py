"""What one job uses of AWS, function by function: ``python -m benchmarks cost``; docs/cost.md makes dollars of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.figures import Figure, Goal, Topic
from benchmarks.growth import measured, started
from lora_drop.dev.cost import IDLE_MOST, dollars, of_an_idle_month
from lora_drop.dev.prices import PRICES

NAMES = {
    "Submit": "submit",
    "Webhook": "webhook",
    "Store": "store",
    "Jobs": "jobs",
    "a round that closes a job": "closing",
    "Reconcile": "reconcile",
    "the comparison of trainers": "comparison",
    "Forget": "forget",
}
SERVICES = {
    "dynamodb": "dynamodb",
    "s3 read": "s3_read",
    "s3 write": "s3_write",
    "events": "events",
}


def measure() -> Topic:
    """Measure the functions on moto."""
    rows = measured(started("job"))
    found = [figure for row in rows for figure in figures(row)]
    return Topic(
        "cost",
        "What a job uses",
        "The functions' own handlers on moto, whose CPU is left out, for one job that goes well; warm, 5 jobs. Their dataset's photos have no pixels: "
        "what those cost is measured by the check of a dataset. Moto keeps no checksum of a whole object, so what is stored is read back, and the secrets are read for "
        "each job: five calls more than in *Calls a job*.",
        [*found, _idle_month(found)],
    )


def _idle_month(figures: Sequence[Figure]) -> Figure:
    """Return what a month without a job costs, by AWS's list prices."""
    idle = of_an_idle_month({each.key: {"median": each.median} for each in figures})
    month, goal = dollars(idle), Goal(most=IDLE_MOST)
    shares = sorted(((PRICES[name].of(used), name) for name, used in idle.items()), reverse=True)
    most = ", ".join(f"{name.replace('_', ' ')} ${usd:.2f}" for usd, name in shares[:5])
    why = "" if goal.holds(month) else f"{most}; docs/cost.md has all"
    return Figure("cost.idle.month", "a month without a job", "$", (month,), goal=goal, why=why)


def figures(row: Mapping[str, Any]) -> Iterator[Figure]:
    """Yield what one function uses for one event."""
    name = NAMES[row["function"]]
    key, says = f"cost.{name}", row["function"].lower()
    yield Figure(f"{key}.cpu", f"{says}: CPU", "ms", tuple(row["ms"]))
    calls: Mapping[str, int] = row["calls"]
    yield Figure(f"{key}.calls", f"{says}: calls to AWS", "calls", (sum(calls.values()),))
    for service, part in SERVICES.items():
        yield Figure(f"{key}.{part}", f"{says}: {service}", "calls", (calls.get(service, 0),))
    yield Figure(f"{key}.log", f"{says}: bytes of log", "count", (row["log_bytes"],))
