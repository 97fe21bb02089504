"""Jobs in one DynamoDB table; conditional writes are what makes an event idempotent.

Rows: ``pk = <job_id>`` holds the job. While it has not ended, ``pk = OPEN, sk = <job_id>`` stands
beside it, written and deleted in the same transaction, so that the open jobs can be read with one
strongly consistent query (an index could not promise that).
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from shared.domain.errors import BadQuery, Conflict
from shared.domain.jobs import Job, Status
from shared.ports import Page

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

JOB, OPEN = "job", "OPEN"
BY_STATUS, BY_CREATION = "by-status", "by-creation"
CONFLICTS = frozenset({"ConditionalCheckFailed", "TransactionConflict"})


class DynamoJobs:
    """The jobs table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def add(self, job: Job) -> bool:
        """Put the job if its id is free; raises Conflict when two do so at the same moment."""
        put = {"Item": _item(job), "ConditionExpression": "attribute_not_exists(pk)"}
        try:
            self._write({"Put": put}, {"Put": {"Item": _open_key(job.job_id)}})
        except Conflict:
            if self.get(job.job_id) is None:
                raise
            return False
        return True

    def get(self, job_id: str) -> Job | None:
        """A strongly consistent read."""
        got = self._client.get_item(
            TableName=self._table, Key=_key(job_id, JOB), ConsistentRead=True
        )
        return _job(got["Item"]) if "Item" in got else None

    def replace(self, before: Job, after: Job) -> None:
        """Put the job if its version is still the one that was read."""
        put = {
            "Item": _item(after),
            "ConditionExpression": "#version = :version",
            "ExpressionAttributeNames": {"#version": "version"},
            "ExpressionAttributeValues": {":version": {"N": str(before.version)}},
        }
        self._write({"Put": put}, *_open_row(before, after))

    def unfinished(self) -> Iterable[Job]:
        """Every open job by a strongly consistent query, oldest first."""
        found = (self.get(job_id) for job_id in list(self._open_ids()))
        return sorted(
            (job for job in found if job is not None and not job.terminal),
            key=lambda job: job.created_at,
        )

    def page(self, *, status: Status | None, limit: int, cursor: str | None) -> Page:
        """A page of the index, newest first."""
        name, value = ("status", status.value) if status else ("sk", JOB)
        start = {"ExclusiveStartKey": _start(cursor, status)} if cursor else {}
        found = self._client.query(
            TableName=self._table,
            IndexName=BY_STATUS if status else BY_CREATION,
            KeyConditionExpression="#name = :value",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":value": {"S": value}},
            ScanIndexForward=False,
            Limit=limit,
            **start,  # type: ignore[arg-type]  # the stubs want the key named, not spread
        )
        last = found.get("LastEvaluatedKey")
        return Page(tuple(_job(item) for item in found["Items"]), _cursor(last) if last else None)

    def _open_ids(self) -> Iterator[str]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :open",
            ExpressionAttributeValues={":open": {"S": OPEN}},
            ConsistentRead=True,
        )
        for page in pages:
            for item in page["Items"]:
                yield item["sk"]["S"]

    def _write(self, *actions: Mapping[str, Mapping[str, Any]]) -> None:
        """All of it or nothing; raises Conflict when a condition does not hold."""
        named: Any = [
            {kind: {**action, "TableName": self._table} for kind, action in each.items()}
            for each in actions
        ]
        try:
            self._client.transact_write_items(TransactItems=named)
        except ClientError as error:
            reasons: Any = error.response.get("CancellationReasons", [])
            if any(reason.get("Code") in CONFLICTS for reason in reasons):
                raise Conflict(str(error)) from error
            raise


def _open_row(before: Job, after: Job) -> list[dict[str, Any]]:
    """What happens to the row under OPEN when a job ends, or is taken up again."""
    key = _open_key(after.job_id)
    if after.terminal:
        return [{"Delete": {"Key": key}}]
    return [{"Put": {"Item": key}}] if before.terminal else []


def _key(pk: str, sk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _open_key(job_id: str) -> dict[str, Any]:
    return _key(OPEN, job_id)


def _item(job: Job) -> dict[str, Any]:
    serializer = TypeSerializer()
    values = json.loads(job.model_dump_json(exclude_none=True), parse_float=Decimal)
    values |= {"pk": job.job_id, "sk": JOB}
    return {name: serializer.serialize(value) for name, value in values.items()}


def _job(item: Mapping[str, Any]) -> Job:
    deserializer = TypeDeserializer()
    return Job.model_validate({name: deserializer.deserialize(item[name]) for name in item})


def _cursor(key: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key, sort_keys=True).encode()).decode()


def _start(cursor: str, status: Status | None) -> dict[str, Any]:
    """The key a page ended with; raises BadQuery when it is not one of this very list."""
    foreign = BadQuery("cursor: this is not a cursor of an earlier page")
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, RecursionError) as error:
        raise foreign from error
    wanted = {"pk", "sk", "created_at"} | ({"status"} if status else set())
    if (
        not isinstance(key, dict)
        or key.keys() != wanted
        or any(not _is_text(value) for value in key.values())
        or key["sk"]["S"] != JOB
        or (status and key["status"]["S"] != status)
    ):
        raise foreign
    return key


def _is_text(value: object) -> bool:
    return isinstance(value, dict) and value.keys() == {"S"} and isinstance(value["S"], str)
