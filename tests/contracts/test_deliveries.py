"""What fal has delivered is kept as it came, beside the job's files."""

import base64
import json
from datetime import timedelta

import pytest

from lora_drop.adapters.s3_results import S3Deliveries
from lora_drop.fal.webhooks import RawDelivery
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.ports import Deliveries
from tests.support.aws import Aws
from tests.support.builders import NOW, make_dataset, make_job, signed, webhook_body
from tests.support.memory import MemoryWebhookArchive

BODIES = {
    "fal's": webhook_body(),
    "nothing": b"",
    "not UTF-8": b"\xff\xfe\x00\r\n",
    "as large as may be": bytes(range(256)) * 1024,
    "with every line end": b"a\r\nb\nc\rd\n\n",
}
ODD_KEYS = [
    "portrait/a b+c%20d.zip",
    "\u5199\u771f/\U0001f600.zip",
    "quote'\"&<>.zip",
    "two\nlines.zip",
    "a" * 1020 + ".zip",
    "\u5199" * 340 + ".zip",
]


@pytest.fixture
def deliveries(backend: Aws | None) -> Deliveries:
    return S3Deliveries(backend.s3, backend.bucket("models")) if backend else MemoryWebhookArchive()


def job_at(key: str = "portrait/ada.zip", job_id: str = "ada-0123456789") -> Job:
    return make_job(Status.SUBMITTED, job_id=job_id, dataset=make_dataset(key))


def delivery(body: bytes) -> RawDelivery:
    return RawDelivery(signed(body), body)


def test_before_the_first_there_are_none(deliveries: Deliveries) -> None:
    assert list(deliveries.kept(job_at())) == []


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_kept_byte_by_byte(deliveries: Deliveries, name: str) -> None:
    deliveries.keep(job_at(), delivery(BODIES[name]), sent_at=NOW)

    assert list(deliveries.kept(job_at())) == [BODIES[name]]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_job_of_any_name_has_its_own(deliveries: Deliveries, key: str) -> None:
    deliveries.keep(job_at("other.zip"), delivery(b"another's"), sent_at=NOW)
    deliveries.keep(job_at(key), delivery(b"its own"), sent_at=NOW)

    assert list(deliveries.kept(job_at(key))) == [b"its own"]


def test_jobs_whose_names_begin_alike_are_told_apart(deliveries: Deliveries) -> None:
    for job_id in ("ada-1", "ada-10", "ada-"):
        deliveries.keep(job_at(job_id=job_id), delivery(job_id.encode()), sent_at=NOW)

    assert list(deliveries.kept(job_at(job_id="ada-1"))) == [b"ada-1"]


def test_the_same_delivery_again_is_one(deliveries: Deliveries) -> None:
    for _ in range(3):
        deliveries.keep(job_at(), delivery(webhook_body()), sent_at=NOW)

    assert list(deliveries.kept(job_at())) == [webhook_body()]


def test_two_of_the_same_moment_are_two(deliveries: Deliveries) -> None:
    for body in (b"one", b"two"):
        deliveries.keep(job_at(), delivery(body), sent_at=NOW)

    assert sorted(deliveries.kept(job_at())) == [b"one", b"two"]


def test_they_come_back_in_the_order_fal_sent_them_however_they_came(
    deliveries: Deliveries,
) -> None:
    sent = {
        b"first": NOW,
        b"second": NOW + timedelta(seconds=1),
        b"third": NOW + timedelta(hours=12),
        b"last": NOW + timedelta(days=40),
    }
    for body in (b"last", b"second", b"first", b"third"):
        deliveries.keep(job_at(), delivery(body), sent_at=sent[body])

    assert list(deliveries.kept(job_at())) == list(sent)


def test_as_many_as_fal_ever_sends_come_back(deliveries: Deliveries) -> None:
    for number in range(35):
        moment = NOW + timedelta(minutes=number)
        deliveries.keep(job_at(), delivery(b"%d" % number), sent_at=moment)

    assert list(deliveries.kept(job_at())) == [b"%d" % number for number in range(35)]


def test_a_person_finds_each_with_its_headers_under_the_jobs_files(aws: Aws) -> None:
    bucket = aws.bucket("models")
    headers = signed(webhook_body()) | {"Twice": ["a", "b"]}

    S3Deliveries(aws.s3, bucket).keep(job_at(), RawDelivery(headers, webhook_body()), sent_at=NOW)

    [found] = aws.s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert found["Key"].startswith("portrait/ada/ada-0123456789/deliveries/20261124T120000Z-")
    got = aws.s3.get_object(Bucket=bucket, Key=found["Key"])
    kept = json.loads(got["Body"].read())
    assert got["ContentType"] == "application/json"
    assert kept["headers"] == headers
    assert base64.b64decode(kept["body"]) == webhook_body()
