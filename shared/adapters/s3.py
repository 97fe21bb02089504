"""Datasets and results in S3: read by ranges, written by parts."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from shared.domain.artifacts import Artifact, StoredFile
from shared.domain.errors import RejectedDataset
from shared.domain.jobs import DatasetVersion
from shared.domain.problems import Problem
from shared.ports import OpenDataset

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART = 8 * 1024**2  # S3 wants 5 MiB at least in every part but the last
SKIP = 1024**2
MISSING = frozenset({"404", "NoSuchKey", "NoSuchVersion", "405", "MethodNotAllowed"})


def presigning_client() -> "S3Client":
    """A client whose URLs carry today's signature version and the region's own host.

    By itself botocore presigns for the global host, which answers for a new bucket elsewhere with
    a redirect. An emulator has one host for all of its buckets.
    """
    emulated = any(os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"))
    style: Literal["auto", "virtual"] = "auto" if emulated else "virtual"
    config = Config(signature_version="s3v4", s3={"addressing_style": style})
    return boto3.client("s3", config=config)


class S3Range:
    """One object version as a RangedReader; every read is one bounded GET."""

    def __init__(self, client: "S3Client", dataset: DatasetVersion) -> None:
        self._client = client
        self._dataset = dataset

    @property
    def size(self) -> int:
        """In bytes."""
        return self._dataset.size

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of this very version; raises RejectedDataset ``dataset_missing``.

        S3 refuses it (412) when the ETag is not the one that was seen.
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
            return body.read(end - offset + 1)


class S3Datasets:
    """The datasets bucket."""

    def __init__(self, client: "S3Client", *, url_seconds: int) -> None:
        self._client = client
        self._url_seconds = url_seconds

    def open(self, dataset: DatasetVersion) -> OpenDataset:
        """The object as S3 describes it; raises RejectedDataset ``dataset_missing``."""
        try:
            head = self._client.head_object(**_version(dataset))
            if dataset.named_version:
                # A person deletes by key: the version is still there, under a delete marker.
                self._client.head_object(Bucket=dataset.bucket, Key=dataset.key)
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
        """A presigned GET of exactly this version; it dies with the signing role's session."""
        return self._client.generate_presigned_url(
            "get_object", Params=dict(_version(dataset)), ExpiresIn=self._url_seconds
        )


class S3Results:
    """The models bucket."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def write(self, key: str, text: str, content_type: str) -> StoredFile:
        """Put a small text file, over an earlier one."""
        body = text.encode()
        kind = f"{content_type}; charset=utf-8"
        self._client.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=kind)
        return self._stored(key, len(body), hashlib.sha256(body).hexdigest())

    def remove(self, key: str) -> None:
        """Delete it; S3 does not mind a missing one."""
        self._client.delete_object(Bucket=self._bucket, Key=key)

    def store(self, key: str, artifact: Artifact, chunks: Iterator[bytes]) -> StoredFile:
        """Stream in parts of 8 MiB, one in memory at a time; nothing is left behind on failure."""
        kind = artifact.content_type or "application/octet-stream"
        parts = _parts(chunks)
        first = next(parts, b"")
        if len(first) < PART:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=first, ContentType=kind)
            return self._stored(key, len(first), hashlib.sha256(first).hexdigest())
        upload = self._client.create_multipart_upload(
            Bucket=self._bucket, Key=key, ContentType=kind
        )["UploadId"]
        try:
            return self._store_parts(key, upload, chain([first], parts))
        except BaseException:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)
            raise

    def _store_parts(self, key: str, upload: str, parts: Iterable[bytes]) -> StoredFile:
        digest, size = hashlib.sha256(), 0
        done: list[CompletedPartTypeDef] = []
        for number, part in enumerate(parts, start=1):
            digest.update(part)
            size += len(part)
            put = self._client.upload_part(
                Bucket=self._bucket, Key=key, UploadId=upload, PartNumber=number, Body=part
            )
            done.append({"PartNumber": number, "ETag": put["ETag"]})
        self._client.complete_multipart_upload(
            Bucket=self._bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": done}
        )
        return self._stored(key, size, digest.hexdigest())

    def _stored(self, key: str, size: int, sha256: str) -> StoredFile:
        name = key.rsplit("/", 1)[-1]
        return StoredFile(name=name, bucket=self._bucket, key=key, size=size, sha256=sha256)


def _parts(chunks: Iterator[bytes]) -> Iterator[bytes]:
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while len(buffer) >= PART:
            yield bytes(buffer[:PART])
            del buffer[:PART]
    if buffer:
        yield bytes(buffer)


def _missing(dataset: DatasetVersion, error: ClientError) -> RejectedDataset:
    """That the dataset is gone; raises every other trouble with S3 as it is."""
    if error.response["Error"]["Code"] not in MISSING:
        raise error
    message = f"{dataset.key} was deleted before it could be read. Drop it again."
    return RejectedDataset([Problem(code="dataset_missing", message=message)])


def _version(dataset: DatasetVersion) -> Any:
    """The call's arguments; an object from before versioning has no version to name."""
    named = {"Bucket": dataset.bucket, "Key": dataset.key}
    if dataset.named_version:
        named["VersionId"] = dataset.named_version
    return named


def _metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in metadata.items()}
