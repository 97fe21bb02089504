"""What is erased from a bucket for good: every version, every delete marker, every unfinished upload."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lora_drop.jobs.errors import NotErasableError
from lora_drop.ports import Erasable, Place

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

GONE = "NoSuchUpload"


class S3Eraser:
    """One bucket, versioned or not: S3 calls the one version of an object without versions ``null``."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def versions(self, place: Place) -> Iterator[Sequence[Erasable]]:
        """Yield S3's own pages, of 1,000 rows.

        S3 does not say where a page goes on whose marker was deleted meanwhile: rows may be passed over.
        """
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=place.key
        )
        for page in pages:
            rows = [(row, False) for row in page.get("Versions", [])]
            rows += [(row, True) for row in page.get("DeleteMarkers", [])]  # type: ignore[misc]  # alike
            found = [
                Erasable(row["Key"], row.get("VersionId") or "null", row["LastModified"], marker)
                for row, marker in rows
                if _is_there(place, row["Key"])
            ]
            if found:
                yield found

    def erase(self, versions: Sequence[Erasable]) -> None:
        """Delete a batch in one call; raises NotErasableError, with S3's code and no key: people choose those."""
        named: Any = [{"Key": each.key, "VersionId": each.version_id} for each in versions]
        answer = self._client.delete_objects(
            Bucket=self._bucket, Delete={"Objects": named, "Quiet": True}
        )
        if refused := answer.get("Errors"):
            codes = ", ".join(sorted({row.get("Code", "no reason given") for row in refused}))
            raise NotErasableError(
                f"S3 keeps {len(refused)} object versions ({codes}). Lift the hold or the retention on "
                "them, or give the function its right back; then forget the job again."
            )

    def unfinished(self, place: Place) -> Iterator[Sequence[Erasable]]:
        """Yield S3's own pages of multipart uploads, of 1,000 rows."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self._bucket, Prefix=place.key
        )
        for page in pages:
            found = [
                Erasable(row["Key"], row["UploadId"], row["Initiated"])
                for row in page.get("Uploads", [])
                if _is_there(place, row["Key"])
            ]
            if found:
                yield found

    def abort_all(self, uploads: Sequence[Erasable]) -> None:
        """Abort each in a call of its own."""
        for each in uploads:
            try:
                self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=each.key, UploadId=each.version_id
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != GONE:
                    raise


def _is_there(place: Place, key: str) -> bool:
    """Return whether a row of a list by prefix is of this place."""
    return place.folder or key == place.key
