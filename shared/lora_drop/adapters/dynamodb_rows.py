"""How jobs and counters lie in the table, row by row."""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from lora_drop.jobs.budget import MICRO, Account
from lora_drop.jobs.errors import InvalidQueryError
from lora_drop.jobs.events import ChangeNotice
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.ports import WaitingJob

JOB, OPEN, WAITING, OUTBOX, SLOTS, ACCOUNT, CONTENT = (
    "job",
    "OPEN",
    "WAITING",
    "OUTBOX",
    "SLOTS",
    "ACCOUNT",
    "CONTENT",
)
BY_STATUS, BY_CREATION = "by-status", "by-creation"
# Both indexes are sorted by the first; a row without it is in neither ("Taking advantage of sparse indexes",
# DynamoDB developer guide). So the pictures of proof sheets are in no list of jobs.
CREATED_AT, OF_PICTURE = "created_at", "picture_created_at"


def key_of(pk: str, sk: str) -> dict[str, Any]:
    """Return a row's key."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def place_of(job: Job) -> str:
    """Return where a job stands among others of its kind: the oldest first."""
    return f"{job.created_at.isoformat(timespec='microseconds')}#{job.job_id}"


def turn_of(job: Job) -> str:
    """Return where a job stands among those that wait: trainings before pictures, of each the oldest first."""
    # After every digit in the order of UTF-8, which is that of sort keys.
    return ("~" if job.picture else "") + place_of(job)


def waiting_of(item: Mapping[str, Any]) -> WaitingJob:
    """Return the job of a row under WAITING that says since when it waits."""
    created_at, _, job_id = item["sk"]["S"].removeprefix("~").partition("#")
    since = datetime.fromisoformat(item["since"]["S"])
    return WaitingJob(job_id, datetime.fromisoformat(created_at), since)


def item_of(job: Job) -> dict[str, Any]:
    """Return the job's own row."""
    serializer = TypeSerializer()
    values = json.loads(job.model_dump_json(exclude_none=True), parse_float=Decimal)
    values |= {"pk": job.job_id, "sk": JOB}
    if job.picture is not None:
        values[OF_PICTURE] = values.pop(CREATED_AT)
    return {name: serializer.serialize(value) for name, value in values.items()}


def job_of(item: Mapping[str, Any]) -> Job:
    """Return the job in its row."""
    deserializer = TypeDeserializer()
    values = {name: deserializer.deserialize(item[name]) for name in item}
    if OF_PICTURE in values:
        values[CREATED_AT] = values.pop(OF_PICTURE)
    return Job.model_validate(values)


def change_item(job: Job) -> dict[str, Any]:
    """Return the state of a job as the outbox keeps it."""
    said = {"version": {"N": str(job.version)}, "status": {"S": job.status.value}}
    return {"M": {**said, "since": {"S": job.since.isoformat()}}}


def changes_of(job_id: str, row: Mapping[str, Any]) -> Sequence[ChangeNotice] | None:
    """Return the changes of an outbox row; None of a row as it was before it had any."""
    if "changes" not in row:
        return None
    return [
        ChangeNotice(
            job_id=job_id,
            version=int(each["M"]["version"]["N"]),
            status=Status(each["M"]["status"]["S"]),
            since=datetime.fromisoformat(each["M"]["since"]["S"]),
        )
        for each in row["changes"]["L"]
    ]


def account_of(
    month: str, money: Mapping[str, Any] | None, slots: Mapping[str, Any] | None
) -> Account:
    """Return a month's account from its row and the row of the slots, either of which may not be there."""
    return Account(
        month=month,
        reserved_usd=_usd(money, "reserved"),
        spent_usd=_usd(money, "spent"),
        wasted_usd=_usd(money, "wasted"),
        in_flight=tuple(sorted((slots or {}).get("holders", {}).get("SS", ()))),
    )


def cursor_of(key: Mapping[str, Any]) -> str:
    """Return the key that a page ended with, as its reader hands it in again."""
    return base64.urlsafe_b64encode(json.dumps(key, sort_keys=True).encode()).decode()


def start_of(cursor: str, status: Status | None) -> dict[str, Any]:
    """Return the key a page ended with; raises InvalidQueryError when it is not one of this very list."""
    foreign = InvalidQueryError("cursor: this is not a cursor of an earlier page")
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


def _usd(row: Mapping[str, Any] | None, name: str) -> float:
    return int((row or {}).get(name, {}).get("N", "0")) / MICRO


def _is_text(value: object) -> bool:
    return isinstance(value, dict) and value.keys() == {"S"} and isinstance(value["S"], str)
