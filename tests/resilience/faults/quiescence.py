"""How a deployed stack is brought to rest, and what must be true of it then."""

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lora_drop.adapters.dynamodb_rows import JOB, key_of
from lora_drop.adapters.s3_results import S3Results
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_files import ERROR_FILE, STATUS_FILE, error_text, status_text
from lora_drop.jobs.status import Status
from lora_drop.jobs.time_limits import SUBMIT_DEADLINE
from tests.resilience.faults.deployed import QUEUES, UPLOADERS, Deployed

GLANCE, LOOK = 0.25, 2.0  # seconds between two glances at the slots, two looks at all jobs
DEAD_AFTER = 30.0  # seconds that a lease is held for when its holder is taken for dead


@dataclass
class Waiter:
    """Waits for jobs, and makes the schedule's rounds meanwhile.

    ``hurry`` makes time run faster where a dead worker has left something to run out: messages
    become visible again after so many seconds, a lease that has been held for longer is over, and
    so is the time that a submission may take.
    """

    stack: Deployed
    every: float  # seconds between two rounds
    hurry: int | None = None
    most_at_fal: int = 0
    rounds: int = 0
    failed_rounds: int = 0
    slowest_round: float = 0.0  # seconds
    abandoned: set[tuple[str, int]] = field(default_factory=set)
    _held: dict[tuple[str, int], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.hurry is not None:
            self.hasten(self.hurry)

    def hasten(self, seconds: int) -> None:
        self.hurry = seconds
        for name in QUEUES:
            self.stack.client("sqs").set_queue_attributes(
                QueueUrl=self.stack[f"{name}QueueUrl"],
                Attributes={"VisibilityTimeout": str(seconds)},
            )

    def wait(
        self,
        job_ids: Collection[str],
        *,
        limit: float,
        stop: Callable[[dict[str, Job]], bool] | None = None,
    ) -> dict[str, Job]:
        """The jobs when all have ended, at the limit (seconds), or when ``stop`` says so."""
        end, looked, jobs = time.monotonic() + limit, 0.0, dict[str, Job]()
        with ThreadPoolExecutor(1) as clock:
            tick = clock.submit(self._round)
            while time.monotonic() < end:
                self.glance()
                if tick.done():
                    tick = self._next(clock, tick)
                if time.monotonic() - looked >= LOOK:
                    jobs, looked = self.stack.jobs(), time.monotonic()
                    self._look(jobs)
                    if stop(jobs) if stop else all_ended(jobs, job_ids):
                        break
                time.sleep(GLANCE)
        return jobs

    def glance(self) -> None:
        self.most_at_fal = max(self.most_at_fal, len(self.stack.holders()))

    def _next(self, clock: ThreadPoolExecutor, done: Future[None]) -> Future[None]:
        done.result()

        def later() -> None:
            time.sleep(self.every)
            self._round()

        return clock.submit(later)

    def _round(self) -> None:
        began = time.monotonic()
        try:
            self.failed_rounds += self.stack.round() is None
        except BotoCoreError:
            self.failed_rounds += 1  # it takes longer than the client waits
        self.rounds += 1
        self.slowest_round = max(self.slowest_round, time.monotonic() - began)

    def _look(self, jobs: dict[str, Job]) -> None:
        now = time.monotonic()
        for job in jobs.values():
            lease = job.lease if job.status is Status.STORING else None
            if lease and lease.until > datetime.now(UTC):
                which = (job.job_id, lease.fence)
                if now - self._held.setdefault(which, now) >= (self.hurry or DEAD_AFTER):
                    self.abandoned.add(which)
                    if self.hurry:
                        self._put_back(job, "lease.#at", "until", timedelta(0))
            elif job.status in (Status.RECEIVED, Status.SUBMITTING) and self.hurry:
                which = (job.job_id, job.version)
                if now - self._held.setdefault(which, now) >= self.hurry:
                    self._put_back(job, "#at", "updated_at", SUBMIT_DEADLINE)

    def _put_back(self, job: Job, path: str, name: str, by: timedelta) -> None:
        at = datetime.now(UTC) - by
        values: Any = {":at": {"S": at.isoformat()}, ":version": {"N": str(job.version)}}
        try:
            self.stack.client("dynamodb").update_item(
                TableName=self.stack["JobsTableName"],
                Key=key_of(job.job_id, JOB),
                UpdateExpression=f"SET {path} = :at",
                ConditionExpression="#version = :version",
                ExpressionAttributeNames={"#at": name, "#version": "version"},
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise


def all_ended(jobs: dict[str, Job], job_ids: Collection[str]) -> bool:
    return all(job_id in jobs and jobs[job_id].terminal for job_id in job_ids)


CHUNK = 1024**2
INSTANT = timedelta(seconds=0.5)  # an unlucky transaction takes longer, and rarely
HEAD = ("kind of fault", "schedules", "injected", "violations")

type Row = tuple[str, int, int, int]
"""A line of the table under that head."""


def rows(struck: Mapping[str, int], violations: int) -> list[Row]:
    return [
        (kind, min(count, 1), count, violations * min(count, 1)) for kind, count in struck.items()
    ]


def accepted_posts(ledger: Mapping[str, Any], job: Job) -> list[str]:
    return [
        row["request_id"]
        for row in ledger["submissions"]
        if row["accepted"] and f"/{job.job_id}/" in (row["webhook_url"] or "")
    ]


def most_at_once(jobs: Collection[Job]) -> int:
    """How many of them were at fal at a time by their own account, for longer than an instant.

    A worker reads its clock before it writes, so that one seems to begin before another ends.
    """
    moves = []
    for job in jobs:
        began = [step.at for step in job.history if step.status is Status.SUBMITTING]
        ended = [step.at for step in job.history if step.status is Status.STORING]
        moves += [(at, 1) for at in began[:1]] + [(at, -1) for at in ended[-1:]]
    moves.sort()
    return max((each for each in range(1, len(jobs) + 1) if _lasts(moves, each)), default=0)


def _lasts(moves: Sequence[tuple[datetime, int]], level: int) -> bool:
    """Whether so many were there at once for more than an instant."""
    now, since = 0, None
    for at, change in moves:
        now += change
        if now >= level and since is None:
            since = at
        elif now < level and since is not None:
            if at - since > INSTANT:
                return True
            since = None
    return False


def text_of(stack: Deployed, job: Job, name: str) -> str | None:
    s3 = stack.client("s3")
    try:
        got = s3.get_object(Bucket=stack["ModelsBucketName"], Key=job.prefix + name)
    except s3.exceptions.NoSuchKey:
        return None
    text: str = got["Body"].read().decode()
    return text


def broken_promises(stack: Deployed, job_ids: Collection[str]) -> list[str]:
    jobs, ledger = stack.jobs(), stack.fal.ledger()
    found = [f"a dataset has no job {job_id}" for job_id in job_ids if job_id not in jobs]
    found += [f"{job_id} belongs to no dataset" for job_id in jobs.keys() - set(job_ids)]
    with ThreadPoolExecutor(UPLOADERS) as readers:
        for wrong in readers.map(lambda job: list(_of_job(stack, ledger, job)), jobs.values()):
            found += wrong
    return found + list(_of_money(stack, jobs)) + list(_of_uploads(stack))


def _of_job(stack: Deployed, ledger: Mapping[str, Any], job: Job) -> Iterator[str]:
    who = f"{job.job_id} ({job.status})"
    paid = accepted_posts(ledger, job)
    over = [each for each in paid if each in job.earlier_requests]
    if len(paid) - len(over) > 1:
        yield f"{who} was paid {len(paid)} times, {len(over)} of them billed nothing"
    if not job.terminal:
        yield f"{who} has not ended"
    if job.status is Status.SUCCEEDED:
        if paid[-1:] != [job.request_id]:
            yield f"{who} has request {job.request_id}, and fal accepted {paid}"
        yield from (f"{who}: {wrong}" for wrong in _of_files(stack, ledger, job))
    if text_of(stack, job, STATUS_FILE) != status_text(job):
        yield f"{who}: status.json is not of its state"
    if text_of(stack, job, ERROR_FILE) != (error_text(job) if job.troubled else None):
        yield f"{who}: ERROR.txt is not of its state"


def _of_files(stack: Deployed, ledger: Mapping[str, Any], job: Job) -> Iterator[str]:
    served: dict[str, str] = defaultdict(str)
    for row in ledger["served"]:
        if row["request_id"] == job.request_id:
            served[row["file_name"]] = row["file_sha256"]
    if sorted(served.values()) != sorted(stored.sha256 for stored in job.files):
        yield f"its files are {[stored.name for stored in job.files]}, served were {list(served)}"
    for stored in job.files:
        size, sha256 = _digest(stack, stored)
        if (size, sha256) != (stored.size, stored.sha256):
            yield f"{stored.name} is not what the job says of it"


def _digest(stack: Deployed, stored: StoredFile) -> tuple[int, str]:
    got = stack.client("s3").get_object(Bucket=stored.bucket, Key=stored.key)
    size, digest = 0, hashlib.sha256()
    with got["Body"] as body:
        while chunk := body.read(CHUNK):
            size += len(chunk)
            digest.update(chunk)
    return size, digest.hexdigest()


def _of_money(stack: Deployed, jobs: Mapping[str, Job]) -> Iterator[str]:
    """The counters are the sum of the jobs, and no slot is held by no job."""
    if holders := stack.holders() - {job.job_id for job in jobs.values() if job.at_fal}:
        yield f"slots are held by {sorted(holders)}"
    charges = [charge for job in jobs.values() for charge in job.charges]
    money = stack.money()
    for state in money:
        counted = {"spent", "wasted"} if state == "spent" else {state}
        due = sum(charge.micro_usd for charge in charges if charge.state in counted)
        if money[state] != due:
            yield f"{state} is {money[state]} micro-dollars, by the jobs it is {due}"


def _of_uploads(stack: Deployed) -> Iterator[str]:
    """The sweep ends every upload that is abandoned; here it does not wait an hour for that."""
    results = S3Results(stack.client("s3"), stack["ModelsBucketName"])
    results.sweep(older_than=datetime.now(UTC), keep=())
    for key in stack.uploads():
        yield f"an upload to {key} was not ended by the sweep"
