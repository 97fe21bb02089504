"""fal's signing keys: fetched when needed, kept for a day at the most, and never in a flood."""

import base64
import gzip
import json
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from nacl.signing import SigningKey

from lora_drop.adapters.signing_keys import MAX_AGE, MAX_DOCUMENT, MIN_REFRESH, JwksKeys
from lora_drop.jobs.errors import SigningKeysUnavailableError
from tests.support.builders import KEY, NOW

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


class Jwks:
    """The address of the keys: answers with the next thing, the last one for ever."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)

    def keys(self) -> JwksKeys:
        return JwksKeys(URL, transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer.stream, httpx.ByteStream):
            return httpx.Response(answer.status_code, headers=answer.headers, stream=answer.stream)
        return answer


def test_keys_are_fetched_once_and_kept() -> None:
    jwks_at = Jwks(jwks(OLD, NEW))
    keys = jwks_at.keys()

    assert list(keys.keys(now=NOW)) == [OLD, NEW]
    assert list(keys.keys(now=NOW + MAX_AGE - JUST_BEFORE)) == [OLD, NEW]
    assert [str(request.url) for request in jwks_at.requests] == [URL]


def test_nobody_is_asked_before_a_key_is_needed() -> None:
    jwks_at = Jwks(jwks(OLD))

    jwks_at.keys()

    assert jwks_at.requests == []


def test_after_a_day_the_keys_are_fetched_anew() -> None:
    keys = Jwks(jwks(OLD), jwks(NEW)).keys()
    keys.keys(now=NOW)

    assert list(keys.keys(now=NOW + MAX_AGE)) == [NEW]


def test_keys_older_than_a_day_are_not_believed_even_when_there_are_no_others() -> None:
    keys = Jwks(jwks(OLD), httpx.ConnectError("down")).keys()
    keys.keys(now=NOW)

    with pytest.raises(SigningKeysUnavailableError):
        keys.keys(now=NOW + MAX_AGE)


def test_a_key_that_fal_adds_is_found() -> None:
    keys = Jwks(jwks(OLD), jwks(OLD, NEW)).keys()
    keys.keys(now=NOW)

    assert list(keys.newer_keys(now=NOW + MIN_REFRESH)) == [NEW]
    assert list(keys.keys(now=NOW + MIN_REFRESH)) == [OLD, NEW]


def test_forgeries_are_no_flood_of_fetches() -> None:
    jwks_at = Jwks(jwks(OLD))
    keys = jwks_at.keys()
    keys.keys(now=NOW)

    for second in range(180):
        assert list(keys.newer_keys(now=NOW + timedelta(seconds=second))) == []

    assert len(jwks_at.requests) == 3


def test_an_address_that_is_down_is_not_asked_more_than_once_a_minute_either() -> None:
    jwks_at = Jwks(httpx.ConnectError("down"))
    keys = jwks_at.keys()

    for second in range(60):
        with pytest.raises(SigningKeysUnavailableError):
            keys.keys(now=NOW + timedelta(seconds=second))

    assert len(jwks_at.requests) == 1


def test_an_address_that_comes_back_is_believed_again() -> None:
    keys = Jwks(httpx.Response(503), jwks(OLD)).keys()
    with pytest.raises(SigningKeysUnavailableError):
        keys.keys(now=NOW)

    assert list(keys.keys(now=NOW + MIN_REFRESH)) == [OLD]


def test_known_keys_outlive_an_address_that_is_down() -> None:
    keys = Jwks(jwks(OLD), httpx.Response(503)).keys()
    keys.keys(now=NOW)

    assert list(keys.newer_keys(now=NOW + MIN_REFRESH)) == []
    assert list(keys.keys(now=NOW + MIN_REFRESH)) == [OLD]


def endless() -> Iterator[bytes]:
    while True:
        yield b" " * 1024


UNUSABLE: dict[str, httpx.Response | Exception] = {
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
    "packed": httpx.Response(
        200,
        headers={"Content-Encoding": "gzip"},
        stream=httpx.ByteStream(gzip.compress(jwks(OLD).content)),
    ),
}


@pytest.mark.parametrize("answer", UNUSABLE)
def test_without_usable_keys_it_is_said_so(answer: str) -> None:
    jwks_at = Jwks(UNUSABLE[answer])

    with pytest.raises(SigningKeysUnavailableError):
        jwks_at.keys().keys(now=NOW)
    assert [str(request.url) for request in jwks_at.requests] == [URL]


def test_a_document_without_an_end_is_not_read_to_it() -> None:
    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return endless()

    keys = JwksKeys(
        URL, transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=Endless()))
    )

    with pytest.raises(SigningKeysUnavailableError):
        keys.keys(now=NOW)


def test_a_document_of_the_largest_size_is_read() -> None:
    document = jwks(OLD).content
    padded = document + b" " * (MAX_DOCUMENT - len(document))
    keys = Jwks(httpx.Response(200, content=padded)).keys()

    assert list(keys.keys(now=NOW)) == [OLD]


def test_an_answer_is_not_awaited_for_long() -> None:
    jwks_at = Jwks(jwks(OLD))

    jwks_at.keys().keys(now=NOW)

    assert jwks_at.requests[0].extensions["timeout"] == dict.fromkeys(
        ("connect", "read", "write", "pool"), 2.0
    )


def test_a_document_that_trickles_is_not_awaited_to_its_end() -> None:
    document = jwks(OLD).content
    seconds = iter(range(1000))

    class Trickle(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield from (document[at : at + 1] for at in range(len(document)))

    keys = JwksKeys(
        URL,
        transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=Trickle())),
        tick=lambda: float(next(seconds)),
    )

    with pytest.raises(SigningKeysUnavailableError):
        keys.keys(now=NOW)
    assert next(seconds) < 10


def test_nobody_is_asked_to_pack_a_document() -> None:
    jwks_at = Jwks(jwks(OLD))

    jwks_at.keys().keys(now=NOW)

    assert jwks_at.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "url", ["http://rest.fal.ai/jwks.json", "file:///jwks.json", "rest.fal.ai"]
)
def test_keys_come_over_https_alone(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        JwksKeys(url)
