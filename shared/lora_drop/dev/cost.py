"""docs/cost.md: what a job and a month cost, from what was measured and AWS's prices."""

from collections.abc import Iterator, Mapping

from lora_drop.dev.figures import Row, measured, rows_of, with_unit
from lora_drop.dev.prices import (
    ALARMS,
    DASHBOARDS,
    GB,
    IDLE_METRICS,
    MB_A_CPU,
    MEMORY,
    POLLED_QUEUES,
    POLLS,
    PRICES,
    READ_ON,
    SCHEDULES,
    SECRETS,
)
from lora_drop.fal.trainers.table import DEFAULT

# A dataset of a portrait, and what fal makes of it.
PHOTOS, DATASET_BYTES, LORA_BYTES, STEPS = 40, 63e6, 145e6, 1000
# Not measured: there was no account. What a call waits for its answer, and what one connection to fal's CDN brings.
WAIT, COPY_RATE = 10.0, 25e6
JOB = ("submit", "webhook", "store", "closing", "jobs")
LOOKS = 2  # requests to the API for a job: fal's webhook, and one look at it
THOUSAND, MONTHS = 1000, (10, 1_000_000)
IDLE_MOST = 5.0
HEAD = f"""\
# What it costs

Generated from `benchmarks/results.json` and AWS's public prices of us-east-1 for arm64 (`shared/lora_drop/dev/prices.py`, as known on {READ_ON}).
What AWS gives free is not subtracted. A job is a portrait's dataset of {PHOTOS} photos ({DATASET_BYTES / 1e6:.0f} MB) whose LoRA ({LORA_BYTES / 1e6:.0f} MB) is stored; one look at it, no proof sheet.

A function is billed for its CPU, on the share of a CPU that its memory gives ({MB_A_CPU} MB are one), and for what it waits. The CPU, the calls and the units are measured;
that a call waits {WAIT:.0f} ms and that a LoRA comes at {COPY_RATE / 1e6:.0f} MB/s, as slow as one connection may be, is assumed. Starting a function is not in it."""


def billed(rows: Mapping[str, Row], function: str) -> float:
    """Return the milliseconds that a function is billed for one event of a job that goes well."""
    share = min(1.0, _memory(function) / MB_A_CPU)
    cpu, calls = _of(rows, function, "cpu"), _of(rows, function, "calls")
    if function == "submit":
        cpu += PHOTOS * rows["cost.photo.cpu"]["median"]
    copy = 1000 * LORA_BYTES / COPY_RATE if function == "store" else 0.0
    return float(cpu / share + calls * WAIT + copy)


def job_lines(rows: Mapping[str, Row]) -> Mapping[str, tuple[float, float]]:
    """Return what one job uses of each price: how much, and the dollars."""
    used = {
        "gb_second": sum(billed(rows, each) / 1000 * _memory(each) / 1024 for each in JOB),
        "invocation": len(JOB) - 1,  # the round that closes it comes anyway
        "read_unit": rows["burst.1000.read_units"]["median"],
        "write_unit": rows["burst.1000.write_units"]["median"],
        "s3_write": sum(_of(rows, each, "s3_write") for each in JOB),
        "s3_read": sum(_of(rows, each, "s3_read") for each in JOB),
        "s3_month": (DATASET_BYTES + LORA_BYTES) / GB,
        "out": DATASET_BYTES / GB,
        "sqs": 2 * 3,  # two messages, each sent, received and deleted
        "event": sum(_of(rows, each, "events") for each in JOB),
        "api": LOOKS,
        "log_gb": sum(_of(rows, each, "log") for each in JOB) / GB,
    }
    return {name: (amount, PRICES[name].of(amount)) for name, amount in used.items()}


def idle_lines(rows: Mapping[str, Row]) -> Mapping[str, tuple[float, float]]:
    """Return what a month without a job uses of each price, and the dollars."""
    rounds = SCHEDULES["reconcile"]
    used = {
        "alarm": ALARMS,
        "metric": IDLE_METRICS,
        "dashboard": DASHBOARDS,
        "secret": SECRETS,
        "gb_second": sum(
            many * billed(rows, each) / 1000 * _memory(each) / 1024
            for each, many in SCHEDULES.items()
        ),
        "invocation": sum(SCHEDULES.values()),
        "read_unit": rounds * _of(rows, "reconcile", "dynamodb"),
        "sqs": POLLED_QUEUES * POLLS,
        "s3_write": rounds * _of(rows, "reconcile", "s3_write"),
        "log_gb": sum(many * _of(rows, each, "log") for each, many in SCHEDULES.items()) / GB,
    }
    return {name: (amount, PRICES[name].of(amount)) for name, amount in used.items()}


def cost_page() -> str:
    """Return the page; raises KeyError where a figure was not measured."""
    rows = rows_of(measured())
    job, idle = job_lines(rows), idle_lines(rows)
    a_job, a_month = (sum(usd for _, usd in lines.values()) for lines in (job, idle))
    price = DEFAULT.price
    training = price.usd_per_step * STEPS if price else 0.0
    lines = [HEAD, "", *_months(a_job, a_month, training)]
    lines += ["", f"## {THOUSAND:,} jobs", "", *_table(job, THOUSAND)]
    lines += ["", "What the functions are billed for one event:", "", *_functions(rows)]
    lines += ["", "## An idle month", "", *_table(idle, 1)]
    lines += [
        "",
        "Of these ten alarms, ten metrics and three dashboards with 50 metrics each are free in an account, which is more than this stack has.",
    ]
    lines += ["", "## Prices", "", "| what | unit | $ | source |", "|---|---|---|---|"]
    lines += [
        f"| {p.what} | {p.unit} | {p.usd:.10f}".rstrip("0").rstrip(".") + f" | {p.source} |"
        for p in PRICES.values()
    ]
    return "\n".join(lines) + "\n"


def _months(a_job: float, a_month: float, training: float) -> Iterator[str]:
    free = a_month - PRICES["dashboard"].of(DASHBOARDS)
    yield "| | AWS | the trainings at fal |"
    yield "|---|---|---|"
    yield f"| {THOUSAND:,} jobs, without the month | ${a_job * THOUSAND:,.2f} | ${training * THOUSAND:,.2f} |"
    for what, usd in (
        ("", a_month),
        (", with the dashboard free, as the first three of an account are", free),
    ):
        goal = f"goal: at most ${IDLE_MOST:.0f}, {'reached' if usd <= IDLE_MOST else 'not reached'}"
        yield f"| a month without a job{what} ({goal}) | ${usd:,.2f} | |"
    for many in MONTHS:
        aws, fal = a_month + many * a_job, many * training
        yield f"| a month with {many:,} jobs | ${aws:,.2f} | ${fal:,.2f} |"


def _table(lines: Mapping[str, tuple[float, float]], times: int) -> Iterator[str]:
    yield "| what | how much | $ |"
    yield "|---|---|---|"
    for name, (amount, usd) in sorted(lines.items(), key=lambda line: -line[1][1]):
        price = PRICES[name]
        many = with_unit(float(f"{amount * times:.4g}"), "count")
        yield f"| {price.what}: {price.unit} | {many} | {usd * times:,.4f} |"
    yield f"| together | | **{sum(usd for _, usd in lines.values()) * times:,.2f}** |"


def _functions(rows: Mapping[str, Row]) -> Iterator[str]:
    yield "| function | memory, MB | billed, ms |"
    yield "|---|---|---|"
    for name in JOB:
        yield f"| {SAYS.get(name, name)} | {_memory(name)} | {billed(rows, name):,.0f} |"


SAYS = {"closing": "reconcile, for the job that it closes", "jobs": "jobs, for one look"}


def _memory(function: str) -> int:
    return MEMORY.get(function, 512)


def _of(rows: Mapping[str, Row], function: str, what: str) -> float:
    return float(rows[f"cost.{function}.{what}"]["median"])
