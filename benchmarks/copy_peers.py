"""What one would write in Python instead: a stream of the file put into the bucket, neither hashed nor checked nor to be gone on with."""

import asyncio
import os
import ssl
import urllib.request
from collections.abc import Callable
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

BUCKET = "models"
PART = 8 * 1024**2
type Copy = Callable[[str], None]


def opened(url: str) -> HTTPResponse:
    """Return the file as it comes over one connection."""
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    answer: HTTPResponse = urllib.request.urlopen(url, context=context)  # noqa: S310  # our own
    return answer


def upload_fileobj(url: str) -> Copy:
    """boto3, as its documentation has it."""
    import boto3  # noqa: PLC0415  # of the peers' environment, each alone

    client = boto3.client("s3")

    def copy(key: str) -> None:
        with opened(url) as stream:
            client.upload_fileobj(stream, BUCKET, key)

    return copy


def obstore_put(url: str) -> Copy:
    """obstore: the stream of a GET put with its own multipart upload."""
    import obstore  # type: ignore[import-not-found]  # noqa: PLC0415
    from obstore.store import HTTPStore, S3Store  # type: ignore[import-not-found]  # noqa: PLC0415

    ca = Path(os.environ["SSL_CERT_FILE"]).read_text()
    client: Any = {"root_certificate": ca}
    base, _, name = url.rpartition("/")
    source = HTTPStore.from_url(base, client_options=client)
    target = S3Store(
        BUCKET, endpoint=os.environ["AWS_ENDPOINT_URL_S3"], client_options=client,
        virtual_hosted_style_request=False,
    )  # fmt: skip

    async def put(key: str) -> None:
        stream = (await obstore.get_async(source, name)).stream(min_chunk_size=PART)
        await obstore.put_async(target, key, stream)

    return lambda key: asyncio.run(put(key))


def crt_put(url: str) -> Copy:
    """The AWS CRT's S3 client: a stream in parallel parts, with a checksum of the whole."""
    from awscrt import auth, http, io, s3  # noqa: PLC0415

    endpoint = os.environ["AWS_ENDPOINT_URL_S3"]
    tls = io.TlsContextOptions()
    tls.override_default_trust_store_from_path(None, os.environ["SSL_CERT_FILE"])
    client = s3.S3Client(
        region="us-east-1",
        bootstrap=io.ClientBootstrap.get_or_create_static_default(),
        credential_provider=auth.AwsCredentialsProvider.new_static("test", "test"),
        tls_connection_options=io.ClientTlsContext(tls).new_connection_options(),
        part_size=PART,
    )
    checksums = s3.S3ChecksumConfig(
        algorithm=s3.S3ChecksumAlgorithm.CRC64NVME, location=s3.S3ChecksumLocation.TRAILER
    )

    def copy(key: str) -> None:
        with opened(url) as stream:
            headers = http.HttpHeaders(
                [
                    ("Host", urlsplit(endpoint).netloc),
                    ("Content-Length", stream.headers["Content-Length"]),
                ]
            )
            request = http.HttpRequest("PUT", f"/{BUCKET}/{key}", headers, stream)
            client.make_request(
                type=s3.S3RequestType.PUT_OBJECT, request=request,
                operation_name="PutObject", checksum_config=checksums,
            ).finished_future.result()  # fmt: skip

    return copy
