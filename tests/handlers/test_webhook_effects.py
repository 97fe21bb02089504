"""What a delivery leaves behind besides the job: itself, and a call for the next one."""

import base64
import json
from typing import Any

import pytest

from functions.webhook.handler import handler
from shared.domain.jobs import Job, Status
from tests.builders import make_job, signed, webhook_body
from tests.house import Context, House, event


@pytest.fixture
def job(house: House) -> Job:
    """The job that the events speak of, at fal."""
    return house.holds(make_job(Status.SUBMITTED))


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
