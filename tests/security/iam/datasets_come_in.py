"""What happens to datasets, end to end: each of these needs some of the submit function's rights."""

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
from tests.security.iam.stage import Stage, scenario
from tests.support.bucket import expiring_tag
from tests.support.builders import REQUEST_ID, make_job, make_jpeg, signed, webhook_body, with_exif
from tests.support.lambda_environment import RESULT, event
from tests.support.memory import ManualClock
from tests.support.pictures import BlindPictures

SUBMIT, WEBHOOK, STORE, JOBS = "SubmitFunction", "WebhookFunction", "StoreFunction", "JobsFunction"
MIB = 1024**2


@scenario
def a_dataset_becomes_a_lora(stage: Stage) -> None:
    """The main way through the house, with every file at its end."""
    job = trained(stage)

    assert job.status is Status.SUCCEEDED
    assert [file.name for file in job.files] == ["lora.safetensors", "config.json"]
    assert set(stage.house.files()) > {"lora.safetensors", "status.json", "report.html"}
    assert json.loads(stage.house.files()["status.json"])["status"] == "SUCCEEDED"


@scenario
def fal_fetches_the_very_version_that_was_dropped(stage: Stage) -> None:
    """The presigned address works by the rights of the role that signed it."""
    version = stage.drop()
    stage.deliver(SUBMIT)

    place = {"Bucket": "datasets", "Key": "portrait/ada.zip", "VersionId": version}
    dropped = stage.house.aws.s3.get_object(**place)["Body"].read()  # type: ignore[arg-type]  # literals
    assert stage.fetched(sent_url(stage)) == dropped


@scenario
def fal_fetches_the_clean_copy_which_expires(stage: Stage) -> None:
    """What is mended lies in the models bucket, tagged as its lifecycle wants it."""
    nested = {f"album/{number}.jpg": make_jpeg(number) for number in range(12)}
    job = stage.submitted(images=0, members={**nested, "loose.jpg": make_jpeg(99)})

    assert stage.fetched(sent_url(stage)).startswith(b"PK")
    for name in ("dataset.zip", "report.html"):
        tags = stage.house.aws.s3.get_object_tagging(Bucket="models", Key=job.prefix + name)
        assert tags["TagSet"] == [expiring_tag()]


class Clumsy(BlindPictures):
    """Pictures that cannot be mended after all."""

    def mend(self, *_: object, **_other: object) -> Mended:
        raise InvalidImageError(Flaw.DAMAGED, "is no good, on purpose")


@scenario
def a_clean_copy_that_breaks_off_leaves_nothing_behind(stage: Stage) -> None:
    """Photos of people, in parts that nobody sees, would be paid for until the lifecycle ends them."""
    large = {f"{number:02}.jpg": make_jpeg(str(number) * MIB) for number in range(11)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SubmitBootstrap, "pictures", Clumsy())
        photos = {**large, "last.jpg": with_exif(99)}
        job = stage.submitted(images=0, members=photos, compression=zipfile.ZIP_STORED)

    assert (job.status, job.problems[0].code) == (Status.REJECTED, "image_damaged")
    assert "Uploads" not in stage.house.aws.s3.list_multipart_uploads(Bucket="models")


@scenario
def a_dataset_that_was_deleted_is_told_as_deleted(stage: Stage) -> None:
    """Without the right to list, S3 would call it forbidden."""
    stage.drop()
    stage.house.aws.s3.delete_object(Bucket="datasets", Key="portrait/ada.zip")
    assert stage.deliver(SUBMIT) == []

    assert stage.house.only_job().problems[0].code == "dataset_missing"
    assert "ERROR.txt" in stage.house.files()


@scenario
def a_duplicate_gets_the_earlier_files(stage: Stage) -> None:
    """It is not paid twice, and its folder says where the files are."""
    trained(stage)
    stage.house.clock.now += timedelta(seconds=1)
    second = stage.submitted(key="portrait/same.zip")

    assert (second.status, len(stage.house.internet.posts)) == (Status.SUCCEEDED, 1)
    placed = stage.house.aws.s3.get_object(Bucket="models", Key=second.prefix + "job.json")
    assert json.load(placed["Body"])["job_id"] == second.job_id


@scenario
def a_duplicate_of_a_lost_lora_is_trained(stage: Stage) -> None:
    """That a file is gone, and not only out of reach, is what S3 tells those who may list."""
    first = trained(stage)
    stage.house.aws.s3.delete_object(Bucket="models", Key=first.files[0].key)
    stage.house.clock.now += timedelta(seconds=1)
    second = stage.submitted(key="portrait/same.zip")

    assert (second.status, len(stage.house.internet.posts)) == (Status.SUBMITTED, 2)


@scenario
def a_held_job_goes_on_once_it_is_approved(stage: Stage) -> None:
    """The error file comes and goes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAX_JOB_USD", "1")
        held = stage.submitted()
        assert (held.status, "ERROR.txt" in stage.house.files()) == (Status.HELD, True)
        stage.asked("POST", f"/jobs/{held.job_id}/approve")
        # As if whoever approved had died before the file was gone.
        stage.house.aws.s3.put_object(Bucket="models", Key=held.prefix + "ERROR.txt", Body=b"x")
        assert stage.deliver(SUBMIT) == []

    assert stage.house.only_job().status is Status.SUBMITTED
    assert "ERROR.txt" not in stage.house.files()


@scenario
def a_retry_is_sent_while_the_failed_one_stays_failed(stage: Stage) -> None:
    """Nobody pays once more for what comes after all at that moment."""
    first = stage.submitted()
    stage.house.clock.now += timedelta(seconds=1)
    told(stage, first, body=webhook_body(status="ERROR", error="x", payload={}))
    stage.asked("POST", f"/jobs/{first.job_id}/retry")
    assert stage.deliver(SUBMIT) == []

    assert {job.status for job in stage.house.all_jobs()} == {Status.SUBMITTED, Status.FAILED}


class Slow(BlindPictures):
    """Pictures that take their time."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def look(self, data: bytes, header: ImageHeader) -> ImageInspection:
        self._clock.now += timedelta(seconds=2)
        return super().look(data, header)


@scenario
def whoever_has_looked_for_long_leaves_the_sending_to_the_next(stage: Stage) -> None:
    """By a message into its own inbox."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SubmitBootstrap, "pictures", Slow(stage.house.clock))
        assert stage.submitted().status is Status.READY
    assert stage.deliver(SUBMIT) == []

    assert stage.house.only_job().status is Status.SUBMITTED


@scenario
def what_has_ended_is_looked_at_no_more(stage: Stage) -> None:
    """A rejected job leaves the list of the open ones when its event comes again."""
    stage.drop(images=3)
    [body] = stage.house.aws.messages(stage.house.inbox)
    for _ in range(2):
        stage.house.aws.sqs.send_message(QueueUrl=stage.house.inbox, MessageBody=body)
        assert stage.deliver(SUBMIT) == []
        stage.house.clock.now += timedelta(minutes=7)

    assert list(stage.house.jobs.unfinished()) == []


# --------------------------------------------------------------------------- what they share


def sent_url(stage: Stage) -> str:
    """Where fal was told to get the dataset of the last request from."""
    url: str = json.loads(stage.house.internet.posts[-1].content)["images_data_url"]
    return url


def told(stage: Stage, job: Job, body: bytes | None = None) -> None:
    """Fal delivers what became of a request, now."""
    posts = [httpx.URL(each.url.params["fal_webhook"]).path for each in stage.house.internet.posts]
    path = next(each for each in reversed(posts) if job.job_id in each)
    delivered(stage, path.removeprefix("/live"), body or webhook_body(payload=RESULT))


def delivered(stage: Stage, path: str, body: bytes) -> None:
    """A delivery that is taken in."""
    headers = signed(body, at=stage.house.clock.now)
    said = event("webhook_ok") | {"path": path, "body": body.decode(), "multiValueHeaders": headers}
    assert stage.invoke(WEBHOOK, said)["statusCode"] == 200


def trained(stage: Stage) -> Job:
    """A job that came to its end."""
    job = stage.submitted()
    assert (job.status, job.request_id) == (Status.SUBMITTED, REQUEST_ID)
    told(stage, job)
    assert stage.deliver(STORE) == []
    return stage.house.job(job.job_id)


def known_path() -> str:
    """The webhook's path for the job that ``make_job`` makes."""
    path: str = event("webhook_ok")["path"]
    assert make_job().job_id in path
    return path
