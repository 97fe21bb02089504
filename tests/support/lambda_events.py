"""Requests to the functions, made from the committed events to fit a test's job."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from lora_drop.jobs.ids import webhook_token
from lora_drop.messages import StoreRequest
from tests.support.builders import SECRET, signed, webhook_body
from tests.support.lambda_environment import event

type Request = dict[str, Any]


def queue_event(*bodies: object) -> Request:
    """Messages of a queue, numbered from 1; a body that is no text is written as JSON."""
    [message] = event("s3_put_in_sqs")["Records"]
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    return {
        "Records": [
            {**message, "messageId": f"message-{number}", "body": text}
            for number, text in enumerate(texts, start=1)
        ]
    }


def store_event(*job_ids: str) -> Request:
    """Messages of the results queue, one for each of these jobs."""
    return queue_event(*(StoreRequest(job_id=each).model_dump_json() for each in job_ids))


def failed_messages(answer: Any) -> list[str]:
    """The ids of the messages that a function gives back to its queue."""
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def webhook_event(
    job_id: str,
    body: bytes = b"",
    headers: Mapping[str, list[str]] | None = None,
    *,
    path: str = "",
    encoded: bool = False,
) -> Request:
    """A delivery for a job as API Gateway hands it on; by default it is a success that fal signed."""
    body = body or webhook_body()
    several = signed(body) if headers is None else headers
    token = webhook_token(SECRET, job_id)
    return event("webhook_ok") | {
        "path": path or f"/webhooks/fal/{job_id}/{token}",
        "pathParameters": {"job_id": job_id, "token": token},
        "headers": {name: values[-1] for name, values in several.items() if values},
        "multiValueHeaders": dict(several),
        "body": base64.b64encode(body).decode() if encoded else body.decode("latin-1"),
        "isBase64Encoded": encoded,
    }


def job_event(job_id: str, action: str = "", body: str | None = None) -> Request:
    """A request to the jobs API about one job: an action on it, or else a look at it."""
    name = "job_resolve" if action else "job_item"
    return event(name) | {
        "resource": "/jobs/{job_id}" + (f"/{action}" if action else ""),
        "path": f"/jobs/{job_id}" + (f"/{action}" if action else ""),
        "pathParameters": {"job_id": job_id},
        "body": body,
    }


def with_key(request: Request, key: str = "x" * 40, key_id: str = "k1a2b3c4d5") -> Request:
    """The request as a caller with a key makes it: nothing is signed, and API Gateway adds the key's id.

    Fields: "$context.identity" in API Gateway's list of variables for data models and access logging.
    """
    nameless = ("userArn", "user", "caller", "accessKey", "accountId")
    identity = {"sourceIp": "127.0.0.1", "apiKey": key, "apiKeyId": key_id} | dict.fromkeys(
        nameless
    )
    headers = request["headers"] | {"x-api-key": key}
    return request | {
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "requestContext": request["requestContext"] | {"identity": identity},
    }
