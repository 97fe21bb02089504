"""Scenarios of results, and of jobs that are stuck: each needs rights of the other functions."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import httpx

from lora_drop.adapters.s3_copies import S3Copies
from lora_drop.adapters.sqs import SqsInbox
from lora_drop.datasets.reports.proof_sheet import ProofPhoto, ProofReport
from lora_drop.fal.proof_prompts import picture_orders
from lora_drop.jobs.artifacts import StoredFile, Upload
from lora_drop.jobs.delivery import DatasetDelivery, DeliveryMethod, fingerprint
from lora_drop.jobs.job import Job
from lora_drop.jobs.proof import ProofSheet
from lora_drop.jobs.status import Status
from lora_drop.jobs.time_limits import ALL_ENDED
from lora_drop.messages import StoreRequest
from lora_drop.results.copies import Label
from lora_drop.services import proof_report, proof_results
from lora_drop.services.proof_sheets import picture_job
from lora_drop.services.store import INVALID_STANDS
from tests.security.iam.harness import Harness, scenario
from tests.security.iam.scenarios_datasets import STORE, delivered, delivered_as_submitted
from tests.support.builders import (
    ARTIFACTS,
    REQUEST_ID,
    make_archive,
    make_job,
    make_jpeg,
    webhook_body,
)
from tests.support.lambda_environment import FILES, event, recorded
from tests.support.receivers import changes, envelope

RECONCILE = "ReconcileFunction"
WEIGHTS = FILES[ARTIFACTS[0].url]
LORA = StoredFile(name="lora.safetensors", bucket="models", key="ada/lora", size=7, sha256="0" * 64)
FAILED = webhook_body(status="ERROR", error="x", payload={})
JOB_ID = make_job().job_id


@scenario
def a_result_wakes_the_next_waiting_job(harness: Harness) -> None:
    harness.environment.add_job(make_job(Status.SUBMITTED))
    waits = harness.environment.add_job(make_job(Status.READY, job_id="next-0000000000"))
    delivered(harness, JOB_ID)
    [message] = harness.waiting("InboxQueue")
    assert waits.dataset.version_id in message
    assert len(harness.waiting("ResultsQueue")) == 1


@scenario
def a_change_is_sent_signed_or_comes_again_later(harness: Harness) -> None:
    there = harness.environment
    job = there.add_job(make_job(Status.SUBMITTED))
    there.aws.sqs.send_message(QueueUrl=there.changes, MessageBody=envelope(job))
    assert harness.deliver("NotifyFunction") == []
    [post] = there.internet.posts
    assert post.headers["webhook-signature"].startswith("v1,")

    there.internet.says["hooks.example"] = httpx.Response(500)
    there.aws.sqs.send_message(QueueUrl=there.changes, MessageBody=envelope(job))
    [message] = there.aws.sqs.receive_message(QueueUrl=there.changes, VisibilityTimeout=0)[
        "Messages"
    ]
    with recorded() as calls:
        request = changes(envelope(job))
        request["Records"][0]["receiptHandle"] = message["ReceiptHandle"]
        assert harness.invoke("NotifyFunction", request)["batchItemFailures"]
    assert [each.operation for each in calls if each.writes] == ["ChangeMessageVisibility"]
    assert there.aws.messages(there.changes) == []  # hidden


def fetch_ordered(harness: Harness) -> Job:
    order = json.dumps({"url": "https://photos.example/ada.zip?private", "name": "ada.zip"})
    return harness.environment.job(harness.asked("POST", "/jobs", order)["job_id"])


@scenario
def a_dataset_is_fetched_from_its_address(harness: Harness) -> None:
    there = harness.environment
    there.internet.says["photos.example"] = httpx.Response(200, content=make_archive())
    job = fetch_ordered(harness)
    assert harness.deliver("FetchFunction") == []
    done = there.job(job.job_id)
    assert (done.fetching, done.dataset.size) == (False, len(make_archive()))


@scenario
def a_fetch_that_broke_off_is_begun_again(harness: Harness) -> None:
    there = harness.environment
    job = fetch_ordered(harness)
    upload = S3Copies(there.aws.s3, "datasets").begin(job.dataset.key, Label("x", "y"))
    begun = Upload(name="ada.zip", upload_id=upload, identity="x", size=2**24)
    there.jobs.replace(job, job.model_copy(update={"uploads": (begun,), "version": 2}))
    there.internet.says["photos.example"] = httpx.Response(404)
    assert harness.deliver("FetchFunction") == []
    ended = there.job(job.job_id)
    assert (ended.status, ended.uploads) == (Status.REJECTED, ())
    assert there.jobs.outbox() == {}
    assert "Uploads" not in there.aws.s3.list_multipart_uploads(Bucket="datasets")


@scenario
def a_fetch_without_a_worker_is_handed_over(harness: Harness) -> None:
    there = harness.environment
    job = fetch_ordered(harness)
    assert len(harness.waiting("FetchQueue")) == 1
    there.clock.now += timedelta(minutes=6)
    harness.invoke("ReconcileFunction", event("schedule"))
    assert [job.job_id in each for each in harness.waiting("FetchQueue")] == [True]


@scenario
def a_change_that_its_receiver_refuses_is_a_dead_letter(harness: Harness) -> None:
    there = harness.environment
    job = there.add_job(make_job(Status.SUBMITTED))
    there.internet.says["hooks.example"] = httpx.Response(410)
    there.aws.sqs.send_message(QueueUrl=there.changes, MessageBody=envelope(job))
    assert harness.deliver("NotifyFunction") == []
    assert harness.waiting("NotifyDeadLetters") == [envelope(job)]


@scenario
def a_stale_delivery_has_fal_asked(harness: Harness) -> None:
    """The reconciler is called, which holds the key."""
    harness.environment.aws.function(harness.environment.variables()["RECONCILE_FUNCTION"])
    harness.environment.add_job(make_job(Status.SUBMITTED))
    said = event("webhook_ok")
    harness.environment.clock.now += timedelta(hours=1)
    assert harness.invoke("WebhookFunction", said)["statusCode"] == 401


@scenario
def a_failure_is_recorded_by_the_webhook(harness: Harness) -> None:
    harness.environment.add_job(make_job(Status.SUBMITTED))
    delivered(harness, JOB_ID, FAILED)
    assert "ERROR.txt" in harness.environment.files()


@scenario
def a_doubt_is_settled_by_the_webhook(harness: Harness) -> None:
    """The error file that stood there is taken back."""
    job = harness.environment.add_job(make_job(Status.SUBMIT_UNKNOWN))
    with_error_file(harness, job)
    delivered(harness, JOB_ID)
    assert harness.environment.job(JOB_ID).status is Status.STORING
    assert "ERROR.txt" not in harness.environment.files()


@scenario
def a_copy_is_finished_from_its_parts(harness: Harness) -> None:
    """The worker that began it has died; its parts are listed, put together and read back."""
    harness.environment.add_job(
        make_job(Status.STORING, uploads=(begun(harness, identity="etag"),))
    )
    stored(harness)
    assert harness.environment.files()["lora.safetensors"] == WEIGHTS


@scenario
def a_result_without_webhook_is_read_with_our_key(harness: Harness) -> None:
    """The webhook may be lost, and its artifacts with it."""
    harness.environment.add_job(make_job(Status.STORING, artifacts=()))
    harness.environment.internet.status = {"status": "COMPLETED"}
    stored(harness)


@scenario
def an_invalid_result_is_booked_as_wasted(harness: Harness) -> None:
    """What is booked of it changes with the job's end."""
    job = harness.submitted()
    delivered_as_submitted(harness, job)
    harness.environment.internet.says["v3.fal.media"] = httpx.Response(200, content=b"<html>")
    harness.environment.internet.status = {"status": "COMPLETED"}
    harness.environment.clock.now += INVALID_STANDS
    assert harness.deliver(STORE) == []
    assert harness.environment.job(job.job_id).status is Status.FAILED
    assert harness.environment.jobs.account("2026-11").wasted_usd > 0


def with_lora(harness: Harness, **changes: Any) -> Job:
    """A training that has its LoRA, and a proof sheet that was ordered."""
    job = make_job(Status.SUCCEEDED, proof=ProofSheet(), **changes)
    key = f"{job.prefix}lora.safetensors"
    harness.environment.aws.s3.put_object(Bucket="models", Key=key, Body=WEIGHTS)
    stored = StoredFile(
        name="lora.safetensors", bucket="models", key=key, size=len(WEIGHTS), sha256=""
    )
    return harness.environment.add_job(job.model_copy(update={"files": (stored,)}))


def pictures(harness: Harness) -> list[Job]:
    proof = harness.environment.job(JOB_ID).proof
    return [harness.environment.job(each) for each in (proof.pictures if proof else ())]


@scenario
def a_proof_sheet_is_ordered_with_the_lora(harness: Harness) -> None:
    """The store worker opens the pictures, the submitter sends them, fal fetches the LoRA."""
    harness.environment.add_job(make_job(Status.STORING, proof=ProofSheet()))
    stored(harness)
    assert harness.deliver("SubmitFunction") == []
    first, *_ = pictures(harness)
    assert first.status is Status.SUBMITTED
    sent = json.loads(harness.environment.internet.posts[0].content)
    assert harness.fetched(sent["loras"][0]["path"]) == WEIGHTS


@scenario
def a_picture_is_stored_and_asks_for_its_sheet(harness: Harness) -> None:
    job = with_lora(harness)
    order = picture_orders(job.job_id, None, "ada", 1)[0]
    picture = picture_job(job, order, now=harness.environment.clock.now)
    now = harness.environment.clock.now
    sent = picture.move(Status.SUBMITTING, now=now)
    harness.environment.add_job(sent.move(Status.SUBMITTED, now=now, request_id=REQUEST_ID))
    result = {"images": [{"url": "https://v3.fal.media/files/a/one.jpeg"}], "prompt": "a photo"}
    delivered(harness, picture.job_id, webhook_body(payload=result))
    made = make_jpeg(width=order.width)
    harness.environment.internet.says["v3.fal.media"] = httpx.Response(200, content=made)
    assert harness.deliver(STORE) == []
    assert harness.environment.files()["picture.jpg"] == made
    assert any(job.job_id in each for each in harness.waiting("InboxQueue"))


@scenario
def a_proof_sheet_is_finished(harness: Harness) -> None:
    """The submitter compares the pictures, all of which have ended, with the dataset, and writes the sheet."""
    job = with_lora(harness)
    [order] = picture_orders(job.job_id, None, "ada", 1)
    picture = picture_job(job, order, now=harness.environment.clock.now)
    harness.environment.add_job(picture.move(Status.CANCELLED, now=harness.environment.clock.now))
    named = ProofSheet(pictures=(picture.job_id,))
    harness.environment.jobs.replace(job, job.model_copy(update={"proof": named, "version": 99}))
    SqsInbox(harness.environment.aws.sqs, harness.environment.inbox).finish_proof(job.job_id)
    real = proof_report.report_on
    photo = ProofPhoto(name="one.jpg", likeness=0.8, thumbnail=make_jpeg())

    def with_a_photo(*args: Any) -> ProofReport:
        return real(*args).model_copy(update={"photos": (photo,)})

    with patch.object(proof_results, "report_on", with_a_photo):
        assert harness.deliver("SubmitFunction") == []
    assert not harness.environment.job(JOB_ID).proof_open
    assert harness.environment.files().keys() >= {"proof.json", "proof.html", "job.json"}


@scenario
def a_lost_proof_sheet_is_found(harness: Harness) -> None:
    """The store worker died before it opened the pictures."""
    with_lora(harness)
    later(harness)
    assert {each.status for each in pictures(harness)} == {Status.READY}
    [message] = harness.waiting("InboxQueue")
    assert "portrait/ada.zip" in message


@scenario
def a_lost_event_is_found(harness: Harness) -> None:
    version = harness.drop(notify=False)
    harness.environment.clock.now = datetime.now(UTC) + timedelta(minutes=6)
    round_done(harness)
    [message] = harness.waiting("InboxQueue")
    assert version in message


@scenario
def a_lost_webhook_is_replaced_by_a_question(harness: Harness) -> None:
    harness.environment.add_job(make_job(Status.SUBMITTED))
    harness.environment.internet.status = {"status": "COMPLETED"}
    later(harness)
    assert json.loads(harness.environment.files()["status.json"])["status"] == "STORING"
    assert len(harness.waiting("ResultsQueue")) == 1


@scenario
def a_dead_submission_is_reported(harness: Harness) -> None:
    harness.environment.add_job(make_job(Status.SUBMITTING))
    later(harness)
    assert "nothing is paid twice" in harness.environment.files()["ERROR.txt"].decode()


@scenario
def a_doubt_is_settled_by_fals_list(harness: Harness) -> None:
    """Where the dataset was sent in the request itself, all jobs are looked at as well."""
    url = "data:application/zip;base64,UEs="
    sent = DatasetDelivery(way=DeliveryMethod.DATA, sha256=fingerprint(url))
    job = harness.environment.add_job(make_job(Status.SUBMIT_UNKNOWN, delivery=sent))
    with_error_file(harness, job)
    harness.environment.internet.listed = [
        {"request_id": REQUEST_ID, "json_input": {"images_data_url": url}}
    ]
    later(harness)
    assert harness.environment.job(JOB_ID).request_id == REQUEST_ID
    assert "ERROR.txt" not in harness.environment.files()


@scenario
def a_lora_is_named_by_the_round(harness: Harness) -> None:
    """The functions that stored two LoRAs of a dataset have died right after that."""
    ended = [
        harness.environment.add_job(make_job(Status.SUCCEEDED, job_id=job_id, files=(LORA,)))
        for job_id in (JOB_ID, "ada-0000000000")
    ]
    later(harness)
    text = harness.environment.files()["latest.json"].decode()
    assert all(job.job_id in text for job in ended)


@scenario
def an_abandoned_upload_is_ended(harness: Harness) -> None:
    harness.environment.aws.s3.create_multipart_upload(Bucket="models", Key="x/lora.safetensors")
    harness.environment.clock.now = datetime.now(UTC) + timedelta(hours=2)
    round_done(harness)
    assert "Uploads" not in harness.environment.aws.s3.list_multipart_uploads(Bucket="models")


def with_error_file(harness: Harness, job: Job) -> None:
    """As it lies beside a job's files while a person is needed."""
    harness.environment.aws.s3.put_object(Bucket="models", Key=f"{job.prefix}ERROR.txt", Body=b"x")


def begun(harness: Harness, *, identity: str) -> Upload:
    """An unfinished copy of the weights, with all of its bytes there."""
    copies = S3Copies(harness.environment.aws.s3, "models")
    key = f"{make_job().prefix}lora.safetensors"
    upload_id = copies.begin(key, Label("application/octet-stream", "x"))
    copies.upload(key, upload_id, 1, WEIGHTS)
    return Upload(
        name="lora.safetensors", upload_id=upload_id, identity=identity, size=len(WEIGHTS)
    )


def stored(harness: Harness) -> None:
    """The job's message is in the results queue, and is handed over."""
    body = StoreRequest(job_id=JOB_ID).model_dump_json()
    harness.environment.aws.sqs.send_message(QueueUrl=harness.environment.results, MessageBody=body)
    assert harness.deliver(STORE) == []
    assert harness.environment.job(JOB_ID).status is Status.SUCCEEDED


def later(harness: Harness) -> None:
    """A round, when every job is late."""
    harness.environment.clock.now += 2 * ALL_ENDED
    round_done(harness)


def round_done(harness: Harness) -> Any:
    """What a round of the reconciler has done."""
    tally = harness.invoke(RECONCILE, event("schedule"))
    assert tally["unanswered"] == 0
    return tally
