"""What goes wrong on the wire: between the functions and AWS, and between them and fal.

Each kind but the outages has its own share of the calls that come to it, 1 to 10 % (more of what is
called once a file); the first that fits strikes. SDKs try again, and so hide nearly all of it: the outages fail
often enough in a row to be seen by the functions themselves.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from lora_drop.local.wire_faults import WireFault

# A call of the SDK's: fal fetches datasets by presigned addresses, without this header.
SIGNED = {"authorization": "AWS4-HMAC-SHA256"}
LATENCY = {"min": 50, "max": 400}  # milliseconds
HELD = 1500  # milliseconds that an answer is held back before it is 504
NO_BODY = {"abort_bytes": 0}  # the call has been carried out by then


type Rules = Mapping[str, Mapping[str, Any]]


def _rule(
    probability: float = 0, code: str = "", status: int = 0, operation: str = "", **rule: Any
) -> dict[str, Any]:
    if probability:
        rule["probability"] = probability
    if operation:
        rule["operation"] = operation
    if code:
        rule["error"] = {"code": code, "status": status}
    return rule


def _outage(fails: int, passes: int, code: str, status: int) -> dict[str, Any]:
    return _rule(0, code, status, sequence={"fail": fails, "pass": passes})


DYNAMODB: Rules = {
    "DynamoDB is away for 16 calls": _outage(16, 400, "InternalServerError", 500),
    "DynamoDB cancels a transaction": {
        "operation": "TransactWriteItems",
        "probability": 0.06,
        "error": {
            "code": "TransactionCanceledException",
            "status": 400,
            "fields": {"CancellationReasons": [{"Code": "TransactionConflict"}]},
        },
    },
    "DynamoDB throttles": _rule(0.05, "ProvisionedThroughputExceededException", 400),
    "DynamoDB answers 500": _rule(0.04, "InternalServerError", 500),
    "DynamoDB answers 503": _rule(0.02, "ServiceUnavailable", 503),
    "DynamoDB hangs up before it does the work": _rule(0.03, reset=True),
    "DynamoDB does the work and hangs up": _rule(0.05, response=NO_BODY),
    "DynamoDB answers 504 after a while": _rule(0.01, timeout_ms=HELD),
    "DynamoDB is slow": _rule(0.1, latency=LATENCY),
}
S3: Rules = {
    "S3 is away for 6 calls": _outage(6, 120, "SlowDown", 503),
    "S3 answers 200 with an error to CompleteMultipartUpload": _rule(
        0.2, "InternalError", 200, "CompleteMultipartUpload"
    ),
    "S3 cuts a GetObject": _rule(0.08, operation="GetObject", response={"abort_frac": 0.5}),
    "S3 hangs up within an UploadPart": _rule(
        0.15, operation="UploadPart", request={"cut_upload": {"after_frac": 0.5}}
    ),
    "S3 throttles": _rule(0.05, "SlowDown", 503),
    "S3 answers 500": _rule(0.04, "InternalError", 500),
    "S3 hangs up before it does the work": _rule(0.03, reset=True),
    "S3 completes an upload and hangs up": _rule(
        0.25, operation="CompleteMultipartUpload", response=NO_BODY
    ),
    "S3 begins an upload and hangs up": _rule(
        0.25, operation="CreateMultipartUpload", response=NO_BODY
    ),
    "S3 answers 504 after a while": _rule(0.01, timeout_ms=HELD),
    "S3 is slow": _rule(0.1, latency=LATENCY),
}
SQS: Rules = {
    "SQS is away for 6 calls": _outage(6, 40, "InternalFailure", 500),
    "SQS throttles": _rule(0.05, "RequestThrottled", 400),
    "SQS answers 503": _rule(0.05, "ServiceUnavailable", 503),
    "SQS hangs up before it does the work": _rule(0.04, reset=True),
    "SQS takes a message and hangs up": _rule(0.1, response=NO_BODY),
    "SQS is slow": _rule(0.1, latency=LATENCY),
}
SECRETS: Rules = {
    "Secrets Manager is away for 6 calls": _outage(6, 20, "InternalServiceError", 500),
    "Secrets Manager throttles": _rule(0.1, "ThrottlingException", 400),
    "Secrets Manager answers 503": _rule(0.05, "ServiceUnavailable", 503),
    "Secrets Manager hangs up": _rule(0.05, reset=True),
    "Secrets Manager is slow": _rule(0.1, latency=LATENCY),
}
SERVICES = {"dynamodb": DYNAMODB, "s3": S3, "sqs": SQS, "secretsmanager": SECRETS}

# While it lasts, no dataset can be looked at: its message ends among the dead letters.
OUTAGE = WireFault(
    "S3 is away until messages die",
    {"service": "s3", "operation": "HeadObject", **_rule(0, "503", 503)},
)

# Of fal's own: at every so manieth occasion it strikes.
FAL: tuple[Mapping[str, Any], ...] = (
    {"fault": "submit_answer_lost", "every": 6},
    {"fault": "submit_reset_before", "every": 7, "times": 1},
    {"fault": "submit_status", "every": 5, "times": 1},
    {"fault": "submit_garbage", "every": 9, "times": 2},
    {"fault": "balance_exhausted", "every": 4, "times": 1},
    {"fault": "status_error", "every": 4},
    {"fault": "training_error", "every": 8, "times": 1, "type": "internal_server_error"},
    {"fault": "webhook_lost", "every": 5},
    {"fault": "webhook_late", "every": 4, "seconds": 4.0},
    {"fault": "webhook_doubled", "every": 6},
    {"fault": "webhook_payload_null", "every": 7},
    {"fault": "webhook_forged", "every": 9},
    {"fault": "webhook_stale", "every": 11, "age": 600},
    {"fault": "webhook_foreign_user", "every": 13},
    {"fault": "download_cut", "every": 5, "bytes": 1_000_000},
    {"fault": "download_status", "every": 7},
    {"fault": "download_status", "every": 11, "status": 404},
    {"fault": "jwks_down", "every": 2, "times": 3},
    {"fault": "jwks_packed", "every": 3},
    {"fault": "result_early", "every": 4},
    {"fault": "status_names_units", "every": 3},
    {"fault": "webhook_gateway_id", "every": 8},
    {"fault": "webhook_capitals", "every": 9},
    {"fault": "download_whole", "every": 9, "bytes_per_second": 4_000_000},
)


def wire_faults() -> Iterator[WireFault]:
    yield WireFault(
        "fal is cut off from a dataset",
        {
            "service": "s3",
            "operation": "GetObject",
            "headers": {"user-agent": "Mozilla"},
            "times": 1,
            "probability": 0.1,
            "reset": True,
        },
    )
    for service, kinds in SERVICES.items():
        for name, rule in kinds.items():
            yield WireFault(name, {"service": service, "headers": SIGNED, **rule})
