"""A webhook delivery is kept and taken in once its token, its signature and its request are right."""

import json
from datetime import timedelta
from typing import Any

import pytest
from nacl.signing import SigningKey

from lora_drop.jobs.errors import (
    ForeignRequestError,
    InvalidWebhookError,
    JobNotFoundError,
    SigningKeysUnavailableError,
)
from lora_drop.jobs.job import Job, Status
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


@pytest.mark.promise("never lose a result")
def test_success_is_recorded_and_handed_over(world: World, job: Job) -> None:
    """A success is recorded and handed over."""
    delivered = deliver(world, job, webhook_body())

    assert delivered.status is Status.STORING
    assert {artifact.name: artifact.url for artifact in delivered.artifacts} == {
        artifact.name: artifact.url for artifact in ARTIFACTS
    }
    assert world.queue.handed == [job.job_id]


def test_success_without_result_is_a_success(world: World, job: Job) -> None:
    """A success without its result is still a success."""
    body = webhook_body(payload=None, payload_error="Response payload is not JSON serializable.")
    delivered = deliver(world, job, body)

    assert (delivered.status, delivered.artifacts) == (Status.STORING, ())
    assert world.queue.handed == [job.job_id]


MODEL_ERROR = {
    "detail": [
        {
            "loc": ["body", "images_data_url"],
            "msg": "Failed to load the image.",
            "type": "image_load_error",
        }
    ]
}


ERROR_OBJECT = {"code": 7}


REQUEST_ERROR = {"detail": "Request timed out", "error_type": "request_timeout"}


@pytest.mark.parametrize(
    ("payload", "code", "says"),
    [
        (MODEL_ERROR, "fal_image_load_error", "Failed to load the image."),
        (REQUEST_ERROR, "fal_request_timeout", "Request timed out"),
        (None, "fal_unknown", "Invalid status code: 422"),
    ],
    ids=["the model's", "fal's", "none"],
)
def test_failure_is_recorded(world: World, job: Job, payload: object, code: str, says: str) -> None:
    """A failure is recorded in each of fal's forms."""
    body = webhook_body(status="ERROR", error="Invalid status code: 422", payload=payload)
    delivered = deliver(world, job, body)

    assert (delivered.status, delivered.problems[0].code) == (Status.FAILED, code)
    assert says in delivered.problems[0].message
    assert world.queue.handed == []


@pytest.mark.parametrize("error", [ERROR_OBJECT, ["x"], 7, None])
def test_failure_needs_no_reason(world: World, job: Job, error: object) -> None:
    """A failure needs no reason in words."""
    delivered = deliver(world, job, webhook_body(status="ERROR", error=error, payload=None))

    assert delivered.status is Status.FAILED


def test_same_delivery_changes_nothing(world: World, job: Job) -> None:
    first = deliver(world, job, webhook_body())

    assert deliver(world, job, webhook_body()) == first


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("token", ["", "0" * 32, "\u00e9" * 32, "x"])
def test_guessed_token_learns_nothing(world: World, job: Job, token: str) -> None:
    """A request with a guessed token learns and changes nothing."""
    with pytest.raises(JobNotFoundError):
        deliver(world, job, webhook_body(), token=token)

    assert world.job(job.job_id) == job


def test_unknown_job_is_reported(world: World) -> None:
    """A job we do not have is reported as such."""
    with pytest.raises(JobNotFoundError):
        deliver(world, make_job(Status.SUBMITTED), webhook_body())


def test_other_customers_signature_is_refused(world: World, job: Job) -> None:
    """A signature of fal's for another customer is refused."""
    with pytest.raises(InvalidWebhookError, match="another user"):
        deliver(world, job, webhook_body(), user_id="user_2")

    assert world.job(job.job_id) == job


def test_unknown_user_id_accepts_any_customer(world: World, job: Job) -> None:
    """Without a user ID of ours any customer with the token is heard."""
    world.fal_user_id = ""

    assert deliver(world, job, webhook_body(), user_id="user_2").status is Status.STORING


def test_different_requests_are_refused(world: World, job: Job) -> None:
    """Header and body must name the same request."""
    with pytest.raises(InvalidWebhookError, match="different requests"):
        deliver(world, job, webhook_body(), request_id=OTHER_REQUEST)

    assert world.job(job.job_id) == job


@pytest.mark.promise("never pay twice")
def test_foreign_request_is_refused(world: World, job: Job) -> None:
    """Another request is refused even when fal signed it."""
    body = webhook_body(request_id=OTHER_REQUEST)
    with pytest.raises(ForeignRequestError):
        deliver(world, job, body, request_id=OTHER_REQUEST)

    assert world.job(job.job_id) == job


def test_gateway_id_does_not_matter(world: World, job: Job) -> None:
    """The gateways own ID does not matter."""
    delivered = deliver(world, job, webhook_body(gateway_request_id=OTHER_REQUEST))

    assert delivered.status is Status.STORING


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "ok", ""])
def test_undocumented_status_is_refused(world: World, job: Job, status: str) -> None:
    """A status that fal does not document is refused."""
    with pytest.raises(InvalidWebhookError, match="unknown status"):
        deliver(world, job, webhook_body(status=status))

    assert world.job(job.job_id) == job


NOT_WEBHOOKS: dict[str, bytes] = {
    "nothing": b"",
    "text": b"OK",
    "a list": b"[]",
    "null": b"null",
    "no request": b'{"status": "OK"}',
    "a number for a request": b'{"request_id": 7, "status": "OK"}',
    "not UTF-8": b"\xff\xfe",
    "deep": b"[" * 100_000,
    "a long number": b'{"request_id": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("case", NOT_WEBHOOKS)
def test_signed_nonsense_is_refused(world: World, job: Job, case: str) -> None:
    """A signed body that is no webhook is refused."""
    with pytest.raises(InvalidWebhookError):
        deliver(world, job, NOT_WEBHOOKS[case])

    assert world.job(job.job_id) == job


def test_large_number_does_no_harm(world: World, job: Job) -> None:
    """A number larger than any of ours does no harm."""
    payload = {**json.loads(webhook_body())["payload"], "seed": 17454220438242315174}

    assert deliver(world, job, webhook_body(payload=payload)).status is Status.STORING


@pytest.mark.promise("nothing leaks")
def test_strangers_signature_is_refused(world: World, job: Job) -> None:
    """A stranger's signature is refused and nothing is written."""
    with pytest.raises(InvalidWebhookError):
        deliver(world, job, webhook_body(), key=STRANGER)

    assert world.job(job.job_id) == job
    assert world.results.files == {}


def test_new_key_is_fetched(world: World, job: Job) -> None:
    """A key that fal has just added is fetched and believed."""
    world.keys = MemoryKeys(known=[bytes(KEY.verify_key)], newer=[bytes(NEW_KEY.verify_key)])
    delivered = deliver(world, job, webhook_body(), key=NEW_KEY)

    assert delivered.status is Status.STORING
    assert world.keys.refreshes == 1


def test_known_key_asks_for_no_others(world: World, job: Job) -> None:
    """A signature of a key at hand asks for no others."""
    deliver(world, job, webhook_body())

    assert world.keys.refreshes == 0


def test_new_keys_stale_delivery_is_refused(world: World, job: Job) -> None:
    """A stale delivery of a new key is refused as well."""
    world.keys = MemoryKeys(known=[bytes(KEY.verify_key)], newer=[bytes(NEW_KEY.verify_key)])

    with pytest.raises(InvalidWebhookError):
        deliver(world, job, webhook_body(), key=NEW_KEY, at=NOW - timedelta(hours=1))


def test_missing_keys_accuse_no_sender(world: World, job: Job) -> None:
    """Without any key no one is called a forger."""

    class NoKeys(MemoryKeys):
        def keys(self, *, now: Any) -> Any:
            raise SigningKeysUnavailableError(f"down at {now}")

    world.keys = NoKeys()

    with pytest.raises(SigningKeysUnavailableError):
        deliver(world, job, webhook_body())


@pytest.mark.promise("never lose a result")
def test_webhook_resolves_an_unknown_submission(world: World) -> None:
    """Evidence with our token resolves a doubtful submission."""
    job = world.holds(make_job(Status.SUBMIT_UNKNOWN))
    delivered = deliver(world, job, webhook_body())

    assert (delivered.status, delivered.request_id) == (Status.STORING, REQUEST_ID)
