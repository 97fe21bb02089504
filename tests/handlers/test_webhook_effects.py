"""What a delivery leaves behind besides the job: itself, and a call for the next one."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from functions.reconcile.handler import handler as ask
from functions.webhook.handler import handler
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.messages import StatusCheckRequest
from tests.support.builders import make_job, signed, webhook_body
from tests.support.calls import recorded
from tests.support.lambda_environment import Context, House, event


@pytest.fixture
def job(house: House) -> Job:
    """The job that the events speak of, at fal."""
    return house.holds(make_job(Status.SUBMITTED))


@pytest.fixture
def reconcile(house: House) -> str:
    """The function that is told to ask fal."""
    name = house.environment()["RECONCILE_FUNCTION"]
    house.aws.function(name)
    return name


def delivered(request: dict[str, Any]) -> tuple[int, Any]:
    answer = handler(request, Context())
    return answer["statusCode"], json.loads(answer["body"])


def test_what_fal_delivered_is_kept_as_it_came(house: House, job: Job) -> None:
    delivered(event("webhook_ok"))
    delivered(event("webhook_ok"))

    [name] = [name for name in house.files() if name.startswith("2026")]
    kept = json.loads(house.files()[name])
    assert base64.b64decode(kept["body"]).decode() == event("webhook_ok")["body"]
    headers = event("webhook_ok")["multiValueHeaders"]
    assert kept["headers"] == headers
    assert house.job(job.job_id).status is Status.STORING


def test_a_job_that_frees_its_slot_calls_the_next_one(house: House, job: Job) -> None:
    waiting = house.holds(make_job(Status.READY, job_id="next-0000000000"))

    delivered(event("webhook_ok"))

    [message] = house.aws.messages(house.inbox)
    assert waiting.dataset.version_id in message
    assert house.job(job.job_id).status is Status.STORING


def test_a_failed_download_is_not_judged_before_fal_was_asked(house: House, job: Job) -> None:
    body = webhook_body(
        status="ERROR",
        error="Invalid status code: 422",
        payload={"detail": [{"type": "file_download_error", "msg": "Failed.", "loc": ["body"]}]},
    )
    headers = signed(body)

    status, _ = delivered(
        event("webhook_ok") | {"body": body.decode(), "multiValueHeaders": headers}
    )

    assert status == 200
    assert house.job(job.job_id) == job


def test_a_stale_delivery_writes_nothing_and_has_the_reconciler_ask_fal(
    house: House, job: Job, reconcile: str
) -> None:
    house.clock.now += timedelta(hours=1)

    with recorded() as calls:
        answers = [delivered(event("webhook_ok")) for _ in range(20)]

    assert answers == [(401, {"error": {"code": "delivery_stale"}})] * 20
    assert (house.job(job.job_id), house.files()) == (job, {})
    assert house.aws.messages(house.results) == []
    [asked] = [call for call in calls if call.writes]
    assert (asked.service, asked.operation) == ("lambda", "Invoke")
    assert asked.parameters["FunctionName"] == reconcile
    assert asked.parameters["InvocationType"] == "Event"
    assert StatusCheckRequest.model_validate_json(asked.parameters["Payload"]).job_id == job.job_id
    assert house.internet.posts == []


def test_what_was_asked_instead_moves_the_job_on(house: House, job: Job, reconcile: str) -> None:
    house.clock.now += timedelta(hours=1)
    house.internet.status = {"status": "COMPLETED"}
    with recorded() as calls:
        delivered(event("webhook_ok"))
    [payload] = [call.parameters["Payload"] for call in calls if call.service == "lambda"]

    answer = ask(json.loads(payload), Context())

    assert reconcile
    assert answer == {"job_id": job.job_id, "status": "STORING"}
    assert house.job(job.job_id).status is Status.STORING
