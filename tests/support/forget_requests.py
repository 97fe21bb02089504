"""Requests to the forget function, a job to forget, and a search for what is left of it."""

import json
from typing import Any

from functions.forget.handler import handler
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import REQUEST_ID, make_dataset, make_job
from tests.support.lambda_environment import Context, LambdaEnvironment, event
from tests.support.lambda_events import job_event

FILES = ("status.json", "ERROR.txt", "report.html", "lora.safetensors", "deliveries/1.json")


def ask(job_id: str, *, family: bool = False, **more: bool) -> tuple[int, Any]:
    """Return the status and the body of the answer to a request to forget a job."""
    body = json.dumps({"family": family, **more})
    request = job_event(job_id, "forget", body)
    answer = handler(event("job_forget") | request, Context())
    return answer["statusCode"], json.loads(answer["body"])


def ended_job(environment: LambdaEnvironment, name: str = "zoe", **changes: Any) -> Job:
    """Add a job that has ended, with everything that S3 may keep of one.

    Two versions of its dataset, its files, one of them overwritten and one deleted, and an upload.
    """
    s3, key = environment.aws.s3, f"portrait/{name}.zip"
    s3.put_object(Bucket="datasets", Key=key, Body=b"older")
    version = s3.put_object(Bucket="datasets", Key=key, Body=b"photos")["VersionId"]
    dataset = make_dataset(key, version_id=version)
    job = make_job(
        Status.CANCELLED,
        job_id=job_id_for("datasets", key, version),
        dataset=dataset,
        created_at=environment.clock.now,
        request_id=REQUEST_ID,
        intents=1,
        **changes,
    )
    for file in FILES:
        s3.put_object(Bucket="models", Key=job.prefix + file, Body=f"of {name}".encode())
    # The models bucket keeps what was written over and what was deleted.
    s3.put_object(Bucket="models", Key=job.prefix + FILES[0], Body=f"newer, of {name}".encode())
    s3.delete_object(Bucket="models", Key=job.prefix + FILES[1])
    begun = s3.create_multipart_upload(Bucket="models", Key=job.prefix + "lora.safetensors")
    part: dict[str, Any] = {"UploadId": begun["UploadId"], "PartNumber": 1, "Body": b"x"}
    s3.upload_part(Bucket="models", Key=job.prefix + "lora.safetensors", **part)
    return environment.add_job(job)


def left_of(environment: LambdaEnvironment, word: str) -> list[str]:
    """Return every row, object version, upload and message that has this word."""
    aws = environment.aws
    found: list[Any] = []
    found += aws.dynamodb.scan(TableName=environment.table)["Items"]
    for bucket in ("datasets", "models"):
        pages = aws.s3.list_object_versions(Bucket=bucket)
        found += [*pages.get("Versions", []), *pages.get("DeleteMarkers", [])]
        found += aws.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        for row in pages.get("Versions", []):
            got = aws.s3.get_object(Bucket=bucket, Key=row["Key"], VersionId=row["VersionId"])
            found += [got["Body"].read().decode(errors="replace")]
    for queue in (
        environment.inbox,
        environment.results,
        environment.dead_inbox,
        environment.dead_results,
    ):
        found += environment.aws.messages(queue)
    return [str(each) for each in found if word in str(each)]
