"""What comes in from outside during a harness: S3's events, messages, webhooks, ticks and strangers."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from nacl.signing import SigningKey

from lora_drop.jobs.job import DatasetVersion
from tests.resilience.faults import functions
from tests.resilience.faults.fal import Request, WebhookDelivery
from tests.resilience.faults.faults import Fault
from tests.resilience.faults.queues import Message, Queue
from tests.resilience.faults.schedule_harness import ScheduleHarness, forged
from tests.support.builders import KEY, USER_ID

STRANGER = SigningKey(bytes(range(1, 33)))
MISSED = 502
WRONG_TOKEN = "0" * 32
EVENTS = (None, Fault.EVENT_LOST, Fault.EVENT_DOUBLED, Fault.EVENT_DELAYED)
WEBHOOKS = (
    *(None, Fault.WEBHOOK_DROPPED, Fault.WEBHOOK_DOUBLED, Fault.WEBHOOK_STALE),
    *(Fault.WEBHOOK_GATEWAY_ID, Fault.WEBHOOK_CAPITALS),
)
GENUINE = frozenset({Fault.WEBHOOK_GATEWAY_ID, Fault.WEBHOOK_CAPITALS})
FORGERIES = (
    *(Fault.WEBHOOK_FORGED, Fault.WEBHOOK_FOREIGN_USER, Fault.WEBHOOK_WRONG_TOKEN),
    Fault.WEBHOOK_WRONG_REQUEST,
)


class Inputs:
    def __init__(self, harness: ScheduleHarness) -> None:
        self.harness = harness
        self.injector = harness.injector
        self.decisions = harness.decisions

    def announce(self, dataset: DatasetVersion) -> None:
        fault = self.decisions.pick("s3 event", EVENTS, likely=0.3)
        if fault is not None:
            self.injector.strike(fault)
        if fault is Fault.EVENT_LOST:
            return
        late = fault is Fault.EVENT_DELAYED
        delay = timedelta(minutes=self.decisions.below("event delay", 40) if late else 0)
        self.harness.announce(dataset, delay=delay)
        if fault is Fault.EVENT_DOUBLED:
            self.harness.announce(dataset)

    def poison(self, queue: Queue, body: str) -> None:
        self.injector.strike(Fault.MESSAGE_POISON)
        queue.send(body).poison = True
        self.harness.poisoned = True

    def possible(self) -> list[Callable[[], None]]:
        harness = self.harness
        if harness.down:
            return [partial(harness.fal.answered, each, MISSED) for each in harness.fal.due()]
        possible: list[tuple[datetime, Callable[[], None]]] = []
        for queue in (harness.inbox, harness.results):
            possible += [
                (message.visible_at, partial(self._take, queue, message))
                for message in queue.visible()
            ]
        possible += [(each.at, partial(self._send, each)) for each in harness.fal.due()]
        if harness.next_round <= harness.clock.now:
            possible.append((harness.next_round, self._tick))
        return [event for _, event in sorted(possible, key=lambda each: each[0])]

    def times(self) -> Iterator[datetime]:
        harness = self.harness
        for at in (harness.inbox.next_at(), harness.results.next_at(), harness.fal.next_at()):
            if at is not None:
                yield at
        yield harness.next_round

    def _take(self, queue: Queue, message: Message) -> None:
        """Lambda polls: one message, or several in a batch, or one that another worker has too."""
        messages = [message]
        fault = self.decisions.pick("poll", (None, Fault.MESSAGE_DOUBLED, Fault.BATCH), likely=0.15)
        others = [each for each in queue.visible() if each is not message]
        if fault is Fault.BATCH and others:
            self.injector.strike(fault)
            messages += others[: self.decisions.below("batch", 9) + 1]
        if fault is Fault.MESSAGE_DOUBLED:
            self.injector.strike(fault)
            event = {"Records": [message.record()]}
            self.harness.invoke(queue.function, event, lambda _: None)
        if message in queue.waiting:
            self.harness.take(queue, messages)

    def _tick(self) -> None:
        fault = self.decisions.pick(
            "tick", (None, Fault.ROUND_LOST, Fault.ROUND_DOUBLED), likely=0.1
        )
        if fault is not None:
            self.injector.strike(fault)
        if fault is Fault.ROUND_LOST:
            self.harness.next_round += timedelta(minutes=5)
            return
        self.harness.round()
        if fault is Fault.ROUND_DOUBLED:
            self.harness.round()

    def promised(self, request: Request) -> None:
        """Decide how fal will call the webhook of a request that it has accepted."""
        fault = self.decisions.pick(
            "webhooks",
            (None, Fault.WEBHOOK_LOST, Fault.WEBHOOK_LATE, Fault.WEBHOOK_EMPTY),
            likely=0.3,
        )
        if fault is not None:
            self.injector.strike(fault)
        request.payload_missing = fault is Fault.WEBHOOK_EMPTY
        request.webhook_lost = fault is Fault.WEBHOOK_LOST
        if fault is Fault.WEBHOOK_LATE:
            request.called_at = request.ended_at + timedelta(
                minutes=self.decisions.below("webhook late by", 55)
            )
        if self.decisions.happens("listed late", 0.2):
            self.injector.strike(Fault.LIST_EMPTY)
            request.listed_at += timedelta(minutes=self.decisions.below("list behind", 60))

    def _send(self, delivery: WebhookDelivery) -> None:
        fault = self.decisions.pick("webhook", WEBHOOKS, likely=0.15)
        if fault is not None:
            self.injector.strike(fault)
        if fault is Fault.WEBHOOK_DROPPED:
            self.harness.fal.answered(delivery, MISSED)
            return
        if fault is Fault.WEBHOOK_GATEWAY_ID:
            delivery.request.gateway_id = f"9{delivery.request.request_id[1:]}"
        request = self.harness.request(delivery)
        if fault is Fault.WEBHOOK_STALE:
            request = self._signed(delivery.request, at=self.harness.clock.now - timedelta(hours=1))
        if fault is Fault.WEBHOOK_CAPITALS:
            _in_capitals(request)
        self.harness.deliver(delivery, request, genuine=str(fault) if fault in GENUINE else "")
        if fault is Fault.WEBHOOK_DOUBLED:
            self.harness.invoke("webhook", request, lambda _: None)

    def files_of(self, request: Request) -> None:
        """Decide how the CDN will serve the files of a request that fal has accepted."""
        faults = (None, Fault.FILES_LATE, Fault.CDN_SLOW_WHOLE)
        fault = self.decisions.pick("files", faults, likely=0.15)
        if fault is not None:
            self.injector.strike(fault)
        if fault is Fault.FILES_LATE:
            minutes = 1 + self.decisions.below("files late by", 20)
            request.files_at = request.ended_at + timedelta(minutes=minutes)
        if fault is Fault.CDN_SLOW_WHOLE:
            seconds = self.decisions.pick("a file takes", (200, 100, 350))
            request.whole_takes = timedelta(seconds=seconds)

    def stranger(self) -> None:
        requests = list(self.harness.fal.requests.values())
        if not requests:
            return
        request = requests[self.decisions.below("forged for", len(requests))]
        fault = FORGERIES[self.decisions.below("forgery", len(FORGERIES))]
        self.injector.strike(fault)
        match fault:
            case Fault.WEBHOOK_FORGED:
                event = self._signed(request, body=forged(request), key=STRANGER)
            case Fault.WEBHOOK_FOREIGN_USER:
                event = self._signed(request, body=forged(request), user_id="user_2")
            case Fault.WEBHOOK_WRONG_TOKEN:
                event = self._signed(request, body=forged(request), token=WRONG_TOKEN)
            case _:
                wrong = self._of_another(requests)
                if wrong is None:
                    return
                event = self._signed(wrong[0], to=wrong[1])

        def refused(answer: object) -> None:
            if (
                fault is not Fault.WEBHOOK_WRONG_REQUEST
                and isinstance(answer, dict)
                and answer["statusCode"] < 400
            ):  # HTTP
                self.harness.violated(f"accepted: {fault}")

        self.harness.invoke("webhook", event, refused)

    def _of_another(self, requests: list[Request]) -> tuple[Request, Request] | None:
        """A request, and the one of another job whose webhook is called for it."""
        for request in requests:
            job = self.harness.rows.get(request.job_id)
            if job is not None and job.at_fal and job.request_id == request.request_id:
                others = [each for each in requests if each.job_id != request.job_id]
                return (others[-1], request) if others else None
        return None

    def _signed(
        self,
        request: Request,
        *,
        body: bytes | None = None,
        at: datetime | None = None,
        key: SigningKey = KEY,
        user_id: str = USER_ID,
        token: str = "",
        to: Request | None = None,
    ) -> dict[str, object]:
        body = request.body() if body is None else body
        path = "/webhooks/" + (to or request).webhook_url.split("/webhooks/", 1)[-1]
        if token:
            path = path.rsplit("/", 1)[0] + f"/{token}"
        headers = self.harness.fal.headers(request, body, at=at, key=key, user_id=user_id)
        return functions.api_event("POST", path, body.decode(), headers)


def _in_capitals(event: dict[str, Any]) -> None:
    for headers in (event["headers"], event["multiValueHeaders"]):
        for name in headers:
            if name.lower() == "x-fal-webhook-signature":
                was = headers[name]
                headers[name] = was.upper() if isinstance(was, str) else [was[0].upper()]
