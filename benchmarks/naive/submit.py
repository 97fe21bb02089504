"""S3 calls this when a ZIP arrives: submit it to fal, once per dataset."""

import os
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


def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Start a training for each ZIP."""
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
        Item={
            "request_id": request.request_id,
            "dataset": dataset["key"],
            "status": "SUBMITTED",
        }
    )
    return {"request_id": request.request_id}
