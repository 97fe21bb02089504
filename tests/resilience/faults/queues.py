"""Queues as SQS and Lambda have them, and a world whose services find them there.

A message is delivered at least once, hidden while it is handled, and dead after five tries.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any

from lora_drop.jobs.job import DatasetVersion
from lora_drop.messages import ProofRequest, StoreRequest, s3_notice_for
from lora_drop.ports import Clock
from lora_drop.services.store import ResultStorer
from tests.support.builders import NOW
from tests.support.world import World

MAX_RECEIVES = 5  # of the template's redrive policies


@dataclass
class Message:
    number: int
    body: str
    visible_at: datetime
    received: int = 0
    poison: bool = False

    def record(self) -> dict[str, Any]:
        """As Lambda hands it to a function."""
        return {
            "messageId": f"message-{self.number}",
            "receiptHandle": f"receipt-{self.number}-{self.received}",
            "body": self.body,
            "attributes": {"ApproximateReceiveCount": str(self.received)},
            "messageAttributes": {},
            "md5OfBody": "0" * 32,
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:queue",
            "awsRegion": "us-east-1",
        }


@dataclass
class Queue:
    function: str
    visibility: timedelta
    clock: Clock
    waiting: list[Message] = field(default_factory=list)
    dead: list[Message] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def send(self, body: str, *, delay: timedelta = timedelta(0)) -> Message:
        """A new message; with a delay it is seen later."""
        message = Message(next(self._numbers), body, self.clock() + delay)
        self.waiting.append(message)
        return message

    def next_at(self) -> datetime | None:
        return min((message.visible_at for message in self.waiting), default=None)

    def visible(self) -> list[Message]:
        now = self.clock()
        return sorted(
            (message for message in self.waiting if message.visible_at <= now),
            key=lambda message: (message.visible_at, message.number),
        )

    def receive(self, messages: list[Message]) -> list[Message]:
        """Receive these messages; one received too often becomes a dead letter."""
        received = []
        for message in messages:
            if message.received >= MAX_RECEIVES:
                self.waiting.remove(message)
                self.dead.append(message)
                continue
            message.received += 1
            message.visible_at = self.clock() + self.visibility
            received.append(message)
        return received

    def acknowledge(self, messages: list[Message], answer: Any) -> None:
        """Delete what was handled according to the function's answer; None is no answer."""
        if answer is None:
            return
        failed = {row["itemIdentifier"] for row in answer["batchItemFailures"]}
        assert failed <= {f"message-{message.number}" for message in messages}
        for message in messages:
            if f"message-{message.number}" not in failed and message in self.waiting:
                self.waiting.remove(message)

    def redrive(self) -> None:
        for message in self.dead:
            message.received, message.visible_at = 0, self.clock()
        self.waiting += self.dead
        self.dead = []


@dataclass
class QueuePorts:
    """An Inbox and a Handover that write into these queues what the adapters write."""

    inbox: Queue
    results: Queue

    def announce(self, dataset: DatasetVersion) -> None:
        self.inbox.send(json.dumps(s3_notice_for(dataset)))

    def backlog(self) -> int:
        return len(self.inbox.visible())

    def finish_proof(self, job_id: str) -> None:
        self.inbox.send(ProofRequest(proof_of=job_id).model_dump_json())

    def hand_over(self, job_id: str) -> None:
        self.results.send(StoreRequest(job_id=job_id).model_dump_json())


@dataclass
class DeadLetterStore:
    queues: tuple[Queue, ...]

    def redrive(self, limit: int) -> Mapping[str, int]:
        moved = {}
        for queue in self.queues:
            moved[queue.function] = min(limit, len(queue.dead))
            queue.redrive()
        return moved


PART = 64  # bytes: so that a file of some 150 is copied in parts as well
OWNERS = (f"worker-{number}" for number in count(1))


@dataclass
class StackWorld(World):
    """A World that can stand where a function expects its bootstrap."""

    dead_letters: DeadLetterStore = field(default_factory=lambda: DeadLetterStore(()))
    faces_lack: str = ""

    @property
    def result_storer(self) -> ResultStorer:
        return replace(
            super().result_storer, part=PART, now=self.seconds, owner=lambda: next(OWNERS)
        )

    def seconds(self) -> float:
        return (self.clock() - NOW).total_seconds() + 1

    @property
    def settings(self) -> SimpleNamespace:
        return SimpleNamespace(limits=self.limits)
