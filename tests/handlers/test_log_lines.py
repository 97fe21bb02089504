"""Log lines name the job and the request at fal; the canary scan finds each secret where it may not be."""

import json
import logging
from typing import Any

import pytest

from functions.jobs.handler import handler as jobs
from functions.reconcile.handler import handler as reconcile
from functions.store.handler import handler as store
from functions.submit.handler import handler as submit
from functions.webhook.handler import handler as webhook
from lora_drop.jobs.ids import webhook_token
from lora_drop.jobs.status import Status
from tests.security.canary import canary_dataset, canary_values
from tests.security.canary.canary_values import MAY, CanaryScan, Kind, Place
from tests.security.canary.plugin import WATCH
from tests.support.builders import REQUEST_ID, SECRET, make_dataset, make_job, s3_event
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


@pytest.mark.parametrize("place", Place)
@pytest.mark.parametrize("kind", Kind)
def test_canary_found_where_not_allowed(kind: Kind, place: Place) -> None:
    samples = {
        **canary_values.LITERALS,
        "https://b.s3.amazonaws.com/k?X-Amz-Signature=0af1": Kind.SECRET,
        "https%3A%2F%2Fb%2Fk%3FX-Amz-Credential%3DAKIA%2F2026": Kind.SECRET,
        "POST https://api/live/webhooks/fal/ada-0123456789/" + "0a" * 16: Kind.SECRET,
        "https://v3b.fal.media/files/b/x": Kind.ADDRESS,
        "no photo-07.jpg": Kind.NAME,
        json.dumps(canary_values.OWNER.replace("Z", "\u005a")): Kind.HIDDEN,
    }

    for sample in (sample for sample, expected in samples.items() if expected is kind):
        found = {each for each, *_ in CanaryScan().found(f"x {sample} y", place)}
        assert (kind in found) == (kind not in MAY[place]), sample


def test_every_output_is_recorded(
    environment: LambdaEnvironment, capsys: pytest.CaptureFixture[str]
) -> None:
    hits = len(WATCH.hits)

    def leak(*_: Any) -> None:
        raise ValueError(canary_values.CAPTION)

    from aws_lambda_powertools import Logger  # noqa: PLC0415  # as a handler does it

    with pytest.raises(ValueError, match="kanarienvogel"):
        Logger(service="leak").inject_lambda_context(clear_state=True)(leak)({}, Context())
    print(json.dumps({"said": canary_values.PHOTO}))  # noqa: T201  # as Powertools writes metrics
    logging.getLogger("lora-drop").warning("x %s", canary_values.OWNER)
    environment.aws.sqs.send_message(QueueUrl=environment.results, MessageBody=canary_dataset.KEY)
    for name, text in (
        ("report.html", canary_values.LATITUDE),
        ("ERROR.txt", canary_values.SESSION_TOKEN),
    ):
        environment.aws.s3.put_object(Bucket="models", Key=f"a/{name}", Body=text.encode())
    logging.getLogger("lora-drop").warning(webhook_token(SECRET, "any-0000000000"))

    capsys.readouterr()
    found = {(hit.place, hit.kind) for hit in WATCH.hits[hits:]}
    del WATCH.hits[hits:]
    assert found == {
        (Place.EXCEPTION, Kind.NAME),
        (Place.LOG, Kind.NAME),
        (Place.LOG, Kind.HIDDEN),
        (Place.LOG, Kind.SECRET),
        (Place.MESSAGE, Kind.KEY),
        (Place.REPORT, Kind.HIDDEN),
        (Place.PUBLIC, Kind.SECRET),
    }
