"""Small text files in S3 that several functions change: S3 itself compares what is written over."""

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lora_drop.ports import StoredText

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MISSING = "NoSuchKey"
# Another one was written or deleted since, or is being written at this moment
# (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html).
CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", MISSING})
MAX_TEXT = 64 * 1024  # bytes; what is larger is none of ours, and is read as an empty text


class S3Texts:
    """SharedTexts in a bucket."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def read_text(self, key: str) -> StoredText | None:
        """Return the newest version; its role needs s3:ListBucket to be told of a missing one."""
        try:
            got = self._client.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] != MISSING:
                raise
            return None
        with got["Body"] as body:
            data = body.read(MAX_TEXT + 1)
        text = data.decode(errors="replace") if len(data) <= MAX_TEXT else ""
        return StoredText(text, got["ETag"], got.get("VersionId") or "null")

    def replace_text(self, key: str, before: StoredText | None, text: str) -> bool:
        """Put it with If-Match, or If-None-Match where there was none."""
        condition: Any = {"IfMatch": before.etag} if before else {"IfNoneMatch": "*"}
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=text.encode(),
                ContentType="application/json; charset=utf-8",
                **condition,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in CHANGED:
                raise
            return False
        return True
