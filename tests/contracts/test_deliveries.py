"""Webhook deliveries are kept as they came; events reach the bus."""

import base64
import json
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from lora_drop.adapters.eventbridge import BusEvents, bus_events
from lora_drop.adapters.s3_results import S3Deliveries
from lora_drop.fal.webhooks import RawDelivery
from lora_drop.jobs.errors import EventsUnavailableError
from lora_drop.jobs.events import ProofSheetReady, StatusChange
from lora_drop.jobs.job import Job
from lora_drop.jobs.proof import ProofSheet
from lora_drop.jobs.status import Status
from lora_drop.ports import Deliveries
from tests.contracts.builders import ODD_KEYS
from tests.support.aws import REGION, Aws
from tests.support.builders import NOW, make_dataset, make_job, signed, webhook_body
from tests.support.memory import MemoryWebhookArchive

BODIES = {
    "fal's": webhook_body(),
    "nothing": b"",
    "not UTF-8": b"\xff\xfe\x00\r\n",
    "as large as may be": bytes(range(256)) * 1024,
    "with every line end": b"a\r\nb\nc\rd\n\n",
}
LONG_KEYS = ["a" * 1020 + ".zip", "\u5199" * 340 + ".zip"]


@pytest.fixture
def deliveries(backend: Aws | None) -> Deliveries:
    return S3Deliveries(backend.s3, backend.bucket("models")) if backend else MemoryWebhookArchive()


def job_at(key: str = "portrait/ada.zip", job_id: str = "ada-0123456789") -> Job:
    return make_job(Status.SUBMITTED, job_id=job_id, dataset=make_dataset(key))


def delivery(body: bytes) -> RawDelivery:
    return RawDelivery(signed(body), body)


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("name", BODIES)
def test_body_is_kept_byte_by_byte(deliveries: Deliveries, name: str) -> None:
    """The body of a webhook delivery is kept byte by byte."""
    assert list(deliveries.kept(job_at())) == []
    deliveries.keep(job_at(), delivery(BODIES[name]), sent_at=NOW)
    assert list(deliveries.kept(job_at())) == [BODIES[name]]


@pytest.mark.parametrize("key", [*ODD_KEYS, *LONG_KEYS])
def test_any_job_keeps_its_own_deliveries(deliveries: Deliveries, key: str) -> None:
    deliveries.keep(job_at("other.zip"), delivery(b"another's"), sent_at=NOW)
    deliveries.keep(job_at(key), delivery(b"its own"), sent_at=NOW)
    assert list(deliveries.kept(job_at(key))) == [b"its own"]


def test_similar_job_ids_are_kept_apart(deliveries: Deliveries) -> None:
    """The deliveries of jobs whose ids begin alike are kept apart."""
    for job_id in ("ada-1", "ada-10", "ada-"):
        deliveries.keep(job_at(job_id=job_id), delivery(job_id.encode()), sent_at=NOW)
    assert list(deliveries.kept(job_at(job_id="ada-1"))) == [b"ada-1"]


def test_each_delivery_is_kept_once(deliveries: Deliveries) -> None:
    for body in (b"one", b"two", b"one", b"one"):
        deliveries.keep(job_at(), delivery(body), sent_at=NOW)
    assert sorted(deliveries.kept(job_at())) == [b"one", b"two"]


def test_deliveries_return_in_sending_order(deliveries: Deliveries) -> None:
    """As many as fal ever sends come back in the order of sending, not in that of arrival."""
    after = [timedelta(), timedelta(seconds=1), *(timedelta(hours=n) for n in range(1, 34))]
    after.append(timedelta(days=40))
    for number in (*range(20, 36), *range(20)):
        deliveries.keep(job_at(), delivery(b"%d" % number), sent_at=NOW + after[number])
    assert list(deliveries.kept(job_at())) == [b"%d" % number for number in range(36)]


@pytest.mark.promise("it can be operated")
def test_delivery_lies_beside_job_files(aws: Aws) -> None:
    """A person finds each delivery with its headers among the job's files."""
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


CHANGE = StatusChange.of(make_job(Status.SUCCEEDED), bucket="models")


@pytest.mark.promise("interfaces stay")
def test_event_reaches_a_matching_rule(aws: Aws) -> None:
    """A change of state reaches a queue that has a rule for its bucket."""
    client = boto3.client("events", REGION, endpoint_url=aws.endpoint_url)
    queue = aws.queue("listener")
    arn = aws.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    pattern = {"source": ["lora-drop"], "detail": {"bucket": ["models"]}}
    client.put_rule(Name=f"rule-{queue[-6:]}", EventPattern=json.dumps(pattern))
    client.put_targets(Rule=f"rule-{queue[-6:]}", Targets=[{"Id": "queue", "Arn": arn["QueueArn"]}])
    BusEvents(client).emit(CHANGE)
    BusEvents(client).emit(CHANGE.model_copy(update={"bucket": "another stack's"}))
    [heard] = map(json.loads, aws.messages(queue))
    assert (heard["source"], heard["detail-type"]) == ("lora-drop", "Training Job Status Changed")
    assert StatusChange.model_validate(heard["detail"]) == CHANGE


READY = ProofSheetReady.of(make_job(Status.SUCCEEDED), ProofSheet(), made=0, bucket="models")


@pytest.mark.promise("interfaces stay")
def test_proof_event_reaches_its_rule(aws: Aws) -> None:
    """The event of a proof sheet has a detail-type of its own: no rule for changes of jobs gets it."""
    client = boto3.client("events", REGION, endpoint_url=aws.endpoint_url)
    queue = aws.queue("sheets")
    arn = aws.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    pattern = {"source": ["lora-drop"], "detail-type": ["Proof Sheet Ready"]}
    client.put_rule(Name=f"rule-{queue[-6:]}", EventPattern=json.dumps(pattern))
    client.put_targets(Rule=f"rule-{queue[-6:]}", Targets=[{"Id": "queue", "Arn": arn["QueueArn"]}])
    BusEvents(client).emit(CHANGE)
    BusEvents(client).emit(READY)
    [heard] = map(json.loads, aws.messages(queue))
    assert (heard["source"], heard["detail-type"]) == ("lora-drop", "Proof Sheet Ready")
    assert ProofSheetReady.model_validate(heard["detail"]) == READY


@pytest.mark.parametrize("refusal", ["InternalFailure", "AccessDeniedException"])
def test_refused_event_is_unavailable(refusal: str) -> None:
    client = boto3.client("events", REGION)
    answer: Any = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": refusal}]}
    with Stubber(client) as stubber:
        if refusal == "InternalFailure":
            stubber.add_response("put_events", answer)
        else:
            stubber.add_client_error("put_events", refusal)
        with pytest.raises(EventsUnavailableError, match=refusal):
            BusEvents(client).emit(CHANGE)


def test_unreachable_bus_is_not_retried() -> None:
    once = Config(retries={"total_max_attempts": 1})
    client = boto3.client("events", REGION, endpoint_url="http://127.0.0.1:1", config=once)
    with pytest.raises(EventsUnavailableError):
        BusEvents(client).emit(CHANGE)


def test_bus_timeout_is_three_seconds() -> None:
    config: Any = bus_events()._client.meta.config
    assert config.connect_timeout + config.read_timeout <= 3
    assert config.retries["total_max_attempts"] == 1
