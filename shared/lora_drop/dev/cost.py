"""docs/cost.md: what a job and a month cost, from what was measured and AWS's list prices."""

import math
from collections.abc import Iterator, Mapping

from lora_drop.client import upload
from lora_drop.datasets.archives.contents import WINDOW
from lora_drop.datasets.archives.structure import MAX_REQUESTS
from lora_drop.dev.figures import Row, measured, rows_of, with_unit
from lora_drop.dev.prices import (
    ALARMS,
    DASHBOARDS,
    DATASET_DAYS,
    EVENTS,
    GB,
    IDLE_METRICS,
    LOG_DAYS,
    LOOKED_UP,
    MB_A_CPU,
    MEMORY,
    POLLED_QUEUES,
    POLLS,
    POLLS_SOURCE,
    PRICES,
    SCHEDULES,
    SECRETS,
    SECRETS_READ,
)
from lora_drop.fal.trainers.table import DEFAULT
from lora_drop.observability import Metric
from lora_drop.services import copy

# A dataset of a portrait, and what fal makes of it.
PHOTOS, DATASET_BYTES, LORA_BYTES, STEPS = 40, 63e6, 145e6, 1000
# Not measured: there was no account. What a call waits for its answer.
WAIT = 10.0
JOB = ("submit", "webhook", "store", "closing", "jobs")
LOOKS = 2  # requests to the API for a job: fal's webhook, and one look at it
DIRECT = (
    "Without a stack, `lora-drop train photos/ --direct` costs nothing at AWS, and what fal costs: it checks the dataset, sends it from this machine and fetches the LoRA "
    "([photographers.md](photographers.md)). The stack is for who trains by dropping files, for others, or often."
)
THOUSAND, MONTHS = 1000, (10, 1_000_000)
IDLE_MOST = 5.0
TRAINER = DEFAULT.application.rpartition("/")[2]
USUAL = next(int(str(field.default)) for field in DEFAULT.fields if field.name == "steps")
STEP_USD = DEFAULT.price.usd_per_step if DEFAULT.price else 0.0


def billed(rows: Mapping[str, Row], function: str) -> float:
    """Return the milliseconds that a function is billed for one event of a job that goes well."""
    share = min(1.0, _memory(function) / MB_A_CPU)
    cpu, calls = _of(rows, function, "cpu"), _of(rows, function, "calls")
    if function == "submit":
        cpu += 1000 * PHOTOS * rows["check.jpeg.photo.cpu"]["median"]
        calls += _ranges()
    copied = 1000 * _copy_seconds(rows, share) if function == "store" else 0.0
    return float(cpu / share + calls * WAIT + copied)


def _copy_seconds(rows: Mapping[str, Row], share: float) -> float:
    """Return how long a LoRA is copied: as long as connections with limits take, or the CPU on this share of one."""
    ours = f"copy.limited.{LORA_BYTES / 1e6:.0f}.ours"
    return float(max(rows[f"{ours}.seconds"]["median"], rows[f"{ours}.cpu"]["median"] / share))


def puts(rows: Mapping[str, Row]) -> float:
    """Return the PUTs of a job: those that were measured, with a LoRA so small that it is one PUT, and the parts of files of these sizes."""
    uploaded, stored = _in_parts(DATASET_BYTES, upload.PART), _in_parts(LORA_BYTES, copy.PART)
    return sum(_of(rows, each, "s3_write") for each in JOB) + uploaded + stored - 1


def gets(rows: Mapping[str, Row]) -> float:
    """Return the GETs of a job: those that were measured, of a small dataset, and the ranges in which one of this size is read."""
    return sum(_of(rows, each, "s3_read") for each in JOB) + _ranges()


def _ranges() -> int:
    """Return the ranges in which a dataset of this size is read: of its structure one for each photo, then all of it."""
    return min(PHOTOS, MAX_REQUESTS) + math.ceil(DATASET_BYTES / WINDOW)


def of_a_job(rows: Mapping[str, Row]) -> Mapping[str, float]:
    """Return how much one job uses of what has a price."""
    log = sum(_of(rows, each, "log") for each in JOB) / GB
    return {
        "gb_second": sum(billed(rows, each) / 1000 * _memory(each) / 1024 for each in JOB),
        "invocation": len(JOB) - 1,  # the round that closes it comes anyway
        "read_unit": rows["burst.1000.read_units"]["median"],
        "write_unit": rows["burst.1000.write_units"]["median"],
        "s3_write": puts(rows),
        "s3_read": gets(rows),
        "s3_month": (DATASET_BYTES + LORA_BYTES) / GB,
        "out": DATASET_BYTES / GB,
        "sqs": 2 * 3,  # two messages, each sent, received and deleted
        "event": EVENTS,
        "api": LOOKS,
        "secret_call": SECRETS_READ,
        "log_gb": log,
        "log_month": log * LOG_DAYS / 30,
    }


def of_an_idle_month(rows: Mapping[str, Row]) -> Mapping[str, float]:
    """Return how much a month without a job uses of what has a price."""
    rounds = SCHEDULES["reconcile"]
    log = sum(many * _of(rows, each, "log") for each, many in SCHEDULES.items()) / GB
    return {
        "alarm": ALARMS,
        "metric": IDLE_METRICS,
        "dashboard": DASHBOARDS,
        "secret": SECRETS,
        "gb_second": sum(
            many * billed(rows, each) / 1000 * _memory(each) / 1024
            for each, many in SCHEDULES.items()
        ),
        "invocation": sum(SCHEDULES.values()),
        # Of a round's calls one is the deletion of its bookmark.
        "read_unit": sum(many * _of(rows, each, "dynamodb") for each, many in SCHEDULES.items())
        - rounds,
        "write_unit": rounds,
        "sqs": POLLED_QUEUES * POLLS,
        "s3_write": rounds * _of(rows, "reconcile", "s3_write"),
        "log_gb": log,
        "log_month": log * LOG_DAYS / 30,
    }


def cost_page() -> str:
    """Return the page; raises KeyError where a figure was not measured."""
    rows = rows_of(measured())
    job, idle = of_a_job(rows), of_an_idle_month(rows)
    thousand = {name: THOUSAND * amount for name, amount in job.items()}
    lines = [_head(), "", *_months(job, idle), "", DIRECT]
    lines += ["", f"## {THOUSAND:,} jobs", "", _shares(thousand), "", *_table(thousand)]
    lines += ["", "What the functions are billed for one event:", "", *_functions(rows)]
    lines += ["", "## An idle month", "", *_table(idle), "", _free(idle), "", _polls()]
    lines += ["", "## What is not in these sums", "", *_left_out(rows)]
    lines += ["", "## Prices", "", _sources(), "", *_prices()]
    return "\n".join(lines) + "\n"


def _head() -> str:
    return f"""\
# What it costs

Made from `benchmarks/results.json` and AWS's list prices for us-east-1 (`shared/lora_drop/dev/prices.py`), which were looked up on {LOOKED_UP} and are of {_days()}. No bill
backs this page: there was no account. Nothing that AWS gives free is subtracted, but for the dashboard in one line.

A job is a portrait: a dataset of {PHOTOS} photos ({DATASET_BYTES / 1e6:.0f} MB) is uploaded and trained on, the LoRA ({LORA_BYTES / 1e6:.0f} MB) is stored; the job is looked at once. There is no proof sheet.
The training has {STEPS:,} steps, the fewest that fal bills ([{TRAINER}](trainers.md#{TRAINER})); each thousand more costs ${1000 * STEP_USD:.2f}, and a training without a preset or `steps` has {USUAL:,}: ${USUAL * STEP_USD:.2f}.

A function is billed for the time that it computes, on the share of a CPU that its memory gives ({MB_A_CPU} MB are one), and for the time that it waits. Measured are its CPU, its calls, the units
of DynamoDB (of a job in a burst of 1,000, which waits for its turn and takes two calls of submit; one alone takes fewer), and how long the LoRA is copied (with the limits for each connection that [RESULTS.md](../benchmarks/RESULTS.md#copying-a-result) names). Assumed are {WAIT:.0f} ms for each call, and that an arm64 CPU, which is what is deployed, takes as long as the x86 one that was measured. The requests to S3 were measured with small files; the parts in which files of these sizes are sent, and the ranges in which they are read, are added."""


def _days() -> str:
    days = sorted(price.source.day for price in PRICES.values())
    return f"{days[0]} to {days[-1]} ([where each was read](#prices))"


def dollars(*used: Mapping[str, float]) -> float:
    """Return what all of it costs together in one month."""
    names = {name for each in used for name in each}
    return sum(PRICES[name].of(sum(each.get(name, 0.0) for each in used)) for name in names)


def _months(job: Mapping[str, float], idle: Mapping[str, float]) -> Iterator[str]:
    training = STEP_USD * STEPS
    month = dollars(idle)
    yield f"| | AWS | the trainings at fal, {STEPS:,} steps | the same, {USUAL:,} steps |"
    yield "|---|---|---|---|"
    usual = STEP_USD * USUAL
    alone = dollars({name: THOUSAND * amount for name, amount in job.items()})
    yield f"| {THOUSAND:,} jobs, without what a month costs anyway | ${alone:,.2f} | ${training * THOUSAND:,.2f} | ${usual * THOUSAND:,.2f} |"
    goal = f"goal: at most ${IDLE_MOST:.0f}, {'reached' if month <= IDLE_MOST else 'not reached'}"
    yield f"| a month without a job ({goal}) | ${month:,.2f} | | |"
    free = month - PRICES["dashboard"].of(DASHBOARDS)
    yield f"| the same in an account that has the dashboard free | ${free:,.2f} | | |"
    for many in MONTHS:
        aws = dollars(idle, {name: many * amount for name, amount in job.items()})
        yield f"| a month with {many:,} jobs | ${aws:,.2f} | ${many * training:,.2f} | ${many * usual:,.2f} |"


def _table(used: Mapping[str, float]) -> Iterator[str]:
    yield "| what | how much | $ |"
    yield "|---|---|---|"
    dollars = {name: PRICES[name].of(amount) for name, amount in used.items()}
    for name in sorted(used, key=lambda name: -dollars[name]):
        many = with_unit(float(f"{used[name]:.4g}"), "count")
        yield f"| {PRICES[name].what}: {PRICES[name].unit} | {many} | {dollars[name]:,.4f} |"
    yield f"| together | | **{sum(dollars.values()):,.2f}** |"


def _shares(used: Mapping[str, float]) -> str:
    whole, moved = dollars(used), dollars({name: used[name] for name in ("out", "s3_month")})
    computed = dollars({name: used[name] for name in ("gb_second", "invocation")})
    return (
        f"{moved / whole:.0%} of it are storage and traffic: fal fetches each dataset from S3, which AWS bills as sent to the internet, and keeps none of its LoRA for you. "
        f"{computed / whole:.0%} are computing. GB are of 2^30 bytes. Of a job there are {EVENTS} events in fewer calls, and two messages, each sent, received and deleted."
    )


def _functions(rows: Mapping[str, Row]) -> Iterator[str]:
    yield "| function | memory, MB | billed, ms |"
    yield "|---|---|---|"
    for name in JOB:
        yield f"| {SAYS.get(name, name)} | {_memory(name)} | {billed(rows, name):,.0f} |"


def _free(idle: Mapping[str, float]) -> str:
    free = {"alarm": ALARMS, "metric": IDLE_METRICS, "dashboard": DASHBOARDS}
    return (
        "Every account has ten alarms, ten custom metrics and three dashboards of up to 50 metrics free ([AWS](https://aws.amazon.com/cloudwatch/pricing/), a copy without a date). "
        f"In one that has no others, an idle month costs ${dollars(free):.2f} less than this: ${dollars(idle) - dollars(free):.2f}."
    )


def _polls() -> str:
    return (
        "Most requests to SQS are Lambda's own, which asks the two queues whether they have anything. No page of AWS that was found says how often; "
        f"[15 times a minute and queue]({POLLS_SOURCE}) were counted in November 2021, on a queue without `MaximumConcurrency`. With it they may be fewer."
    )


def _left_out(rows: Mapping[str, Row]) -> Iterator[str]:
    kept = {"s3_month": THOUSAND * LORA_BYTES / GB}
    second = {"gb_second": sum(SCHEDULES.values()) * 0.5}
    yield (
        f"- **The months after.** A job's files are counted for one month. A dataset is deleted after {DATASET_DAYS} days (`DatasetRetentionDays`); LoRAs stay, "
        f"which is ${dollars(kept):.2f} a month for {THOUSAND:,}."
    )
    yield (
        "- **Who takes a LoRA out of AWS** pays for the transfer: "
        f"${PRICES['out'].of(THOUSAND * LORA_BYTES / GB):.2f} for {THOUSAND:,}, each once."
    )
    yield "- **A clean copy** is stored beside the dataset where photos had to be mended or left out: at most its size once more."
    yield (
        "- **Starts.** Lambda bills the start of a function too ([since August 2025](https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase/)). "
        f"Were each of the {sum(SCHEDULES.values()):,} scheduled calls of a month a start of one second, that would be ${dollars(second):.2f}."
    )
    yield (
        f"- **Waiting for fal.** A job makes {rows['calls.job.fal']['median']:.0f} requests to fal; what they wait for an answer, a second or two together, is not in what is billed. "
        f"Were it two seconds of the submit function, that would be ${THOUSAND * PRICES['gb_second'].of(2 * _memory('submit') / 1024):.2f} for {THOUSAND:,}."
    )
    yield (
        f"- **More metrics.** An idle stack writes {IDLE_METRICS} custom metrics, one that works up to {len(Metric)}, each ${PRICES['metric'].usd:.2f} if it is written all month: "
        f"${PRICES['metric'].of(len(Metric) - IDLE_METRICS):.2f} more at the most."
    )
    yield (
        "- **The table** itself and its backups, by its size; and the requests to KMS for its key. Neither was measured; their prices are below."
    )
    yield "- **Tries again**, of whatever failed, and jobs that are refused."


def _sources() -> str:
    return (
        "AWS fills the numbers into its price pages by script, so copies of these pages lack most of them. Each price was read in a public repository that quotes AWS's price list for us-east-1, "
        "or Infracost's copy of that list. *Of* is the day on which the list was published or read. AWS's page is where to see whether a price still holds."
    )


def _prices() -> Iterator[str]:
    yield "| what | unit | $ | AWS's page | read in | of |"
    yield "|---|---|---|---|---|---|"
    for each in PRICES.values():
        more = "".join(f"; {usd} above {begin:,.0f} GB" for begin, usd in each.above)
        usd = f"{each.usd:.10f}".rstrip("0").rstrip(".")
        source = f"[{each.source.name}]({each.source.address})"
        yield f"| {each.what} | {each.unit} | {usd}{more} | {each.page} | {source} | {each.source.day} |"


SAYS = {"closing": "reconcile, for the job that it closes", "jobs": "jobs, for one look"}


def _in_parts(size: float, part: int) -> int:
    """Return the requests that store a file of this size: one that begins, its parts, one that ends."""
    return math.ceil(size / part) + 2


def _memory(function: str) -> int:
    return MEMORY.get(function, 512)


def _of(rows: Mapping[str, Row], function: str, what: str) -> float:
    return float(rows[f"cost.{function}.{what}"]["median"])
