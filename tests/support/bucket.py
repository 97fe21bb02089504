"""The models bucket or its fake, what a person sees of it, and S3 calls with other answers."""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

from awscrt.checksums import crc64nvme
from botocore.exceptions import ClientError

from lora_drop.adapters.s3_copies import S3Copies
from lora_drop.ports import CopyStore
from lora_drop.results.copies import Label, Part
from tests.support.aws import Aws
from tests.support.memory_files import MemoryResults
from tests.support.template import properties

PREFIX = "portrait/a b+c \u5199\u771f/ada-0123456789/"
KEY = PREFIX + "lora.safetensors"
LABEL = Label("model/x", "5ca1ab1e")
LEAST = 5 * 1024**2  # S3 takes no smaller part but the last
FIRST, LAST = os.urandom(LEAST), b"the last bytes"
WHOLE = base64.b64encode(crc64nvme(FIRST + LAST).to_bytes(8)).decode()


def expiring_tag() -> Any:
    """The tag that the models bucket's lifecycle goes by."""
    rules = properties("ModelsBucket")["LifecycleConfiguration"]["Rules"]
    [tags] = [rule["TagFilters"] for rule in rules if "ExpirationInDays" in rule]
    [tag] = tags
    return tag


@dataclass
class Place:
    """A store and what a person sees of it."""

    store: CopyStore
    bucket: str
    aws: Aws | None

    @classmethod
    def of(cls, aws: Aws | None) -> Self:
        """Return a new one; without an AWS it is the fake."""
        if aws is None:
            return cls(MemoryResults(), "models", None)
        bucket = aws.bucket("models")
        return cls(S3Copies(aws.s3, bucket), bucket, aws)

    def files(self) -> dict[str, bytes]:
        if self.aws is None:
            assert isinstance(self.store, MemoryResults)
            return dict(self.store.files)
        listed = self.aws.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {item["Key"]: self._read(item["Key"]) for item in listed}

    def expires(self, key: str) -> bool:
        """Whether the template's rule would let it expire."""
        if self.aws is None:
            assert isinstance(self.store, MemoryResults)
            return key in self.store.expiring
        tags = self.aws.s3.get_object_tagging(Bucket=self.bucket, Key=key)["TagSet"]
        return expiring_tag() in tags

    def unfinished(self) -> int:
        if self.aws is None:
            assert isinstance(self.store, MemoryResults)
            return len(self.store.uploads)
        return len(self.aws.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", []))

    def uploaded(self, *datas: bytes, key: str = KEY) -> tuple[str, Sequence[Part]]:
        """A new unfinished copy of these parts."""
        upload_id = self.store.begin(key, LABEL)
        parts = [
            self.store.upload(key, upload_id, number, data)
            for number, data in enumerate(datas, start=1)
        ]
        return upload_id, parts

    def _read(self, key: str) -> bytes:
        assert self.aws
        return self.aws.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()


def refused(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": "no"},
            "ResponseMetadata": {"HTTPStatusCode": status},  # type: ignore[typeddict-item]
        },
        "Call",
    )


class Calls:
    """S3's client, in which any call can be answered otherwise; notes what was asked."""

    def __init__(self, client: Any, **instead: Any) -> None:
        self._client = client
        self._instead = instead
        self.asked: dict[str, dict[str, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            self.asked[name] = arguments
            instead = self._instead.get(name)
            if isinstance(instead, Exception):
                raise instead
            if instead is not None:
                return instead(getattr(self._client, name), arguments)
            return getattr(self._client, name)(**arguments)

        return getattr(self._client, name) if name == "get_paginator" else call


def over(aws: Aws, models: str, **instead: Any) -> tuple[S3Copies, Calls]:
    calls = Calls(aws.s3, **instead)
    return S3Copies(cast("Any", calls), models), calls


def uploaded(copies: S3Copies) -> Any:
    upload_id = copies.begin(KEY, LABEL)
    parts = [copies.upload(KEY, upload_id, 1, FIRST), copies.upload(KEY, upload_id, 2, LAST)]
    return upload_id, parts


def parts_only(call: Any, arguments: Any) -> Any:
    """An S3 that keeps checksums of parts, as ministack does."""
    return {**call(**arguments), "ChecksumType": "COMPOSITE"}


def headed(**changes: Any) -> Any:
    def head(call: Any, arguments: Any) -> Any:
        return {**call(**arguments), **changes}

    return head
