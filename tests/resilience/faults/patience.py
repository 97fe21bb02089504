"""How a deployed stack is brought to rest: rounds in quick succession, and a look in between."""

import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lora_drop.adapters.dynamodb_rows import JOB, key_of
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.services.reconcile import SUBMIT_DEADLINE
from tests.resilience.faults.deployed import QUEUES, Deployed

GLANCE, LOOK = 0.25, 2.0  # seconds between two glances at the slots, two looks at all jobs
DEAD_AFTER = 30.0  # seconds that a lease is held for when its holder is taken for dead


@dataclass
class Patience:
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
        """Hurry from now on."""
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
        """The jobs when all have ended, at the limit (seconds), or when told to stop."""
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
        """Count who has a slot this very moment."""
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
            self.failed_rounds += 1  # it takes longer than anybody waits
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
            elif job.status is Status.SUBMITTING and self.hurry:
                which = (job.job_id, job.version)
                if now - self._held.setdefault(which, now) >= self.hurry:
                    self._put_back(job, "#at", "updated_at", SUBMIT_DEADLINE)

    def _put_back(self, job: Job, path: str, name: str, by: timedelta) -> None:
        """A time in a job's row, as it would be if so much more had passed since."""
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
    """Whether each of these is there and has ended."""
    return all(job_id in jobs and jobs[job_id].terminal for job_id in job_ids)
