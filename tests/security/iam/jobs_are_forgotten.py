"""What happens when a job is forgotten: each of these needs some of the forget function's rights."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from lora_drop.jobs.erasures import LAST_LOOK_AFTER
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.messages import s3_notice_for
from lora_drop.ports import Claim
from tests.security.iam.datasets_come_in import SUBMIT
from tests.security.iam.stage import Stage, scenario
from tests.support.builders import REQUEST_ID, make_dataset, make_job
from tests.support.lambda_environment import event

FORGET = "ForgetFunction"
KEY = "portrait/zoe.zip"


@scenario
def a_job_is_forgotten_with_every_version_of_its_files(stage: Stage) -> None:
    """In both buckets, and at fal; what is left is the proof."""
    job = ended(stage)

    assert ordered(stage, job)["done"] is False
    assert left(stage) == []
    assert [each.method for each in stage.house.internet.requests] == ["DELETE"]
    stage.house.clock.now += LAST_LOOK_AFTER
    assert ordered(stage, job)["done"] is True


@scenario
def it_is_looked_who_would_go(stage: Stage) -> None:
    """Before anybody is asked whether it is meant; they stay."""
    job = ended(stage)
    twin = make_job(Status.CANCELLED, job_id="twin-0000000000", duplicate_of=job.job_id)
    stage.house.holds(twin)

    found = ordered(stage, job, family=True, look=True)["jobs"]
    assert [each["job_id"] for each in found] == [job.job_id, twin.job_id]
    assert len(stage.house.all_jobs()) == 2


@scenario
def what_was_begun_is_gone_on_with(stage: Stage) -> None:
    """By the schedule, though nobody asks again."""
    ordered(stage, ended(stage))
    stage.house.clock.now += LAST_LOOK_AFTER

    assert stage.invoke(FORGET, event("schedule")) == {"open": 0}


@scenario
def a_job_that_had_its_files_from_another_is_forgotten_with_it(stage: Stage) -> None:
    """Found on the list of all jobs."""
    job = ended(stage)
    twin = make_job(Status.CANCELLED, job_id="twin-0000000000", duplicate_of=job.job_id)
    stage.house.holds(twin)

    assert len(ordered(stage, job, family=True)["erasures"]) == 2
    assert stage.house.all_jobs() == ()


@scenario
def a_job_that_another_stood_in_for_has_its_content_back_until_it_goes_too(stage: Stage) -> None:
    """So whoever dies in between leaves nothing that would be paid once more."""
    content = "c" * 64
    job = ended(stage, content_digest=content)
    stands_in = {"supersedes": job.job_id, "retry_of": job.job_id, "content_digest": content}
    twin = make_job(Status.CANCELLED, job_id="twin-0000000000", **stands_in)
    assert stage.house.jobs.add(twin, claim=Claim(None))

    assert len(ordered(stage, job, family=True)["erasures"]) == 2
    assert stage.house.jobs.owner(content) is None


@scenario
def a_dataset_whose_job_was_forgotten_is_not_taken_in_again(stage: Stage) -> None:
    """Its notice may come once more, and nothing is paid."""
    job = ended(stage)
    ordered(stage, job)
    notice = json.dumps(s3_notice_for(job.dataset))
    stage.house.aws.sqs.send_message(QueueUrl=stage.house.inbox, MessageBody=notice)

    assert stage.deliver(SUBMIT) == []
    assert stage.house.all_jobs() == ()
    assert stage.house.internet.posts == []


# --------------------------------------------------------------------------- what they share


def ended(stage: Stage, **changes: Any) -> Job:
    """A job that has ended, with versions, markers and unfinished uploads in both buckets."""
    # S3 stamps what is put into it with the real time.
    stage.house.clock.now = datetime.now(UTC) + timedelta(seconds=2)
    s3 = stage.house.aws.s3
    s3.put_object(Bucket="datasets", Key=KEY, Body=b"older")
    version = s3.put_object(Bucket="datasets", Key=KEY, Body=b"photos")["VersionId"]
    job = make_job(
        Status.CANCELLED,
        job_id=job_id_for("datasets", KEY, version),
        dataset=make_dataset(KEY, version_id=version),
        created_at=stage.house.clock.now,
        request_id=REQUEST_ID,
        intents=1,
        **changes,
    )
    for _ in range(2):
        s3.put_object(Bucket="models", Key=f"{job.prefix}lora.safetensors", Body=b"x")
    s3.delete_object(Bucket="models", Key=f"{job.prefix}lora.safetensors")
    for bucket, key in (("datasets", KEY), ("models", f"{job.prefix}dataset.zip")):
        s3.create_multipart_upload(Bucket=bucket, Key=key)
    return stage.house.holds(job)


def ordered(stage: Stage, job: Job, *, family: bool = False, look: bool = False) -> Any:
    """The answer to somebody who wants a job forgotten."""
    said = event("job_forget") | {
        "path": f"/jobs/{job.job_id}/forget",
        "body": json.dumps({"family": family, "look": look}),
    }
    answer = stage.invoke(FORGET, said)
    assert answer["statusCode"] == 200, answer["body"]
    return json.loads(answer["body"])


def left(stage: Stage) -> list[str]:
    """The keys of every version, marker and unfinished upload."""
    found: list[Any] = []
    for bucket in ("datasets", "models"):
        pages = stage.house.aws.s3.list_object_versions(Bucket=bucket)
        found += [*pages.get("Versions", []), *pages.get("DeleteMarkers", [])]
        found += stage.house.aws.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return [row["Key"] for row in found]
