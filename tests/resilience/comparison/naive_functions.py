"""The pipeline most people would write: S3 to Lambda to fal_client, and a webhook that stores.

Written in good faith, with what the documentation of Powertools and fal shows. Not a part of the
product.
"""

import json
import os
import urllib.request
from typing import Any
from urllib.parse import unquote_plus

import boto3
import fal_client
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.typing import LambdaContext

s3 = boto3.client("s3")
jobs = boto3.resource("dynamodb").Table(os.environ["JOBS_TABLE"])
idempotency = DynamoDBPersistenceLayer(table_name=os.environ["IDEMPOTENCY_TABLE"])
config = IdempotencyConfig()


def submit(event: dict[str, Any], context: LambdaContext) -> None:
    """Start a training for each ZIP that S3 announces."""
    config.register_lambda_context(context)  # so that a timeout does not lock the dataset
    for record in event["Records"]:
        bucket, stored = record["s3"]["bucket"]["name"], record["s3"]["object"]
        start_training(
            dataset={
                "bucket": bucket,
                "key": unquote_plus(stored["key"]),
                "version": stored["versionId"],
            }
        )


@idempotent_function(  # type: ignore[untyped-decorator]  # Powertools leaves it so
    data_keyword_argument="dataset", persistence_store=idempotency, config=config
)
def start_training(dataset: dict[str, str]) -> dict[str, str]:
    """Submit a dataset to fal and remember the request."""
    url = s3.generate_presigned_url(
        "get_object",
        Params={
            "Bucket": dataset["bucket"],
            "Key": dataset["key"],
            "VersionId": dataset["version"],
        },
        ExpiresIn=3600,
    )
    request = fal_client.submit(
        os.environ["FAL_APPLICATION"],
        {"images_data_url": url, "trigger_phrase": "TOK"},
        webhook_url=os.environ["WEBHOOK_URL"],
    )
    jobs.put_item(
        Item={"request_id": request.request_id, "dataset": dataset["key"], "status": "SUBMITTED"}
    )
    return {"request_id": request.request_id}


def webhook(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    """Copy the files of a training that fal reports into the models bucket."""
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
    """Stream a file from fal's CDN into the bucket: a LoRA has 90 MB and more."""
    with urllib.request.urlopen(url) as response:  # noqa: S310  # fal's own address
        s3.upload_fileobj(response, os.environ["MODELS_BUCKET"], key)


def set_status(request_id: str, status: str) -> None:
    jobs.update_item(
        Key={"request_id": request_id},
        UpdateExpression="SET #status = :status",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":status": status},
    )
