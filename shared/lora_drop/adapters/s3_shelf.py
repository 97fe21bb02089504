"""The datasets bucket, walked through page by page."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from lora_drop.jobs.job import DatasetVersion
from lora_drop.ports import DatasetPage

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PAGE = 1000  # the most that S3 gives


class S3Shelf:
    """Every object as it lies there now; older versions and deleted ones are passed over."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def list_page(self, after: str | None) -> DatasetPage:
        """A page of versions; ``after`` is the key, and the version, that the page before ended with."""
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
