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


def test_a_success_is_recorded_and_handed_over(world: World, job: Job) -> None:
    delivered = deliver(world, job, webhook_body())

    assert delivered.status is Status.STORING
    assert {artifact.name: artifact.url for artifact in delivered.artifacts} == {
        artifact.name: artifact.url for artifact in ARTIFACTS
    }
    assert world.queue.handed == [job.job_id]


def test_a_success_without_its_result_is_still_a_success(world: World, job: Job) -> None:
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
def test_a_failure_is_recorded_in_each_of_fals_forms(
    world: World, job: Job, payload: object, code: str, says: str
) -> None:
    body = webhook_body(status="ERROR", error="Invalid status code: 422", payload=payload)

    delivered = deliver(world, job, body)

    assert (delivered.status, delivered.problems[0].code) == (Status.FAILED, code)
    assert says in delivered.problems[0].message
    assert world.queue.handed == []


@pytest.mark.parametrize("error", [ERROR_OBJECT, ["x"], 7, None])
def test_a_failure_needs_no_reason_in_words(world: World, job: Job, error: object) -> None:
    delivered = deliver(world, job, webhook_body(status="ERROR", error=error, payload=None))

    assert delivered.status is Status.FAILED


def test_the_same_delivery_again_changes_nothing(world: World, job: Job) -> None:
    first = deliver(world, job, webhook_body())

    assert deliver(world, job, webhook_body()) == first


@pytest.mark.parametrize("token", ["", "0" * 32, "\u00e9" * 32, "x"])
def test_whoever_guesses_the_token_learns_nothing(world: World, job: Job, token: str) -> None:
    with pytest.raises(JobNotFoundError):
        deliver(world, job, webhook_body(), token=token)

    assert world.job(job.job_id) == job


def test_another_jobs_token_opens_nothing(world: World, job: Job) -> None:
    with pytest.raises(JobNotFoundError):
        deliver(world, job, webhook_body(), token=world.token("other-0000000000"))


def test_a_job_we_do_not_have_is_told_as_such(world: World) -> None:
    with pytest.raises(JobNotFoundError):
        deliver(world, make_job(Status.SUBMITTED), webhook_body())


def test_a_signature_of_fals_for_another_customer_is_refused(world: World, job: Job) -> None:
    with pytest.raises(InvalidWebhookError, match="another user"):
        deliver(world, job, webhook_body(), user_id="user_2")

    assert world.job(job.job_id) == job


def test_without_a_user_id_of_ours_any_customer_with_the_token_is_heard(
    world: World, job: Job
) -> None:
    world.fal_user_id = ""

    assert deliver(world, job, webhook_body(), user_id="user_2").status is Status.STORING


def test_header_and_body_must_name_the_same_request(world: World, job: Job) -> None:
    with pytest.raises(InvalidWebhookError, match="different requests"):
        deliver(world, job, webhook_body(), request_id=OTHER_REQUEST)

    assert world.job(job.job_id) == job


def test_another_request_is_refused_even_when_fal_signed_it(world: World, job: Job) -> None:
    body = webhook_body(request_id=OTHER_REQUEST)

    with pytest.raises(ForeignRequestError):
        deliver(world, job, body, request_id=OTHER_REQUEST)

    assert world.job(job.job_id) == job


def test_the_gateways_own_id_does_not_matter(world: World, job: Job) -> None:
    delivered = deliver(world, job, webhook_body(gateway_request_id=OTHER_REQUEST))

    assert delivered.status is Status.STORING


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "ok", ""])
def test_a_status_that_fal_does_not_document_is_refused(
    world: World, job: Job, status: str
) -> None:
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
def test_a_signed_body_that_is_no_webhook_is_refused(world: World, job: Job, case: str) -> None:
    with pytest.raises(InvalidWebhookError):
        deliver(world, job, NOT_WEBHOOKS[case])

    assert world.job(job.job_id) == job


def test_a_number_larger_than_any_of_ours_does_no_harm(world: World, job: Job) -> None:
    payload = {**json.loads(webhook_body())["payload"], "seed": 17454220438242315174}

    assert deliver(world, job, webhook_body(payload=payload)).status is Status.STORING


def test_a_strangers_signature_is_refused_and_nothing_is_written(world: World, job: Job) -> None:
    with pytest.raises(InvalidWebhookError):
        deliver(world, job, webhook_body(), key=STRANGER)

    assert world.job(job.job_id) == job
    assert world.results.files == {}


def test_a_stale_signature_is_refused(world: World, job: Job) -> None:
    with pytest.raises(InvalidWebhookError):
        deliver(world, job, webhook_body(), at=NOW - timedelta(seconds=301))

    assert world.job(job.job_id) == job


def test_a_key_that_fal_has_just_added_is_fetched_and_believed(world: World, job: Job) -> None:
    world.keys = MemoryKeys(known=[bytes(KEY.verify_key)], newer=[bytes(NEW_KEY.verify_key)])

    delivered = deliver(world, job, webhook_body(), key=NEW_KEY)

    assert delivered.status is Status.STORING
    assert world.keys.refreshes == 1


def test_a_signature_of_a_key_at_hand_asks_for_no_others(world: World, job: Job) -> None:
    deliver(world, job, webhook_body())

    assert world.keys.refreshes == 0


def test_a_stale_delivery_of_a_new_key_is_refused_as_well(world: World, job: Job) -> None:
    world.keys = MemoryKeys(known=[bytes(KEY.verify_key)], newer=[bytes(NEW_KEY.verify_key)])

    with pytest.raises(InvalidWebhookError):
        deliver(world, job, webhook_body(), key=NEW_KEY, at=NOW - timedelta(hours=1))


def test_without_any_key_nobody_is_called_a_forger(world: World, job: Job) -> None:
    class NoKeys(MemoryKeys):
        def keys(self, *, now: Any) -> Any:
            raise SigningKeysUnavailableError(f"down at {now}")

    world.keys = NoKeys()

    with pytest.raises(SigningKeysUnavailableError):
        deliver(world, job, webhook_body())


def test_evidence_with_our_token_resolves_a_doubtful_submission(world: World) -> None:
    job = world.holds(make_job(Status.SUBMIT_UNKNOWN))

    delivered = deliver(world, job, webhook_body())

    assert (delivered.status, delivered.request_id) == (Status.STORING, REQUEST_ID)
