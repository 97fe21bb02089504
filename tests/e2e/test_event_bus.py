"""The event bus gets every status of a training from its beginning to its end."""

import json
import time
from typing import Any

import pytest

from lora_drop.jobs.events import StatusChange
from tests.e2e.conftest import Deployed

pytestmark = pytest.mark.stack

PATIENCE = 30  # seconds for the last event


def listening(stack: Deployed) -> str:
    """A queue that gets every event of this stack's jobs."""
    sqs, events = stack.client("sqs"), stack.client("events")
    queue: str = sqs.create_queue(QueueName="a-listener")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    bucket = stack.access["outputs"]["ModelsBucketName"]
    pattern = {"source": ["lora-drop"], "detail": {"bucket": [bucket]}}
    events.put_rule(Name="a-listener", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="a-listener", Targets=[{"Id": "queue", "Arn": arn["QueueArn"]}])
    return queue


def heard(stack: Deployed, queue: str, job_id: str) -> list[StatusChange]:
    """Return the changes of a job, until its end is among it."""
    sqs, until = stack.client("sqs"), time.monotonic() + PATIENCE
    changes: list[StatusChange] = []
    while time.monotonic() < until and not any(change.ended for change in changes):
        got: Any = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=2)
        for message in got.get("Messages", []):
            change = StatusChange.model_validate(json.loads(message["Body"])["detail"])
            changes += [change] if change.job_id == job_id else []
    return sorted(changes, key=lambda change: change.version)


@pytest.mark.promise("interfaces stay")
def test_events_follow_a_training(stack: Deployed) -> None:
    """The event bus gets every status of a training from its beginning to its end."""
    queue = listening(stack)

    job = stack.train(stack.local.sample)

    published = heard(stack, queue, job["job_id"])
    table = stack.access["outputs"]["JobsTableName"]
    left = stack.client("dynamodb").query(
        TableName=table,
        KeyConditionExpression="pk = :kind",
        ExpressionAttributeValues={":kind": {"S": "OUTBOX"}},
    )["Items"]
    assert [change.status for change in published][:2] == ["RECEIVED", "READY"]
    assert [change.status for change in published][-2:] == ["STORING", "SUCCEEDED"]
    assert [step.status for step in published[-1].history] == [
        step["status"] for step in job["history"]
    ]
    assert {change.bucket for change in published} == {stack.access["outputs"]["ModelsBucketName"]}
    assert [item for item in left if item["sk"]["S"] == job["job_id"]] == []
