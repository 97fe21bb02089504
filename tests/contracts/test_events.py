"""What reaches whoever listens on the bus, over two emulators of AWS."""

import json
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from lora_drop.adapters.eventbridge import BusEvents, bus_events
from lora_drop.jobs.errors import EventsUnavailableError
from lora_drop.jobs.events import StatusChange
from lora_drop.jobs.status import Status
from tests.support.aws import REGION, Aws
from tests.support.builders import make_job

CHANGE = StatusChange.of(make_job(Status.SUCCEEDED), bucket="models")


def test_a_change_comes_to_whoever_has_a_rule_for_it(aws: Aws) -> None:
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


def test_an_event_that_is_not_taken_is_no_success() -> None:
    client = boto3.client("events", REGION)
    refused: Any = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}
    with Stubber(client) as stubber:
        stubber.add_response("put_events", refused)

        with pytest.raises(EventsUnavailableError, match="InternalFailure"):
            BusEvents(client).emit(CHANGE)


def test_a_bus_that_may_not_be_used_is_unavailable() -> None:
    client = boto3.client("events", REGION)
    with Stubber(client) as stubber:
        stubber.add_client_error("put_events", "AccessDeniedException")

        with pytest.raises(EventsUnavailableError, match="AccessDenied"):
            BusEvents(client).emit(CHANGE)


def test_a_bus_that_cannot_be_reached_is_given_up_at_once() -> None:
    nobody = "http://127.0.0.1:1"
    client = boto3.client(
        "events", REGION, endpoint_url=nobody, config=Config(retries={"total_max_attempts": 1})
    )

    with pytest.raises(EventsUnavailableError):
        BusEvents(client).emit(CHANGE)


def test_nobody_waits_longer_for_the_bus_than_three_seconds() -> None:
    config: Any = bus_events()._client.meta.config

    assert config.connect_timeout + config.read_timeout <= 3
    assert config.retries["total_max_attempts"] == 1
