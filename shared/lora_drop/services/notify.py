"""Changes of jobs, each as one signed POST to the customer's own address."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from random import random
from time import monotonic

from lora_drop.fal.hosts import AllowedHosts
from lora_drop.jobs.errors import (
    ForeignCertificateError,
    HostNotAllowedError,
    ReceiverUnavailableError,
)
from lora_drop.jobs.events import ChangeNotice
from lora_drop.jobs.notifications import (
    REFUSED_TRIES,
    Notification,
    given_up,
    pause,
    signed_headers,
)
from lora_drop.ports import Clock, JobStore
from lora_drop.ports.receivers import LaterMessages, Receiver, ReceiverAnswer, SigningSecrets

PATIENCE = 20.0  # seconds for all POSTs of a batch, which are made at the same time
ACCEPTED = range(200, 300)


class NotifyOutcome(StrEnum):
    """What became of one message."""

    DELIVERED = "delivered"
    UNWANTED = "unwanted"  # no address is to get it, or the job was forgotten
    LATER = "later"
    GIVEN_UP = "given up"  # a dead letter from now on


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
    notice: ChangeNotice
    notification: Notification


@dataclass(frozen=True, slots=True)
class Notifier:
    """Sends the changes of a batch at the same time, so that a slow receiver holds up no other.

    ``url`` is the stack's address, for jobs that have none of their own; ``hosts`` are those that a job's own
    may lie on. ``bucket`` is the models bucket, and ``with_reference`` says whether changes have the owner's reference.
    """

    jobs: JobStore
    receiver: Receiver
    queue: LaterMessages
    secrets: SigningSecrets
    url: str
    hosts: AllowedHosts
    clock: Clock
    bucket: str
    with_reference: bool = False
    chance: Callable[[], float] = random
    tick: Callable[[], float] = monotonic

    def notify(self, messages: Sequence[QueuedChange]) -> Sequence[Notified]:
        """Return what became of each message; those that come again later say when to their queue.

        No message decides about another: what goes wrong with one, whatever it is, has that one come again.
        """
        until = self.tick() + PATIENCE
        calls = {message.message_id: self._call_or_error(message) for message in messages}
        waiting = {key: call for key, call in calls.items() if isinstance(call, _Post)}
        said = self._posted(waiting, until) if waiting else {}
        return [
            found
            if isinstance(found := calls[message.message_id], Notified)
            else self._settled(message, found.notice, said[message.message_id])
            for message in messages
        ]

    def _posted(
        self, waiting: Mapping[str, _Post], until: float
    ) -> Mapping[str, ReceiverAnswer | Exception]:
        """Make the POSTs and return the answers that are there in time.

        No call can be broken off while it waits for a name server, so one that is late is left to itself; it sends
        nothing once the time is over.
        """
        keys = self.secrets()
        lanes = ThreadPoolExecutor(max_workers=len(waiting))
        try:
            answers = {
                key: lanes.submit(self._post, call, keys, until) for key, call in waiting.items()
            }
            return {key: self._in_time(answer, until) for key, answer in answers.items()}
        finally:
            lanes.shutdown(wait=False, cancel_futures=True)

    def _in_time(
        self, answer: Future[ReceiverAnswer | Exception], until: float
    ) -> ReceiverAnswer | Exception:
        try:
            return answer.result(timeout=max(until - self.tick(), 0))
        except TimeoutError as late:
            return late

    def _call_or_error(self, message: QueuedChange) -> "_Post | Notified":
        try:
            return self._call_of(message)
        except Exception as error:  # noqa: BLE001  # a row that cannot be read, a table that does not answer
            return self._later(message, type(error).__name__)

    def _call_of(self, message: QueuedChange) -> "_Post | Notified":
        """Return what is to be sent for a message, or what becomes of it without a POST."""
        try:
            notice = ChangeNotice.model_validate(json.loads(message.body)["detail"])
        except (ValueError, KeyError, TypeError, RecursionError):  # also pydantic's
            return self._hopeless(message, "the message is no event of a job")
        job = self.jobs.get(notice.job_id)
        url = job.notify_url or self.url if job is not None else ""
        if job is None or not url:
            return Notified(message.message_id, NotifyOutcome.UNWANTED)
        if not notice.agrees_with(job):
            return self._hopeless(
                message, "the job's row says otherwise: the event is not the stack's", notice
            )
        change = notice.change_of(job, bucket=self.bucket, with_reference=self.with_reference)
        if change is None:  # a try that came to nothing
            return Notified(message.message_id, NotifyOutcome.UNWANTED)
        if job.notify_url and not self.hosts.allow(job.notify_url):
            return self._hopeless(message, "its address is not on the list (NotifyHosts)", notice)
        return _Post(url, notice, Notification.of(change))

    def _post(self, call: _Post, keys: Sequence[bytes], until: float) -> ReceiverAnswer | Exception:
        try:
            body = call.notification.model_dump_json().encode()
            headers = signed_headers(
                call.notification.webhook_id, body, keys=keys, now=self.clock()
            )
            given = {"content-type": "application/json", "user-agent": "lora-drop", **headers}
            return self.receiver.post(call.url, given, body, until=until)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is this message's alone
            return error

    def _settled(
        self, message: QueuedChange, change: ChangeNotice, said: ReceiverAnswer | Exception
    ) -> Notified:
        if isinstance(said, HostNotAllowedError):
            return self._hopeless(message, "its address lies in a private network", change)
        if isinstance(said, Exception):
            foreign = isinstance(said, ForeignCertificateError)
            if foreign and message.tries >= REFUSED_TRIES:
                return self._hopeless(message, str(said), change)
            known = isinstance(said, ReceiverUnavailableError)
            # The text of any other may hold what is private.
            return self._later(message, str(said) if known else type(said).__name__, change)
        if said.status in ACCEPTED:
            delivered = NotifyOutcome.DELIVERED
            return Notified(message.message_id, delivered, change.job_id, change.version)
        if given_up(said.status, message.tries):
            return self._hopeless(message, f"the receiver refuses it: status {said.status}", change)
        return self._later(message, f"status {said.status}", change, asked=said.retry_after)

    def _later(
        self,
        message: QueuedChange,
        reason: str,
        change: ChangeNotice | None = None,
        *,
        asked: int = 0,
    ) -> Notified:
        seconds = pause(message.tries, chance=self.chance, asked=asked)
        try:
            self.queue.delay(message.receipt, seconds)
        except Exception as error:  # noqa: BLE001  # it comes again when its queue decides
            reason = f"{reason}; the queue took no pause: {type(error).__name__}"
        return _not_taken(message, NotifyOutcome.LATER, change, reason, retry_in=seconds)

    def _hopeless(
        self, message: QueuedChange, reason: str, change: ChangeNotice | None = None
    ) -> Notified:
        """Make a message that no waiting helps a dead letter, which calls a person; no receiver is called for it again."""
        try:
            self.queue.give_up(message.body)
        except Exception as error:  # noqa: BLE001  # its queue makes it one, after its last try
            reason = f"{reason}; the dead letters did not take it: {type(error).__name__}"
            return self._later(message, reason, change)
        return _not_taken(message, NotifyOutcome.GIVEN_UP, change, reason)


def _not_taken(
    message: QueuedChange,
    outcome: NotifyOutcome,
    change: ChangeNotice | None,
    reason: str,
    *,
    retry_in: int = 0,
) -> Notified:
    job_id, version = (change.job_id, change.version) if change else ("", 0)
    return Notified(message.message_id, outcome, job_id, version, reason, retry_in=retry_in)
