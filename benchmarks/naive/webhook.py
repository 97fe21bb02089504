"""fal calls this when a training has ended: store its files."""

import json
import os
import urllib.request
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

s3 = boto3.client("s3")
jobs = boto3.resource("dynamodb").Table(os.environ["JOBS_TABLE"])


def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    """Copy the files of a training into the models bucket; the job is done."""
    body = json.loads(event["body"])
    request_id = body["request_id"]
    if body["status"] != "OK":
        set_status(request_id, "FAILED")
        return {"statusCode": 200}
    for file in body["payload"].values():
        copy(file["url"], f"{request_id}/{file['file_name']}")
    set_status(request_id, "COMPLETED")
    return {"statusCode": 200}


def copy(url: str, key: str) -> None:
    """A file from fal's CDN into the bucket, streamed: a LoRA has 90 MB and more."""
    with urllib.request.urlopen(url) as response:  # noqa: S310  # fal's own address
        s3.upload_fileobj(response, os.environ["MODELS_BUCKET"], key)


def set_status(request_id: str, status: str) -> None:
    """What has become of the job."""
    jobs.update_item(
        Key={"request_id": request_id},
        UpdateExpression="SET #status = :status",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":status": status},
    )
