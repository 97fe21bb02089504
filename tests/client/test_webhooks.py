"""``lora_drop.webhooks.unwrap``: fal's deliveries at an address of one's own."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from lora_drop import webhooks
from lora_drop.adapters.signing_keys import JwksKeys
from lora_drop.fal.hosts import JWKS_URL
from lora_drop.jobs.errors import InvalidSignatureError, SigningKeysUnavailableError
from lora_drop.webhooks import FailedTraining, File, TrainingResult, unwrap
from tests.support.builders import KEY, NOW, REQUEST_ID, USER_ID, signed
from tests.support.memory import MemoryKeys
from tests.support.vectors.container import answer_of
from tests.support.vectors.make import FILE

PUBLISHED = json.loads(FILE.read_text())
GROUPS = {group["name"]: group for group in PUBLISHED["groups"]}
ROOT = Path(__file__).parents[2]
KEYS = MemoryKeys(known=[bytes(KEY.verify_key)])
LORA: Mapping[str, Any] = {
    "url": "https://v3.fal.media/files/a/lora.safetensors",
    "content_type": "application/octet-stream",
    "file_name": "trained_lora.safetensors",
    "file_size": 144_041_920,
    "file_data": None,
}
CONFIG: Mapping[str, Any] = {"url": "https://v3.fal.media/files/a/config.json", "file_size": "4404"}
OK = {"diffusers_lora_file": LORA, "config_file": CONFIG, "note": "none"}


def delivery(**fields: Any) -> bytes:
    return json.dumps({"request_id": REQUEST_ID, "status": "OK", **fields}).encode()


def verdict(test: Mapping[str, Any]) -> str:
    """The verdict of ``unwrap`` on a published vector, in the words of the vectors."""
    serves: dict[str, Any] = {"status": 200, "document": (test["cached"] or {}).get("document")}
    wire = httpx.MockTransport(lambda _: answer(serves))
    keys = JwksKeys(JWKS_URL, wire)
    if test["cached"]:
        with suppress(SigningKeysUnavailableError):
            keys.keys(now=moment(test["cached"]["fetched_at"]))
    serves.clear()
    serves |= test["endpoint"]
    body, user_id = base64.b64decode(test["body"]), test["user_id"] or None
    headers = [(name, value) for name, value in test["headers"]]
    try:
        unwrap(body, headers, user_id=user_id, keys=keys, now=moment(test["now"]))
    except InvalidSignatureError:
        return "refused"
    except SigningKeysUnavailableError:
        return "unavailable"
    return "accepted"


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def answer(endpoint: Mapping[str, Any]) -> httpx.Response:
    said = answer_of(endpoint, PUBLISHED["documents"])
    if isinstance(said, Exception):
        raise said
    return said


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("group", GROUPS)
def test_unwrap_agrees_with_the_published_vectors(group: str) -> None:
    """``lora_drop.webhooks.unwrap`` accepts the deliveries that the published vectors accept, and no other."""
    tests = [
        {**PUBLISHED["usual"], **GROUPS[group]["usual"], **each} for each in GROUPS[group]["tests"]
    ]
    wanted = {
        "stale": "refused"
    }  # to who receives it, a delivery that is too old is one like others
    wrong = [
        (test["id"], got)
        for test in tests
        if (got := verdict(test)) != wanted.get(test["verdict"], test["verdict"])
    ]
    assert wrong == []


def test_result_has_every_field_of_its_files() -> None:
    body = delivery(payload=OK)
    result = unwrap(body, signed_headers(body), user_id=USER_ID, keys=KEYS, now=NOW)
    assert isinstance(result, TrainingResult)
    assert (result.request_id, result.user_id) == (REQUEST_ID, USER_ID)
    assert result.lora == File(output="diffusers_lora_file", **LORA)
    # A size that is no number is none.
    assert result.config == File(output="config_file", url=CONFIG["url"])


@pytest.mark.parametrize("payload", [None, [], "lost"])
def test_result_without_its_payload_has_no_files(payload: object) -> None:
    body = delivery(payload=payload, payload_error="not serializable")
    result = unwrap(body, signed_headers(body), user_id=None, keys=KEYS, now=NOW)
    assert result == TrainingResult(REQUEST_ID, USER_ID, ())
    assert result.lora is None


def test_failure_has_its_problem() -> None:
    detail = [{"loc": ["body"], "msg": "No images.", "type": "image_load_error"}]
    body = delivery(status="ERROR", error="Invalid status code: 422", payload={"detail": detail})
    failure = unwrap(body, signed_headers(body), user_id=USER_ID, keys=KEYS, now=NOW)
    assert isinstance(failure, FailedTraining)
    assert failure.problem.message.startswith("fal ended the training: No images.")


FORMS: Mapping[str, Callable[[Mapping[str, list[str]]], Any]] = {
    "a mapping to texts": lambda headers: {name: one for name, [one] in headers.items()},
    "a mapping to lists": lambda headers: headers,
    "pairs of bytes": lambda headers: [
        (name.lower().encode(), one.encode()) for name, [one] in headers.items()
    ],
    "httpx": lambda headers: httpx.Headers({name: one for name, [one] in headers.items()}),
}


@pytest.mark.parametrize("form", FORMS)
def test_headers_come_in_any_form(form: str) -> None:
    body = delivery(payload=OK)
    headers = FORMS[form](signed_headers(body))
    assert unwrap(body, headers, user_id=USER_ID, keys=KEYS, now=NOW).request_id == REQUEST_ID


@pytest.mark.parametrize(
    "form", ["twice", "changed body", "another user", "another request", "not OK"]
)
def test_what_fal_did_not_say_is_refused(form: str) -> None:
    body = delivery(payload=OK, **({"status": "DONE"} if form == "not OK" else {}))
    signing = "other" if form == "another request" else REQUEST_ID
    headers = [(name, one) for name, [one] in signed_headers(body, request_id=signing).items()]
    if form == "twice":
        headers += headers[-1:]
    if form == "changed body":
        body += b" "
    user_id = "another" if form == "another user" else USER_ID
    with pytest.raises(InvalidSignatureError):
        unwrap(body, headers, user_id=user_id, keys=KEYS, now=NOW)


@pytest.mark.parametrize("value", [None, 7, [None], [7], 1.5, bytearray(b"x")], ids=repr)
def test_a_header_that_is_no_text_is_refused(value: object) -> None:
    """In the place of each of the headers that fal signs with."""
    body = delivery(payload=OK)
    for name in signed_headers(body):
        given: Any = signed_headers(body) | {name: value}
        with pytest.raises(InvalidSignatureError):
            unwrap(body, given, user_id=USER_ID, keys=KEYS, now=NOW)


def signed_headers(body: bytes, *, request_id: str = REQUEST_ID) -> dict[str, list[str]]:
    return signed(body, request_id=request_id, user_id=USER_ID, at=NOW, key=KEY)


def test_documented_receiver_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program in docs/developers.md answers 200, 401 and 503 as it says."""
    text = (ROOT / "docs" / "developers.md").read_text()
    [program] = [
        block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "unwrap" in block
    ]
    names: dict[str, Any] = {}
    exec(program, names)  # noqa: S102  # it is our own
    body = delivery(payload=OK)
    headers = signed(body, user_id="your-user-id-at-fal", at=datetime.now(UTC))
    monkeypatch.setattr(webhooks, "_fal_keys", lambda: KEYS)
    assert names["fal_webhook"](body, headers) == 200
    assert names["fal_webhook"](body + b" ", headers) == 401
    unreachable = httpx.MockTransport(lambda _: httpx.Response(503))
    monkeypatch.setattr(webhooks, "_fal_keys", lambda: JwksKeys(JWKS_URL, unreachable))
    assert names["fal_webhook"](body, headers) == 503
