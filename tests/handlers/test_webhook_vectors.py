"""Our published vectors, odd deliveries that fal signed, and floods of those that it did not."""

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from nacl.signing import SigningKey

from functions.webhook.handler import handler
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import REQUEST_ID, USER_ID, make_job, signed, webhook_body
from tests.support.lambda_environment import Context, LambdaEnvironment, recorded
from tests.support.lambda_events import Request, webhook_event
from tests.support.vectors.container import ANSWERS, Container, Outcome
from tests.support.vectors.make import FILE, text
from tests.support.vectors.scheme import USUAL

PUBLISHED = json.loads(FILE.read_text())
GROUPS = {group["name"]: group for group in PUBLISHED["groups"]}
# The fast suite runs every thirteenth vector of each long group.
whole_or_sample = pytest.mark.parametrize("every", [13, pytest.param(1, marks=pytest.mark.proof)])


@pytest.mark.promise("interfaces stay")
def test_vectors_match_their_script() -> None:
    """The published webhook vectors are what their script makes, and none of them is lost."""
    assert FILE.read_text() == text(), "stale; run: python -m tests.support.vectors.make"
    sizes = {name: len(group["tests"]) for name, group in GROUPS.items()}
    body = len(USUAL["body"]) * 3 // 4
    assert PUBLISHED["tests"] == sum(sizes.values()) > 200
    assert sizes["headers"] >= 4 * 16
    assert sizes["bit flips"] > 8 * (body - 3)
    assert sizes["key sets"] == 13 * 9
    ids = [test["id"] for group in GROUPS.values() for test in group["tests"]]
    assert ids == list(range(1, PUBLISHED["tests"] + 1))


def vectors(group: Mapping[str, Any], every: int) -> Iterator[dict[str, Any]]:
    for test in group["tests"][::every]:
        yield {**PUBLISHED["usual"], **group["usual"], **test}


@pytest.mark.promise("nothing leaks")
@whole_or_sample
@pytest.mark.parametrize("group", GROUPS)
def test_vector_gets_its_verdict(environment: LambdaEnvironment, group: str, every: int) -> None:
    """A delivery that fal did not sign for this account, just now, changes nothing, whatever its form."""
    container = Container(environment, PUBLISHED["documents"])
    wrong = []
    for test in vectors(GROUPS[group], every if len(GROUPS[group]["tests"]) > 20 else 1):
        outcome = container.deliver(test)
        if (outcome.status, outcome.code) != ANSWERS[test["verdict"]]:
            wrong.append((test["id"], test["says"], outcome))
        assert outcome.fetches <= 1, test["says"]
        assert _harmless(test, outcome), (test["says"], outcome.written)
        environment.internet.requests.clear()
    assert wrong == []


def _harmless(test: Mapping[str, Any], outcome: Outcome) -> bool:
    """Whether nothing was written that should not have been."""
    if test["verdict"] == "accepted":
        return True
    done = {(call.service, call.operation) for call in outcome.written}
    if test["reason"] == "body":  # fal has signed it for this job: it is kept for a person to read
        return done == {("s3", "PutObject")}
    return done <= ({("lambda", "Invoke")} if test["verdict"] == "stale" else set())


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
OUTPUT = {"url": URL, "file_name": "x.json"}
SUCCESSES: dict[str, Any] = {
    "6,000 files": {"files": [{"url": "x", "content_type": "a/json"}] * 6000},
    "3,000 outputs": {f"{n}": OUTPUT for n in range(3000)},
    "a long address": {"lora_file": {"url": LONG}},
    "a long name": {"lora_file": {"url": URL}, "x": OUTPUT | {"file_name": LONG + ".json"}},
    "a long kind": {"lora_file": {"url": URL, "content_type": LONG}},
    "a large size": {"lora_file": {"url": URL, "file_size": 10**4000}},
    "invalid sizes": {"lora_file": {"url": URL, "file_size": -(2**70)}},
    "hostile addresses": {"lora_file": {"url": "\x00\r\n\u202e@::://"}},
    "names of paths": {"x": OUTPUT | {"file_name": "../../status.json"}, "\x00": OUTPUT},
    "an output without a name": {"": OUTPUT},
    "a text": "x",
    "a list": [OUTPUT],
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


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("case", SIGNED)
def test_odd_signed_delivery_is_accepted(environment: LambdaEnvironment, case: str) -> None:
    """A delivery that fal signed is taken in, however odd its payload is."""
    status, error, payload = SIGNED[case]
    how = {} if status == "OK" else {"status": status, "error": error}
    job = environment.add_job(make_job(Status.TRAINING))
    body = webhook_body(**how, payload=payload)
    assert handler(webhook_event(job.job_id, body, encoded=True), Context())["statusCode"] == 200


STEP = timedelta(milliseconds=200)
STRANGER = SigningKey(bytes(32))
KINDS = ("forged", "foreign", "stale", "body", "guessed", "encoding", "noise", "huge")


@dataclass
class Forger:
    """Makes deliveries that are each wrong in one way; the same ones every time."""

    environment: LambdaEnvironment
    job: Job
    chance: random.Random

    def request(
        self, body: bytes, *, headers: Mapping[str, list[str]] | None = None, **how: Any
    ) -> Request:
        """A request of API Gateway's; without more, it is fal's own."""
        sent = signed(body, **{"at": self.environment.clock.now, **how})
        event = webhook_event(self.job.job_id, body, headers or sent, encoded=True)
        return event | {"headers": None}

    def made(self, kind: str) -> Request:
        """A delivery that is wrong in this way (one of KINDS)."""
        choice, whole, now = self.chance.choice, webhook_body(), self.environment.clock.now
        match kind:
            case "forged":
                made = self.request(whole, key=STRANGER)
            case "foreign":
                users = ["user_2", "user_", f"{USER_ID}0", "0", "USER_1"]
                made = self.request(whole, user_id=choice(users))
            case "stale":
                age = timedelta(seconds=choice([301, 3600, 86_400, -301, -3600]))
                made = self.request(whole, at=now - age)
            case "body":
                noise = self.chance.randbytes(self.chance.randrange(1, 200))
                other = choice([whole[:-9], whole + noise, noise, b"{}"])
                made = self.request(other, headers=signed(whole, at=now))
            case "guessed":
                token = choice(["", "0" * 32, "%00", "..", "\ud800", "x" * 500])
                job_id = choice([self.job.job_id, "ada", "../x", "\u00e9", "x" * 300])
                made = self.request(whole) | {"path": f"/webhooks/fal/{job_id}/{token}"}
            case "encoding":
                text = choice(["", "=", "a", "!!!!", "\ud800", "\u00e9" * 9, "[" * 9000, None])
                made = self.request(whole) | {
                    "body": text,
                    "isBase64Encoded": choice([True, False]),
                }
            case "noise":
                letters = [chr(self.chance.randrange(0x110000)) for _ in range(40)]
                headers = {"".join(letters[n : n + 9]): letters[n : n + 3] for n in range(9)}
                event = self.request(whole, headers=headers)
                made = event | {"body": "".join(letters), "isBase64Encoded": False}
            case _:
                made = self.request(
                    choice([b"[", b"0", b" "]) * self.chance.randrange(262_145, 300_000)
                )
        return made


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
    often = [*KINDS[:-1]] * 20 + ["huge"]

    with recorded() as calls:
        for number in range(deliveries):
            environment.clock.now = begun + number * STEP
            kind = forger.chance.choice(often)
            status = handler(forger.made(kind), Context())["statusCode"]
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
