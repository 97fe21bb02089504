"""Changes of jobs, each as one signed POST to the customer's own address."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from random import random
from time import monotonic

from pydantic import ValidationError

from lora_drop.fal.hosts import AllowedHosts
from lora_drop.jobs.errors import HostNotAllowedError, ReceiverUnavailableError
from lora_drop.jobs.events import StatusChange
from lora_drop.jobs.notifications import BACKOFF, Notification, pause, signed_headers
from lora_drop.ports import Clock, JobStore
from lora_drop.ports.receivers import LaterMessages, Receiver, ReceiverAnswer, SigningSecrets

PATIENCE = 20.0  # seconds for all POSTs of a batch, which are made at the same time
GONE = 410
ACCEPTED = range(200, 300)


class NotifyOutcome(StrEnum):
    """What became of one message."""

    DELIVERED = "delivered"
    UNWANTED = "unwanted"  # no address is to be told, or the job was forgotten
    GONE = "gone"  # the receiver wants no more
    LATER = "later"


@dataclass(frozen=True, slots=True)
class QueuedChange:
    """A message of the queue: EventBridge's envelope of a change, and how often it was delivered."""

    message_id: str
    body: str
    tries: int
    receipt: str


@dataclass(frozen=True, slots=True)
class Notified:
    """What became of a message; ``reason`` says why it comes again, without an address."""

    message_id: str
    outcome: NotifyOutcome
    job_id: str = ""
    version: int = 0
    reason: str = ""
    retry_in: int = 0


@dataclass(frozen=True, slots=True)
class _Post:
    """A POST that is to be made."""

    url: str
    notification: Notification


@dataclass(frozen=True, slots=True)
class Notifier:
    """Sends the changes of a batch at the same time, so that a slow receiver holds up no other.

    ``url`` is the stack's address, for jobs that have none of their own; ``hosts`` are those that a job's own
    may lie on.
    """

    jobs: JobStore
    receiver: Receiver
    queue: LaterMessages
    secrets: SigningSecrets
    url: str
    hosts: AllowedHosts
    clock: Clock
    chance: Callable[[], float] = random
    tick: Callable[[], float] = monotonic

    def notify(self, messages: Sequence[QueuedChange]) -> Sequence[Notified]:
        """Return what became of each message; those that come again later are told so to their queue."""
        until = self.tick() + PATIENCE
        calls = {message.message_id: self._call_of(message) for message in messages}
        waiting = {key: call for key, call in calls.items() if isinstance(call, _Post)}
        with ThreadPoolExecutor(max_workers=max(len(waiting), 1)) as lanes:
            keys = self.secrets() if waiting else ()
            answers = {
                key: lanes.submit(self._post, call, keys, until) for key, call in waiting.items()
            }
            said = {key: answer.result() for key, answer in answers.items()}
        return [
            found
            if isinstance(found := calls[message.message_id], Notified)
            else self._settled(message, found.notification.data, said[message.message_id])
            for message in messages
        ]

    def _call_of(self, message: QueuedChange) -> "_Post | Notified":
        """Return what is to be sent for a message, or what becomes of it without a POST."""
        try:
            change = StatusChange.model_validate(json.loads(message.body)["detail"])
        except (ValueError, KeyError, TypeError, ValidationError):
            return self._hopeless(message, "the message is no event of a job")
        job = self.jobs.get(change.job_id)
        url = job.notify_url or self.url if job is not None else ""
        if job is None or not url:
            return Notified(message.message_id, NotifyOutcome.UNWANTED)
        if job.notify_url and not self.hosts.allow(job.notify_url):
            return self._hopeless(message, "its address is not on the list (NotifyHosts)", change)
        return _Post(url, Notification.of(change))

    def _post(self, call: _Post, keys: Sequence[bytes], until: float) -> ReceiverAnswer | Exception:
        body = call.notification.model_dump_json().encode()
        headers = signed_headers(call.notification.webhook_id, body, keys=keys, now=self.clock())
        given = {"content-type": "application/json", "user-agent": "lora-drop", **headers}
        try:
            return self.receiver.post(call.url, given, body, until=until)
        except (ReceiverUnavailableError, HostNotAllowedError) as error:
            return error

    def _settled(
        self, message: QueuedChange, change: StatusChange, said: ReceiverAnswer | Exception
    ) -> Notified:
        if isinstance(said, HostNotAllowedError):
            return self._hopeless(message, "its address lies in a private network", change)
        if isinstance(said, Exception):
            return self._later(message, str(said), change)
        if said.status in ACCEPTED or said.status == GONE:
            outcome = NotifyOutcome.GONE if said.status == GONE else NotifyOutcome.DELIVERED
            return Notified(message.message_id, outcome, change.job_id, change.version)
        return self._later(message, f"status {said.status}", change, asked=said.retry_after)

    def _later(
        self, message: QueuedChange, reason: str, change: StatusChange, *, asked: int = 0
    ) -> Notified:
        seconds = pause(message.tries, chance=self.chance, asked=asked)
        return self._comes_again(message, reason, change, seconds)

    def _hopeless(
        self, message: QueuedChange, reason: str, change: StatusChange | None = None
    ) -> Notified:
        """Return a message that no waiting helps: it soon is a dead letter, which calls a person."""
        return self._comes_again(message, reason, change, BACKOFF[0])

    def _comes_again(
        self, message: QueuedChange, reason: str, change: StatusChange | None, seconds: int
    ) -> Notified:
        self.queue.delay(message.receipt, seconds)
        job_id, version = (change.job_id, change.version) if change else ("", 0)
        return Notified(
            message.message_id, NotifyOutcome.LATER, job_id, version, reason, retry_in=seconds
        )
