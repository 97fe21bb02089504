"""What fal's key has signed for the job, and is odd all the same: an answer of 2xx or 4xx, never 5xx."""

import base64
import json
import random
from typing import Any

import pytest

from functions.webhook.handler import handler
from lora_drop.jobs.ids import webhook_token
from lora_drop.jobs.status import Status
from tests.support.builders import REQUEST_ID, SECRET, make_job, signed, webhook_body
from tests.support.lambda_environment import Context, House, event

URL = "https://v3.fal.media/files/a/b"
LONG = "x" * 200_000
DEEP: Any = 0
for _ in range(150):
    DEEP = [DEEP]
FAILURES: dict[str, Any] = {
    "a long type": {"error_type": LONG[:100_000], "detail": LONG[:100_000]},
    "types that are none": {"error_type": ["x"], "detail": [{"type": {"a": 1}, "msg": [1]}]},
    "5,000 details": {"detail": [{"type": "x", "msg": "y"}] * 5000},
    "details of all kinds": {"detail": [None, 7, "x", [], {}, {"loc": [None, {}]}]},
    "control characters": {"detail": "\x00\x1b[31m\r\n\u202e", "error_type": "\x00"},
    "any script": {"detail": "\U0001f600\u5199\u771f\u0663"},
    "a list": [1, 2],
    "a text": "x",
    "deep": DEEP,
}
FILE = {"url": URL, "file_name": "x.json"}
SUCCESSES: dict[str, Any] = {
    "6,000 files": {"files": [{"url": "x", "content_type": "a/json"}] * 6000},
    "3,000 outputs": {f"{n}": FILE for n in range(3000)},
    "a long address": {"lora_file": {"url": LONG}},
    "a long name": {"lora_file": {"url": URL}, "x": FILE | {"file_name": LONG + ".json"}},
    "a long kind": {"lora_file": {"url": URL, "content_type": LONG}},
    "a large size": {"lora_file": {"url": URL, "file_size": 10**4000}},
    "sizes that are none": {"lora_file": {"url": URL, "file_size": -(2**70)}},
    "hostile addresses": {"lora_file": {"url": "\x00\r\n\u202e@::://"}},
    "names of paths": {"x": FILE | {"file_name": "../../status.json"}, "\x00": FILE},
    "an output without a name": {"": FILE},
    "a text": "x",
    "a list": [FILE],
    "deep": {"lora_file": DEEP},
    "floats": {"lora_file": {"url": URL, "file_size": 1e308}, "loss": float("nan")},
}


def status_of(house: House, body: bytes, number: int = 0) -> int:
    """What a job at fal answers to this body, that fal has signed."""
    job = house.holds(make_job(Status.TRAINING, job_id=f"ada-{number:010}"))
    request = event("webhook_ok")
    old = request["path"].split("/")
    token = webhook_token(SECRET, job.job_id)
    request |= {
        "path": "/".join([*old[:-2], job.job_id, token]),
        "multiValueHeaders": signed(body),
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }
    status: int = handler(request, Context())["statusCode"]
    return status


@pytest.mark.parametrize("case", FAILURES)
def test_an_odd_failure_is_a_failure(house: House, case: str) -> None:
    body = webhook_body(status="ERROR", error="Invalid status code: 422", payload=FAILURES[case])

    assert status_of(house, body) == 200


@pytest.mark.parametrize("case", SUCCESSES)
def test_an_odd_success_is_a_success(house: House, case: str) -> None:
    assert status_of(house, webhook_body(payload=SUCCESSES[case])) == 200


@pytest.mark.parametrize("error", [LONG, "", 7, None, ["x"], {"a": DEEP}, 1e308, True])
def test_an_odd_reason_is_one(house: House, error: object) -> None:
    assert status_of(house, webhook_body(status="ERROR", error=error, payload=None)) == 200


def test_a_body_that_is_damaged_before_it_is_signed_is_no_trouble_of_ours(house: House) -> None:
    chance = random.Random(20261125)  # noqa: S311  # the same ones every time
    whole = webhook_body()
    statuses = set()

    for number in range(100):
        at = chance.randrange(len(whole))
        damaged = bytearray(whole)
        damaged[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        statuses.add(status_of(house, bytes(damaged), number))

    assert statuses <= {200, 401, 409}
    assert json.loads(whole)["request_id"] == REQUEST_ID
