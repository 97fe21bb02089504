"""Scenarios of what people ask, decide, forget, and hear of on the event bus: each needs some rights."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from lora_drop.adapters.s3_results import S3Deliveries
from lora_drop.adapters.s3_texts import S3Texts
from lora_drop.fal.webhooks import RawDelivery
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.erasures import LAST_LOOK_AFTER
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.ports import Claim
from lora_drop.services.latest import LatestLoras
from tests.security.iam.harness import Harness, scenario
from tests.security.iam.scenarios_datasets import delivered
from tests.security.iam.scenarios_results import JOB_ID, later, stored, with_error_file
from tests.support.builders import NOW, REQUEST_ID, make_dataset, make_job, signed, webhook_body
from tests.support.lambda_environment import event

FORGET = "ForgetFunction"
KEY = "portrait/zoe.zip"


@scenario
def jobs_are_listed_and_shown(harness: Harness) -> None:
    job = harness.environment.add_job(make_job(Status.TRAINING))
    assert len(harness.asked("GET", "/jobs")["jobs"]) == 1
    assert len(harness.asked("GET", "/jobs", status="TRAINING")["jobs"]) == 1
    assert harness.asked("GET", f"/jobs/{job.job_id}")["status"] == "TRAINING"


@scenario
def a_training_is_watched(harness: Harness) -> None:
    """Fal is asked with our key, and the progress is kept with the job."""
    harness.environment.add_job(make_job(Status.TRAINING))
    line = {"message": " 2%|2| 50/2500 [01:40<1:21:40, 2.00s/it]"}
    harness.environment.internet.status = {"status": "IN_PROGRESS", "logs": [line]}
    assert harness.asked("GET", f"/jobs/{JOB_ID}/logs")["progress"]["step"] == 50
    kept = harness.environment.job(JOB_ID).progress
    assert kept is not None
    assert kept.step == 50
    harness.environment.add_job(make_job(Status.READY, job_id="next-0000000000"))
    assert harness.asked("GET", "/jobs/next-0000000000")["waiting"]["jobs_before"] == 0


@scenario
def a_training_is_cancelled_and_the_next_one_sent(harness: Harness) -> None:
    """Fal is asked with our key; the reason is written beside the files."""
    harness.environment.add_job(make_job(Status.TRAINING))
    harness.environment.add_job(make_job(Status.READY, job_id="next-0000000000"))
    harness.environment.internet.status = {
        "status": "COMPLETED",
        "error": "x",
        "error_type": "internal_error",
    }
    assert harness.asked("POST", f"/jobs/{JOB_ID}/cancel")["status"] == "FAILED"
    assert "ERROR.txt" in harness.environment.files()
    assert len(harness.waiting("InboxQueue")) == 1


@scenario
def a_dataset_is_uploaded_and_ordered(harness: Harness) -> None:
    """With a signed form; by its newest version, by this one, by an older one, and by one that is not there."""
    form = harness.asked("POST", "/datasets", json.dumps({"name": "ada.zip"}))
    older, version = harness.uploaded(form), harness.uploaded(form)
    newest = harness.asked("POST", "/jobs", json.dumps({"key": form["key"]}))
    named = [json.dumps({"key": form["key"], "version_id": each}) for each in (version, older)]
    assert harness.asked("POST", "/jobs", named[0]) == newest
    assert harness.asked("POST", "/jobs", named[1]) != newest
    missing = event("job_resolve") | {"path": "/jobs", "body": json.dumps({"key": "no.zip"})}
    assert harness.invoke("JobsFunction", missing)["statusCode"] == 404
    assert len(harness.waiting("InboxQueue")) == 3


@scenario
def a_result_is_downloaded_by_address(harness: Harness) -> None:
    key = f"{make_job().prefix}lora.safetensors"
    harness.environment.aws.s3.put_object(Bucket="models", Key=key, Body=b"weights")
    file = StoredFile(name="lora.safetensors", bucket="models", key=key, size=7, sha256="0")
    harness.environment.add_job(make_job(Status.SUCCEEDED, files=(file,)))
    [found] = harness.asked("GET", f"/jobs/{JOB_ID}/files")["files"]
    assert harness.fetched(found["url"], "JobsFunction") == b"weights"


@scenario
def a_person_lets_a_held_job_go_on(harness: Harness) -> None:
    with_error_file(harness, harness.environment.add_job(make_job(Status.HELD)))
    assert harness.asked("POST", f"/jobs/{JOB_ID}/approve")["status"] == "READY"
    assert "ERROR.txt" not in harness.environment.files()


@scenario
def what_fal_delivered_is_replayed(harness: Harness) -> None:
    job = harness.environment.add_job(make_job(Status.EXPIRED))
    raw = RawDelivery(signed(webhook_body()), webhook_body())
    S3Deliveries(harness.environment.aws.s3, "models").keep(job, raw, sent_at=NOW)
    assert harness.asked("POST", f"/jobs/{JOB_ID}/replay")["status"] == "STORING"
    assert len(harness.waiting("ResultsQueue")) == 1


QUEUES = ("inbox", "results", "fetch", "notify")


@scenario
def dead_letters_are_sent_back(harness: Harness) -> None:
    there = harness.environment
    for queue in (there.dead_inbox, there.dead_results, there.dead_orders, there.dead_changes):
        there.aws.sqs.send_message(QueueUrl=queue, MessageBody="x")
    assert harness.asked("POST", "/redrive") == {"moved": dict.fromkeys(QUEUES, 1)}
    for queue in map(str.title, QUEUES):
        assert harness.waiting(f"{queue}Queue") == ["x"]
        assert harness.waiting(f"{queue}DeadLetters") == []


@scenario
def events_of_a_new_dataset_are_published(harness: Harness) -> None:
    assert harness.submitted().status is Status.SUBMITTED
    assert outbox(harness) == {}


@scenario
def events_of_a_delivery_are_published(harness: Harness) -> None:
    harness.environment.add_job(make_job(Status.SUBMITTED))
    delivered(harness, JOB_ID)
    assert outbox(harness) == {}


@scenario
def events_of_a_stored_result_are_published(harness: Harness) -> None:
    harness.environment.add_job(make_job(Status.STORING))
    stored(harness)
    assert outbox(harness) == {}


@scenario
def events_of_a_decision_are_published(harness: Harness) -> None:
    job = harness.environment.add_job(make_job(Status.READY))
    harness.asked("POST", f"/jobs/{job.job_id}/cancel")
    assert outbox(harness) == {}


@scenario
def unpublished_events_are_published_by_the_round(harness: Harness) -> None:
    """The function that made the change has died right after it."""
    job = make_job(Status.SUBMITTED)
    assert harness.environment.jobs.add(job)
    assert outbox(harness) == {job.job_id: job.version}
    for _ in range(2):
        later(harness)
    assert outbox(harness) == {}


def outbox(harness: Harness) -> dict[str, int]:
    """Return the events that are not published yet."""
    return dict(harness.environment.jobs.outbox())


@scenario
def a_job_is_forgotten_with_every_version_of_its_files(harness: Harness) -> None:
    """In both buckets, and at fal; what is left is the proof."""
    job = ended(harness)
    assert forgotten(harness, job)["done"] is False
    assert left(harness) == []
    assert [each.method for each in harness.environment.internet.requests] == ["DELETE"]
    harness.environment.clock.now += LAST_LOOK_AFTER
    assert forgotten(harness, job)["done"] is True


@scenario
def a_forgotten_job_leaves_the_loras_of_others_named(harness: Harness) -> None:
    """Another dataset's jobs lie in the same folder, because their keys differ in .zip alone."""
    job = with_lora(ended(harness))
    other = with_lora(make_job(job_id="other-0000000000", dataset=make_dataset(f"{KEY[:-4]}.ZIP")))
    latest = LatestLoras(S3Texts(harness.environment.aws.s3, "models"))
    latest.add(job)
    latest.add(other)
    assert forgotten(harness, job)["done"] is False
    text = harness.environment.files()["latest.json"].decode()
    assert (other.job_id in text, job.job_id in text) == (True, False)
    harness.environment.clock.now += LAST_LOOK_AFTER
    assert forgotten(harness, job)["done"] is True


def with_lora(job: Job) -> Job:
    """The job as if it had a LoRA, which its row need not say to be forgotten."""
    weights = StoredFile(
        name="lora.safetensors", bucket="models", key=f"{job.prefix}x", size=1, sha256="0" * 64
    )
    return job.model_copy(update={"status": Status.SUCCEEDED, "files": (weights,)})


@scenario
def a_superseded_job_owns_its_content_until_it_goes(harness: Harness) -> None:
    """An interrupted erasure leaves nothing that would be paid once more."""
    content = "c" * 64
    job = ended(harness, content_digest=content)
    stands_in = {"supersedes": job.job_id, "retry_of": job.job_id, "content_digest": content}
    duplicate = make_job(Status.CANCELLED, job_id="duplicate-0000000000", **stands_in)
    assert harness.environment.jobs.add(duplicate, claim=Claim(None))
    assert len(forgotten(harness, job, family=True)["erasures"]) == 2
    assert harness.environment.jobs.owner(content) is None


def ended(harness: Harness, **changes: Any) -> Job:
    """A job that has ended, with versions, markers and unfinished uploads in both buckets."""
    # S3 stamps what is put into it with the real time.
    harness.environment.clock.now = datetime.now(UTC) + timedelta(seconds=2)
    s3 = harness.environment.aws.s3
    s3.put_object(Bucket="datasets", Key=KEY, Body=b"older")
    version = s3.put_object(Bucket="datasets", Key=KEY, Body=b"photos")["VersionId"]
    job = make_job(
        Status.CANCELLED,
        job_id=job_id_for("datasets", KEY, version),
        dataset=make_dataset(KEY, version_id=version),
        created_at=harness.environment.clock.now,
        request_id=REQUEST_ID,
        intents=1,
        **changes,
    )
    for _ in range(2):
        s3.put_object(Bucket="models", Key=f"{job.prefix}lora.safetensors", Body=b"x")
    s3.delete_object(Bucket="models", Key=f"{job.prefix}lora.safetensors")
    for bucket, key in (("datasets", KEY), ("models", f"{job.prefix}dataset.zip")):
        s3.create_multipart_upload(Bucket=bucket, Key=key)
    return harness.environment.add_job(job)


def forgotten(harness: Harness, job: Job, *, family: bool = False, look: bool = False) -> Any:
    """Return the answer to a request to forget a job."""
    request = event("job_forget") | {
        "path": f"/jobs/{job.job_id}/forget",
        "body": json.dumps({"family": family, "look": look}),
    }
    answer = harness.invoke(FORGET, request)
    assert answer["statusCode"] == 200, answer["body"]
    return json.loads(answer["body"])


def left(harness: Harness) -> list[str]:
    """The keys of every version, marker and unfinished upload."""
    found: list[Any] = []
    for bucket in ("datasets", "models"):
        pages = harness.environment.aws.s3.list_object_versions(Bucket=bucket)
        found += [*pages.get("Versions", []), *pages.get("DeleteMarkers", [])]
        found += harness.environment.aws.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return [row["Key"] for row in found]
