"""docs/scale.md: on paper, what a million jobs a month need, and what breaks first."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lora_drop.dev.cost import JOB, LOOKS, billed
from lora_drop.dev.figures import Row, filled, measured, rows_of, with_unit

JOBS, MONTH, TRAINING = 1_000_000, 30 * 24 * 3600, 1800  # seconds
RATE = JOBS / MONTH
IN_FLIGHT = math.ceil(RATE * TRAINING)
WORKERS = 2  # MaximumConcurrency of the submit and the store function; tests/docs/test_cost.py holds it to the template
ID_BYTES, WRITES_OF_SLOTS = 24, 2  # an id among the holders of slots; taken, and given back
LATE, PATIENCE, ASK = (
    300,
    80,
    0.1,
)  # seconds: LateAfterSeconds, ROUND_PATIENCE, one answer of fal (assumed)
_DYNAMODB = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput-scenarios.html"
HEAD = f"""\
# A million jobs a month

On paper, from what was measured (`benchmarks/results.json`) and AWS's public quotas for us-east-1; no account was at hand. A million a month are {RATE:.2f} a second, if they come
evenly, and {IN_FLIGHT:,} trainings at fal at any moment of {TRAINING // 60} minutes each. What comes unevenly waits in the line, which costs nothing but time: the column *breaks at* is
what the stack keeps up with, and a burst above it takes longer."""
AFTER = f"""\
## What to raise, in this order

1. **fal.** `MaxInFlight` is {WORKERS}, what fal runs at once for a new account, and at most 1,000. {IN_FLIGHT:,} are needed: ask fal for them, then set it.
2. **The workers.** `ScalingConfig.MaximumConcurrency` of the submit and of the store function in `template.yaml`. Each job needs its seconds of both.
3. **The round.** The reconciler asks fal about each job that has been silent for `LateAfterSeconds`, one after the other, for {PATIENCE} seconds a round; what it does not come to it comes to
   in a later round, those that are most urgent first. With trainings of {TRAINING // 60} minutes set `LateAfterSeconds={TRAINING}`, its most: then it asks about those alone whose webhook is late.
4. **The row of slots.** It holds the ids of all jobs at fal, so a write of it costs more the more there are; a row may have 400 KB. Beyond some thousand slots it has to be
   cut into several, each with its share.
5. **The two indexes.** All jobs have one partition key in `by-creation`, all of one state one in `by-status`. DynamoDB splits a hot partition by the sort key, which is the time of
   creation: new jobs all go to the last part. Beyond the rate above, the key needs a part of the id, and a page of the list one query for each part.

Nothing scans the table. The round reads the list of open jobs, and of those that only wait for their turn no more than that; `lora-drop history` and a search read the whole
list, page by page, and who looks at a waiting job has those before it counted: some thousand rows a call. SQS holds any number of messages that wait.

## What was measured

<!-- figures: burst. list. -->
<!-- end -->"""


@dataclass(frozen=True, slots=True)
class Bound:
    """Something there is only so much of: ``most`` a second, of which a job uses ``uses``."""

    what: str
    most: float
    uses: float
    unit: str
    source: str

    @property
    def breaks_at(self) -> float:
        """Return the jobs a second that use all of it."""
        return self.most / self.uses


def scale_page() -> str:
    """Return the page; raises KeyError where a figure was not measured."""
    rows = rows_of(measured())
    lines = [HEAD, "", *_table(sorted(bounds(rows), key=lambda each: each.breaks_at)), "", AFTER]
    return filled("\n".join(lines) + "\n", rows)


def bounds(rows: Mapping[str, Row]) -> Iterator[Bound]:
    """Yield what may run out, with what a job uses of it."""
    ours = "`template.yaml`"
    for name in ("submit", "store"):
        seconds = billed(rows, name) / 1000
        yield Bound(f"{name} workers, {WORKERS} at a time", WORKERS, seconds, "s", ours)
    yield Bound("trainings at fal, `MaxInFlight` 2", 2, TRAINING, "s", ours)
    asks = (TRAINING - LATE) * ASK / LATE
    yield Bound("the reconciler's patience", PATIENCE / LATE, asks, "s a round", "`time_limits.py`")
    yield from _of_dynamodb(rows)
    lambda_quotas = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"
    seconds = sum(billed(rows, each) for each in JOB) / 1000
    yield Bound("Lambda: 1,000 executions at once", 1000, seconds, "s", lambda_quotas)
    s3 = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html"
    for what, most, name in (("PUT", 3500, "s3_write"), ("GET", 5500, "s3_read")):
        used = sum(float(rows[f"cost.{each}.{name}"]["median"]) for each in JOB)
        yield Bound(
            f"S3: {most:,} {what} a second, if all keys were one prefix", most, used, "", s3
        )
    events = sum(float(rows[f"cost.{each}.events"]["median"]) for each in JOB)
    bus = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"
    yield Bound("EventBridge: 10,000 PutEvents a second", 10_000, events, "", bus)
    api = "https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"
    yield Bound("API Gateway: 10,000 requests a second", 10_000, LOOKS, "", api)
    secrets = "https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html"
    yield Bound(
        "Secrets Manager: 10,000 GetSecretValue a second, were each start cold",
        10_000,
        3,
        "",
        secrets,
    )


def _of_dynamodb(rows: Mapping[str, Row]) -> Iterator[Bound]:
    kilobytes = math.ceil(IN_FLIGHT * ID_BYTES / 1024)
    slots = 2 * WRITES_OF_SLOTS * kilobytes  # a transaction's write counts twice
    what = f"DynamoDB: 1,000 write units of one partition, the row of {IN_FLIGHT:,} slots"
    yield Bound(what, 1000, slots, "units", _DYNAMODB)
    for name, most in (("write", 1000), ("read", 3000)):
        used = float(rows[f"burst.1000.{name}_units"]["median"])
        what = f"DynamoDB: {most:,} {name} units of one partition, were all in one"
        yield Bound(what, most, used, "units", _DYNAMODB)


def _table(found: list[Bound]) -> Iterator[str]:
    yield "| what there is | a job uses | breaks at, jobs a second | a million a month use | source |"
    yield "|---|---|---|---|---|"
    for each in found:
        uses = f"{_short(each.uses)} {each.unit}".strip()
        share = 100 * RATE / each.breaks_at
        yield (
            f"| {each.what} | {uses} | {_short(each.breaks_at)} | {_short(share)} %"
            f"{' **too little**' if share > 100 else ''} | {each.source} |"  # noqa: PLR2004  # all of it
        )


def _short(number: float) -> str:
    """Three digits say enough on paper."""
    return with_unit(float(f"{number:.3g}"), "count")
