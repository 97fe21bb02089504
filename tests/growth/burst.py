"""Many datasets at once, with simulated time: what each job costs in calls and CPU, and how long all of them take.

The real services over the real ``DynamoDB`` adapter; S3, the queues, EventBridge and fal are the tests' own, and count.
"""

import heapq
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

from lora_drop.fal.status import FalStatus, Finished, Running
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.status import Status
from lora_drop.ports import Submission
from tests.growth.table import CountedTable
from tests.support.builders import ARTIFACTS, NOW, make_archive, make_jpeg
from tests.support.memory import MemoryFal
from tests.support.world import World

SLOTS = 50
TRAINING = timedelta(minutes=30)
CHECK = timedelta(seconds=2)  # for which a worker of the submit function is busy
WORKERS = 2  # MaximumConcurrency of the submit function
EVERY = timedelta(minutes=5)  # the reconciler's schedule
PHOTOS = 12


class Counting:
    """Something whose methods are counted as calls of a service."""

    def __init__(self, inner: Any, service: str, counted: Counter[str]) -> None:
        self.__dict__.update(inner=inner, service=service, counted=counted)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if not callable(found):
            return found

        def call(*args: Any, **options: Any) -> Any:
            self.counted[self.service] += 1
            return found(*args, **options)

        return call

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.inner, name, value)


@dataclass
class SlowFal(MemoryFal):
    """A fal that says of each request that it is being trained."""

    def ask(self, application: str, request_id: str) -> FalStatus:
        assert application
        return Running(request_id, started=True)


@dataclass
class Burst:
    """So many datasets dropped at the same moment, until every job has ended and is closed."""

    jobs: int
    table: CountedTable = field(default_factory=CountedTable)
    counted: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.world = World(jobs=self.table.store, limits=Limits(SLOTS, monthly_usd=1e9))  # type: ignore[arg-type]  # the real one
        numbers = count(1)
        fal = SlowFal(outcome=lambda: Submission(f"request-{next(numbers)}"))
        for name, inner, service in (
            ("datasets", self.world.datasets, "S3"),
            ("results", self.world.results, "S3"),
            ("events", self.world.events, "EventBridge"),
            ("fal", fal, "fal"),
        ):
            setattr(self.world, name, Counting(inner, service, self.counted))
        self.posts, self.changes = fal.posts, self.world.events.changes
        self.ahead: list[tuple[datetime, int, Callable[[], None]]] = []
        self.order, self.free, self.seen = count(), WORKERS, 0
        self.of_rounds: list[int] = []  # the calls of each
        self.peak = 0
        self.stored: datetime = NOW

    def run(self) -> Mapping[str, float]:
        """Drop them, let time pass until nothing is left to do, and return what was measured."""
        self.drop()
        self.later(EVERY, self.round)
        began = time.process_time()
        self.work()
        while self.ahead:
            self.world.clock.now, _, action = heapq.heappop(self.ahead)
            action()
        seconds = time.process_time() - began
        ended = Counter(change.status for change in self.changes)
        if (
            ended[Status.SUCCEEDED] != self.jobs
            or len(self.posts) != self.jobs
            or self.peak > SLOTS
        ):
            raise AssertionError(f"{ended}, {len(self.posts)} paid, {self.peak} at fal")
        return self.measured(seconds)

    def drop(self) -> None:
        for number in range(self.jobs):
            photos = {f"{each}.jpg": make_jpeg(f"{number}-{each}") for each in range(PHOTOS)}
            self.world.queue.datasets.append(
                self.world.drop(
                    f"burst/{number:06}.zip", data=make_archive(images=0, members=photos)
                )
            )

    def measured(self, seconds: float) -> Mapping[str, float]:
        table = self.table.counted
        sqs = self.counted["SQS"]
        ideal = -(-self.jobs // SLOTS) * TRAINING
        return {
            "jobs": self.jobs,
            "drain": (self.stored - NOW) / ideal,
            "cpu": 1000 * seconds / self.jobs,
            "calls": self.calls() / self.jobs,
            "dynamodb": table["calls"] / self.jobs,
            "s3": self.counted["S3"] / self.jobs,
            "eventbridge": self.counted["EventBridge"] / self.jobs,
            "sqs": sqs / self.jobs,
            "rows": table["rows"] / self.jobs,
            "read_units": table["read units"] / self.jobs,
            "write_units": self.table.rows.write_units / self.jobs,
            "rounds": len(self.of_rounds),
        }

    def later(self, pause: timedelta, action: Callable[[], None]) -> None:
        heapq.heappush(self.ahead, (self.world.clock.now + pause, next(self.order), action))

    def work(self) -> None:
        """Let every free worker of the submit function take a message."""
        while self.free and self.world.queue.datasets:
            self.free -= 1
            self.counted["SQS"] += 1
            self.world.submit(self.world.queue.datasets.pop(0))
            self.later(CHECK, self.done)
            for _, _, address in self.posts[self.seen :]:
                job_id, request_id = address.split("/")[-2], f"request-{self.seen + 1}"
                self.seen += 1
                self.later(TRAINING, partial(self.trained, job_id, request_id))
        holders = self.table.items.get(("SLOTS", "SLOTS"), {}).get("holders", {"SS": ()})["SS"]
        self.peak = max(self.peak, len(holders))

    def done(self) -> None:
        self.free += 1
        self.work()

    def trained(self, job_id: str, request_id: str) -> None:
        """fal calls back; the files are stored by the store function."""
        self.world.fal_updates.receive(job_id, Finished(request_id, ARTIFACTS))
        while self.world.queue.handed:
            self.counted["SQS"] += 1
            self.world.result_storer.store_result(self.world.queue.handed.pop(0))
            self.stored = self.world.clock.now
        self.work()

    def round(self) -> None:
        before = self.calls()
        self.world.reconciler.reconcile()
        self.of_rounds.append(self.calls() - before)
        self.work()
        if self.table.rows.order[""]["OPEN"] or self.ahead:
            self.later(EVERY, self.round)

    def calls(self) -> int:
        """All calls that were made until now."""
        return self.table.counted["calls"] + self.counted.total()
