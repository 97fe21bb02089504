"""Ten thousand deliveries that nobody should believe, to one container, while its clock goes on."""

import base64
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
from lora_drop.jobs.ids import webhook_token
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import REQUEST_ID, SECRET, USER_ID, make_job, signed, webhook_body
from tests.support.calls import recorded
from tests.support.lambda_environment import Context, House, event

DELIVERIES = 10_000
STEP = timedelta(milliseconds=200)
STRANGER = SigningKey(bytes(32))
NAMES = tuple(signed(b""))
JUNK = "\x00\n\r\t ,;+-_%\u0663\uff11\U0001f600\ud800/\\\"'A0z"
type Request = dict[str, Any]


@dataclass
class Forger:
    """Makes a delivery that is wrong in one way; the same ones every time."""

    house: House
    job: Job
    chance: random.Random

    def delivery(self, kind: str) -> Request:
        made: Request = KINDS[kind](self)
        return made

    def request(
        self,
        body: bytes = b"",
        headers: Mapping[str, list[str]] | None = None,
        *,
        path: str = "",
        packed: bool = True,
    ) -> Request:
        """A request of API Gateway's; without more, it is fal's own."""
        body = body or webhook_body()
        token = webhook_token(SECRET, self.job.job_id)
        return {
            **event("webhook_ok"),
            "path": path or f"/webhooks/fal/{self.job.job_id}/{token}",
            "headers": None,
            "multiValueHeaders": dict(self.signed(body) if headers is None else headers),
            "body": base64.b64encode(body).decode() if packed else body.decode("latin-1"),
            "isBase64Encoded": packed,
        }

    def signed(self, body: bytes, **how: Any) -> dict[str, list[str]]:
        return signed(body, **{"at": self.house.clock.now, **how})

    def forged(self) -> Request:
        return self.request(headers=self.signed(webhook_body(), key=STRANGER))

    def foreign(self) -> Request:
        user = self.chance.choice(["user_2", "user_", f"{USER_ID}0", "0", "USER_1"])
        return self.request(headers=self.signed(webhook_body(), user_id=user))

    def stale(self) -> Request:
        age = self.chance.choice([301, 3600, 86_400, -301, -3600])
        at = self.house.clock.now - timedelta(seconds=age)
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

    def packing(self) -> Request:
        text = self.chance.choice(["", "=", "a", "!!!!", "\ud800", "\u00e9" * 9, "[" * 9000, None])
        packed = self.chance.random() < 0.5
        return self.request() | {"body": text, "isBase64Encoded": packed}

    def huge(self) -> Request:
        body = self.chance.choice([b"[", b"0", b" "]) * self.chance.randrange(262_145, 300_000)
        return self.request(body, packed=self.chance.random() < 0.5)

    def noise(self) -> Request:
        letters = [chr(self.chance.randrange(0x110000)) for _ in range(40)]
        headers = {"".join(letters[n : n + 9]): letters[n : n + 3] for n in range(9)}
        return self.request(headers=headers) | {"body": "".join(letters), "isBase64Encoded": False}


KINDS: Mapping[str, Callable[[Forger], Request]] = {
    each.__name__: each
    for each in (
        *(Forger.forged, Forger.foreign, Forger.stale, Forger.guessed, Forger.header),
        *(Forger.body, Forger.packing, Forger.noise, Forger.huge),
    )
}


def expected(kind: str) -> int:
    return 404 if kind == "guessed" else 401


@pytest.fixture
def job(house: House) -> Job:
    house.aws.function(house.environment()["RECONCILE_FUNCTION"])
    return house.holds(make_job(Status.TRAINING, request_id=REQUEST_ID))


def test_ten_thousand_false_deliveries_write_nothing_and_break_nothing(
    house: House, job: Job
) -> None:
    forger = Forger(house, job, random.Random(20261125))  # noqa: S311  # the same ones every time
    begun = house.clock.now
    wrong: Counter[tuple[str, int]] = Counter()
    often = [kind for kind in KINDS if kind != "huge"] * 20 + ["huge"]

    with recorded() as calls:
        for number in range(DELIVERIES):
            house.clock.now = begun + number * STEP
            kind = forger.chance.choice(often)
            status = handler(forger.delivery(kind), Context())["statusCode"]
            if status != expected(kind):
                wrong[kind, status] += 1
            if number % 500 == 0:
                house.said()  # what was logged is let go

    minutes = (house.clock.now - begun) / timedelta(minutes=1)
    asked = [call for call in calls if call.writes]
    assert wrong == {}
    assert {call.operation for call in asked} == {"Invoke"}  # fal is asked about the stale ones
    assert len(asked) <= minutes + 1
    assert 1 < len(house.internet.requests) <= minutes + 1
    assert {each.url.host for each in house.internet.requests} == {"rest.fal.ai"}
    assert (house.job(job.job_id), house.files()) == (job, {})
    assert house.aws.messages(house.results) == house.aws.messages(house.inbox) == []


@pytest.mark.parametrize("answer", [httpx.ConnectError("down"), httpx.Response(500)])
def test_while_the_keys_cannot_be_had_they_are_not_asked_for_more_often(
    house: House, job: Job, answer: httpx.Response | Exception
) -> None:
    forger = Forger(house, job, random.Random(20261125))  # noqa: S311  # the same ones every time
    house.internet.says["rest.fal.ai"] = answer
    begun = house.clock.now
    statuses: Counter[int] = Counter()

    with recorded() as calls:
        for number in range(600):
            house.clock.now = begun + number * STEP
            kind = forger.chance.choice(["forged", "foreign", "stale", "body"])
            statuses[handler(forger.delivery(kind), Context())["statusCode"]] += 1

    assert statuses == {503: 600}
    assert len(house.internet.requests) == 2
    assert [call for call in calls if call.writes] == []
    assert house.job(job.job_id) == job
