"""One stack on one day: the real handlers between queues, a table, buckets, fal and a person."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lora_drop.jobs.errors import LoraDropError
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.status import Status
from tests.resilience.faults import functions
from tests.resilience.faults.cdn import Cdn
from tests.resilience.faults.effects import Effect, Interceptor, wire
from tests.resilience.faults.fal import Fal, WebhookDelivery
from tests.resilience.faults.fault_injection import trouble
from tests.resilience.faults.faults import Killed
from tests.resilience.faults.invariants import Rows
from tests.resilience.faults.queues import DeadLetterStore, Message, Queue, QueuePorts, StackWorld
from tests.support.builders import NOW, make_archive, s3_event
from tests.support.memory import ManualClock
from tests.support.memory_files import MemoryResults

EVERY = timedelta(minutes=5)
OF_FAULTS = (LoraDropError, ClientError, BotoCoreError)
ASKED = frozenset({200, 404, 409, 503})
ADA = "arn:aws:iam::123456789012:user/ada"
BEFORE = NOW - timedelta(days=1)
ARCHIVE = make_archive(images=10)


@dataclass
class StatusChecks:
    harness: "Harness"

    def request_status_check(self, job_id: str) -> None:
        self.harness.plan(self.harness.clock.now, lambda: self.harness.check_status(job_id))


@dataclass
class Harness:
    """A whole stack with the real handlers, and the violations found so far."""

    interceptor: Interceptor
    clock: ManualClock = field(default_factory=ManualClock)
    violations: dict[str, None] = field(default_factory=dict)  # each once, in their order
    failing: bool = False
    invocations: int = 0
    deaths: int = 0
    rounds: int = 0
    doubtful: int = 0
    decided: int = 0
    dropped: list[DatasetVersion] = field(default_factory=list)
    planned: list[tuple[datetime, Callable[[], None]]] = field(default_factory=list)
    calm_since: datetime | None = None
    pictures: int = 2  # of a proof sheet

    def __post_init__(self) -> None:
        for name in functions.NAMES:
            functions.load_handler(name, 0)  # what cannot be loaded is no fault
        self.fal = Fal(self.clock)
        self.cdn = Cdn(self.fal)
        self.rows = Rows(self.violated, self.clock)
        self.inbox = Queue("submit", timedelta(seconds=1800), self.clock)
        self.results = Queue("store", timedelta(seconds=1080), self.clock)
        self.fal.on_accept = self.rows.accepted
        self.next_round = self.clock.now + EVERY
        self.furnish()

    def furnish(self) -> None:
        self.world = self.build()
        self.cdn.tick = self.world.seconds
        # What the tests look at is no effect of the stack: it is not intercepted.
        self.jobs, self.datasets = self.world.jobs, self.world.datasets
        self.bucket = self.world.results
        self.heard = self.world.events
        self.jobs.rows = self.rows
        wire(self.world, self.interceptor)

    def build(self) -> StackWorld:
        doubles: dict[str, Any] = {
            "fal": self.fal,
            "source": self.cdn,
            "results": MemoryResults(now=self.clock),
            "queue": QueuePorts(self.inbox, self.results),
            "status_check": StatusChecks(self),
            "dead_letters": DeadLetterStore((self.inbox, self.results)),
        }
        return StackWorld(clock=self.clock, pictures_of_a_sheet=self.pictures, **doubles)

    def violated(self, promise: str) -> None:
        self.violations[promise] = None

    def drop(
        self,
        key: str = "portrait/ada.zip",
        data: bytes = ARCHIVE,
        metadata: Mapping[str, str] | None = None,
    ) -> DatasetVersion:
        """A dataset in the bucket; S3 has not said so yet."""
        dataset = self.datasets.put(key, data, metadata)
        self.datasets.came[key] = self.clock.now
        self.dropped.append(dataset)
        return dataset

    def announce(self, dataset: DatasetVersion, *, delay: timedelta = timedelta(0)) -> None:
        self.inbox.send(json.dumps(s3_event(dataset)), delay=delay)

    def take(self, queue: Queue, messages: list[Message]) -> None:
        taken = queue.receive(messages)
        if taken:
            event = {"Records": [message.record() for message in taken]}
            self.invoke(queue.function, event, lambda answer: queue.acknowledge(taken, answer))

    def deliver(
        self, delivery: WebhookDelivery, request: dict[str, Any] | None = None, genuine: str = ""
    ) -> None:
        """Call the webhook; ``genuine``: what is odd about it, and yet it has to pass for fal's."""
        request = request or self.request(delivery)

        def answered(answer: Any) -> None:
            if genuine and answer is not None and '"delivery_refused"' in str(answer.get("body")):
                self.violated(f"refused: {genuine}")
            self.fal.answered(delivery, 502 if answer is None else answer["statusCode"])

        self.invoke("webhook", request, answered)

    def request(self, delivery: WebhookDelivery) -> dict[str, Any]:
        body = delivery.request.body()
        path = "/webhooks/" + delivery.request.webhook_url.split("/webhooks/", 1)[-1]
        signed_at = self.clock.now - delivery.request.signed_before
        headers = self.fal.headers(delivery.request, body, at=signed_at)
        return functions.api_event("POST", path, body.decode(), headers)

    def round(self) -> None:
        self.next_round = max(self.next_round, self.clock.now) + EVERY

        def counted(tally: Any) -> None:
            if tally is not None:
                self.rounds += 1
                self.doubtful = tally["doubtful"]

        self.invoke("reconcile", functions.committed("schedule"), counted)

    def check_status(self, job_id: str) -> None:
        self.invoke("reconcile", {"job_id": job_id}, lambda _: None)

    def dashboard(self, job: Job) -> str | None:
        seen = [
            request.request_id
            for request in self.fal.requests.values()
            if request.job_id == job.job_id and request.request_id not in job.earlier_requests
        ]
        return seen[-1] if seen else None

    def decide(self, job: Job, seen: str | None) -> None:
        said = {"request_id": seen} if seen else {"not_submitted": True}
        self.ask("POST", f"/jobs/{job.job_id}/resolve", json.dumps(said))

    def ask(self, method: str, path: str, body: str | None = None) -> None:
        def answered(answer: Any) -> None:
            if answer is not None and answer["statusCode"] not in ASKED:
                self.violated(f"{method} {path} was answered {answer['statusCode']}")

        self.invoke("jobs", functions.api_event(method, path, body, caller=ADA), answered)

    def invoke(self, name: str, event: Mapping[str, Any], then: Callable[[Any], None]) -> None:
        """Invoke a function; ``then`` gets its answer, None when it died."""
        self._invoke(name, event, self.world, then)

    def _invoke(
        self, name: str, event: Mapping[str, Any], world: object | None, then: Callable[[Any], None]
    ) -> None:
        answer = None
        self.invocations += 1
        try:
            answer = functions.call(name, event, world)
        except Killed:
            self.deaths += 1
        except Exception as error:  # noqa: BLE001  # whatever a function lets out is looked at
            self.complain(name, error)
        self.hear(name)
        then(answer)

    def hear(self, name: str) -> None:
        """Count what a function has logged as an error as if it had been raised."""
        while functions.swallowed:
            self.complain(name, functions.swallowed.pop())

    def complain(self, name: str, error: BaseException) -> None:
        if isinstance(error, ExceptionGroup):
            for each in error.exceptions:
                self.complain(name, each)
        elif not self.excused(error):
            self.violated(f"{name} raised {error!r}")

    def excused(self, error: BaseException) -> bool:
        return self.failing and isinstance(error, OF_FAULTS)

    def trouble(self, effect: Effect, *, after: bool) -> BaseException:
        return trouble(effect, after=after)

    def plan(self, at: datetime, event: Callable[[], None]) -> None:
        self.planned.append((at, event))
        self.planned.sort(key=lambda each: each[0])

    def _planned(self) -> None:
        self.planned.pop(0)[1]()

    def act_as_person(self) -> None:
        """Do what the alarms and ERROR.txt ask of a person."""
        if any(not message.poison for message in (*self.inbox.dead, *self.results.dead)):
            self.ask("POST", "/redrive")
        for job in list(self.rows.values()):
            if job.status is Status.HELD:
                self.ask("POST", f"/jobs/{job.job_id}/approve")
        if self.doubtful:
            self.doubtful = 0
            for job in self.in_doubt():
                self.decided += 1
                self.decide(job, self.dashboard(job))

    def next(self) -> Callable[[], None]:
        at, step = min(
            (
                (at, step)
                for at, step in (
                    (self.planned[0][0] if self.planned else None, self._planned),
                    (self.inbox.next_at(), lambda: self._first(self.inbox)),
                    (self.fal.next_at(), lambda: self.deliver(self.fal.due()[0])),
                    (self.results.next_at(), lambda: self._first(self.results)),
                    (self.next_round, self.round),
                )
                if at is not None
            ),
            key=lambda each: each[0],
        )
        self.clock.now = max(self.clock.now, at)
        return step

    def _first(self, queue: Queue) -> None:
        self.take(queue, queue.visible()[:1])

    def in_doubt(self) -> list[Job]:
        """Return the submissions that a person can settle now: no submitter can still send them."""
        return [
            job
            for job in self.rows.values()
            if job.status is Status.SUBMIT_UNKNOWN
            and self.clock.now - self.rows.intended.get(job.job_id, BEFORE) > timedelta(minutes=2)
        ]

    def settle(self) -> None:
        """Prepare the check of the invariants."""

    @property
    def expected(self) -> list[str]:
        """The ids of the jobs that must exist: one for each dataset that was not changed since."""
        newest = {key: versions[-1] for key, versions in self.datasets.objects.items()}
        return [
            job_id_for(each.bucket, each.key, each.version_id)
            for each in self.dropped
            if newest[each.key].data is not None and newest[each.key].version_id == each.version_id
        ]

    @property
    def quiet(self) -> bool:
        return (
            not self.planned
            and not self.inbox.waiting
            and not self.results.waiting
            and not self.fal.outbox
            and all(self.rows.get(job_id) for job_id in self.expected)
            and all(job.terminal and not job.proof_open for job in self.rows.values())
        )
