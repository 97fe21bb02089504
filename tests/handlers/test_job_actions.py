"""The jobs function: people decide about jobs, and each decision is recorded under their name."""

import json
from typing import Any

import httpx
import pytest

from functions.jobs.handler import handler
from lora_drop.adapters.s3_results import S3Deliveries
from lora_drop.fal.webhooks import RawDelivery
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.status import Status
from lora_drop.messages import StoreRequest
from tests.support.builders import NOW, REQUEST_ID, make_job, signed, webhook_body
from tests.support.lambda_environment import Context, LambdaEnvironment, event
from tests.support.lambda_events import job_event

ADA = "arn:aws:iam::123456789012:user/ada"
JOB_ID = make_job().job_id
ACTIONS = ["approve", "cancel", "retry", "replay"]


def answered(request: dict[str, Any]) -> tuple[int, Any]:
    answer = handler(request, Context())
    assert answer["multiValueHeaders"]["Content-Type"] == ["application/json"]
    return answer["statusCode"], json.loads(answer["body"])


def act(action: str, body: str | None = None, *, job_id: str = JOB_ID) -> tuple[int, Any]:
    """What ada is answered who asks for an action on a job."""
    return answered(job_event(job_id, action, body))


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("action", ACTIONS)
def test_unknown_job_has_no_actions(action: str) -> None:
    status, body = act(action, job_id="no-job")
    assert (status, body["error"]["code"]) == (404, "job_unknown")


@pytest.mark.parametrize(
    ("action", "state"),
    [*((action, Status.SUBMITTING) for action in ACTIONS), ("resolve", Status.TRAINING)],
)
def test_closed_decision_changes_nothing(
    environment: LambdaEnvironment, action: str, state: Status
) -> None:
    job = environment.add_job(make_job(state))
    body = event("job_resolve")["body"] if action == "resolve" else None
    status, answer = act(action, body)
    assert (status, answer["error"]["code"]) == (409, "nothing_to_decide")
    assert environment.job(job.job_id) == job
    assert environment.aws.messages(environment.inbox) == []


@pytest.mark.parametrize(
    ("action", "state", "after"),
    [
        *(("cancel", state, "CANCELLED") for state in (Status.RECEIVED, Status.READY, Status.HELD)),
        ("approve", Status.HELD, "READY"),
    ],
)
def test_decision_needs_no_fal(
    environment: LambdaEnvironment, action: str, state: Status, after: str
) -> None:
    """What waits is cancelled or approved under a person's name without any request to fal."""
    environment.add_job(make_job(state))
    code, body = act(action)
    assert (code, body["status"], body["history"][-1]["by"]) == (200, after, ADA)
    assert environment.internet.requests == []


STOPPED = {"status": "COMPLETED", "error": "cancelled", "error_type": "client_cancelled"}


@pytest.mark.promise("it can be operated")
def test_training_is_cancelled_at_fal(environment: LambdaEnvironment) -> None:
    """A person stops a training, and fal is asked to cancel exactly its request."""
    job = environment.add_job(make_job(Status.TRAINING))
    environment.internet.status = {**STOPPED}
    status, body = act("cancel")
    assert (status, body["status"]) == (200, "CANCELLED")
    assert environment.job(job.job_id).status is Status.CANCELLED
    [put] = [request for request in environment.internet.requests if request.method == "PUT"]
    assert put.url.path.endswith(f"/requests/{REQUEST_ID}/cancel")


def test_continued_training_says_cancel_requested(environment: LambdaEnvironment) -> None:
    environment.add_job(make_job(Status.SUBMITTED))
    status, body = act("cancel")
    assert (status, body["status"]) == (200, "TRAINING")
    assert body["problems"][0]["code"] == "cancel_requested"


def test_fal_outage_cancels_nothing(environment: LambdaEnvironment) -> None:
    job = environment.add_job(make_job(Status.TRAINING))
    environment.internet.says["queue.fal.run"] = httpx.Response(503)
    status, body = act("cancel")
    assert (status, body["error"]["code"]) == (503, "fal_unavailable")
    assert environment.job(job.job_id) == job


@pytest.mark.parametrize("body", [None, "", "{}", '{"resume": false}'])
def test_failed_job_is_retried(environment: LambdaEnvironment, body: str | None) -> None:
    failed = environment.add_job(make_job(Status.FAILED))

    status, new = act("retry", body)

    [message] = environment.aws.messages(environment.inbox)
    assert (status, new["status"], new["retry_of"]) == (200, "READY", failed.job_id)
    assert (new["attempt"], new["history"][-1]["by"]) == (2, ADA)
    assert failed.dataset.version_id in message
    assert environment.jobs.next_waiting() == environment.job(new["job_id"])
    assert environment.job(failed.job_id) == failed


def test_retry_resumes_from_lora(environment: LambdaEnvironment) -> None:
    lora = StoredFile(
        name="lora.safetensors", bucket="models", key="x/lora.safetensors", size=1, sha256="0"
    )
    trained = environment.add_job(make_job(Status.SUCCEEDED, files=(lora,)))
    status, new = act("retry", '{"resume": true}')
    assert (status, new["status"], new["resume_from"]) == (200, "READY", trained.job_id)
    assert act("retry", '{"resume": false}')[0] == 409


@pytest.mark.promise("never lose a result")
def test_kept_delivery_is_replayed(environment: LambdaEnvironment) -> None:
    """A result that fal delivered and that was not taken in can be taken in later."""
    job = environment.add_job(make_job(Status.EXPIRED))
    delivery = RawDelivery(signed(webhook_body()), webhook_body())
    S3Deliveries(environment.aws.s3, "models").keep(job, delivery, sent_at=NOW)
    status, body = act("replay")
    [handed] = environment.aws.messages(environment.results)
    assert (status, body["status"]) == (200, "STORING")
    assert StoreRequest.model_validate_json(handed).job_id == job.job_id


def test_doubtful_submission_is_resolved(environment: LambdaEnvironment) -> None:
    environment.add_job(make_job(Status.SUBMIT_UNKNOWN))
    status, body = answered(event("job_resolve"))
    assert (status, body["status"], body["request_id"]) == (200, "SUBMITTED", REQUEST_ID)
    assert body["history"][-1]["by"] == ADA


def test_unsubmitted_job_returns_to_inbox(environment: LambdaEnvironment) -> None:
    job = environment.add_job(make_job(Status.SUBMIT_UNKNOWN))
    status, body = act("resolve", '{"not_submitted": true}')
    [message] = environment.aws.messages(environment.inbox)
    assert (status, body["status"]) == (200, "READY")
    assert job.dataset.version_id in message


INVALID = [
    *("retry " + body for body in ("[]", "{", '{"resume": 7}', '{"again": true}', "null", '"x"')),
    *("resolve " + body for body in ("", "{", "[]", "{}", '{"requestid": "a"}')),
    *("resolve " + body for body in ('{"request_id": "a b"}', '{"not_submitted": false}')),
    'resolve {"request_id": "a", "not_submitted": true}',
]


@pytest.mark.parametrize("words", INVALID)
def test_invalid_decision_is_refused(environment: LambdaEnvironment, words: str) -> None:
    action, _, body = words.partition(" ")
    retried = action == "retry"
    job = environment.add_job(make_job(Status.FAILED if retried else Status.SUBMIT_UNKNOWN))

    status, answer = act(action, body)

    assert (status, answer["error"]["code"]) == (400, "query_invalid")
    assert "resume" in answer["error"]["message"] or not retried
    assert environment.all_jobs() == (job,)


@pytest.mark.promise("it can be operated")
def test_dead_letters_are_redriven(environment: LambdaEnvironment) -> None:
    """One call sends the dead letters of both queues back to them."""
    dead = ((environment.dead_inbox, "a notice"), (environment.dead_results, "a result"))
    for queue, body in (*dead, (environment.dead_results, "another")):
        environment.aws.sqs.send_message(QueueUrl=queue, MessageBody=body)
    redrive = event("jobs_list") | {
        "httpMethod": "POST",
        "path": "/redrive",
        "resource": "/redrive",
    }

    first, second = answered(redrive), answered(redrive)

    assert first == (200, {"moved": {"inbox": 1, "results": 2}})
    assert second == (200, {"moved": {"inbox": 0, "results": 0}})
    assert environment.aws.messages(environment.inbox) == ["a notice"]
    assert sorted(environment.aws.messages(environment.results)) == ["a result", "another"]
