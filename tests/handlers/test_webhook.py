"""The webhook function: a delivery is verified, recorded, handed over and answered."""

import base64
import json
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
from tests.support.builders import ARTIFACTS, make_job
from tests.support.lambda_environment import Context, LambdaEnvironment, event, recorded
from tests.support.lambda_events import Request


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
@pytest.mark.parametrize(
    ("name", "status", "after", "metric"),
    [
        ("webhook_ok", 200, Status.STORING, "DeliveryAccepted"),
        ("webhook_error", 200, Status.FAILED, "DeliveryAccepted"),
        ("webhook_forged", 401, Status.SUBMITTED, "DeliveryRefused"),
    ],
)
def test_webhook_logs_no_secret(
    environment: LambdaEnvironment, job: Job, name: str, status: int, after: Status, metric: str
) -> None:
    """The key, the token, the signature and the addresses of results are never logged."""
    request = event(name)
    once = {header.lower(): value for header, value in request["headers"].items()}
    answered, body = delivered(request | {"headers": once, "multiValueHeaders": None})
    output = environment.output_lines()
    logged = json.dumps(output)
    signature = request["headers"]["X-Fal-Webhook-Signature"]
    [counted] = [line for line in output if "_aws" in line]
    assert (answered, environment.job(job.job_id).status) == (status, after)
    assert body.get("error", {}).get("code") == ("delivery_refused" if status == 401 else None)
    assert (metric in counted, job.job_id in logged) == (True, True)
    for secret in (
        request["pathParameters"]["token"],
        signature,
        *(file.url for file in ARTIFACTS),
    ):
        assert secret not in logged


@pytest.mark.promise("nothing leaks")
def test_wrong_token_looks_like_unknown(environment: LambdaEnvironment, job: Job) -> None:
    """A caller without a job's token does not learn whether the job exists."""
    # fal takes 2xx for delivered and gives up: the webhook may only be faster than our own write.
    unknown, wrong = (
        delivered(event("webhook_ok") | {"path": f"/webhooks/fal/{job_id}/{'0' * 32}"})
        for job_id in ("bob-0000000000", job.job_id)
    )
    assert wrong == unknown
    assert (wrong[0], wrong[1]["error"]["code"]) == (404, "job_unknown")
    assert untouched(environment, job)


@pytest.mark.parametrize("case", ["keys", "secret", "conflict", "another request"])
def test_untaken_delivery_writes_nothing(
    environment: LambdaEnvironment, job: Job, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """Without fal's keys or our secret no delivery is called forged: fal is to try again."""

    def overtaken(_: DynamoJobs, before: Job, after: Job, **__: object) -> None:
        raise ConflictError(f"{before.job_id} {after.status}")

    if case == "keys":
        environment.internet.says["rest.fal.ai"] = httpx.Response(503)
    elif case == "secret":
        environment.aws.empty(environment.webhook_secret)
    elif case == "conflict":
        monkeypatch.setattr(DynamoJobs, "replace", overtaken)
    else:
        other = job.model_copy(update={"request_id": "another", "version": job.version + 1})
        environment.jobs.replace(job, other)
        job = other
    status, body = delivered(event("webhook_ok"))
    code = (409, "request_foreign") if case == "another request" else (503, "try_again")
    assert (status, body["error"]["code"]) == code
    assert environment.job(job.job_id) == job
    assert environment.aws.messages(environment.results) == []
