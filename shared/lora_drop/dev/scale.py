"""docs/scale.md: on paper, what a million jobs a month need, and what breaks first."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lora_drop.dev.cost import JOB, LOOKS, billed, gets, puts
from lora_drop.dev.figures import Row, filled, measured, rows_of, with_unit
from lora_drop.dev.prices import LOOKED_UP, SCHEDULES, SECRETS_READ

JOBS, MONTH, TRAINING = 1_000_000, 30 * 24 * 3600, 1800  # seconds
RATE = JOBS / MONTH
IN_FLIGHT = math.ceil(RATE * TRAINING)
# Of template.yaml; tests/docs/test_cost.py holds them to it: MaximumConcurrency of the submit and the store function, MaxInFlight, requests a second.
WORKERS, SLOTS, MOST_SLOTS = 2, 2, 1000
WEBHOOK_RATE, API_RATE = 20, 50
KEY_DAY = 20_000  # what one key may ask in a day
ID_BYTES, WRITES_OF_SLOTS = 24, 2  # an id among the holders of slots; taken, and given back
# Seconds: LateAfterSeconds, ROUND_PATIENCE, from one round to the next, one answer of fal (assumed).
LATE, PATIENCE, ROUND, ASK = 300, 80, MONTH // SCHEDULES["reconcile"], 0.1
_DOCS = "https://docs.aws.amazon.com/"
_DYNAMODB = f"{_DOCS}amazondynamodb/latest/developerguide/warm-throughput-scenarios.html"
_SPLIT = f"{_DOCS}amazondynamodb/latest/developerguide/throttling-key-range-limit-exceeded-mitigation.html"
_SQS = f"{_DOCS}AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html"
_CALLS = f"{_DOCS}AWSSimpleQueueService/latest/SQSDeveloperGuide/DistributedQueues.html"
_FAL = "https://wavespeed.ai/blog/ai-guides/fal-ai-concurrency-limit-rate-limit/"
HEAD = f"""\
# A million jobs a month

On paper: what a job uses is from `benchmarks/results.json`, what there is from `template.yaml` and from AWS's pages; no account was at hand. AWS's quotas are its defaults for us-east-1. They were looked
up on {LOOKED_UP} in public copies of these pages, some of them in AWS's own translation; the copies bear no date where the table gives none. What an account really has is in its Service Quotas console.

A million a month are {RATE:.2f} a second, if they come evenly. With {TRAINING // 60} minutes for a training, which is assumed, {IN_FLIGHT:,} are at fal at any moment. Jobs that come faster than that wait in the
line. *Breaks at* is the rate that the stack keeps up with for good; a burst above it takes longer."""
AFTER = f"""\
The reconciler's line assumes that fal answers in {ASK} s; the row of slots, that an id has {ID_BYTES} bytes. *Were all in one* is the worst case: every unit of a job falls on one partition.

## What to raise, in this order

1. **fal.** `MaxInFlight` is {SLOTS}, which is what fal runs at once for a new account, and can be {MOST_SLOTS:,} at most. {IN_FLIGHT:,} are needed. fal raises an account's limit by itself to 40 as credits are bought, and further
   by agreement ([fal's FAQ, as quoted on 2026-11-22]({_FAL})). Ask for it, then set the parameter.
2. **The workers.** `ScalingConfig.MaximumConcurrency` of the submit and of the store function in `template.yaml`. Each job needs its seconds of both. A new account may have fewer than 1,000 executions at once for all
   functions together; AWS raises that with use.
3. **The plan of a key**, with `ApiKeyAccess=true` (`ServicePlan` in `template.yaml`). One key may ask {KEY_DAY:,} times a day; a look at each of a million jobs a month is {JOBS // 30:,} a day.
4. **The round.** The reconciler asks fal about each job that has been silent for `LateAfterSeconds`, one after the other, for {PATIENCE} seconds a round; what it does not come to it comes to
   in a later round, those that are most urgent first. With trainings of {TRAINING // 60} minutes set `LateAfterSeconds={TRAINING}`, its most: then it asks about those alone whose webhook is late.
5. **The row of slots.** It holds the ids of all jobs at fal, so a write of it costs more the more there are. With {MOST_SLOTS:,}, the most that `MaxInFlight` takes, it has {MOST_SLOTS * ID_BYTES // 1000} KB of ids. For more it would have to be
   cut into several, each with its share.
6. **The two indexes.** All jobs have one partition key in `by-creation`, all of one state one in `by-status`. DynamoDB [splits a hot partition]({_SPLIT}) by its keys, here by the time of
   creation: new jobs still all go to the last part. Beyond the rate above, the key needs a part of the id, and a page of the list one query for each part.

Nothing scans the table. The round reads the list of open jobs, and of those that only wait for their turn no more than that. `lora-drop history` and a search read the whole
list, page by page. Who looks at a waiting job has those before it counted, so that look reads more the longer the line is. SQS [keeps any number of messages that wait]({_SQS}), and [takes nearly any number of calls]({_CALLS}).

## What was measured

*n^0.16* says how a number grows with n jobs: n^0 is no growth, and n^1 growth in proportion.

<!-- figures: burst. emulator. list. -->
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
    yield from _of_ours(rows)
    yield from _of_dynamodb(rows)
    seconds = sum(billed(rows, each) for each in JOB) / 1000
    quotas = f"{_DOCS}lambda/latest/dg/gettingstarted-limits.html"
    yield Bound("Lambda: 1,000 executions at once", 1000, seconds, "s", quotas)
    s3 = "https://repost.aws/knowledge-center/s3-object-key-naming-pattern"
    for what, most, used in (("PUT", 3500, puts(rows)), ("GET", 5500, gets(rows))):
        name = f"S3: {most:,} {what} a second, if all keys were one prefix"
        yield Bound(name, most, used, "", s3)
    events = sum(float(rows[f"cost.{each}.events"]["median"]) for each in JOB)
    bus = f"{_DOCS}eventbridge/latest/userguide/eb-quota.html"
    yield Bound("EventBridge: 10,000 PutEvents a second", 10_000, events, "", bus)
    api = f"{_DOCS}apigateway/latest/developerguide/limits.html"
    what = "API Gateway: 10,000 requests a second for all APIs of the account"
    yield Bound(what, 10_000, LOOKS, "", api)
    news = "https://aws.amazon.com/about-aws/whats-new/2025/03/aws-secrets-manager-increases-api-requests-seconds"
    what = "Secrets Manager: 10,000 GetSecretValue a second, were each function started for the job"
    yield Bound(what, 10_000, SECRETS_READ, "", f"{news} (2025-03-04)")


def _of_ours(rows: Mapping[str, Row]) -> Iterator[Bound]:
    ours = "`template.yaml`"
    yield Bound(f"trainings at fal, `MaxInFlight` {SLOTS}", SLOTS, TRAINING, "s", ours)
    for name in ("submit", "store"):
        seconds = billed(rows, name) / 1000
        yield Bound(f"{name} workers, {WORKERS} at a time", WORKERS, seconds, "s", ours)
    what = f"the reconciler's questions to fal, {PATIENCE} s of every {ROUND}"
    asks = (TRAINING - LATE) / ROUND * ASK
    yield Bound(what, PATIENCE / ROUND, asks, "s", "`time_limits.py`, `template.yaml`")
    yield Bound(f"our API: {WEBHOOK_RATE} webhooks of fal a second", WEBHOOK_RATE, 1, "", ours)
    yield Bound(f"our API: {API_RATE} looks at a job a second", API_RATE, 1, "", ours)


def _of_dynamodb(rows: Mapping[str, Row]) -> Iterator[Bound]:
    kilobytes = math.ceil(IN_FLIGHT * ID_BYTES / 1024)
    slots = 2 * WRITES_OF_SLOTS * kilobytes  # a transaction's write counts twice
    what = f"DynamoDB: 1,000 write units of one partition, the row of {IN_FLIGHT:,} slots"
    yield Bound(what, 1000, slots, "units", _DYNAMODB)
    for name, most in (("write", 1000), ("read", 3000)):
        used = float(rows[f"burst.1000.{name}_units"]["median"])
        what = f"DynamoDB: {most:,} {name} units of one partition, if all were in one"
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
