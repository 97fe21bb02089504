"""The first event of each function, its variables, and a bare handler with the same clients.

Each event is one that the function answers from what an empty AWS says: it reads its settings, builds its services and
makes signed requests, and nothing is found. So the bare handler makes one such request, and answers as well.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lora_drop.local.tools import ROOT

# What the settings ask for.
VARIABLES: Mapping[str, str] = {
    **{f"{name}_URL": "https://sqs.us-east-1.amazonaws.com/1/queue" for name in (
        "INBOX_QUEUE", "INBOX_DEAD_LETTERS", "RESULTS_QUEUE", "RESULTS_DEAD_LETTERS", "FETCH_QUEUE",
        "FETCH_DEAD_LETTERS", "NOTIFY_QUEUE", "NOTIFY_DEAD_LETTERS",
    )},
    **dict.fromkeys(("DATASET_URL_SECONDS", "MAX_IN_FLIGHT", "MONTHLY_BUDGET_USD", "MAX_JOB_USD", "LATE_AFTER_SECONDS"), "100"),
    "JOBS_TABLE": "jobs", "DATASETS_BUCKET": "datasets", "MODELS_BUCKET": "models",
    "FAL_KEY_SECRET": "key", "WEBHOOK_SECRET": "webhook", "NOTIFY_SECRET": "notify",
    "FAL_APPLICATION": "fal-ai/flux-lora-portrait-trainer", "RECONCILE_FUNCTION": "reconcile",
    "WEBHOOK_BASE_URL": "https://api.example/live", "NOTIFY_URL": "https://customer.example/",
    "DATASET_HOSTS": "photos.example", "SSL_CERT_FILE": "",
}  # fmt: skip
QUEUED = "batch"  # kinds of events, as the bare handler takes them
API, ROUND = "api", "round"


@dataclass(frozen=True, slots=True)
class Function:
    """A function, the event of ``events/`` that it starts with, and what the bare one has as well."""

    name: str
    event: str
    kind: str
    clients: Sequence[str]
    libraries: Sequence[str] = ()

    @property
    def first_event(self) -> Mapping[str, Any]:
        """The event."""
        found: Mapping[str, Any] = json.loads((ROOT / "events" / f"{self.event}.json").read_text())
        return found

    @property
    def bare(self) -> str:
        """The source of the bare handler."""
        return BARE.format(
            libraries="\n".join(f"import {name}" for name in self.libraries),
            clients=tuple(self.clients),
            body=BODIES[self.kind],
        )

    @property
    def clients_alone(self) -> str:
        """The source of a handler that has boto3's clients and nothing else, and makes the same request."""
        return CLIENTS.format(clients=tuple(self.clients))


PICTURES = ("numpy", "PIL.Image", "pillow_heif", "simplejpeg")
FAL = ("httpx", "fal_client")
FUNCTIONS = (
    Function("Submit", "s3_put_in_sqs", QUEUED, ("dynamodb", "s3", "sqs", "events", "secretsmanager"), (*FAL, *PICTURES)),
    Function("Webhook", "webhook_forged", API, ("dynamodb", "s3", "sqs", "events", "secretsmanager"), ("httpx", "nacl.signing")),
    Function("Store", "results_batch", QUEUED, ("dynamodb", "s3", "sqs", "events", "secretsmanager"), (*FAL, "awscrt.checksums")),
    Function("Reconcile", "schedule", ROUND, ("dynamodb", "s3", "sqs", "events", "secretsmanager"), FAL),
    Function("Jobs", "jobs_list", API, ("dynamodb", "s3", "sqs", "events")),
    Function("Forget", "schedule", ROUND, ("dynamodb", "s3", "secretsmanager"), ("httpx",)),
    Function("Notify", "notify_batch", QUEUED, ("dynamodb", "sqs", "secretsmanager"), ("httpx",)),
    Function("Fetch", "fetch_batch", QUEUED, ("dynamodb", "s3", "events"), ("httpx", "awscrt.checksums")),
)  # fmt: skip
# Whose handlers are compared with boto3's clients alone as well: the largest, and the one that fal waits for.
BESIDE_CLIENTS = ("Submit", "Webhook")
CLIENTS = """
import os
import boto3

clients = {{name: boto3.client(name) for name in {clients}}}

def handler(event, context):
    clients["dynamodb"].get_item(TableName=os.environ["JOBS_TABLE"], Key={{"pk": {{"S": "job"}}, "sk": {{"S": "job"}}}})
    return {{}}
"""
BARE = """
import os
import boto3
from aws_lambda_powertools import Logger, Metrics
from pydantic import BaseModel
{libraries}

class Settings(BaseModel):
    JOBS_TABLE: str

logger, metrics = Logger(), Metrics()
settings = Settings.model_validate(dict(os.environ))
clients = {{name: boto3.client(name) for name in {clients}}}

def ask():
    clients["dynamodb"].get_item(TableName=settings.JOBS_TABLE, Key={{"pk": {{"S": "job"}}, "sk": {{"S": "job"}}}})
    metrics.add_metric("Asked", "Count", 1)
    logger.info("asked")
{body}
"""
BODIES = {
    QUEUED: """
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

@logger.inject_lambda_context
@metrics.log_metrics
def handler(event, context):
    processor = BatchProcessor(event_type=EventType.SQS)
    return process_partial_response(event=event, record_handler=lambda record: ask(), processor=processor, context=context)
""",
    API: """
from aws_lambda_powertools.event_handler import APIGatewayRestResolver

app = APIGatewayRestResolver()

@app.route(".*", method=["GET", "POST"])
def answer():
    ask()
    return {}

@logger.inject_lambda_context
@metrics.log_metrics
def handler(event, context):
    return app.resolve(event, context)
""",
    ROUND: """
@logger.inject_lambda_context
@metrics.log_metrics
def handler(event, context):
    ask()
    return {}
""",
}
