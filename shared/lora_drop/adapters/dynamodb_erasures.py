"""What stands in the place of a forgotten job: its tombstone, which ends as the proof."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from lora_drop.adapters.dynamodb_rows import CONTENT, JOB, OPEN, OUTBOX, key_of, place_of
from lora_drop.adapters.dynamodb_writes import Action
from lora_drop.jobs.erasures import Erasure
from lora_drop.jobs.errors import JobForgottenError
from lora_drop.jobs.ids import digest_of
from lora_drop.jobs.job import Job

FORGOTTEN, ERASING = "FORGOTTEN", "ERASING"
FREE = "attribute_not_exists(pk)"


def erasure_of(item: Mapping[str, Any]) -> Erasure:
    """Return the erasure in its row."""
    deserializer = TypeDeserializer()
    return Erasure.model_validate({name: deserializer.deserialize(item[name]) for name in item})


def tombstone_of(job_id: str) -> Action:
    """Return that no job of this id was forgotten."""
    key = key_of(FORGOTTEN, digest_of(job_id))
    return Action({"ConditionCheck": {"Key": key, "ConditionExpression": FREE}}, JobForgottenError)


def begin_actions(
    job: Job, erasure: Erasure, *, owns_content: bool, heir: bool
) -> Sequence[Action]:
    """Return the job out, the tombstone in; ``heir``: whether the one that it stood in for is still there."""
    version = {":version": {"N": str(job.version)}}
    gone = {
        "Key": key_of(job.job_id, JOB),
        "ConditionExpression": "#version = :version",
        "ExpressionAttributeNames": {"#version": "version"},
        "ExpressionAttributeValues": version,
    }
    tombstone = {"Item": _item(erasure), "ConditionExpression": FREE}
    return [
        Action({"Delete": gone}),
        Action({"Put": tombstone}),
        Action({"Put": {"Item": key_of(ERASING, erasure.digest)}}),
        Action({"Delete": {"Key": key_of(OPEN, place_of(job))}}),
        Action({"Delete": {"Key": key_of(OUTBOX, job.job_id)}}),
        *(_given_back(job, heir=heir) if owns_content else []),
    ]


def keep_actions(before: Erasure, after: Erasure) -> Sequence[Action]:
    """Return ``after`` in the place of ``before``; at the end it is on no list any more."""
    put = {
        "Item": _item(after),
        "ConditionExpression": "#version = :version",
        "ExpressionAttributeNames": {"#version": "version"},
        "ExpressionAttributeValues": {":version": {"N": str(before.version)}},
    }
    done = [Action({"Delete": {"Key": key_of(ERASING, after.digest)}})] if after.done_at else []
    return [Action({"Put": put}), *done]


def _given_back(job: Job, *, heir: bool) -> Sequence[Action]:
    """Return the content belongs again to the job that this one superseded, or to none.

    A job that is forgotten gets nothing back, also if that happens at this very moment.
    """
    key = key_of(CONTENT, job.content_digest or "")
    ours = {
        "ConditionExpression": "job_id = :job",
        "ExpressionAttributeValues": {":job": {"S": job.job_id}},
    }
    if job.supersedes is None or not heir:
        return [Action({"Delete": {"Key": key, **ours}})]
    there = {"Key": key_of(job.supersedes, JOB), "ConditionExpression": "attribute_exists(pk)"}
    return [
        Action({"Put": {"Item": {**key, "job_id": {"S": job.supersedes}}, **ours}}),
        Action({"ConditionCheck": there}),
    ]


def _item(erasure: Erasure) -> dict[str, Any]:
    serializer = TypeSerializer()
    values = json.loads(erasure.model_dump_json(exclude_none=True), parse_float=Decimal)
    row = {name: serializer.serialize(value) for name, value in values.items()}
    return {**row, **key_of(FORGOTTEN, erasure.digest)}
