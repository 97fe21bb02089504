"""Odd deliveries that fal signed, and floods of those that it did not, to one container while its clock goes on."""

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from nacl.signing import SigningKey

from functions.webhook.handler import handler
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import REQUEST_ID, USER_ID, make_job, signed, webhook_body
from tests.support.lambda_environment import Context, LambdaEnvironment, recorded
from tests.support.lambda_events import Request, webhook_event

URL = "https://v3.fal.media/files/a/b"
LONG = "x" * 200_000
DEEP: Any = 0
for _ in range(150):
    DEEP = [DEEP]
FAILURES: dict[str, Any] = {
    "a long type": {"error_type": LONG[:100_000], "detail": LONG[:100_000]},
    "invalid types": {"error_type": ["x"], "detail": [{"type": {"a": 1}, "msg": [1]}]},
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
    "invalid sizes": {"lora_file": {"url": URL, "file_size": -(2**70)}},
    "hostile addresses": {"lora_file": {"url": "\x00\r\n\u202e@::://"}},
    "names of paths": {"x": FILE | {"file_name": "../../status.json"}, "\x00": FILE},
    "an output without a name": {"": FILE},
    "a text": "x",
    "a list": [FILE],
    "deep": {"lora_file": DEEP},
    "floats": {"lora_file": {"url": URL, "file_size": 1e308}, "loss": float("nan")},
}
REASONS = [LONG, "", 7, None, ["x"], {"a": DEEP}, 1e308, True]
FAILED = "Invalid status code: 422"
SIGNED = {
    **{f"failure: {name}": ("ERROR", FAILED, payload) for name, payload in FAILURES.items()},
    **{f"success: {name}": ("OK", None, payload) for name, payload in SUCCESSES.items()},
    **{f"reason {number}": ("ERROR", reason, None) for number, reason in enumerate(REASONS)},
}


def status_of(environment: LambdaEnvironment, body: bytes, number: int = 0) -> int:
    """What is answered to this body, which fal has signed, for a job at fal."""
    job = environment.add_job(make_job(Status.TRAINING, job_id=f"ada-{number:010}"))
    status: int = handler(webhook_event(job.job_id, body, encoded=True), Context())["statusCode"]
    return status


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("case", SIGNED)
def test_odd_signed_delivery_is_accepted(environment: LambdaEnvironment, case: str) -> None:
    """A delivery that fal signed is taken in, however odd its payload is."""
    status, error, payload = SIGNED[case]
    how = {} if status == "OK" else {"status": status, "error": error}
    assert status_of(environment, webhook_body(**how, payload=payload)) == 200


# Each body is for a job of its own, and moto's transactions copy the whole table.
@pytest.mark.parametrize("bodies", [15, pytest.param(100, marks=pytest.mark.proof)])
def test_body_damaged_before_signing(environment: LambdaEnvironment, bodies: int) -> None:
    """A damaged body that fal signed is answered with 2xx or 4xx, never with 5xx."""
    chance = random.Random(20261125)  # noqa: S311  # the same ones every time
    whole = webhook_body()
    statuses = set()

    for number in range(bodies):
        at = chance.randrange(len(whole))
        damaged = bytearray(whole)
        damaged[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        statuses.add(status_of(environment, bytes(damaged), number))

    assert statuses <= {200, 401, 409}
    assert json.loads(whole)["request_id"] == REQUEST_ID


STEP = timedelta(milliseconds=200)
STRANGER = SigningKey(bytes(32))
NAMES = tuple(signed(b""))
JUNK = "\x00\n\r\t ,;+-_%\u0663\uff11\U0001f600\ud800/\\\"'A0z"


@dataclass
class Forger:
    """Makes deliveries that are each wrong in one way; the same ones every time."""

    environment: LambdaEnvironment
    job: Job
    chance: random.Random

    def request(
        self, body: bytes = b"", headers: Mapping[str, list[str]] | None = None, **how: Any
    ) -> Request:
        """A request of API Gateway's; without more, it is fal's own."""
        body = body or webhook_body()
        headers = self.signed(body) if headers is None else headers
        request = webhook_event(self.job.job_id, body, headers, **{"encoded": True, **how})
        return request | {"headers": None}

    def signed(self, body: bytes, **how: Any) -> dict[str, list[str]]:
        return signed(body, **{"at": self.environment.clock.now, **how})

    def forged(self) -> Request:
        return self.request(headers=self.signed(webhook_body(), key=STRANGER))

    def foreign(self) -> Request:
        user = self.chance.choice(["user_2", "user_", f"{USER_ID}0", "0", "USER_1"])
        return self.request(headers=self.signed(webhook_body(), user_id=user))

    def stale(self) -> Request:
        age = self.chance.choice([301, 3600, 86_400, -301, -3600])
        at = self.environment.clock.now - timedelta(seconds=age)
        return self.request(headers=self.signed(webhook_body(), at=at))

    def guessed(self) -> Request:
        token = self.chance.choice(["", "0" * 32, "%00", "..", "\ud800", "x" * 500])
        token = token or f"{self.chance.getrandbits(128):032x}"
        job_id = self.chance.choice([self.job.job_id, "ada", "../x", "\u00e9", "x" * 300])
        return self.request(path=f"/webhooks/fal/{job_id}/{token}")

    def header(self) -> Request:
        headers = self.signed(webhook_body())
        name = self.chance.choice(NAMES)
        value = headers[name][0]
        at = self.chance.randrange(len(value))
        junk = self.chance.choice(JUNK)
        changed = self.chance.choice(
            [
                *([], [""], [value, value], [f"{value},{value}"], [value * 300], [junk]),
                *([value[:at] + junk + value[at:]], [value[:at]], [value + junk], [junk + value]),
            ]
        )
        return self.request(headers={**headers, name: changed} if changed != [value] else {})

    def body(self) -> Request:
        whole = webhook_body()
        at = self.chance.randrange(len(whole))
        flipped = whole[:at] + bytes([whole[at] ^ 1 << self.chance.randrange(8)]) + whole[at + 1 :]
        noise = self.chance.randbytes(self.chance.randrange(200))
        body = self.chance.choice([flipped, whole[:at], whole + noise, noise, whole[at:], b"{}"])
        return self.request(body + b"\n", self.signed(whole))

    def encoding(self) -> Request:
        text = self.chance.choice(["", "=", "a", "!!!!", "\ud800", "\u00e9" * 9, "[" * 9000, None])
        return self.request() | {"body": text, "isBase64Encoded": self.chance.random() < 0.5}

    def huge(self) -> Request:
        body = self.chance.choice([b"[", b"0", b" "]) * self.chance.randrange(262_145, 300_000)
        return self.request(body, encoded=self.chance.random() < 0.5)

    def noise(self) -> Request:
        letters = [chr(self.chance.randrange(0x110000)) for _ in range(40)]
        headers = {"".join(letters[n : n + 9]): letters[n : n + 3] for n in range(9)}
        return self.request(headers=headers) | {"body": "".join(letters), "isBase64Encoded": False}


KINDS: Mapping[str, Callable[[Forger], Request]] = {
    each.__name__: each
    for each in (
        *(Forger.forged, Forger.foreign, Forger.stale, Forger.guessed, Forger.header),
        *(Forger.body, Forger.encoding, Forger.noise, Forger.huge),
    )
}


@pytest.fixture
def forger(environment: LambdaEnvironment) -> Forger:
    environment.aws.function(environment.variables()["RECONCILE_FUNCTION"])
    job = environment.add_job(make_job(Status.TRAINING, request_id=REQUEST_ID))
    return Forger(environment, job, random.Random(20261125))  # noqa: S311  # the same ones every time


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("deliveries", [700, pytest.param(10_000, marks=pytest.mark.proof)])
def test_flood_writes_and_breaks_nothing(forger: Forger, deliveries: int) -> None:
    """Ten thousand false deliveries change no job; fal is asked at most once a minute."""
    environment, job = forger.environment, forger.job
    begun = environment.clock.now
    wrong: Counter[tuple[str, int]] = Counter()
    often = [kind for kind in KINDS if kind != "huge"] * 20 + ["huge"]

    with recorded() as calls:
        for number in range(deliveries):
            environment.clock.now = begun + number * STEP
            kind = forger.chance.choice(often)
            status = handler(KINDS[kind](forger), Context())["statusCode"]
            if status != (404 if kind == "guessed" else 401):
                wrong[kind, status] += 1
            if number % 500 == 0:
                environment.output_lines()  # what was logged is let go

    minutes = (environment.clock.now - begun) / timedelta(minutes=1)
    writes = [call for call in calls if call.writes]
    assert wrong == {}
    assert {call.operation for call in writes} == {"Invoke"}  # fal is asked about the stale ones
    assert len(writes) <= minutes + 1
    assert 1 < len(environment.internet.requests) <= minutes + 1
    assert {each.url.host for each in environment.internet.requests} == {"rest.fal.ai"}
    assert (environment.job(job.job_id), environment.files()) == (job, {})
    assert environment.aws.messages(environment.results) == []
    assert environment.aws.messages(environment.inbox) == []


@pytest.mark.parametrize("answer", [httpx.ConnectError("down"), httpx.Response(500)])
def test_flood_without_keys_fetches_twice(
    forger: Forger, answer: httpx.Response | Exception
) -> None:
    """While fal's keys cannot be fetched, a flood does not make us ask for them more often."""
    environment = forger.environment
    environment.internet.says["rest.fal.ai"] = answer
    begun = environment.clock.now
    statuses: Counter[int] = Counter()

    with recorded() as calls:
        for number in range(600):
            environment.clock.now = begun + number * STEP
            kind = forger.chance.choice(["forged", "foreign", "stale", "body"])
            statuses[handler(KINDS[kind](forger), Context())["statusCode"]] += 1

    assert statuses == {503: 600}
    assert len(environment.internet.requests) == 2
    assert [call for call in calls if call.writes] == []
    assert environment.job(forger.job.job_id) == forger.job
