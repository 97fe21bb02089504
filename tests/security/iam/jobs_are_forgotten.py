"""What happens when a job is forgotten: each of these needs some of the forget function's rights."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from lora_drop.jobs.erasures import LAST_LOOK_AFTER
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.job import Job, Status
from lora_drop.messages import s3_notice_for
from lora_drop.ports import Claim
from tests.security.iam.datasets_come_in import SUBMIT
from tests.security.iam.harness import Harness, scenario
from tests.support.builders import REQUEST_ID, make_dataset, make_job
from tests.support.lambda_environment import event

FORGET = "ForgetFunction"
KEY = "portrait/zoe.zip"


@scenario
def a_job_is_forgotten_with_every_version_of_its_files(harness: Harness) -> None:
    """In both buckets, and at fal; what is left is the proof."""
    job = ended(harness)

    assert ordered(harness, job)["done"] is False
    assert left(harness) == []
    assert [each.method for each in harness.environment.internet.requests] == ["DELETE"]
    harness.environment.clock.now += LAST_LOOK_AFTER
    assert ordered(harness, job)["done"] is True


@scenario
def it_is_looked_who_would_go(harness: Harness) -> None:
    """Before anybody is asked whether it is meant; they stay."""
    job = ended(harness)
    twin = make_job(Status.CANCELLED, job_id="twin-0000000000", duplicate_of=job.job_id)
    harness.environment.add_job(twin)

    found = ordered(harness, job, family=True, look=True)["jobs"]
    assert [each["job_id"] for each in found] == [job.job_id, twin.job_id]
    assert len(harness.environment.all_jobs()) == 2


@scenario
def what_was_begun_is_gone_on_with(harness: Harness) -> None:
    """By the schedule, though nobody asks again."""
    ordered(harness, ended(harness))
    harness.environment.clock.now += LAST_LOOK_AFTER

    assert harness.invoke(FORGET, event("schedule")) == {"open": 0}


@scenario
def a_job_that_had_its_files_from_another_is_forgotten_with_it(harness: Harness) -> None:
    """Found on the list of all jobs."""
    job = ended(harness)
    twin = make_job(Status.CANCELLED, job_id="twin-0000000000", duplicate_of=job.job_id)
    harness.environment.add_job(twin)

    assert len(ordered(harness, job, family=True)["erasures"]) == 2
    assert harness.environment.all_jobs() == ()


@scenario
def a_job_that_another_stood_in_for_has_its_content_back_until_it_goes_too(
    harness: Harness,
) -> None:
    """So whoever dies in between leaves nothing that would be paid once more."""
    content = "c" * 64
    job = ended(harness, content_digest=content)
    stands_in = {"supersedes": job.job_id, "retry_of": job.job_id, "content_digest": content}
    twin = make_job(Status.CANCELLED, job_id="twin-0000000000", **stands_in)
    assert harness.environment.jobs.add(twin, claim=Claim(None))

    assert len(ordered(harness, job, family=True)["erasures"]) == 2
    assert harness.environment.jobs.owner(content) is None


@scenario
def a_dataset_whose_job_was_forgotten_is_not_taken_in_again(harness: Harness) -> None:
    """Its notice may come once more, and nothing is paid."""
    job = ended(harness)
    ordered(harness, job)
    notice = json.dumps(s3_notice_for(job.dataset))
    harness.environment.aws.sqs.send_message(QueueUrl=harness.environment.inbox, MessageBody=notice)

    assert harness.deliver(SUBMIT) == []
    assert harness.environment.all_jobs() == ()
    assert harness.environment.internet.posts == []


# --------------------------------------------------------------------------- what they share


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


def ordered(harness: Harness, job: Job, *, family: bool = False, look: bool = False) -> Any:
    """The answer to somebody who wants a job forgotten."""
    said = event("job_forget") | {
        "path": f"/jobs/{job.job_id}/forget",
        "body": json.dumps({"family": family, "look": look}),
    }
    answer = harness.invoke(FORGET, said)
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
