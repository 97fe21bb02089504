"""What happens to results, and to what gets stuck: each of these needs rights of the other functions."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from lora_drop.adapters.s3_copies import S3Copies
from lora_drop.jobs.artifacts import Upload
from lora_drop.jobs.delivery import DatasetDelivery, DeliveryMethod, fingerprint
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.messages import StoreRequest
from lora_drop.results.copies import Label
from tests.security.iam.datasets_come_in import STORE, delivered, known_path, told
from tests.security.iam.stage import Stage, scenario
from tests.support.builders import ARTIFACTS, REQUEST_ID, make_job, webhook_body
from tests.support.lambda_environment import FILES, event

RECONCILE = "ReconcileFunction"
WEIGHTS = FILES[ARTIFACTS[0].url]
FAILED = webhook_body(status="ERROR", error="x", payload={})
JOB_ID = make_job().job_id


# --------------------------------------------------------------------------- fal calls back


@scenario
def a_result_calls_the_next_in_the_line(stage: Stage) -> None:
    """The slot that it frees is somebody's."""
    stage.house.holds(make_job(Status.SUBMITTED))
    waits = stage.house.holds(make_job(Status.READY, job_id="next-0000000000"))
    delivered(stage, known_path(), webhook_body())

    [message] = stage.waiting("InboxQueue")
    assert waits.dataset.version_id in message
    assert len(stage.waiting("ResultsQueue")) == 1


@scenario
def what_fal_delivers_is_kept(stage: Stage) -> None:
    """For a replay."""
    stage.house.holds(make_job(Status.SUBMITTED))
    delivered(stage, known_path(), webhook_body())

    assert any(name.startswith("2026") for name in stage.house.files())


@scenario
def what_fal_signed_too_long_ago_has_fal_asked(stage: Stage) -> None:
    """The reconciler is called, which holds the key."""
    stage.house.aws.function(stage.house.environment()["RECONCILE_FUNCTION"])
    stage.house.holds(make_job(Status.SUBMITTED))
    said = event("webhook_ok")
    stage.house.clock.now += timedelta(hours=1)

    assert stage.invoke("WebhookFunction", said)["statusCode"] == 401


@scenario
def a_failure_is_told_by_the_webhook(stage: Stage) -> None:
    """A person finds the reason."""
    stage.house.holds(make_job(Status.SUBMITTED))
    delivered(stage, known_path(), FAILED)

    assert "ERROR.txt" in stage.house.files()


@scenario
def a_doubt_is_settled_by_the_webhook(stage: Stage) -> None:
    """The error file that stood there is taken back."""
    job = stage.house.holds(make_job(Status.SUBMIT_UNKNOWN))
    with_error_file(stage, job)
    delivered(stage, known_path(), webhook_body())

    assert stage.house.job(JOB_ID).status is Status.STORING
    assert "ERROR.txt" not in stage.house.files()


@scenario
def a_late_delivery_closes_what_has_ended(stage: Stage) -> None:
    """Its end is told for good."""
    stage.house.holds(make_job(Status.FAILED))
    stage.house.clock.now += timedelta(minutes=7)
    delivered(stage, known_path(), FAILED)

    assert list(stage.house.jobs.unfinished()) == []


# --------------------------------------------------------------------------- results are stored


@scenario
def a_copy_is_finished_from_its_parts(stage: Stage) -> None:
    """Whoever began it has died; what is there is listed, put together and read back."""
    stage.house.holds(make_job(Status.STORING, uploads=(begun(stage, identity="etag"),)))
    stored(stage)

    assert stage.house.files()["lora.safetensors"] == WEIGHTS


@scenario
def a_copy_that_cannot_be_gone_on_with_is_ended(stage: Stage) -> None:
    """And made anew."""
    stage.house.holds(make_job(Status.STORING, uploads=(begun(stage, identity=""),)))
    stored(stage)

    assert stage.house.files()["lora.safetensors"] == WEIGHTS
    assert "Uploads" not in stage.house.aws.s3.list_multipart_uploads(Bucket="models")


@scenario
def a_stored_result_takes_its_error_back(stage: Stage) -> None:
    """The trouble that a copy had is over."""
    with_error_file(stage, stage.house.holds(make_job(Status.STORING)))
    stored(stage)

    assert "ERROR.txt" not in stage.house.files()


@scenario
def a_message_that_comes_late_closes_the_job(stage: Stage) -> None:
    """Its end is told for good."""
    stage.house.holds(make_job(Status.STORING))
    stored(stage)
    stage.house.clock.now += timedelta(minutes=7)
    stored(stage)

    assert list(stage.house.jobs.unfinished()) == []


@scenario
def a_result_that_nobody_brought_is_read_with_our_key(stage: Stage) -> None:
    """The webhook may be lost, and its artifacts with it."""
    stage.house.holds(make_job(Status.STORING, artifacts=()))
    stage.house.internet.status = {"status": "COMPLETED"}
    stored(stage)


@scenario
def a_result_that_is_none_was_paid_for_nothing(stage: Stage) -> None:
    """What is booked of it changes with the job's end."""
    job = stage.submitted()
    told(stage, job)
    stage.house.internet.says["v3.fal.media"] = httpx.Response(200, content=b"<html>")
    stage.house.internet.status = {"status": "COMPLETED"}
    assert stage.deliver(STORE) == []

    assert stage.house.job(job.job_id).status is Status.FAILED
    assert stage.house.jobs.account("2026-11").wasted_usd > 0


# --------------------------------------------------------------------------- nothing is stuck


@scenario
def a_lost_event_is_found(stage: Stage) -> None:
    """By a walk through the bucket."""
    version = stage.drop(tell=False)
    stage.house.clock.now = datetime.now(UTC) + timedelta(minutes=6)
    round_done(stage)

    [message] = stage.waiting("InboxQueue")
    assert version in message


@scenario
def a_lost_webhook_is_made_good(stage: Stage) -> None:
    """Fal is asked."""
    stage.house.holds(make_job(Status.SUBMITTED))
    stage.house.internet.status = {"status": "COMPLETED"}
    later(stage)

    assert json.loads(stage.house.files()["status.json"])["status"] == "STORING"
    assert len(stage.waiting("ResultsQueue")) == 1


@scenario
def a_dead_submission_is_told(stage: Stage) -> None:
    """And never sent again."""
    stage.house.holds(make_job(Status.SUBMITTING))
    later(stage)

    assert "nothing is paid twice" in stage.house.files()["ERROR.txt"].decode()


@scenario
def a_doubt_is_settled_by_fals_list(stage: Stage) -> None:
    """Where the dataset was sent in the request itself, all jobs are looked at as well."""
    url = "data:application/zip;base64,UEs="
    sent = DatasetDelivery(way=DeliveryMethod.DATA, sha256=fingerprint(url))
    job = stage.house.holds(make_job(Status.SUBMIT_UNKNOWN, delivery=sent))
    with_error_file(stage, job)
    stage.house.internet.listed = [
        {"request_id": REQUEST_ID, "json_input": {"images_data_url": url}}
    ]
    later(stage)

    assert stage.house.job(JOB_ID).request_id == REQUEST_ID
    assert "ERROR.txt" not in stage.house.files()


@scenario
def an_upload_that_nobody_finishes_is_ended(stage: Stage) -> None:
    """By a walk through the unfinished ones."""
    stage.house.aws.s3.create_multipart_upload(Bucket="models", Key="x/lora.safetensors")
    stage.house.clock.now = datetime.now(UTC) + timedelta(hours=2)
    round_done(stage)

    assert "Uploads" not in stage.house.aws.s3.list_multipart_uploads(Bucket="models")


# --------------------------------------------------------------------------- what they share


def with_error_file(stage: Stage, job: Job) -> None:
    """As it lies beside a job's files while a person is needed."""
    stage.house.aws.s3.put_object(Bucket="models", Key=f"{job.prefix}ERROR.txt", Body=b"x")


def begun(stage: Stage, *, identity: str) -> Upload:
    """An unfinished copy of the weights, with all of its bytes there."""
    copies = S3Copies(stage.house.aws.s3, "models")
    key = f"{make_job().prefix}lora.safetensors"
    upload_id = copies.begin(key, Label("application/octet-stream", "x"))
    copies.upload(key, upload_id, 1, WEIGHTS)
    return Upload(
        name="lora.safetensors", upload_id=upload_id, identity=identity, size=len(WEIGHTS)
    )


def stored(stage: Stage) -> None:
    """The job's message is in the results queue, and is handed over."""
    body = StoreRequest(job_id=JOB_ID).model_dump_json()
    stage.house.aws.sqs.send_message(QueueUrl=stage.house.results, MessageBody=body)
    assert stage.deliver(STORE) == []
    assert stage.house.job(JOB_ID).status is Status.SUCCEEDED


def later(stage: Stage) -> None:
    """A round, when every job is late."""
    stage.house.clock.now += timedelta(minutes=11)
    round_done(stage)


def round_done(stage: Stage) -> Any:
    """What a round of the reconciler has done."""
    tally = stage.invoke(RECONCILE, event("schedule"))
    assert tally["unanswered"] == 0
    return tally
