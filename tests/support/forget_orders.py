"""Orders to the forget function, and what lies around in the house for them."""

import json
from typing import Any

from functions.forget.handler import handler
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import REQUEST_ID, make_dataset, make_job
from tests.support.lambda_environment import Context, House, event

NAMES = ("status.json", "ERROR.txt", "report.html", "lora.safetensors", "deliveries/1.json")
READING = ("Get", "List", "Query", "BatchGet")  # how calls that change nothing begin


def ask(job_id: str, *, family: bool = False, **more: bool) -> tuple[int, Any]:
    """The status and the body of the answer to an order."""
    request = {
        "resource": "/jobs/{job_id}/forget",
        "path": f"/jobs/{job_id}/forget",
        "pathParameters": {"job_id": job_id},
        "body": json.dumps({"family": family, **more}),
    }
    answer = handler(event("job_forget") | request, Context())
    return answer["statusCode"], json.loads(answer["body"])


def lay_down(house: House, name: str = "zoe", **changes: Any) -> Job:
    """A job that has ended: two versions of its dataset, its files, one written over and one deleted, an upload."""
    s3, key = house.aws.s3, f"portrait/{name}.zip"
    s3.put_object(Bucket="datasets", Key=key, Body=b"older")
    version = s3.put_object(Bucket="datasets", Key=key, Body=b"photos")["VersionId"]
    dataset = make_dataset(key, version_id=version)
    job = make_job(
        Status.CANCELLED,
        job_id=job_id_for("datasets", key, version),
        dataset=dataset,
        created_at=house.clock.now,
        request_id=REQUEST_ID,
        intents=1,
        **changes,
    )
    for file in NAMES:
        s3.put_object(Bucket="models", Key=job.prefix + file, Body=f"of {name}".encode())
    # The models bucket keeps what was written over and what was deleted.
    s3.put_object(Bucket="models", Key=job.prefix + NAMES[0], Body=f"newer, of {name}".encode())
    s3.delete_object(Bucket="models", Key=job.prefix + NAMES[1])
    begun = s3.create_multipart_upload(Bucket="models", Key=job.prefix + "lora.safetensors")
    part: dict[str, Any] = {"UploadId": begun["UploadId"], "PartNumber": 1, "Body": b"x"}
    s3.upload_part(Bucket="models", Key=job.prefix + "lora.safetensors", **part)
    return house.holds(job)


def left_of(house: House, word: str) -> list[str]:
    """Every row, object version, upload and message that has this word."""
    aws = house.aws
    found: list[Any] = []
    found += aws.dynamodb.scan(TableName=house.table)["Items"]
    for bucket in ("datasets", "models"):
        pages = aws.s3.list_object_versions(Bucket=bucket)
        found += [*pages.get("Versions", []), *pages.get("DeleteMarkers", [])]
        found += aws.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        for row in pages.get("Versions", []):
            got = aws.s3.get_object(Bucket=bucket, Key=row["Key"], VersionId=row["VersionId"])
            found += [got["Body"].read().decode(errors="replace")]
    for queue in (house.inbox, house.results, house.dead_inbox, house.dead_results):
        found += house.aws.messages(queue)
    return [str(each) for each in found if word in str(each)]
