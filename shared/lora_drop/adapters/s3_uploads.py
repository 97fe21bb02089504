"""How callers of the API bring datasets into the datasets bucket: by a signed form."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lora_drop.adapters.s3_datasets import S3Datasets
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.job import DatasetVersion
from lora_drop.jobs.problems import Problem
from lora_drop.ports import OpenDataset, UploadForm

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ZIP = "application/zip"


class S3Uploads:
    """An UploadStore."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def form(
        self, key: str, metadata: Mapping[str, str], sizes: tuple[int, int], seconds: int
    ) -> UploadForm:
        """Return a POST policy and its signature; they die with the signing role's session.

        Every field is bound to its value, the size to a range (S3 API reference, "POST Policy").
        """
        fields = {
            "Content-Type": ZIP,
            **{f"x-amz-meta-{name}": value for name, value in metadata.items()},
        }
        conditions: list[Any] = [{name: value} for name, value in fields.items()]
        signed = self._client.generate_presigned_post(
            self._bucket,
            key,
            Fields=fields,
            Conditions=[*conditions, ["content-length-range", *sizes]],
            ExpiresIn=seconds,
        )
        return UploadForm(signed["url"], signed["fields"])

    def find(self, key: str, version_id: str) -> OpenDataset:
        """Return the object as S3 describes it; what S3 cannot take for a version id is no version."""
        place = DatasetVersion(bucket=self._bucket, key=key, version_id=version_id)
        try:
            return S3Datasets(self._client, url_seconds=1).open(place)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("400", "InvalidArgument"):
                raise
            message = f"{key} has no version {version_id}."
            missing = Problem(code="dataset_missing", message=message)
            raise DatasetRejectedError([missing]) from error
