"""The datasets bucket: one dataset by ranges, and all of them page by page."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, IncompleteReadError

from lora_drop.jobs.errors import DatasetRejectedError, DatasetUnreadableError
from lora_drop.jobs.job import DatasetVersion
from lora_drop.jobs.problems import Problem
from lora_drop.ports import DatasetPage, OpenDataset

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


SKIP = 1024**2
# A HEAD has no body to say more than its status.
FORBIDDEN = frozenset({"403", "AccessDenied", "Forbidden"})
MISSING = frozenset({"404", "NoSuchKey", "NoSuchVersion", "405", "MethodNotAllowed"})


class S3Range:
    """One object version as a RangedReader; every read is one bounded GET."""

    def __init__(self, client: "S3Client", dataset: DatasetVersion) -> None:
        self._client = client
        self._dataset = dataset

    @property
    def size(self) -> int:
        """Return the size in bytes."""
        return self._dataset.size

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of this very version; raises DatasetRejectedError ``dataset_missing``, DatasetUnreadableError.

        S3 refuses it (412) when the ETag is not the one that was seen. An answer that ends early
        says nothing of the dataset, and botocore lets it pass: IncompleteReadError.
        """
        end = min(offset + length, self.size) - 1
        if end < offset:
            return b""
        try:
            got = self._client.get_object(
                **_version(self._dataset),
                Range=f"bytes={offset}-{end}",
                IfMatch=f'"{self._dataset.etag}"',
            )
        except ClientError as error:
            raise _missing(self._dataset, error) from error
        with got["Body"] as body:
            # A server may ignore a range (RFC 9110, 14.2), as ministack does beside a version id.
            whole = got["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.OK
            skipped = offset if whole else 0
            while skipped > 0 and (passed := body.read(min(skipped, SKIP))):
                skipped -= len(passed)
            data = body.read(end - offset + 1)
        if len(data) < end - offset + 1:
            raise IncompleteReadError(actual_bytes=len(data), expected_bytes=end - offset + 1)
        return data


class S3Datasets:
    """The datasets bucket."""

    def __init__(self, client: "S3Client", *, url_seconds: int) -> None:
        self._client = client
        self._url_seconds = url_seconds

    def open(self, dataset: DatasetVersion) -> OpenDataset:
        """Return the object as S3 describes it; raises DatasetRejectedError ``dataset_missing``, DatasetUnreadableError."""
        try:
            # By key first: a person deletes by key, and the version is still there, under a delete marker.
            head = self._client.head_object(Bucket=dataset.bucket, Key=dataset.key)
            if dataset.named_version and head.get("VersionId") != dataset.named_version:
                head = self._client.head_object(**_version(dataset))
        except ClientError as error:
            raise _missing(dataset, error) from error
        found = dataset.model_copy(
            update={
                "version_id": dataset.version_id or head.get("VersionId", "null"),
                "etag": head["ETag"].strip('"'),
                "size": head["ContentLength"],
            }
        )
        return OpenDataset(found, _metadata(head["Metadata"]), S3Range(self._client, found))

    def url(self, dataset: DatasetVersion) -> str:
        """Return a presigned GET of exactly this version; it dies with the signing role's session."""
        return self._client.generate_presigned_url(
            "get_object", Params=dict(_version(dataset)), ExpiresIn=self._url_seconds
        )


def _missing(dataset: DatasetVersion, error: ClientError) -> DatasetRejectedError:
    """Return that the dataset is gone; raises DatasetUnreadableError, and other trouble with S3 as it is."""
    if error.response["Error"]["Code"] in FORBIDDEN:
        raise DatasetUnreadableError(f"{dataset.key} may not be read") from error
    if error.response["Error"]["Code"] not in MISSING:
        raise error
    message = f"{dataset.key} was deleted before it could be read. Drop it again."
    return DatasetRejectedError([Problem(code="dataset_missing", message=message)])


def _version(dataset: DatasetVersion) -> Any:
    """Return the call's arguments; an object from before versioning has no version to name."""
    named = {"Bucket": dataset.bucket, "Key": dataset.key}
    if dataset.named_version:
        named["VersionId"] = dataset.named_version
    return named


def _metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in metadata.items()}


PAGE = 1000  # the most that S3 gives


class S3DatasetListing:
    """Every object as it lies there now; older versions and deleted ones are passed over."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def list_page(self, after: str | None) -> DatasetPage:
        """Return a page of versions; ``after`` is the key, and the version, that the page before ended with."""
        marker, _, version = (after or "").rpartition("\n")  # a key may have lines, too
        start: Any = {"KeyMarker": marker, "VersionIdMarker": version} if after else {}
        found = self._client.list_object_versions(Bucket=self._bucket, MaxKeys=PAGE, **start)
        datasets: list[tuple[DatasetVersion, datetime]] = [
            (
                DatasetVersion(
                    bucket=self._bucket,
                    key=row["Key"],
                    version_id=row.get("VersionId") or "null",
                    etag=row["ETag"].strip('"'),
                    size=row["Size"],
                ),
                row["LastModified"],
            )
            for row in found.get("Versions", [])
            if row["IsLatest"] and not row["Key"].endswith("/")
        ]
        more = found.get("IsTruncated")
        end = f"{found['NextKeyMarker']}\n{found['NextVersionIdMarker']}" if more else None
        return DatasetPage(tuple(datasets), end)
