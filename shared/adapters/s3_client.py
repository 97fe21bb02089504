"""The one way our functions speak to S3."""

import os
from typing import TYPE_CHECKING, Literal

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def s3_client() -> "S3Client":
    """A client whose URLs carry today's signature version and the region's own host.

    By itself botocore presigns for the global host, which answers for a new bucket elsewhere with
    a redirect. An emulator has one host for all of its buckets. What is uploaded is not hashed once
    more to be signed: TLS and the checksum that S3 compares are about its every byte.
    """
    emulated = any(os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"))
    style: Literal["auto", "virtual"] = "auto" if emulated else "virtual"
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": style, "payload_signing_enabled": False},
        connect_timeout=5,
        retries={"mode": "standard"},
        # Whoever reads a file back compares its checksum; botocore would do so once more.
        response_checksum_validation="when_required",
    )
    return boto3.client("s3", config=config)
