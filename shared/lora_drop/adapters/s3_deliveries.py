"""fal's deliveries in the models bucket, beside the files of the job they are for."""

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from lora_drop.fal.webhooks import RawDelivery
from lora_drop.jobs.job import Job

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FOLDER = "deliveries/"


class S3Deliveries:
    """One object for each delivery, named by when fal sent it and what it says."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def keep(self, job: Job, delivery: RawDelivery, *, sent_at: datetime) -> None:
        """Put it; the same delivery again lies in the same place."""
        digest = hashlib.sha256(delivery.body).hexdigest()[:16]
        kept = {
            "headers": {name: list(values) for name, values in delivery.headers.items()},
            "body": base64.b64encode(delivery.body).decode(),
        }
        self._client.put_object(
            Bucket=self._bucket,
            Key=f"{job.prefix}{FOLDER}{sent_at:%Y%m%dT%H%M%SZ}-{digest}.json",
            Body=json.dumps(kept, indent=2).encode(),
            ContentType="application/json",
        )

    def kept(self, job: Job) -> Sequence[bytes]:
        """The bodies, in the order of their names, which begin with the time."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=job.prefix + FOLDER
        )
        keys = sorted(item["Key"] for page in pages for item in page.get("Contents", []))
        return [self._body(key) for key in keys]

    def _body(self, key: str) -> bytes:
        with self._client.get_object(Bucket=self._bucket, Key=key)["Body"] as kept:
            return base64.b64decode(json.load(kept)["body"])
