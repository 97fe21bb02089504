"""What goes wrong with S3 is told without the keys of objects: they are what people call their photos."""

import traceback
from collections.abc import Callable, Iterator
from typing import Any
from xml.sax.saxutils import escape

import pytest
import urllib3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError
from moto.core.botocore_stubber import BotocoreStubber, MockRawResponse
from urllib3.connectionpool import HTTPConnectionPool

from lora_drop.adapters.s3_client import s3_client
from tests.support.aws import Aws, moto
from tests.support.silent_s3 import Trouble, silence_s3, timed_out

KEY = 'zoe "kanarienvogel"/\n"holiday".zip'
CALLS: dict[str, Callable[[Any], object]] = {
    "an object": lambda s3: s3.get_object(Bucket="datasets", Key=KEY, VersionId="v1"),
    "a list": lambda s3: s3.list_object_versions(Bucket="datasets", Prefix=KEY),
    "an upload": lambda s3: s3.put_object(Bucket="datasets", Key=KEY, Body=b"x"),
}


@pytest.fixture
def aws() -> Iterator[Aws]:
    with moto() as world:
        yield world


def refused(pool: HTTPConnectionPool, url: str) -> Exception:
    return urllib3.exceptions.NewConnectionError(pool, f"nobody listens for {url[:1]}")  # type: ignore[arg-type]  # only told


def cut(_: HTTPConnectionPool, url: str) -> Exception:
    return urllib3.exceptions.ProtocolError(f"Connection aborted{url[:0]}.")


def not_trusted(_: HTTPConnectionPool, url: str) -> Exception:
    return urllib3.exceptions.SSLError(f"certificate verify failed{url[:0]}")


def slow(pool: HTTPConnectionPool, url: str) -> Exception:
    return urllib3.exceptions.ConnectTimeoutError(pool, f"timed out{url[:0]}")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("trouble", [timed_out, slow, refused, cut, not_trusted])
@pytest.mark.usefixtures("aws")
def test_a_connection_that_fails_is_told_by_its_host_alone(
    monkeypatch: pytest.MonkeyPatch, trouble: Trouble, call: Callable[[Any], object]
) -> None:
    client = s3_client()
    silence_s3(monkeypatch, trouble)

    with pytest.raises(BotoCoreError) as failure:
        call(client)

    told = "".join(traceback.format_exception(failure.value)) + repr(vars(failure.value))
    assert "kanarienvogel" not in told
    assert "X-Amz" not in told
    assert "https://datasets.s3.amazonaws.com" in told
    assert isinstance(failure.value, ReadTimeoutError | ConnectTimeoutError) is (
        trouble in (timed_out, slow)
    )


@pytest.mark.usefixtures("aws")
def test_what_s3_refuses_is_told_by_its_bucket_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = s3_client()
    body = (
        "<Error><Code>AccessDenied</Code><Message>User: arn:aws:sts::123456789012:assumed-role/x/y is not "
        "authorized to perform: s3:GetObject on resource: &quot;arn:aws:s3:::datasets/"
        f"{escape(KEY)}&quot; because no identity-based policy allows it</Message><Key>{escape(KEY)}</Key></Error>"
    )

    def answer(_: BotocoreStubber, event_name: str, request: Any, **__: Any) -> AWSResponse | None:
        if not event_name.startswith("before-send"):
            return None
        return AWSResponse(request.url, 403, HTTPHeaders(), MockRawResponse(body.encode()))

    monkeypatch.setattr(BotocoreStubber, "__call__", answer)
    with pytest.raises(ClientError) as refusal:
        client.get_object(Bucket="datasets", Key=KEY)

    told = str(refusal.value) + repr(refusal.value.response)
    assert "kanarienvogel" not in told
    assert refusal.value.response["Error"]["Code"] == "AccessDenied"
    assert 's3:GetObject on resource: "arn:aws:s3:::datasets/…" because no identity' in told
