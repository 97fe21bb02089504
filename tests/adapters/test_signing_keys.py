"""fal's signing keys: fetched when needed, kept for a day at most, and never in a flood."""

import base64
import gzip
import itertools
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from nacl.signing import SigningKey

from lora_drop.adapters.signing_keys import MAX_AGE, MAX_DOCUMENT, MIN_REFRESH, JwksKeys
from lora_drop.jobs.errors import SigningKeysUnavailableError
from tests.support.builders import KEY, NOW
from tests.support.wire import Body, Said, Wire

URL = "https://rest.fal.ai/.well-known/jwks.json"
OLD = bytes(KEY.verify_key)
NEW = bytes(SigningKey(bytes(32)).verify_key)
JUST_BEFORE = timedelta(seconds=1)


def jwks(*keys: bytes) -> httpx.Response:
    rows = [
        {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(key).decode()}
        for key in keys
    ]
    return httpx.Response(200, json={"keys": rows})


class Jwks(Wire):
    """The URL of the keys."""

    def keys(self, **how: Any) -> JwksKeys:
        return JwksKeys(URL, transport=self(), **how)


def test_keys_are_fetched_once() -> None:
    """Keys are fetched when they are needed, once a day, uncompressed and with a short timeout."""
    jwks_at = Jwks(jwks(OLD, NEW))
    keys = jwks_at.keys()
    assert jwks_at.requests == []
    assert list(keys.keys(now=NOW)) == [OLD, NEW]
    assert list(keys.keys(now=NOW + MAX_AGE - JUST_BEFORE)) == [OLD, NEW]
    [request] = jwks_at.requests
    assert str(request.url) == URL
    assert request.headers["Accept-Encoding"] == "identity"
    timeout = dict.fromkeys(("connect", "read", "write", "pool"), 2.0)
    assert request.extensions["timeout"] == timeout


def test_keys_are_refreshed_daily() -> None:
    keys = Jwks(jwks(OLD), jwks(NEW)).keys()
    keys.keys(now=NOW)
    assert list(keys.keys(now=NOW + MAX_AGE)) == [NEW]


def test_old_keys_are_never_trusted() -> None:
    """Keys older than a day are not trusted, even when there are no others."""
    keys = Jwks(jwks(OLD), httpx.ConnectError("down")).keys()
    keys.keys(now=NOW)
    with pytest.raises(SigningKeysUnavailableError):
        keys.keys(now=NOW + MAX_AGE)


def test_added_key_is_found() -> None:
    keys = Jwks(jwks(OLD), jwks(OLD, NEW)).keys()
    keys.keys(now=NOW)
    assert list(keys.newer_keys(now=NOW + MIN_REFRESH)) == [NEW]
    assert list(keys.keys(now=NOW + MIN_REFRESH)) == [OLD, NEW]


@pytest.mark.promise("it can be operated")
def test_forgeries_cause_few_fetches() -> None:
    """Forged webhook deliveries cause at most one fetch of the keys a minute."""
    jwks_at = Jwks(jwks(OLD))
    keys = jwks_at.keys()
    keys.keys(now=NOW)
    for second in range(180):
        assert list(keys.newer_keys(now=NOW + timedelta(seconds=second))) == []
    assert len(jwks_at.requests) == 3


def test_failed_fetch_waits_a_minute() -> None:
    jwks_at = Jwks(httpx.ConnectError("down"))
    keys = jwks_at.keys()
    for second in range(60):
        with pytest.raises(SigningKeysUnavailableError):
            keys.keys(now=NOW + timedelta(seconds=second))
    assert len(jwks_at.requests) == 1


def test_fetch_recovers_after_failure() -> None:
    keys = Jwks(httpx.Response(503), jwks(OLD)).keys()
    with pytest.raises(SigningKeysUnavailableError):
        keys.keys(now=NOW)
    assert list(keys.keys(now=NOW + MIN_REFRESH)) == [OLD]


@pytest.mark.promise("never get stuck")
def test_known_keys_survive_an_outage() -> None:
    """Known keys stay in use while their URL does not answer."""
    keys = Jwks(jwks(OLD), httpx.Response(503)).keys()
    keys.keys(now=NOW)
    assert list(keys.newer_keys(now=NOW + MIN_REFRESH)) == []
    assert list(keys.keys(now=NOW + MIN_REFRESH)) == [OLD]


def packed(body: bytes, *, encoding: str = "gzip") -> httpx.Response:
    stream = httpx.ByteStream(body)
    return httpx.Response(200, headers={"Content-Encoding": encoding}, stream=stream)


UNUSABLE: dict[str, Said] = {
    "refused": httpx.ConnectError("refused"),
    "silent": httpx.ReadTimeout("slow"),
    "broken": httpx.RemoteProtocolError("hung up"),
    "503": httpx.Response(503, json={"keys": []}),
    "404": httpx.Response(404),
    "204": httpx.Response(204),
    "elsewhere": httpx.Response(302, headers={"Location": "https://fal.evil.example/jwks.json"}),
    "nowhere": httpx.Response(302, headers={"Location": "data:,x"}),
    "a page": httpx.Response(200, html="<html></html>"),
    "no keys": httpx.Response(200, json={"keys": []}),
    "other keys": httpx.Response(200, json={"keys": [{"kty": "RSA", "n": "x"}]}),
    "too large": httpx.Response(
        200, content=b'{"keys": []}' + b" " * MAX_DOCUMENT + json.dumps("x").encode()
    ),
    "packed in another way": packed(b"x", encoding="br"),
    "packed, but not": packed(b"{}"),
    "packed and cut off": packed(gzip.compress(jwks(OLD).content)[:-9]),
    "small packed and large": packed(gzip.compress(jwks(OLD).content + b" " * MAX_DOCUMENT)),
    "endless": httpx.Response(200, stream=Body(itertools.repeat(b" " * 1024))),
}


DOCUMENT = jwks(OLD).content


@pytest.mark.parametrize(
    "answer",
    [
        *(packed(gzip.compress(DOCUMENT), encoding=each) for each in ("gzip", "GZIP", "x-gzip")),
        packed(DOCUMENT, encoding="identity"),
        httpx.Response(200, content=DOCUMENT.ljust(MAX_DOCUMENT)),
    ],
    ids=["gzip", "GZIP", "x-gzip", "identity", "the largest"],
)
def test_packed_or_large_keys_are_read(answer: httpx.Response) -> None:
    assert list(Jwks(answer).keys().keys(now=NOW)) == [OLD]


@pytest.mark.parametrize("answer", UNUSABLE)
def test_unusable_keys_are_unavailable(answer: str) -> None:
    jwks_at = Jwks(UNUSABLE[answer])
    with pytest.raises(SigningKeysUnavailableError):
        jwks_at.keys().keys(now=NOW)
    assert jwks_at.urls == [URL]


def test_trickling_document_is_given_up() -> None:
    seconds = iter(range(1000))
    trickle = Body(DOCUMENT[at : at + 1] for at in range(len(DOCUMENT)))
    keys = Jwks(httpx.Response(200, stream=trickle)).keys(tick=lambda: float(next(seconds)))
    with pytest.raises(SigningKeysUnavailableError):
        keys.keys(now=NOW)
    assert next(seconds) < 10


@pytest.mark.parametrize(
    "url", ["http://rest.fal.ai/jwks.json", "file:///jwks.json", "rest.fal.ai"]
)
def test_keys_need_https(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        JwksKeys(url)
