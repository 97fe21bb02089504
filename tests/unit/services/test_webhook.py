"""A webhook delivery is kept and taken in once its token, its signature and its request are right."""

import json
from datetime import timedelta
from typing import Any

import pytest
from nacl.signing import SigningKey

from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.errors import (
    ForeignRequestError,
    InvalidWebhookError,
    JobNotFoundError,
    SigningKeysUnavailableError,
)
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import ARTIFACTS, KEY, NOW, REQUEST_ID, make_job, signed, webhook_body
from tests.support.memory import MemoryKeys
from tests.support.world import World

OTHER_REQUEST = "019d9e0b-6eb0-7920-8000-000000000000"
STRANGER = SigningKey(bytes(32))
NEW_KEY = SigningKey(bytes([1] * 32))


@pytest.fixture
def job(world: World) -> Job:
    return world.holds(make_job(Status.SUBMITTED))


def deliver(
    world: World,
    job: Job,
    body: bytes,
    *,
    headers: dict[str, list[str]] | None = None,
    token: str | None = None,
    **signature: Any,
) -> Job:
    return world.webhook_handler.deliver(
        job.job_id,
        world.token(job.job_id) if token is None else token,
        headers or signed(body, **signature),
        body,
    )


@pytest.mark.promise(
    "never pay twice", "A request whose answer was lost is recognised by its webhook."
)
@pytest.mark.promise(
    "never lose a result",
    "A success is recorded and handed over, with the addresses of its files or without.",
)
@pytest.mark.promise(
    "never lose a result", "Evidence with our token resolves a doubtful submission."
)
@pytest.mark.parametrize("status", [Status.SUBMITTED, Status.SUBMIT_UNKNOWN])
@pytest.mark.parametrize(
    ("body", "artifacts"),
    [
        (webhook_body(), ARTIFACTS),
        (webhook_body(payload=None, payload_error="Payload is not JSON serializable."), ()),
    ],
    ids=["with result", "without"],
)
def test_success_is_recorded_and_handed_over(
    world: World, status: Status, body: bytes, artifacts: tuple[Artifact, ...]
) -> None:
    job = world.holds(make_job(status))
    delivered = deliver(world, job, body)
    assert (delivered.status, delivered.request_id) == (Status.STORING, REQUEST_ID)
    named = {(artifact.name, artifact.url) for artifact in delivered.artifacts}
    assert named == {(artifact.name, artifact.url) for artifact in artifacts}
    assert world.queue.handed == [job.job_id]


MODEL_ERROR = {"detail": [{"msg": "Failed to load the image.", "type": "image_load_error"}]}
REQUEST_ERROR = {"detail": "Request timed out", "error_type": "request_timeout"}
IN_WORDS = "Invalid status code: 422"


@pytest.mark.parametrize(
    ("payload", "error", "code", "says"),
    [
        (MODEL_ERROR, IN_WORDS, "fal_image_load_error", "Failed to load the image."),
        (REQUEST_ERROR, IN_WORDS, "fal_request_timeout", "Request timed out"),
        (None, IN_WORDS, "fal_unknown", IN_WORDS),
        *((None, error, "fal_unknown", "") for error in ({"code": 7}, ["x"], 7, None)),
    ],
)
def test_failure_is_recorded(
    world: World, job: Job, payload: object, error: object, code: str, says: str
) -> None:
    """A failure is recorded in each of fal's forms, and needs no reason in words."""
    delivered = deliver(world, job, webhook_body(status="ERROR", error=error, payload=payload))
    assert (delivered.status, delivered.problems[0].code) == (Status.FAILED, code)
    assert says in delivered.problems[0].message
    assert world.queue.handed == []


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("token", ["", "0" * 32, "\u00e9" * 32, "x", "of another job"])
def test_guessed_token_learns_nothing(world: World, job: Job, token: str) -> None:
    """A request with a guessed token or another job's token learns and changes nothing."""
    unknown = make_job(Status.SUBMITTED, job_id="other-0000000000")
    token = world.token(unknown.job_id) if token == "of another job" else token
    with pytest.raises(JobNotFoundError):
        deliver(world, job, webhook_body(), token=token)
    with pytest.raises(JobNotFoundError):
        deliver(world, unknown, webhook_body())
    assert world.job(job.job_id) == job


type Refused = tuple[type[Exception], str, bytes, dict[str, Any]]
UNKNOWN_STATUS = (InvalidWebhookError, "unknown status")
REFUSED: dict[str, Refused] = {
    "another user": (InvalidWebhookError, "another user", webhook_body(), {"user_id": "user_2"}),
    "two requests": (
        *(InvalidWebhookError, "different requests"),
        *(webhook_body(), {"request_id": OTHER_REQUEST}),
    ),
    "another request": (
        *(ForeignRequestError, "."),
        *(webhook_body(request_id=OTHER_REQUEST), {"request_id": OTHER_REQUEST}),
    ),
    "a stranger": (InvalidWebhookError, "no key", webhook_body(), {"key": STRANGER}),
    "a new key, stale": (
        *(InvalidWebhookError, "."),
        *(webhook_body(), {"key": NEW_KEY, "at": NOW - timedelta(hours=1)}),
    ),
    **{
        f"status {status!r}": (*UNKNOWN_STATUS, webhook_body(status=status), {})
        for status in ("COMPLETED", "FAILED", "ok", "")
    },
    **{
        repr(body[:40]): (InvalidWebhookError, ".", body, {})
        for body in (
            *(b"", b"OK", b"[]", b"null", b"\xff\xfe", b'{"status": "OK"}'),
            b'{"request_id": 7, "status": "OK"}',
            b"[" * 100_000,
            b'{"request_id": ' + b"9" * 5000 + b"}",
        )
    },
}


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("case", REFUSED)
def test_wrong_delivery_changes_nothing(world: World, job: Job, case: str) -> None:
    """A delivery that is not fal's, not ours, not of this request or no webhook changes nothing."""
    error, match, body, signature = REFUSED[case]
    world.keys = MemoryKeys(known=[bytes(KEY.verify_key)], newer=[bytes(NEW_KEY.verify_key)])
    with pytest.raises(error, match=match):
        deliver(world, job, body, **signature)
    assert world.job(job.job_id) == job
    assert world.results.files == {}


BIG = {**json.loads(webhook_body())["payload"], "seed": 17454220438242315174}


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        (webhook_body(), {"user_id": "user_2"}),
        (webhook_body(gateway_request_id=OTHER_REQUEST), {}),
        (webhook_body(gateway_request_id=OTHER_REQUEST), {"request_id": OTHER_REQUEST}),
        (webhook_body(payload=BIG), {}),
    ],
    ids=["no user ID of ours", "another gateway ID", "signed for the gateway ID", "a large number"],
)
def test_unusual_deliveries_are_taken_in(
    world: World, job: Job, body: bytes, signature: dict[str, Any]
) -> None:
    """Without a user ID of ours any customer is heard; gateway ID and seed do not matter."""
    world.fal_user_id = "" if "user_id" in signature else world.fal_user_id
    assert deliver(world, job, body, **signature).status is Status.STORING


@pytest.mark.parametrize(("key", "refreshes"), [(NEW_KEY, 1), (KEY, 0)], ids=["new", "known"])
def test_new_key_is_fetched(world: World, job: Job, key: SigningKey, refreshes: int) -> None:
    """A key that fal has just added is fetched and believed; for a known key none is fetched."""
    world.keys = MemoryKeys(known=[bytes(KEY.verify_key)], newer=[bytes(NEW_KEY.verify_key)])
    assert deliver(world, job, webhook_body(), key=key).status is Status.STORING
    assert world.keys.refreshes == refreshes


def test_missing_keys_accuse_no_sender(world: World, job: Job) -> None:
    class NoKeys(MemoryKeys):
        def keys(self, *, now: Any) -> Any:
            raise SigningKeysUnavailableError(f"down at {now}")

    world.keys = NoKeys()
    with pytest.raises(SigningKeysUnavailableError):
        deliver(world, job, webhook_body())
