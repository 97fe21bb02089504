"""People with access to the datasets bucket."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from lora_drop.jobs.job import DatasetVersion
from tests.support.aws import Aws


class Drops(Protocol):
    """What a person does to the bucket."""

    def put(
        self, key: str, data: bytes | None, metadata: Mapping[str, str] | None = None
    ) -> DatasetVersion:
        """Lay an object down, or delete it; what S3 says of it."""


@dataclass
class S3Drops:
    """A person with S3 access."""

    aws: Aws
    bucket: str

    def put(
        self, key: str, data: bytes | None, metadata: Mapping[str, str] | None = None
    ) -> DatasetVersion:
        if data is None:
            gone = self.aws.s3.delete_object(Bucket=self.bucket, Key=key)
            return DatasetVersion(bucket=self.bucket, key=key, version_id=gone["VersionId"])
        put = self.aws.s3.put_object(
            Bucket=self.bucket, Key=key, Body=data, Metadata=dict(metadata or {})
        )
        return DatasetVersion(
            bucket=self.bucket,
            key=key,
            version_id=put["VersionId"],
            etag=put["ETag"].strip('"'),
            size=len(data),
        )
