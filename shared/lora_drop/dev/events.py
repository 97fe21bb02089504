"""The generator of events/: ``python -m lora_drop.dev.events``. A test checks that nothing changes.

The webhooks are signed with the tests' own key at a fixed time, so they verify only under a clock
that stands there; ``lora-drop event`` makes them live for a running stack.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from lora_drop.jobs.events import DETAIL_TYPE, SOURCE, StatusChange
from lora_drop.jobs.ids import webhook_token
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.local.tools import ROOT
from lora_drop.messages import ProofRequest, StoreRequest
from tests.support.builders import (
    KEY,
    NOW,
    REQUEST_ID,
    SECRET,
    make_dataset,
    make_job,
    signed,
    webhook_body,
)

type Event = dict[str, Any]

HERE = ROOT / "events"
REGION, ACCOUNT = "us-east-1", "123456789012"
DATASET, JOB = make_dataset(), make_job()
OTHER_JOB = make_job(dataset=make_dataset("style/bob.zip"), job_id="bob-5f0c1a2b3d")
STRANGER = SigningKey(bytes(32))
TRAINING_FAILED = {
    "status": "ERROR",
    "error": "Invalid status code: 422",
    "payload": {
        "detail": [
            {
                "loc": ["body", "images_data_url"],
                "msg": "Failed to load the image.",
                "type": "image_load_error",
                "url": "https://docs.fal.ai/errors/#image_load_error",
            }
        ]
    },
}
MILLISECONDS = int(NOW.timestamp()) * 1000


def s3_put() -> Event:
    """S3's notice of a new object."""
    stored = {
        "key": DATASET.key,
        "size": DATASET.size,
        "eTag": DATASET.etag,
        "versionId": DATASET.version_id,
        "sequencer": "0055AED6DCD90281E5",
    }
    record = {
        "eventVersion": "2.6",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": NOW.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "EXAMPLE"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {
            "x-amz-request-id": "EXAMPLE123456789",
            "x-amz-id-2": "EXAMPLE123/5678abcdefghijklambdaisawesome/mnopqrstuvwxyzABCDEFGH",
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "datasets",
            "bucket": {
                "name": DATASET.bucket,
                "ownerIdentity": {"principalId": "EXAMPLE"},
                "arn": f"arn:aws:s3:::{DATASET.bucket}",
            },
            "object": stored,
        },
    }
    return {"Records": [record]}


def in_sqs(queue: str, *bodies: str) -> Event:
    """Messages as a queue hands them to a function."""
    return {
        "Records": [
            {
                "messageId": f"19dd0b57-b21e-4ac1-bd88-01bbb068cb{78 + number}",
                "receiptHandle": f"MessageReceiptHandle{number}",
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": f"{MILLISECONDS}",
                    "SenderId": ACCOUNT,
                    "ApproximateFirstReceiveTimestamp": f"{MILLISECONDS + 1}",
                },
                "messageAttributes": {},
                # SQS's own checksum, of no use against an attacker.
                "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
                "awsRegion": REGION,
            }
            for number, body in enumerate(bodies)
        ]
    }


def proxied(
    method: str,
    resource: str,
    parameters: Mapping[str, str] | None = None,
    *,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    caller: str | None = None,
) -> Event:
    """A request as a REST API hands it to a function."""
    path = resource.format_map(parameters or {})
    sent = {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "Host": f"1234567890.execute-api.{REGION}.amazonaws.com",
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
        **(headers or {}),
    }
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": query,
        "multiValueQueryStringParameters": query and {name: [query[name]] for name in query},
        "pathParameters": parameters,
        "stageVariables": None,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "1234567890",
            "httpMethod": method,
            "identity": {"sourceIp": "127.0.0.1", "userAgent": None, "userArn": caller},
            "path": f"/live{path}",
            "protocol": "HTTP/1.1",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "requestTime": NOW.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": MILLISECONDS,
            "resourceId": "123456",
            "resourcePath": resource,
            "stage": "live",
        },
        "body": body,
        "isBase64Encoded": False,
    }


def webhook(body: bytes, key: SigningKey = KEY) -> Event:
    """A delivery of fal's."""
    headers = {name: values[0] for name, values in signed(body, key=key).items()}
    parameters = {"job_id": JOB.job_id, "token": webhook_token(SECRET, JOB.job_id)}
    return proxied(
        "POST",
        "/webhooks/fal/{job_id}/{token}",
        parameters,
        headers=headers,
        body=body.decode(),
    )


def schedule() -> Event:
    """EventBridge's reminder."""
    return {
        "version": "0",
        "id": "cdc73f9d-aea9-11e3-9d5a-835b769c0d9c",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": NOW.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/reconcile"],
        "detail": {},
    }


def change_of(job: Job) -> Event:
    """A change of a job as EventBridge puts it into the notify queue."""
    change = StatusChange.of(job, bucket="models")
    envelope = {"detail-type": DETAIL_TYPE, "source": SOURCE, "resources": []}
    return {**schedule(), **envelope, "detail": change.model_dump(mode="json")}


def events() -> dict[str, Event]:
    """Every event by its file's name."""
    handed = (StoreRequest(job_id=job.job_id).model_dump_json() for job in (JOB, OTHER_JOB))
    return {
        "s3_put": s3_put(),
        "s3_put_in_sqs": in_sqs("inbox", json.dumps(s3_put())),
        "webhook_ok": webhook(webhook_body()),
        "webhook_error": webhook(webhook_body(**TRAINING_FAILED)),
        "webhook_forged": webhook(webhook_body(), STRANGER),
        "results_batch": in_sqs("results", *handed),
        "fetch_batch": in_sqs("fetch", StoreRequest(job_id=JOB.job_id).model_dump_json()),
        "proof_batch": in_sqs("inbox", ProofRequest(proof_of=JOB.job_id).model_dump_json()),
        "notify_batch": in_sqs("notify", json.dumps(change_of(make_job(Status.SUBMITTED)))),
        "schedule": schedule(),
        "schedule_drift": {"compare": "trainers"},
        "jobs_list": proxied("GET", "/jobs", query={"limit": "20"}),
        "job_item": proxied("GET", "/jobs/{job_id}", {"job_id": JOB.job_id}),
        "datasets_post": proxied(
            "POST",
            "/datasets",
            body=json.dumps({"name": "ada.zip", "parameters": {"steps": 1500}}),
            caller=f"arn:aws:iam::{ACCOUNT}:user/ada",
        ),
        "job_resolve": proxied(
            "POST",
            "/jobs/{job_id}/resolve",
            {"job_id": JOB.job_id},
            body=json.dumps({"request_id": REQUEST_ID}),
            caller=f"arn:aws:iam::{ACCOUNT}:user/ada",
        ),
        "job_forget": proxied(
            "POST",
            "/jobs/{job_id}/forget",
            {"job_id": JOB.job_id},
            body=json.dumps({"family": True}),
            caller=f"arn:aws:iam::{ACCOUNT}:user/ada",
        ),
    }


def files() -> dict[Path, str]:
    """Every event's file and its text."""
    return {
        HERE / f"{name}.json": json.dumps(event, indent=2) + "\n"
        for name, event in events().items()
    }


if __name__ == "__main__":
    for file, text in files().items():
        file.write_text(text)
