"""The models bucket: a job's files, and the webhook deliveries kept beside them."""

import base64
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from botocore.exceptions import ClientError, IncompleteReadError

from lora_drop.adapters.s3_client import PARTS, part_checksum
from lora_drop.adapters.s3_datasets import S3Range
from lora_drop.fal.webhooks import RawDelivery
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.errors import DatasetUnreadableError
from lora_drop.jobs.job import DatasetVersion, Job

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef


PART = 8 * 1024**2  # bytes; S3 takes no less than 5 MiB but for the last one
MISSING = frozenset({"404", "NoSuchKey"})
EMPTY = "InvalidRange"  # of an object without a byte
# The tag by which the bucket's lifecycle rule in template.yaml knows what expires: its filters know
# prefixes and tags, and the names of these files come last in their keys.
EXPIRES = ("expires", "with-datasets")


class _Upload:
    """A file on its way into the bucket."""

    def __init__(
        self, client: "S3Client", place: Mapping[str, str], kind: Mapping[str, str]
    ) -> None:
        self._client = client
        self._place: Any = place
        self._kind: Any = kind
        self._waiting = bytearray()
        self._upload_id = ""
        self._parts: list[Any] = []
        self.size = 0
        self.digest = hashlib.sha256()

    def feed(self, piece: bytes) -> None:
        self.size += len(piece)
        self.digest.update(piece)
        self._waiting += piece
        while len(self._waiting) > PART:
            self._send(bytes(self._waiting[:PART]))
            del self._waiting[:PART]

    def finish(self) -> None:
        rest = bytes(self._waiting)
        if not self._parts:
            self._client.put_object(**self._place, Body=rest, **self._kind)
            return
        self._send(rest)
        self._client.complete_multipart_upload(
            **self._place, UploadId=self._upload_id, MultipartUpload={"Parts": self._parts}
        )

    def abort(self) -> None:
        if self._upload_id:
            with suppress(ClientError):
                self._client.abort_multipart_upload(**self._place, UploadId=self._upload_id)

    def _send(self, data: bytes) -> None:
        if not self._upload_id:
            begun = self._client.create_multipart_upload(
                **self._place, **self._kind, ChecksumAlgorithm=PARTS
            )
            self._upload_id = begun["UploadId"]
        part: Any = {"PartNumber": len(self._parts) + 1, "ChecksumCRC32": part_checksum(data)}
        put = self._client.upload_part(**self._place, UploadId=self._upload_id, Body=data, **part)
        self._parts.append({**part, "ETag": put["ETag"]})


class S3Results:
    """A ResultStore in a bucket."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    @property
    def bucket(self) -> str:
        """Return its name."""
        return self._bucket

    def write(self, key: str, text: str, content_type: str, *, expires: bool = False) -> StoredFile:
        """Put a small text file, over an earlier one."""
        body = text.encode()
        kind = _kind(f"{content_type}; charset=utf-8", expires=expires)
        self._client.put_object(Bucket=self._bucket, Key=key, Body=body, **kind)
        return self._stored(key, len(body), hashlib.sha256(body).hexdigest())

    def write_pieces(
        self, key: str, pieces: Iterable[bytes], content_type: str, *, expires: bool = False
    ) -> StoredFile:
        """Put a large file by parts of 8 MiB, or at once where it has no more than one.

        Holds one part and one piece. An upload that breaks off is ended, and swept if even that fails.
        """
        place = {"Bucket": self._bucket, "Key": key}
        upload = _Upload(self._client, place, _kind(content_type, expires=expires))
        try:
            for piece in pieces:
                upload.feed(piece)
            upload.finish()
        except BaseException:
            upload.abort()
            raise
        return self._stored(key, upload.size, upload.digest.hexdigest())

    def remove(self, key: str) -> None:
        """Delete it; S3 does not mind a missing one."""
        self._client.delete_object(Bucket=self._bucket, Key=key)

    def has(self, stored: StoredFile) -> bool:
        """Return whether an object of that size lies there."""
        head = self._head(stored.key)
        return head is not None and head["ContentLength"] == stored.size

    def url(self, stored: StoredFile, seconds: int) -> str:
        """Return a presigned GET; it dies with the signing role's session."""
        return self._client.generate_presigned_url(
            "get_object",
            Params={"Bucket": self._bucket, "Key": stored.key},
            ExpiresIn=seconds,
        )

    def read(self, stored: StoredFile, most: int) -> bytes:
        """Return what one GET of so many bytes gives; raises DatasetUnreadableError, and IncompleteReadError."""
        try:
            got = self._client.get_object(
                Bucket=self._bucket, Key=stored.key, Range=f"bytes=0-{most - 1}"
            )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == EMPTY:
                return b""
            if code not in MISSING:
                raise
            raise DatasetUnreadableError(f"{stored.key} is no longer there") from error
        length = min(got["ContentLength"], most)
        with got["Body"] as body:
            data = body.read(length)
        if len(data) < length:
            raise IncompleteReadError(actual_bytes=len(data), expected_bytes=length)
        return data

    def reader(self, stored: StoredFile) -> S3Range:
        """Return the object as it lies there now; raises DatasetUnreadableError when it does not."""
        head = self._head(stored.key)
        if head is None:
            raise DatasetUnreadableError(f"{stored.key} is no longer there")
        place = DatasetVersion(
            bucket=self._bucket,
            key=stored.key,
            version_id="null",
            etag=head["ETag"].strip('"'),
            size=head["ContentLength"],
        )
        return S3Range(self._client, place)

    def sweep(self, *, older_than: datetime, keep: Collection[str]) -> int:
        """Abort every multipart upload from before then that no job continues."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket)
        old = [
            (row["Key"], row["UploadId"])
            for page in pages
            for row in page.get("Uploads", [])
            if row["Initiated"] < older_than and row["UploadId"] not in keep
        ]
        return sum(self._ended(key, upload_id) for key, upload_id in old)

    def _ended(self, key: str, upload_id: str) -> bool:
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchUpload":
                raise
            return False  # another sweep was quicker
        return True

    def _head(self, key: str) -> "HeadObjectOutputTypeDef | None":
        try:
            return self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if error.response["Error"]["Code"] not in MISSING:
                raise
            return None

    def _stored(self, key: str, size: int, sha256: str) -> StoredFile:
        name = key.rsplit("/", 1)[-1]
        return StoredFile(name=name, bucket=self._bucket, key=key, size=size, sha256=sha256)


def _kind(content_type: str, *, expires: bool) -> Any:
    """Return what a new object says of itself; tags go into a header, in the form of a query."""
    tagged = {"Tagging": urlencode([EXPIRES])} if expires else {}
    return {"ContentType": content_type, **tagged}


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
        """Return the bodies, in the order of their names, which begin with the time."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=job.prefix + FOLDER
        )
        keys = sorted(item["Key"] for page in pages for item in page.get("Contents", []))
        return [self._body(key) for key in keys]

    def _body(self, key: str) -> bytes:
        with self._client.get_object(Bucket=self._bucket, Key=key)["Body"] as kept:
            return base64.b64decode(json.load(kept)["body"])
