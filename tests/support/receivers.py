"""Messages of the notify queue, as EventBridge and SQS make them."""

import json
from typing import Any

from lora_drop.jobs.events import DETAIL_TYPE, SOURCE, StatusChange
from lora_drop.jobs.job import Job


def envelope(job: Job) -> str:
    """EventBridge's message to a queue, of the change that a job stands at."""
    change = StatusChange.of(job, bucket="models")
    detail = change.model_dump(mode="json")
    return json.dumps({"source": SOURCE, "detail-type": DETAIL_TYPE, "detail": detail})


def changes(*bodies: str, tries: int = 1) -> dict[str, Any]:
    """SQS's event with these messages."""
    return {
        "Records": [
            {
                "messageId": f"message-{number}",
                "receiptHandle": f"receipt-{number}",
                "body": body,
                "attributes": {"ApproximateReceiveCount": str(tries)},
            }
            for number, body in enumerate(bodies, start=1)
        ]
    }
