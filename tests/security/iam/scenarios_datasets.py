"""Scenarios of datasets, end to end: each needs some of the submit function's rights."""

import json
import zipfile
from datetime import timedelta

import httpx
import pytest

from lora_drop.bootstrap.submit import SubmitBootstrap
from lora_drop.datasets.images.header import Flaw, ImageHeader, InvalidImageError
from lora_drop.datasets.images.pictures import ImageInspection, Mended
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.security.iam.harness import Harness, scenario
from tests.support.bucket import expiring_tag
from tests.support.builders import REQUEST_ID, make_jpeg, signed, webhook_body, with_exif
from tests.support.lambda_environment import RESULT
from tests.support.lambda_events import webhook_event
from tests.support.memory import ManualClock
from tests.support.pictures import BlindPictures

SUBMIT, WEBHOOK, STORE, JOBS = "SubmitFunction", "WebhookFunction", "StoreFunction", "JobsFunction"
MIB = 1024**2


@scenario
def a_dataset_becomes_a_lora(harness: Harness) -> None:
    job = trained(harness)
    assert job.status is Status.SUCCEEDED
    assert [file.name for file in job.files] == ["lora.safetensors", "config.json"]
    assert set(harness.environment.files()) > {"lora.safetensors", "status.json", "report.html"}
    assert json.loads(harness.environment.files()["status.json"])["status"] == "SUCCEEDED"


@scenario
def fal_fetches_the_uploaded_version(harness: Harness) -> None:
    """The presigned address works by the rights of the role that signed it."""
    version = harness.drop()
    harness.deliver(SUBMIT)
    place = {"Bucket": "datasets", "Key": "portrait/ada.zip", "VersionId": version}
    dropped = harness.environment.aws.s3.get_object(**place)["Body"].read()  # type: ignore[arg-type]  # literals
    assert harness.fetched(sent_url(harness)) == dropped


@scenario
def fal_fetches_the_clean_copy_which_expires(harness: Harness) -> None:
    """The clean copy is in the models bucket, tagged as its lifecycle wants it."""
    nested = {f"album/{number}.jpg": make_jpeg(number) for number in range(12)}
    job = harness.submitted(images=0, members={**nested, "loose.jpg": make_jpeg(99)})
    assert harness.fetched(sent_url(harness)).startswith(b"PK")
    for name in ("dataset.zip", "report.html"):
        tags = harness.environment.aws.s3.get_object_tagging(Bucket="models", Key=job.prefix + name)
        assert tags["TagSet"] == [expiring_tag()]


class FailingPictures(BlindPictures):
    """Pictures that cannot be cleaned after all."""

    def mend(self, *_: object, **_other: object) -> Mended:
        raise InvalidImageError(Flaw.DAMAGED, "is no good, on purpose")


@scenario
def a_clean_copy_that_breaks_off_leaves_nothing_behind(harness: Harness) -> None:
    """Photos of people, in unfinished parts, would be paid for until the lifecycle ends them."""
    large = {f"{number:02}.jpg": make_jpeg(str(number) * MIB) for number in range(11)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SubmitBootstrap, "pictures", FailingPictures())
        photos = {**large, "last.jpg": with_exif(99)}
        job = harness.submitted(images=0, members=photos, compression=zipfile.ZIP_STORED)
    assert (job.status, job.problems[0].code) == (Status.REJECTED, "image_damaged")
    assert "Uploads" not in harness.environment.aws.s3.list_multipart_uploads(Bucket="models")


@scenario
def a_deleted_dataset_is_reported(harness: Harness) -> None:
    """Without the right to list, S3 would call it forbidden."""
    harness.drop()
    harness.environment.aws.s3.delete_object(Bucket="datasets", Key="portrait/ada.zip")
    assert harness.deliver(SUBMIT) == []
    assert harness.environment.only_job().problems[0].code == "dataset_missing"
    assert "ERROR.txt" in harness.environment.files()


@scenario
def a_duplicate_gets_the_earlier_files(harness: Harness) -> None:
    """It is not paid twice, and its folder says where the files are."""
    trained(harness)
    harness.environment.clock.now += timedelta(seconds=1)
    second = harness.submitted(key="portrait/same.zip")
    assert (second.status, len(harness.environment.internet.posts)) == (Status.SUCCEEDED, 1)
    placed = harness.environment.aws.s3.get_object(Bucket="models", Key=second.prefix + "job.json")
    assert json.load(placed["Body"])["job_id"] == second.job_id


@scenario
def a_duplicate_of_a_lost_lora_is_trained(harness: Harness) -> None:
    """S3 says that a file is gone, and not only forbidden, to a role that may list."""
    first = trained(harness)
    harness.environment.aws.s3.delete_object(Bucket="models", Key=first.files[0].key)
    harness.environment.clock.now += timedelta(seconds=1)
    second = harness.submitted(key="portrait/same.zip")
    assert (second.status, len(harness.environment.internet.posts)) == (Status.SUBMITTED, 2)


@scenario
def a_held_job_goes_on_once_it_is_approved(harness: Harness) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAX_JOB_USD", "1")
        held = harness.submitted()
        assert (held.status, "ERROR.txt" in harness.environment.files()) == (Status.HELD, True)
        harness.asked("POST", f"/jobs/{held.job_id}/approve")
        # As if the jobs function had died before the file was gone.
        harness.environment.aws.s3.put_object(
            Bucket="models", Key=held.prefix + "ERROR.txt", Body=b"x"
        )
        assert harness.deliver(SUBMIT) == []

    assert harness.environment.only_job().status is Status.SUBMITTED
    assert "ERROR.txt" not in harness.environment.files()


@scenario
def a_retry_is_sent_while_the_failed_one_stays_failed(harness: Harness) -> None:
    """The failed job stays failed, and is not paid once more."""
    first = harness.submitted()
    harness.environment.clock.now += timedelta(seconds=1)
    delivered_as_submitted(harness, first, body=webhook_body(status="ERROR", error="x", payload={}))
    harness.asked("POST", f"/jobs/{first.job_id}/retry")
    assert harness.deliver(SUBMIT) == []
    assert {job.status for job in harness.environment.all_jobs()} == {
        Status.SUBMITTED,
        Status.FAILED,
    }


class SlowPictures(BlindPictures):
    """Pictures that take two seconds each to inspect."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def look(self, data: bytes, header: ImageHeader) -> ImageInspection:
        self._clock.now += timedelta(seconds=2)
        return super().look(data, header)


@scenario
def a_long_check_leaves_the_sending_to_the_next_run(harness: Harness) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SubmitBootstrap, "pictures", SlowPictures(harness.environment.clock))
        assert harness.submitted().status is Status.READY
    assert harness.deliver(SUBMIT) == []
    assert harness.environment.only_job().status is Status.SUBMITTED


def sent_url(harness: Harness) -> str:
    """Return the address of the dataset in the last request to fal."""
    url: str = json.loads(harness.environment.internet.posts[-1].content)["images_data_url"]
    return url


def delivered(harness: Harness, job_id: str, body: bytes = b"", *, path: str = "") -> None:
    """Fal delivers what became of a request, now, and is answered with success."""
    body = body or webhook_body()
    headers = signed(body, at=harness.environment.clock.now)
    request = webhook_event(job_id, body, headers, path=path)
    assert harness.invoke(WEBHOOK, request)["statusCode"] == 200


def delivered_as_submitted(harness: Harness, job: Job, body: bytes = b"") -> None:
    """Fal delivers to the very address that it was given with the request."""
    urls = [
        httpx.URL(each.url.params["fal_webhook"]) for each in harness.environment.internet.posts
    ]
    path = next(each.path for each in reversed(urls) if job.job_id in each.path)
    body = body or webhook_body(payload=RESULT)
    delivered(harness, job.job_id, body, path=path.removeprefix("/live"))


def trained(harness: Harness) -> Job:
    """Return a job that succeeded."""
    job = harness.submitted()
    assert (job.status, job.request_id) == (Status.SUBMITTED, REQUEST_ID)
    delivered_as_submitted(harness, job)
    assert harness.deliver(STORE) == []
    return harness.environment.job(job.job_id)
