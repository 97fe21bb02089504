"""What people decide over the jobs API, under their names."""

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
from tests.support.lambda_environment import Context, House, event

ADA = "arn:aws:iam::123456789012:user/ada"
JOB_ID = make_job().job_id
STOPPED: dict[str, object] = {
    "status": "COMPLETED",
    "error": "cancelled",
    "error_type": "client_cancelled",
}


def said(action: str, body: str | None = None, *, job_id: str = JOB_ID) -> tuple[int, Any]:
    """What ada is answered who says this of a job."""
    path = {"resource": f"/jobs/{{job_id}}/{action}", "path": f"/jobs/{job_id}/{action}"}
    answer = handler(event("job_resolve") | path | {"body": body}, Context())
    assert answer["multiValueHeaders"]["Content-Type"] == ["application/json"]
    return answer["statusCode"], json.loads(answer["body"])


def asked(method: str, path: str) -> tuple[int, Any]:
    request = event("jobs_list") | {"httpMethod": method, "path": path, "resource": path}
    answer = handler(request, Context())
    return answer["statusCode"], json.loads(answer["body"])


ACTIONS = ["approve", "cancel", "retry", "replay"]


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize("action", ACTIONS)
def test_nobody_decides_about_a_job_that_is_not_there(action: str) -> None:
    status, body = said(action, job_id="nobody")

    assert (status, body["error"]["code"]) == (404, "job_unknown")


@pytest.mark.parametrize("action", ACTIONS)
def test_what_is_not_open_is_told_and_changes_nothing(house: House, action: str) -> None:
    job = house.holds(make_job(Status.SUBMITTING))

    status, body = said(action)

    assert (status, body["error"]["code"]) == (409, "nothing_to_decide")
    assert house.job(job.job_id) == job
    assert house.aws.messages(house.inbox) == []


@pytest.mark.parametrize("status", [Status.RECEIVED, Status.READY, Status.HELD])
def test_a_job_is_stopped_for_free_under_a_name(house: House, status: Status) -> None:
    house.holds(make_job(status))

    answered, body = said("cancel")

    assert (answered, body["status"], body["history"][-1]["by"]) == (200, "CANCELLED", ADA)
    assert house.internet.requests == []


def test_fal_is_asked_to_stop_a_training(house: House) -> None:
    job = house.holds(make_job(Status.TRAINING))
    house.internet.status = STOPPED

    status, body = said("cancel")

    assert (status, body["status"]) == (200, "CANCELLED")
    assert house.job(job.job_id).status is Status.CANCELLED
    [put] = [request for request in house.internet.requests if request.method == "PUT"]
    assert put.url.path.endswith(f"/requests/{REQUEST_ID}/cancel")


def test_a_training_that_fal_goes_on_with_says_that_it_was_asked(house: House) -> None:
    house.holds(make_job(Status.SUBMITTED))

    status, body = said("cancel")

    assert (status, body["status"]) == (200, "TRAINING")
    assert body["problems"][0]["code"] == "cancel_requested"


def test_while_fal_does_not_answer_nothing_is_stopped(house: House) -> None:
    job = house.holds(make_job(Status.TRAINING))
    house.internet.says["queue.fal.run"] = httpx.Response(503)

    status, body = said("cancel")

    assert (status, body["error"]["code"]) == (503, "fal_unavailable")
    assert house.job(job.job_id) == job


@pytest.mark.parametrize("body", [None, "", "{}", '{"resume": false}'])
def test_a_job_that_failed_is_put_into_the_line_once_more(house: House, body: str | None) -> None:
    failed = house.holds(make_job(Status.FAILED))

    status, new = said("retry", body)

    [message] = house.aws.messages(house.inbox)
    assert (status, new["status"], new["retry_of"]) == (200, "READY", failed.job_id)
    assert (new["attempt"], new["history"][-1]["by"]) == (2, ADA)
    assert failed.dataset.version_id in message
    assert house.jobs.next_waiting() == house.job(new["job_id"])
    assert house.job(failed.job_id) == failed


def test_a_lora_is_gone_on_from(house: House) -> None:
    lora = StoredFile(
        name="lora.safetensors", bucket="models", key="x/lora.safetensors", size=1, sha256="0"
    )
    trained = house.holds(make_job(Status.SUCCEEDED, files=(lora,)))

    status, new = said("retry", '{"resume": true}')

    assert (status, new["status"], new["resume_from"]) == (200, "READY", trained.job_id)
    assert said("retry", '{"resume": false}')[0] == 409


@pytest.mark.parametrize("body", ["[]", "{", '{"resume": 7}', '{"again": true}', "null", '"x"'])
def test_an_order_that_is_none_is_refused(house: House, body: str) -> None:
    house.holds(make_job(Status.FAILED))

    status, answer = said("retry", body)

    assert (status, answer["error"]["code"]) == (400, "query_invalid")
    assert "resume" in answer["error"]["message"]
    assert len(house.all_jobs()) == 1


def test_what_fal_has_delivered_is_taken_in_once_more(house: House) -> None:
    job = house.holds(make_job(Status.EXPIRED))
    delivery = RawDelivery(signed(webhook_body()), webhook_body())
    S3Deliveries(house.aws.s3, "models").keep(job, delivery, sent_at=NOW)

    status, body = said("replay")

    [handed] = house.aws.messages(house.results)
    assert (status, body["status"]) == (200, "STORING")
    assert StoreRequest.model_validate_json(handed).job_id == job.job_id


def test_the_months_money_and_the_slots_are_shown(house: House) -> None:
    ready = house.holds(make_job(Status.READY, estimated_cost_usd=3.6))
    limits = {"max_in_flight": 2, "monthly_usd": 100.0, "job_usd": 25.0}
    intent = ready.move(Status.SUBMITTING, now=NOW)
    house.jobs.replace(ready, intent)

    status, body = asked("GET", "/budget")

    assert (status, body) == (
        200,
        {
            "month": "2026-11",
            "reserved_usd": 3.6,
            "spent_usd": 0.0,
            "wasted_usd": 0.0,
            "left_usd": 96.4,
            "in_flight": [ready.job_id],
            "limits": limits,
        },
    )


@pytest.mark.usefixtures("house")
def test_a_new_stack_has_its_whole_budget() -> None:
    _, body = asked("GET", "/budget")

    assert (body["left_usd"], body["in_flight"]) == (100.0, [])


def test_the_dead_letters_of_both_queues_are_sent_back(house: House) -> None:
    house.aws.sqs.send_message(QueueUrl=house.dead_inbox, MessageBody="a notice")
    for body in ("a result", "another"):
        house.aws.sqs.send_message(QueueUrl=house.dead_results, MessageBody=body)

    first, second = asked("POST", "/redrive"), asked("POST", "/redrive")

    assert first == (200, {"moved": {"inbox": 1, "results": 2}})
    assert second == (200, {"moved": {"inbox": 0, "results": 0}})
    assert house.aws.messages(house.inbox) == ["a notice"]
    assert sorted(house.aws.messages(house.results)) == ["a result", "another"]


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/redrive"), ("POST", "/budget"), ("GET", f"/jobs/{JOB_ID}/retry")]
)
def test_nothing_else_is_served(method: str, path: str) -> None:
    assert asked(method, path)[0] == 404
