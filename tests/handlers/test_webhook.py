"""The webhook function: a delivery is verified, recorded, handed over and answered."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from functions.reconcile.handler import handler as check_status
from functions.webhook.handler import handler
from lora_drop.adapters.dynamodb import DynamoJobs
from lora_drop.jobs.errors import ConflictError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.messages import StatusCheckRequest, StoreRequest
from tests.support.builders import ARTIFACTS, REQUEST_ID, make_job, webhook_body
from tests.support.lambda_environment import FAL_KEY, Context, LambdaEnvironment, event, recorded
from tests.support.lambda_events import Request, webhook_event


@pytest.fixture
def job(environment: LambdaEnvironment) -> Job:
    """The job that the events are about, at fal."""
    return environment.add_job(make_job(Status.SUBMITTED))


@pytest.fixture
def reconcile(environment: LambdaEnvironment) -> str:
    """The function that is asked to check a status at fal."""
    name = environment.variables()["RECONCILE_FUNCTION"]
    environment.aws.function(name)
    return name


def delivered(request: Request) -> tuple[int, Any]:
    answer = handler(request, Context())
    return answer["statusCode"], json.loads(answer["body"])


def untouched(environment: LambdaEnvironment, job: Job) -> bool:
    """Whether nothing at all was written."""
    return (
        environment.job(job.job_id) == job
        and environment.files() == {}
        and environment.aws.messages(environment.results) == []
    )


def encoded(request: Request) -> str:
    return base64.b64encode(request["body"].encode()).decode()


@pytest.mark.promise("never lose a result")
def test_success_is_recorded_and_stored(environment: LambdaEnvironment, job: Job) -> None:
    """Fal is answered with success only after its result is recorded, kept and handed over; again is the same."""
    waiting = environment.add_job(make_job(Status.READY, job_id="next-0000000000"))

    first = delivered(event("webhook_ok"))
    [message] = environment.aws.messages(environment.results)
    after = environment.job(job.job_id)
    second = delivered(event("webhook_ok"))

    assert first == second == (200, {"job_id": job.job_id, "status": "STORING"})
    assert after.status is Status.STORING
    assert environment.job(job.job_id) == after
    assert {artifact.url for artifact in after.artifacts} == {file.url for file in ARTIFACTS}
    assert StoreRequest.model_validate_json(message).job_id == job.job_id
    files = environment.files()
    assert json.loads(files["status.json"])["status"] == "STORING"
    # The slot that is free now goes to the next job.
    [notice] = environment.aws.messages(environment.inbox)
    assert waiting.dataset.version_id in notice
    # The delivery is kept as it came.
    [name] = [name for name in files if name.startswith("2026")]
    kept = json.loads(environment.files()[name])
    assert base64.b64decode(kept["body"]).decode() == event("webhook_ok")["body"]
    assert kept["headers"] == event("webhook_ok")["multiValueHeaders"]


def test_failure_is_recorded(environment: LambdaEnvironment, job: Job) -> None:
    status, body = delivered(event("webhook_error"))
    after = environment.job(job.job_id)
    assert (status, body["status"]) == (200, "FAILED")
    assert after.problems[0].code == "fal_image_load_error"
    assert "Failed to load the image." in environment.files()["ERROR.txt"].decode()
    assert environment.aws.messages(environment.results) == []


def test_failed_download_is_checked_first(environment: LambdaEnvironment, job: Job) -> None:
    """A failed download of a dataset decides nothing until fal is asked."""
    detail = [{"type": "file_download_error", "msg": "Failed.", "loc": ["body"]}]
    body = webhook_body(
        status="ERROR", error="Invalid status code: 422", payload={"detail": detail}
    )
    status, _ = delivered(webhook_event(job.job_id, body))
    assert status == 200
    assert environment.job(job.job_id) == job


@pytest.mark.promise("never pay twice")
def test_webhook_resolves_doubtful_submission(environment: LambdaEnvironment) -> None:
    """A request whose answer was lost is recognised by its webhook."""
    job = environment.add_job(make_job(Status.SUBMIT_UNKNOWN))
    status, _ = delivered(event("webhook_ok"))
    after = environment.job(job.job_id)
    assert (status, after.status, after.request_id) == (200, Status.STORING, REQUEST_ID)


def lower_case_headers(request: Request) -> Request:
    headers = {name.lower(): value for name, value in request["headers"].items()}
    return request | {"headers": headers, "multiValueHeaders": None}


@pytest.mark.parametrize(
    "change",
    [lambda it: it | {"body": encoded(it), "isBase64Encoded": True}, lower_case_headers],
    ids=["a body in base64", "headers in lower case, given once"],
)
def test_other_form_is_accepted(
    environment: LambdaEnvironment, job: Job, change: Callable[[Request], Request]
) -> None:
    assert delivered(change(event("webhook_ok")))[0] == 200
    assert environment.job(job.job_id).status is Status.STORING


def header_twice(request: Request) -> Request:
    request["multiValueHeaders"]["X-Fal-Webhook-Request-Id"] *= 2
    return request


INVALID: dict[str, Callable[[Request], Request]] = {
    "forged": lambda _: event("webhook_forged"),
    "not base64": lambda it: it | {"isBase64Encoded": True},
    "base64 unsaid": lambda it: it | {"body": encoded(it), "isBase64Encoded": False},
    "a header twice": header_twice,
    "no body": lambda it: it | {"body": None},
    "an empty body": lambda it: it | {"body": ""},
    "another body": lambda it: it | {"body": "{}"},
    "a huge body": lambda it: it | {"body": "x" * 300_000},
}


@pytest.mark.parametrize("how", INVALID)
def test_unverified_delivery_writes_nothing(
    environment: LambdaEnvironment, job: Job, how: str
) -> None:
    answer = delivered(INVALID[how](event("webhook_ok")))
    assert answer == (401, {"error": {"code": "delivery_refused"}})
    assert untouched(environment, job)


def test_delivery_for_another_customer(
    environment: LambdaEnvironment, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAL_USER_ID", "user_2")
    assert delivered(event("webhook_ok"))[0] == 401
    assert untouched(environment, job)


def test_unknown_job_is_no_success(environment: LambdaEnvironment) -> None:
    # fal takes 2xx for delivered and gives up: the webhook may only be faster than our own write.
    status, body = delivered(event("webhook_ok"))
    assert (status, body["error"]["code"]) == (404, "job_unknown")
    assert environment.aws.messages(environment.results) == []


@pytest.mark.promise("nothing leaks")
def test_wrong_token_looks_like_unknown(environment: LambdaEnvironment, job: Job) -> None:
    """A caller without a job's token does not learn whether the job exists."""
    unknown, wrong = (
        delivered(event("webhook_ok") | {"path": f"/webhooks/fal/{job_id}/{'0' * 32}"})
        for job_id in ("bob-0000000000", job.job_id)
    )
    assert wrong == unknown
    assert wrong[0] == 404
    assert untouched(environment, job)


def test_another_request_is_refused(environment: LambdaEnvironment) -> None:
    job = environment.add_job(make_job(Status.SUBMITTED, request_id="another"))
    status, _ = delivered(event("webhook_ok"))
    assert status == 409
    assert environment.job(job.job_id) == job
    assert environment.aws.messages(environment.results) == []


@pytest.mark.usefixtures("reconcile")
@pytest.mark.parametrize(("seconds", "status"), [(300, 200), (301, 401), (-300, 200), (-301, 401)])
def test_delivery_is_valid_five_minutes(
    environment: LambdaEnvironment, job: Job, seconds: int, status: int
) -> None:
    environment.clock.now += timedelta(seconds=seconds)
    assert delivered(event("webhook_ok"))[0] == status
    assert (environment.job(job.job_id).status is Status.STORING) == (status == 200)


@pytest.mark.promise("never lose a result")
def test_stale_delivery_checks_the_status(
    environment: LambdaEnvironment, job: Job, reconcile: str
) -> None:
    """A delivery that is too old writes nothing; fal is asked once instead, and the job moves on."""
    environment.clock.now += timedelta(hours=1)
    environment.internet.status = {"status": "COMPLETED"}

    with recorded() as calls:
        answers = [delivered(event("webhook_ok")) for _ in range(20)]

    assert answers == [(401, {"error": {"code": "delivery_stale"}})] * 20
    assert untouched(environment, job)
    [call] = [call for call in calls if call.writes]
    assert (call.service, call.operation) == ("lambda", "Invoke")
    assert call.parameters["FunctionName"] == reconcile
    assert call.parameters["InvocationType"] == "Event"
    payload = call.parameters["Payload"]
    assert StatusCheckRequest.model_validate_json(payload).job_id == job.job_id
    assert environment.internet.posts == []

    assert check_status(json.loads(payload), Context()) == {
        "job_id": job.job_id,
        "status": "STORING",
    }
    assert environment.job(job.job_id).status is Status.STORING


@pytest.mark.parametrize("missing", ["keys", "secret"])
def test_without_it_try_again(environment: LambdaEnvironment, job: Job, missing: str) -> None:
    """While fal's keys or our secret cannot be fetched, no delivery is called forged."""
    if missing == "keys":
        environment.internet.says["rest.fal.ai"] = httpx.Response(503)
    else:
        environment.aws.empty(environment.webhook_secret)
    status, body = delivered(event("webhook_ok"))
    assert (status, body["error"]["code"]) == (503, "try_again")
    assert untouched(environment, job)


def test_forgeries_fetch_keys_once(environment: LambdaEnvironment, job: Job) -> None:
    for _ in range(20):
        assert delivered(event("webhook_forged"))[0] == 401
    assert len(environment.internet.requests) == 1
    assert untouched(environment, job)


def test_conflict_means_try_again(
    environment: LambdaEnvironment, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(_: DynamoJobs, before: Job, after: Job, **__: object) -> None:
        raise ConflictError(f"{before.job_id} {after.status}")

    monkeypatch.setattr(DynamoJobs, "replace", overtaken)
    assert delivered(event("webhook_ok"))[0] == 503
    assert environment.job(job.job_id) == job
    assert environment.aws.messages(environment.results) == []


def test_failed_handover_is_no_success(environment: LambdaEnvironment, job: Job) -> None:
    """Fal delivers again after an error, and by then the queue may be there."""
    environment.aws.sqs.delete_queue(QueueUrl=environment.results)
    with pytest.raises(ClientError):
        handler(event("webhook_ok"), Context())
    assert environment.job(job.job_id).status is Status.STORING


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", None), ("POST", "/webhooks/fal/ada"), ("POST", "/"), ("POST", "/webhooks/fal/a/b/c")],
)
def test_other_routes_are_not_served(
    environment: LambdaEnvironment, job: Job, method: str, path: str | None
) -> None:
    request = event("webhook_ok") | {"httpMethod": method}
    status = handler(request | {"path": path or request["path"]}, Context())["statusCode"]
    assert status == 404
    assert untouched(environment, job)


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("name", ["webhook_ok", "webhook_error", "webhook_forged"])
def test_webhook_logs_no_secret(
    environment: LambdaEnvironment, job: Job, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """The key, the token, the signature and the addresses of results are never logged."""
    caplog.set_level("INFO")
    request = event(name)

    delivered(request)

    output = environment.output_lines()
    logged = json.dumps(output) + caplog.text
    token = request["pathParameters"]["token"]
    signature = request["headers"]["X-Fal-Webhook-Signature"]
    assert "delivery" in logged
    for secret in (FAL_KEY, token, signature, *(file.url for file in ARTIFACTS)):
        assert secret not in logged
    assert job.job_id in logged or name == "webhook_forged"
    counted = {"DeliveryRefused" if name == "webhook_forged" else "DeliveryAccepted"}
    [line] = [line for line in output if "_aws" in line]
    assert set(line) & {"DeliveryAccepted", "DeliveryRefused"} == counted
