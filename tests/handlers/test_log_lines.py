"""Log lines name the job and the request at fal, and nothing personal."""

from typing import Any

import pytest

from functions.jobs.handler import handler as jobs
from functions.reconcile.handler import handler as reconcile
from functions.store.handler import handler as store
from functions.submit.handler import handler as submit
from functions.webhook.handler import handler as webhook
from lora_drop.jobs.status import Status
from tests.support.builders import REQUEST_ID, make_dataset, make_job, s3_event
from tests.support.lambda_environment import Context, LambdaEnvironment, event
from tests.support.lambda_events import job_event, queue_event, store_event

JOB = make_job().job_id


def lines(environment: LambdaEnvironment) -> list[dict[str, Any]]:
    return [line for line in environment.output_lines() if "message" in line]


@pytest.mark.promise("it can be operated")
def test_submission_is_logged_by_ids(environment: LambdaEnvironment) -> None:
    """Every line of a submission names its job, and the last line its request at fal."""
    dataset = make_dataset(version_id=environment.drop())
    submit(queue_event(s3_event(dataset)), Context())
    job = environment.only_job()
    [received, sent] = lines(environment)
    assert {received["job_id"], sent["job_id"]} == {job.job_id}
    assert sent["request_id"] == REQUEST_ID


def test_failure_names_its_own_job(environment: LambdaEnvironment) -> None:
    known = environment.add_job(make_job(Status.SUCCEEDED))
    bodies = [{"job_id": known.job_id}, {"job_id": "no-job-0123456789"}, {}]

    store(queue_event(*bodies), Context())

    known_ids = [(line.get("job_id"), line.get("request_id")) for line in lines(environment)]
    assert known_ids == [
        (known.job_id, known.request_id),
        ("no-job-0123456789", None),
        (None, None),
    ]


def test_next_invocation_names_no_job(environment: LambdaEnvironment) -> None:
    environment.add_job(make_job(Status.SUBMITTED))
    store(store_event(JOB), Context())
    lines(environment)
    reconcile(event("schedule"), Context())
    [line] = lines(environment)
    assert "job_id" not in line


@pytest.mark.parametrize(
    ("path", "said"),
    [(JOB, JOB), ("no-job-0123456789", "no-job-0123456789"), ("<script>alert(1)</script>", None)],
)
def test_only_valid_job_ids_are_logged(
    environment: LambdaEnvironment, path: str, said: str | None
) -> None:
    environment.add_job(make_job(Status.SUBMITTED))
    jobs(job_event(path), Context())
    [line] = lines(environment)
    assert line.get("job_id") == said


def test_refused_delivery_names_its_job(environment: LambdaEnvironment) -> None:
    sent = event("webhook_forged")
    sent["pathParameters"] = {"job_id": JOB, "token": "x"}
    sent["path"] = f"/webhooks/fal/{JOB}/x"
    webhook(sent, Context())
    [line] = lines(environment)
    assert (line["message"], line["job_id"]) == ("delivery refused", JOB)
