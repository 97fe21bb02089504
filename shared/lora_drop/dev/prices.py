"""AWS's public prices, and what of a stack costs while nothing happens."""

from dataclasses import dataclass

READ_ON = "2026-11-30"
GB = 1e9  # bytes
MB_A_CPU = 1769  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for one unit of something, in us-east-1 and on arm64, above what is free."""

    what: str
    unit: str
    usd: float
    source: str

    def of(self, amount: float) -> float:
        """Return the dollars for so many units."""
        return amount * self.usd


_LAMBDA = "https://aws.amazon.com/lambda/pricing/"
_DYNAMODB = "https://aws.amazon.com/dynamodb/pricing/on-demand/"
_S3 = "https://aws.amazon.com/s3/pricing/"
_CLOUDWATCH = "https://aws.amazon.com/cloudwatch/pricing/"
_SECRETS = "https://aws.amazon.com/secrets-manager/pricing/"
PRICES = {
    "gb_second": Price("Lambda, arm64", "GB-second", 0.0000133334, _LAMBDA),
    "invocation": Price("Lambda", "request", 0.20 / 1e6, _LAMBDA),
    "read_unit": Price("DynamoDB on demand", "read request unit", 0.125 / 1e6, _DYNAMODB),
    "write_unit": Price("DynamoDB on demand", "write request unit", 0.625 / 1e6, _DYNAMODB),
    "s3_write": Price("S3 Standard", "PUT, COPY, POST or LIST", 0.005 / 1e3, _S3),
    "s3_read": Price("S3 Standard", "GET or HEAD", 0.0004 / 1e3, _S3),
    "s3_month": Price("S3 Standard", "GB-month", 0.023, _S3),
    "out": Price("S3 to the internet", "GB", 0.09, _S3),
    "sqs": Price("SQS", "request", 0.40 / 1e6, "https://aws.amazon.com/sqs/pricing/"),
    "event": Price(
        "EventBridge", "custom event", 1.00 / 1e6, "https://aws.amazon.com/eventbridge/pricing/"
    ),
    "api": Price(
        "API Gateway, REST", "request", 3.50 / 1e6, "https://aws.amazon.com/api-gateway/pricing/"
    ),
    "secret": Price("Secrets Manager", "secret and month", 0.40, _SECRETS),
    "alarm": Price("CloudWatch", "alarm and month", 0.10, _CLOUDWATCH),
    "metric": Price("CloudWatch", "custom metric and month", 0.30, _CLOUDWATCH),
    "dashboard": Price("CloudWatch", "dashboard and month", 3.00, _CLOUDWATCH),
    "log_gb": Price("CloudWatch Logs", "GB taken in", 0.50, _CLOUDWATCH),
}
# Of template.yaml, as it is without a parameter that adds to it; tests/docs/test_cost.py holds them to it.
ALARMS, SECRETS, DASHBOARDS, POLLED_QUEUES = 10, 2, 1, 2
IDLE_METRICS = 3  # JobsOpen, ErasuresOpen, OldestErasureSeconds: the only ones that are written with nothing to do
MEMORY = {"submit": 2048}  # MB; the other functions have 512
SCHEDULES = {"reconcile": 12 * 24 * 30, "forget": 4 * 24 * 30, "comparison": 30}  # calls a month
# Lambda asks an empty queue with five connections, for 20 seconds each ("Using Lambda with Amazon SQS").
POLLS = 5 * 3 * 60 * 24 * 30
