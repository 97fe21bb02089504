"""Jobs in one DynamoDB table; conditional writes are what makes an event idempotent.

``pk = <job_id>, sk = job`` holds the job. Beside it, written in the same transaction: ``OPEN`` for a
job that is not closed yet and ``WAITING`` for one that is READY (``sk`` puts the oldest first), so that
both can be read with one strongly consistent query (an index could not promise that); ``OUTBOX`` for
one of which something is not published yet; ``SLOTS``, the ids of the jobs at fal; ``ACCOUNT``,
a month's money in millionths of a dollar; and ``CONTENT``, the job that trains, or has trained, a dataset's
content. In the place of a job that is forgotten stands a row under ``FORGOTTEN``, and under ``ERASING``
as long as there is something left of it.
"""

import random
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from lora_drop.adapters.dynamodb_erasures import (
    ERASING,
    FORGOTTEN,
    begin_actions,
    erasure_of,
    keep_actions,
    tombstone_of,
)
from lora_drop.adapters.dynamodb_reads import items_of
from lora_drop.adapters.dynamodb_rows import (
    ACCOUNT,
    BY_CREATION,
    BY_STATUS,
    CONTENT,
    JOB,
    OPEN,
    OUTBOX,
    SLOTS,
    WAITING,
    account_of,
    changes_of,
    cursor_of,
    job_of,
    key_of,
    place_of,
    start_of,
    turn_of,
    waiting_of,
)
from lora_drop.adapters.dynamodb_writes import (
    Action,
    OutboxLimitError,
    Written,
    add_actions,
    checks,
    is_published,
    progress_update,
    replace_actions,
)
from lora_drop.jobs.budget import Account, Limits
from lora_drop.jobs.erasures import Erasure
from lora_drop.jobs.errors import ConflictError, EventsUnavailableError, JobForgottenError
from lora_drop.jobs.events import ChangeNotice
from lora_drop.jobs.ids import digest_of
from lora_drop.jobs.job import Job
from lora_drop.jobs.progress import TrainingProgress
from lora_drop.jobs.status import Status
from lora_drop.ports import Claim, Page, WaitingJob

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONDITION, CONFLICT = "ConditionalCheckFailed", "TransactionConflict"
NOT_KEPT = frozenset({f"{CONDITION}Exception", f"{CONFLICT}Exception"})
# Two transactions that meet in a counter are no news to anybody: the loser goes again.
ATTEMPTS = 8
LONGEST_PAUSE = 0.4  # seconds
FEW = 5  # that wait: the first of them may just have left the line


class DynamoJobs:
    """The jobs table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def add(self, job: Job, *, claim: Claim | None = None, unchanged: Sequence[Job] = ()) -> bool:
        """Put the job if its id is free; raises ConflictError when two do so at the same moment."""
        never_forgotten = tombstone_of(job.job_id)
        try:
            self._write([never_forgotten, *add_actions(job, claim), *checks(unchanged)])
        except JobForgottenError as forgotten:
            raise JobForgottenError(job.job_id) from forgotten
        except ConflictError:
            if self.get(job.job_id) is None:
                raise
            return False
        return True

    def get(self, job_id: str) -> Job | None:
        """Return a strongly consistent read."""
        item = self._item(key_of(job_id, JOB))
        return job_of(item) if item else None

    def forgotten(self, job_id: str) -> bool:
        """Return a strongly consistent read."""
        return self.erasure(digest_of(job_id)) is not None

    def begin(self, job: Job, erasure: Erasure) -> None:
        """Replace the job's rows by the tombstone, in one transaction."""
        owner = self.owner(job.content_digest) if job.content_digest else None
        heir = self.get(job.supersedes) if job.supersedes else None
        self._write(
            begin_actions(job, erasure, owns_content=owner == job.job_id, heir=heir is not None)
        )

    def erasure(self, digest: str) -> Erasure | None:
        """Return a strongly consistent read."""
        item = self._item(key_of(FORGOTTEN, digest))
        return erasure_of(item) if item else None

    def keep(self, before: Erasure, after: Erasure) -> None:
        """Put it if its version is still the one that was read."""
        self._write(keep_actions(before, after))

    def erasing(self) -> Iterable[Erasure]:
        """Return every one under ERASING, by a strongly consistent query."""
        found = (self.erasure(item["sk"]["S"]) for item in list(self._rows(ERASING)))
        return [erasure for erasure in found if erasure is not None and erasure.done_at is None]

    def replace(
        self,
        before: Job,
        after: Job,
        *,
        limits: Limits | None = None,
        claim: Claim | None = None,
        unchanged: Sequence[Job] = (),
        quiet: bool = False,
    ) -> None:
        """Put the job if its version is still the one that was read, with all that follows from it.

        Where only its progress was written since, that is taken along, and the job is put once more.
        """
        restart = False
        for attempt in range(ATTEMPTS):
            try:
                actions = replace_actions(
                    before, after, limits, claim, quiet=quiet, restart=restart
                )
                self._write([*actions, *checks(unchanged)])
            except OutboxLimitError:
                restart = True
            except ConflictError:
                now = self.get(before.job_id) if attempt < ATTEMPTS - 1 else None
                if now is None or now.version != before.version or now.progress == before.progress:
                    raise
                before, after = now, after.with_progress_of(now)
            else:
                return
        raise ConflictError(before.job_id)

    def keep_progress(
        self, job: Job, progress: TrainingProgress | None, queue_position: int | None
    ) -> bool:
        """Update these two attributes of the job's row, and nothing else of it."""
        try:
            self._client.update_item(
                TableName=self._table, **progress_update(job, progress, queue_position)
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in NOT_KEPT:
                return False
            raise
        return True

    def waiting(self) -> Sequence[WaitingJob]:
        """Return the rows under WAITING that say since when, by a strongly consistent query."""
        return [waiting_of(item) for item in self._rows(WAITING) if "since" in item]

    def unfinished(self, *, but: Collection[str] = ()) -> Iterable[Job]:
        """Return every job under OPEN by strongly consistent reads, oldest first."""
        left_out = frozenset(but)
        ids = [each for each in map(_id_in, self._rows(OPEN)) if each not in left_out]
        found = items_of(self._client, self._table, [key_of(each, JOB) for each in ids])
        return sorted(map(job_of, found), key=lambda job: (job.created_at, job.job_id))

    def outbox(self) -> Mapping[str, int]:
        """Return the rows under OUTBOX, by a strongly consistent query."""
        return {item["sk"]["S"]: int(item["written"]["N"]) for item in self._rows(OUTBOX)}

    def left(self, job_id: str) -> Sequence[ChangeNotice] | None:
        """Return what its row under OUTBOX has, by a strongly consistent read."""
        return changes_of(job_id, self._item(key_of(OUTBOX, job_id)) or {"changes": {"L": []}})

    def mark_published(
        self, job_id: str, version: int, changes: Sequence[int] | None = None
    ) -> bool:
        """Delete its row under OUTBOX, if that is about no later write, and no other change."""
        try:
            return self._delete_if(key_of(OUTBOX, job_id), is_published(version, changes))
        except (BotoCoreError, ClientError) as error:
            raise EventsUnavailableError(f"{job_id}: {type(error).__name__}") from error

    def close(self, job: Job) -> None:
        """Delete its row under OPEN, if that is about this very end."""
        condition = {
            "ConditionExpression": "ended = :version",
            "ExpressionAttributeValues": {":version": {"N": str(job.version)}},
        }
        self._delete_if(key_of(OPEN, place_of(job)), condition)

    def _delete_if(self, key: dict[str, Any], condition: Mapping[str, Any]) -> bool:
        try:
            self._client.delete_item(TableName=self._table, Key=key, **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def next_waiting(self) -> Job | None:
        """Return the first of the line; one that has just left it is passed over."""
        job, _ = self.first_waiting()
        return job

    def first_waiting(self, fresh: Job | None = None) -> tuple[Job | None, bool]:
        """Return the same by one query, and a read unless it is ``fresh``."""
        ids = [_id_in(item) for item in self._rows(WAITING, limit=FEW)]
        for place, job_id in enumerate(ids, start=1):
            job = fresh if fresh and fresh.job_id == job_id else self.get(job_id)
            if job is not None and job.status is Status.READY:
                return job, place == len(ids) < FEW
        return None, False

    def waiting_before(self, job: Job) -> int:
        """Count the rows before its place in the line."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :kind AND sk < :place",
            ExpressionAttributeValues={":kind": {"S": WAITING}, ":place": {"S": turn_of(job)}},
            ConsistentRead=True,
            Select="COUNT",
        )
        return sum(page["Count"] for page in pages)

    def owner(self, content_digest: str) -> str | None:
        """Return who claimed this content last."""
        item = self._item(key_of(CONTENT, content_digest))
        return item["job_id"]["S"] if item else None

    def account(self, month: str) -> Account:
        """Return the month's counters and the slots, each strongly consistent."""
        money = self._item(key_of(ACCOUNT, month))
        slots = self._item(key_of(SLOTS, SLOTS))
        return account_of(month, money, slots)

    def books(self, first: str, last: str) -> tuple[Account, Account]:
        """Return the counters of both months by one strongly consistent query."""
        found = self._client.query(
            TableName=self._table,
            KeyConditionExpression="pk = :kind AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":kind": {"S": ACCOUNT},
                ":first": {"S": first},
                ":last": {"S": last},
            },
            ConsistentRead=True,
        )
        rows = {item["sk"]["S"]: item for item in found["Items"]}
        one, other = (account_of(month, rows.get(month), None) for month in (first, last))
        return one, other

    def page(self, *, status: Status | None, limit: int, cursor: str | None) -> Page:
        """Return a page of the index, newest first."""
        name, value = ("status", status.value) if status else ("sk", JOB)
        start = {"ExclusiveStartKey": start_of(cursor, status)} if cursor else {}
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
        jobs = tuple(job_of(item) for item in found["Items"])
        return Page(jobs, cursor_of(last) if last else None)

    def bookmark(self, name: str) -> str | None:
        """Return where a sweep has got to."""
        item = self._item(key_of("BOOKMARK", name))
        return item["at"]["S"] if item else None

    def keep_bookmark(self, name: str, at: str | None) -> None:
        """Remember where a sweep has got to; None is its beginning."""
        key = key_of("BOOKMARK", name)
        if at is None:
            self._client.delete_item(TableName=self._table, Key=key)
        else:
            self._client.put_item(TableName=self._table, Item={**key, "at": {"S": at}})

    def missing(self, job_ids: Sequence[str]) -> Sequence[str]:
        """Return which of these ids no job has, nor had a forgotten one, by strongly consistent reads."""
        jobs = self._there([(each, JOB) for each in job_ids])
        rest = [each for each in job_ids if (each, JOB) not in jobs]
        gone = self._there([(FORGOTTEN, digest_of(each)) for each in rest])
        return [each for each in rest if (FORGOTTEN, digest_of(each)) not in gone]

    def _there(self, rows: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return which of these rows there are."""
        keys = [key_of(*row) for row in dict.fromkeys(rows)]
        items = items_of(self._client, self._table, keys, ProjectionExpression="pk, sk")
        return {(item["pk"]["S"], item["sk"]["S"]) for item in items}

    def _item(self, key: Mapping[str, Any]) -> Mapping[str, Any] | None:
        got = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return got.get("Item")

    def _rows(self, kind: str, limit: int | None = None) -> Iterator[Mapping[str, Any]]:
        config = {"MaxItems": limit, "PageSize": limit} if limit else {}
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :kind",
            ExpressionAttributeValues={":kind": {"S": kind}},
            ConsistentRead=True,
            PaginationConfig=config,  # type: ignore[arg-type]  # the stubs know no empty one
        )
        for page in pages:
            yield from page["Items"]

    def _write(self, actions: Sequence[Action]) -> None:
        """Write all of it or nothing; raise the error of the first action whose condition does not hold."""
        for attempt in range(ATTEMPTS):
            try:
                self._client.transact_write_items(
                    TransactItems=[_named(action.write, self._table) for action in actions]
                )
            except ClientError as error:
                reasons: Any = error.response.get("CancellationReasons", [])
                codes = [reason.get("Code") for reason in reasons]
                for action, code in zip(actions, codes, strict=False):
                    if code == CONDITION:
                        raise action.otherwise(str(error)) from error
                if CONFLICT not in codes:
                    raise
                if attempt == ATTEMPTS - 1:
                    raise ConflictError(str(error)) from error
                pause = min(LONGEST_PAUSE, 0.02 * 2**attempt)
                time.sleep(random.uniform(0, pause))  # noqa: S311  # jitter, no secret
            else:
                return


def _named(write: Written, table: str) -> Any:
    return {kind: {**action, "TableName": table} for kind, action in write.items()}


def _id_in(item: Mapping[str, Any]) -> str:
    return str(item["job_id"]["S"])
