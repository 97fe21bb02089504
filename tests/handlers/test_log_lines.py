"""What the logs and the traces say: of which job, of which request at fal, and nothing personal."""

import json
from typing import Any

import pytest
from aws_lambda_powertools import Tracer

from functions.jobs.handler import handler as ask
from functions.reconcile.handler import handler as reconcile
from functions.store.handler import handler as store
from functions.submit.handler import handler as submit
from functions.webhook.handler import handler as deliver
from lora_drop.jobs.status import Status
from lora_drop.messages import StoreRequest
from tests.support.builders import REQUEST_ID, make_dataset, make_job, s3_event
from tests.support.lambda_environment import Context, House, event

JOB = make_job().job_id


@pytest.fixture
def annotations(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    """What is said to X-Ray."""
    said: list[tuple[str, object]] = []
    monkeypatch.setattr(Tracer, "put_annotation", lambda _, key, value: said.append((key, value)))
    return said


def message(body: str, number: int = 1) -> dict[str, Any]:
    [record] = event("s3_put_in_sqs")["Records"]
    return {**record, "messageId": str(number), "body": body}


def lines(house: House) -> list[dict[str, Any]]:
    return [line for line in house.said() if "message" in line]


def test_a_dataset_and_its_submission_are_told_by_the_jobs_id_and_the_requests(
    house: House, annotations: list[tuple[str, object]]
) -> None:
    dataset = make_dataset(version_id=house.drop())

    submit({"Records": [message(json.dumps(s3_event(dataset)))]}, Context())

    job = house.only_job()
    [received, sent] = lines(house)
    assert {received["job_id"], sent["job_id"]} == {job.job_id}
    assert sent["request_id"] == REQUEST_ID
    assert dict(annotations) == {"job_id": job.job_id, "request_id": REQUEST_ID}


def test_what_fails_says_which_job_it_was_and_nothing_of_the_one_before(house: House) -> None:
    known = house.holds(make_job(Status.SUCCEEDED))
    bodies = [
        StoreRequest(job_id=known.job_id).model_dump_json(),
        StoreRequest(job_id="nobody-0123456789").model_dump_json(),
        "{}",
    ]

    store({"Records": [message(body, at) for at, body in enumerate(bodies)]}, Context())

    told = [(line.get("job_id"), line.get("request_id")) for line in lines(house)]
    assert told == [(known.job_id, known.request_id), ("nobody-0123456789", None), (None, None)]


def test_one_invocations_job_is_forgotten_by_the_next(house: House) -> None:
    house.holds(make_job(Status.SUBMITTED))
    store({"Records": [message(StoreRequest(job_id=JOB).model_dump_json())]}, Context())
    lines(house)

    reconcile(event("schedule"), Context())

    [line] = lines(house)
    assert "job_id" not in line


@pytest.mark.parametrize(
    ("path", "said"),
    [(JOB, JOB), ("nobody-0123456789", "nobody-0123456789"), ("<script>alert(1)</script>", None)],
)
def test_a_question_is_told_by_a_job_id_that_can_be_one(
    house: House, path: str, said: str | None
) -> None:
    house.holds(make_job(Status.SUBMITTED))
    asked = {**event("job_item"), "path": f"/jobs/{path}", "pathParameters": {"job_id": path}}

    ask(asked, Context())

    [line] = lines(house)
    assert line.get("job_id") == said


def test_a_delivery_that_is_refused_says_for_which_job_it_pretended_to_be(house: House) -> None:
    sent = event("webhook_forged")
    sent["pathParameters"] = {"job_id": JOB, "token": "x"}
    sent["path"] = f"/webhooks/fal/{JOB}/x"

    deliver(sent, Context())

    [line] = lines(house)
    assert (line["message"], line["job_id"]) == ("delivery refused", JOB)
