import base64
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from functions.webhook.handler import handler
from lora_drop.adapters.dynamodb import DynamoJobs
from lora_drop.jobs.errors import ConflictError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.messages import StoreRequest
from tests.support.builders import ARTIFACTS, REQUEST_ID, make_job
from tests.support.lambda_environment import FAL_KEY, Context, House, event


@pytest.fixture
def job(house: House) -> Job:
    """The job that the events speak of, at fal."""
    return house.holds(make_job(Status.SUBMITTED))


def delivered(request: dict[str, Any]) -> tuple[int, Any]:
    answer = handler(request, Context())
    return answer["statusCode"], json.loads(answer["body"])


def untouched(house: House, job: Job) -> bool:
    """Whether nothing at all was written."""
    return (
        house.job(job.job_id) == job
        and house.files() == {}
        and house.aws.messages(house.results) == []
    )


def test_a_success_is_recorded_handed_over_and_answered(house: House, job: Job) -> None:
    status, body = delivered(event("webhook_ok"))

    after = house.job(job.job_id)
    [handed] = house.aws.messages(house.results)
    assert (status, body) == (200, {"job_id": job.job_id, "status": "STORING"})
    assert after.status is Status.STORING
    assert {artifact.url for artifact in after.artifacts} == {file.url for file in ARTIFACTS}
    assert StoreRequest.model_validate_json(handed).job_id == job.job_id
    assert json.loads(house.files()["status.json"])["status"] == "STORING"


def test_a_failure_is_recorded_and_answered(house: House, job: Job) -> None:
    status, body = delivered(event("webhook_error"))

    after = house.job(job.job_id)
    assert (status, body["status"]) == (200, "FAILED")
    assert after.problems[0].code == "fal_image_load_error"
    assert "Failed to load the image." in house.files()["ERROR.txt"].decode()
    assert house.aws.messages(house.results) == []


def test_the_same_delivery_again_is_answered_the_same(house: House, job: Job) -> None:
    first = delivered(event("webhook_ok"))
    kept = house.job(job.job_id)

    again = delivered(event("webhook_ok"))

    assert again == first
    assert house.job(job.job_id) == kept


def test_a_forged_delivery_is_refused_and_nothing_is_written(house: House, job: Job) -> None:
    status, body = delivered(event("webhook_forged"))

    assert (status, body) == (401, {"error": {"code": "delivery_refused"}})
    assert untouched(house, job)


def test_a_job_we_do_not_have_is_never_answered_with_success(house: House) -> None:
    # fal takes 2xx for delivered and gives up: the webhook may only be faster than our own write.
    status, body = delivered(event("webhook_ok"))

    assert (status, body["error"]["code"]) == (404, "job_unknown")
    assert house.aws.messages(house.results) == []


def test_a_wrong_token_is_answered_like_a_job_we_do_not_have(house: House, job: Job) -> None:
    unknown = delivered({**event("webhook_ok"), "path": f"/webhooks/fal/bob-0000000000/{'0' * 32}"})

    wrong = delivered({**event("webhook_ok"), "path": f"/webhooks/fal/{job.job_id}/{'0' * 32}"})

    assert wrong == unknown
    assert wrong[0] == 404
    assert untouched(house, job)


def test_another_request_of_ours_is_refused(house: House) -> None:
    job = house.holds(make_job(Status.SUBMITTED, request_id="another"))

    status, _ = delivered(event("webhook_ok"))

    assert status == 409
    assert house.job(job.job_id) == job
    assert house.aws.messages(house.results) == []


def test_a_doubtful_submission_is_resolved(house: House) -> None:
    job = house.holds(make_job(Status.SUBMIT_UNKNOWN))

    status, _ = delivered(event("webhook_ok"))

    after = house.job(job.job_id)
    assert (status, after.status, after.request_id) == (200, Status.STORING, REQUEST_ID)


def test_a_body_in_base64_is_the_same_body(house: House, job: Job) -> None:
    request = event("webhook_ok")
    encoded = base64.b64encode(request["body"].encode()).decode()

    status, _ = delivered({**request, "body": encoded, "isBase64Encoded": True})

    assert status == 200
    assert house.job(job.job_id).status is Status.STORING


@pytest.mark.parametrize("lie", [True, False], ids=["not base64", "base64 unsaid"])
def test_a_body_that_is_not_what_it_says_is_refused(house: House, job: Job, lie: bool) -> None:  # noqa: FBT001  # a table's column
    request = event("webhook_ok")
    if not lie:
        request["body"] = base64.b64encode(request["body"].encode()).decode()

    status, _ = delivered({**request, "isBase64Encoded": lie})

    assert status == 401
    assert untouched(house, job)


def test_headers_in_lower_case_or_given_once_are_enough(house: House, job: Job) -> None:
    request = event("webhook_ok")
    headers = {name.lower(): value for name, value in request["headers"].items()}

    status, _ = delivered({**request, "headers": headers, "multiValueHeaders": None})

    assert status == 200
    assert house.job(job.job_id).status is Status.STORING


def test_a_header_that_is_given_twice_is_refused(house: House, job: Job) -> None:
    request = event("webhook_ok")
    request["multiValueHeaders"]["X-Fal-Webhook-Request-Id"] *= 2

    status, _ = delivered(request)

    assert status == 401
    assert untouched(house, job)


@pytest.mark.parametrize(
    "body", [None, "", "{}", "x" * 300_000], ids=["none", "empty", "{}", "huge"]
)
def test_a_body_that_fal_did_not_sign_is_refused(house: House, job: Job, body: str | None) -> None:
    status, _ = delivered({**event("webhook_ok"), "body": body})

    assert status == 401
    assert untouched(house, job)


@pytest.mark.parametrize(("seconds", "status"), [(300, 200), (301, 401), (-300, 200), (-301, 401)])
def test_a_delivery_is_believed_for_five_minutes(
    house: House, job: Job, seconds: int, status: int
) -> None:
    house.aws.function(house.environment()["RECONCILE_FUNCTION"])
    house.clock.now += timedelta(seconds=seconds)

    assert delivered(event("webhook_ok"))[0] == status
    assert (house.job(job.job_id).status is Status.STORING) == (status == 200)


def test_a_delivery_for_another_customer_is_refused(
    house: House, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAL_USER_ID", "user_2")

    assert delivered(event("webhook_ok"))[0] == 401
    assert untouched(house, job)


def test_without_fals_keys_nobody_is_called_a_forger(house: House, job: Job) -> None:
    house.internet.says["rest.fal.ai"] = httpx.Response(503)

    status, body = delivered(event("webhook_ok"))

    assert (status, body["error"]["code"]) == (503, "try_again")
    assert untouched(house, job)


def test_forgeries_ask_fal_for_its_keys_once(house: House, job: Job) -> None:
    for _ in range(20):
        assert delivered(event("webhook_forged"))[0] == 401

    assert len(house.internet.requests) == 1
    assert untouched(house, job)


def test_without_our_secret_fal_is_asked_to_come_again(house: House, job: Job) -> None:
    house.aws.empty(house.webhook_secret)

    assert delivered(event("webhook_ok"))[0] == 503
    assert untouched(house, job)


def test_whoever_was_overtaken_is_asked_to_come_again(
    house: House, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(_: DynamoJobs, before: Job, after: Job, **__: object) -> None:
        raise ConflictError(f"{before.job_id} {after.status}")

    monkeypatch.setattr(DynamoJobs, "replace", overtaken)

    assert delivered(event("webhook_ok"))[0] == 503
    assert house.job(job.job_id) == job
    assert house.aws.messages(house.results) == []


def test_a_result_that_cannot_be_handed_over_is_not_answered_with_success(
    house: House, job: Job
) -> None:
    house.aws.sqs.delete_queue(QueueUrl=house.results)

    with pytest.raises(ClientError):
        handler(event("webhook_ok"), Context())

    # fal comes again, and the next time the way is free.
    assert house.job(job.job_id).status is Status.STORING


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", None), ("POST", "/webhooks/fal/ada"), ("POST", "/"), ("POST", "/webhooks/fal/a/b/c")],
)
def test_nothing_else_is_served(house: House, job: Job, method: str, path: str | None) -> None:
    request = event("webhook_ok") | {"httpMethod": method}

    status = handler({**request, "path": path or request["path"]}, Context())["statusCode"]

    assert status == 404
    assert untouched(house, job)


@pytest.mark.parametrize("name", ["webhook_ok", "webhook_error", "webhook_forged"])
def test_no_secret_is_ever_logged(
    house: House, job: Job, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level("INFO")
    request = event(name)

    delivered(request)

    logged = json.dumps(house.said()) + caplog.text
    token = request["pathParameters"]["token"]
    signature = request["headers"]["X-Fal-Webhook-Signature"]
    assert "delivery" in logged
    for secret in (FAL_KEY, token, signature, *(file.url for file in ARTIFACTS)):
        assert secret not in logged
    assert job.job_id in logged or name == "webhook_forged"


def test_every_delivery_is_counted(house: House, job: Job) -> None:
    delivered(event("webhook_forged"))
    delivered(event("webhook_ok"))

    counted = [line for line in house.said() if "_aws" in line]
    assert [set(line) & {"DeliveryAccepted", "DeliveryRefused"} for line in counted] == [
        {"DeliveryRefused"},
        {"DeliveryAccepted"},
    ]
    assert house.job(job.job_id).status is Status.STORING
