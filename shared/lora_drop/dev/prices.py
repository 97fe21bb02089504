"""AWS's list prices with where each was read, and what of a stack costs while nothing happens."""

import math
from dataclasses import dataclass
from itertools import pairwise

LOOKED_UP = "2026-11-30"
# AWS counts in binary: "1 GB = 2^30 bytes" (S3's price page), and its tiers of 10 TB end at 10,240 GB.
GB = 2**30
TB = 1024  # GB
MB_A_CPU = 1769  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html


@dataclass(frozen=True, slots=True)
class Source:
    """A public page that quotes AWS's price list, and the day of that list, or that it was read."""

    name: str
    address: str
    day: str


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for one unit of something, in us-east-1; ``above`` has what a unit costs from so many a month on."""

    what: str
    unit: str
    usd: float
    page: str
    source: Source
    above: tuple[tuple[float, float], ...] = ()

    def of(self, amount: float) -> float:
        """Return the dollars for so many units in a month."""
        tiers = pairwise([(0.0, self.usd), *self.above, (math.inf, 0.0)])
        return sum(max(0.0, min(amount, end) - begin) * usd for (begin, usd), (end, _) in tiers)


_GITHUB = "https://github.com/"
_OCEL = Source(
    "ocelhq/ocel",
    f"{_GITHUB}ocelhq/ocel/blob/b3c9bd183e2819af60cff7865e8826228066fb89/docs/research/price-book.md",
    "2026-09-06",
)
_VEER = Source(
    "ArdurAI/veer",
    f"{_GITHUB}ArdurAI/veer/blob/655ccbe12c097aa2e64f434e3426cba6e96d4a7e/docs/architecture/cost-model/README.md",
    "2026-08-31",
)
_COST_MODEL = Source(
    "elecnix/infra-cost-model",
    f"{_GITHUB}elecnix/infra-cost-model/blob/f0accbab14116c082d314c1c43fc3106d79af5bb/tests/test_infracost_aws_descriptors.py",
    "2026-10-08",
)
_TRACKRELAY = Source(
    "tobiassugandi/trackrelay",
    f"{_GITHUB}tobiassugandi/trackrelay/blob/fa6022cfb37e93c4bab48753e9f193b35ed0d0b7/docs/aws-elasticity-cost-review.md",
    "2026-08-31",
)
_AWS = "https://aws.amazon.com/"
_LAMBDA, _S3, _CLOUDWATCH = (f"{_AWS}{each}/pricing/" for each in ("lambda", "s3", "cloudwatch"))
_DYNAMODB, _SECRETS = f"{_AWS}dynamodb/pricing/on-demand/", f"{_AWS}secrets-manager/pricing/"
PRICES = {
    "gb_second": Price("Lambda, arm64", "GB-second", 0.0000133334, _LAMBDA, _OCEL),
    "invocation": Price("Lambda", "request", 0.20 / 1e6, _LAMBDA, _OCEL),
    "read_unit": Price("DynamoDB on demand", "read request unit", 0.125 / 1e6, _DYNAMODB, _OCEL),
    "write_unit": Price("DynamoDB on demand", "write request unit", 0.625 / 1e6, _DYNAMODB, _OCEL),
    "s3_write": Price("S3 Standard", "PUT, COPY, POST or LIST", 0.005 / 1e3, _S3, _OCEL),
    "s3_read": Price("S3 Standard", "GET or HEAD", 0.0004 / 1e3, _S3, _OCEL),
    "s3_month": Price(
        "S3 Standard", "GB-month", 0.023, _S3, _OCEL, ((50 * TB, 0.022), (500 * TB, 0.021))
    ),
    "out": Price(
        "S3 to the internet",
        "GB",
        0.09,
        _S3,
        _OCEL,
        ((10 * TB, 0.085), (50 * TB, 0.07), (150 * TB, 0.05)),
    ),
    "sqs": Price("SQS, standard queue", "request", 0.40 / 1e6, f"{_AWS}sqs/pricing/", _COST_MODEL),
    "event": Price(
        "EventBridge", "custom event", 1.00 / 1e6, f"{_AWS}eventbridge/pricing/", _COST_MODEL
    ),
    "api": Price(
        "API Gateway, REST", "request", 3.50 / 1e6, f"{_AWS}api-gateway/pricing/", _COST_MODEL
    ),
    "secret": Price("Secrets Manager", "secret and month", 0.40, _SECRETS, _VEER),
    "secret_call": Price("Secrets Manager", "call", 0.05 / 1e4, _SECRETS, _VEER),
    "alarm": Price("CloudWatch", "alarm and month", 0.10, _CLOUDWATCH, _VEER),
    "metric": Price("CloudWatch", "custom metric and month", 0.30, _CLOUDWATCH, _VEER),
    "dashboard": Price("CloudWatch", "dashboard and month", 3.00, _CLOUDWATCH, _TRACKRELAY),
    "log_gb": Price("CloudWatch Logs", "GB taken in", 0.50, _CLOUDWATCH, _VEER),
    "log_month": Price("CloudWatch Logs", "GB-month kept", 0.03, _CLOUDWATCH, _VEER),
    # Not in the sums, for nothing measured says how much of them.
    "rows_month": Price("DynamoDB, the table", "GB-month", 0.25, _DYNAMODB, _COST_MODEL),
    "backup_month": Price(
        "DynamoDB, point-in-time recovery", "GB-month", 0.20, _DYNAMODB, _COST_MODEL
    ),
    "kms": Price("KMS", "request", 0.03 / 1e4, f"{_AWS}kms/pricing/", _VEER),
}
# Of template.yaml, as it is without a parameter that adds to it; tests/docs/test_cost.py holds them to it.
ALARMS, SECRETS, DASHBOARDS, POLLED_QUEUES = 10, 2, 1, 2
LOG_DAYS, DATASET_DAYS = 30, 60
IDLE_METRICS = 3  # JobsOpen, ErasuresOpen, OldestErasureSeconds: the only ones that are written with nothing to do
MEMORY = {"submit": 2048}  # MB; the other functions have 512
SCHEDULES = {"reconcile": 12 * 24 * 30, "forget": 4 * 24 * 30, "comparison": 30}  # calls a month
EVENTS = 6  # of a job: RECEIVED, READY, SUBMITTED, TRAINING, STORING, SUCCEEDED; each is billed, however many one call has
SECRETS_READ = (
    3  # by a job, were each of its functions started for it: submit reads both, the webhook one
)
# Lambda asks an empty queue with five connections, for 20 seconds each: 15 times a minute were counted there.
POLLS_SOURCE = f"{_GITHUB}getlift/lift/issues/132"
POLLS = 5 * 3 * 60 * 24 * 30
