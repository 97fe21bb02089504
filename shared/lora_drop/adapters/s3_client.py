"""The one way our functions speak to S3, and what its errors say: never the key of an object, which may be a person's name."""

import base64
import os
import re
import zlib
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PARTS: Literal["CRC32"] = "CRC32"
CARRIED = {"request", "response"}  # whole, by some of botocore's errors
# A key may hold anything, quotes too: all of it goes, up to where S3's sentence goes on.
OBJECT = re.compile(r'(arn:[\w-]+:s3:::[^/"\s]+/)(?:.*(?=" because)|.*)', re.DOTALL)


def s3_client() -> "S3Client":
    """Return a client whose URLs carry today's signature version and the region's own host.

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
        # The callers compare checksums themselves; botocore would do so once more.
        response_checksum_validation="when_required",
    )
    client = boto3.client("s3", config=config)
    # Both hooks come before anybody, botocore itself included, sees the error.
    client.meta.events.register_first("needs-retry.s3", _without_address, "without-address")
    client.meta.events.register_first("after-call.s3", _without_object, "without-object")
    return client


def part_checksum(data: bytes) -> str:
    """Return a part's CRC32 as S3 takes it, where ``ChecksumAlgorithm=PARTS`` was said at the upload's creation.

    S3 refuses parts with a checksum that was not announced, and wants each part's again at completion ("Checking
    object integrity for data uploads", multipart uploads).
    """
    return base64.b64encode(zlib.crc32(data).to_bytes(4)).decode()


def _without_address(caught_exception: object = None, **_: Any) -> None:
    """Keep the host in an error of the connection, and remove key, prefix and signature."""
    if not isinstance(caught_exception, BotoCoreError):
        return
    given = caught_exception.kwargs.items()
    said = {name: _host_of(str(value)) for name, value in given if name not in CARRIED}
    caught_exception.kwargs = said
    caught_exception.args = (caught_exception.fmt.format(**said),)
    for name in CARRIED & vars(caught_exception).keys():
        setattr(caught_exception, name, None)


def _without_object(parsed: Any, **_: Any) -> None:
    """Keep the code and the refused action of S3's error, and remove the text that names the object."""
    if "Error" in parsed:
        said = {"Code": "Unknown", "Message": "Unknown", **parsed["Error"]}
        message = OBJECT.sub(r"\1…", said["Message"])
        parsed["Error"] = {"Code": said["Code"], "Message": message}


def _host_of(text: str) -> str:
    """Return an address without its path and query; any other text as it is."""
    parts = urlsplit(text) if text.startswith(("http://", "https://")) else None
    return f"{parts.scheme}://{parts.netloc}" if parts else text
