"""S3 on moto, in which any call can be answered otherwise."""

import base64
from typing import Any, cast

from awscrt.checksums import crc64nvme
from botocore.exceptions import ClientError

from lora_drop.adapters.s3_copies import S3Copies
from lora_drop.results.copies import Label
from tests.support.aws import Aws

KEY = "portrait/ada/ada-0123456789/lora.safetensors"
LABEL = Label("model/x", "5ca1ab1e")
LEAST = 5 * 1024**2
FIRST, LAST = bytes(LEAST), b"the last bytes"
WHOLE = base64.b64encode(crc64nvme(FIRST + LAST).to_bytes(8)).decode()


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
