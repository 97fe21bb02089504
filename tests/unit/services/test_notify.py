"""Receivers that are down, slow, redirecting or wrong: every change arrives, or lies in the dead letters."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Barrier, Event
from time import monotonic

import pytest
import standardwebhooks.webhooks as standard

from lora_drop.adapters.checked_network import CheckedNetwork
from lora_drop.adapters.receivers import HttpReceiver
from lora_drop.fal.hosts import AllowedHosts
from lora_drop.jobs.errors import (
    ForeignCertificateError,
    HostNotAllowedError,
    ReceiverUnavailableError,
)
from lora_drop.jobs.job import Job
from lora_drop.jobs.notifications import MAX_TRIES, SECRET_PREFIX, key_of
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.ports.receivers import ReceiverAnswer
from lora_drop.services.notify import Notified, Notifier, NotifyOutcome, QueuedChange
from lora_drop.webhooks import unwrap_event
from tests.support.builders import make_job
from tests.support.lambda_environment import NOTIFY_SECRET, NOTIFY_URL
from tests.support.memory import ManualClock
from tests.support.memory_jobs import MemoryJobs
from tests.support.receivers import envelope

BEGIN = datetime(2026, 11, 29, 12, tzinfo=UTC)
OWN = "https://ada.customer.example/hook?key=private"
HOUR, DAYS = timedelta(hours=1), timedelta(days=5)
OK = ReceiverAnswer(204)
type Answers = Callable[[datetime, int], ReceiverAnswer]


@dataclass
class Lab:
    """A notify queue as SQS keeps it, with its dead letters, and receivers that answer as a test says.

    ``answers`` gives the answer at a time to the so-manieth POST; every POST is noted.
    """

    answers: Answers = lambda _now, _number: OK
    clock: ManualClock = field(default_factory=lambda: ManualClock(BEGIN))
    jobs: MemoryJobs = field(default_factory=MemoryJobs)
    waiting: dict[str, tuple[datetime, int, str]] = field(default_factory=dict)
    dead: list[str] = field(default_factory=list)
    posts: list[tuple[str, Mapping[str, str], bytes, datetime]] = field(default_factory=list)
    taken: list[tuple[Mapping[str, str], bytes, datetime]] = field(default_factory=list)
    outcomes: list[Notified] = field(default_factory=list)
    random: Random = field(default_factory=lambda: Random(14))  # noqa: S311  # a test's

    def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, until: float
    ) -> ReceiverAnswer:
        assert until > 0
        self.posts.append((url, headers, body, self.clock()))
        said = self.answers(self.clock(), len(self.posts))
        if said.status < 300:
            self.taken.append((headers, body, self.clock()))
        return said

    def delay(self, receipt: str, seconds: int) -> None:
        assert 1 <= seconds < 12 * 3600  # what SQS takes
        _, tries, body = self.waiting[receipt]
        self.waiting[receipt] = (self.clock() + timedelta(seconds=seconds), tries, body)

    def give_up(self, body: str) -> None:
        self.dead.append(body)

    def add(self, *jobs: Job, forgotten: bool = False) -> None:
        for job in jobs:
            if not forgotten:
                self.jobs.rows[job.job_id] = job
            self.waiting[f"{len(self.waiting)}"] = (self.clock(), 0, envelope(job))

    def notifier(
        self, url: str = NOTIFY_URL, hosts: Sequence[str] = ("customer.example",)
    ) -> Notifier:
        return Notifier(
            jobs=self.jobs,
            receiver=self,
            queue=self,
            secrets=lambda: (key_of(NOTIFY_SECRET),),
            url=url,
            hosts=AllowedHosts(hosts),
            clock=self.clock,
            bucket="models",
            chance=self.random.random,
        )

    def run(self, *, url: str = NOTIFY_URL, hosts: Sequence[str] = ("customer.example",)) -> None:
        """Let time pass until no message is left."""
        notifier = self.notifier(url, hosts)
        while self.waiting:
            self.clock.now = max(self.clock(), min(at for at, _, _ in self.waiting.values()))
            due = [key for key, (at, _, _) in self.waiting.items() if at <= self.clock()][:10]
            for key in due:
                at, tries, body = self.waiting[key]
                self.waiting[key] = (at + timedelta(seconds=180), tries + 1, body)
                if tries + 1 > MAX_TRIES:
                    self.dead.append(self.waiting.pop(key)[2])
            batch = [
                QueuedChange(key, body, tries, key)
                for key in due
                if key in self.waiting
                for _, tries, body in [self.waiting[key]]
            ]
            for each in notifier.notify(batch) if batch else ():
                self.outcomes.append(each)
                if each.outcome is not NotifyOutcome.LATER:
                    del self.waiting[each.message_id]

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, *_ in self.taken]


def failing(until: timedelta, how: int | Exception, *, retry_after: int = 0) -> Answers:
    def answers(now: datetime, _number: int) -> ReceiverAnswer:
        if now - BEGIN >= until:
            return OK
        if isinstance(how, Exception):
            raise how
        return ReceiverAnswer(how, retry_after)

    return answers


def jobs(number: int = 20) -> list[Job]:
    return [
        make_job(Status.SUBMITTED, job_id=f"ada-{each:010x}", version=each)
        for each in range(number)
    ]


SLOW, DOWN = ReceiverUnavailableError("ReadTimeout"), ReceiverUnavailableError("ConnectError")
FOREIGN = ForeignCertificateError("its certificate does not verify")
MINUTES = timedelta(minutes=1)
RECEIVERS: dict[str, tuple[Answers, int, timedelta]] = {
    "well": (failing(HOUR * 0, DOWN), 0, timedelta(0)),
    "down for an hour": (failing(HOUR, DOWN), 0, 2 * HOUR),
    "answers 500 for a day": (failing(24 * HOUR, 500), 0, 36 * HOUR),
    "too slow for an hour": (failing(HOUR, SLOW), 0, 2 * HOUR),
    "redirects for an hour": (failing(HOUR, 302), 0, 2 * HOUR),
    "throttles": (failing(HOUR, 429, retry_after=4000), 0, 2 * HOUR),
    "every second POST fails": (
        lambda _, number: ReceiverAnswer(500) if number % 2 else OK,
        0,
        HOUR,
    ),
    "down for ever": (failing(10 * DAYS, DOWN), 20, DAYS),
    "redirects for ever": (failing(10 * DAYS, 301), 20, DAYS),
    "is not there while it is deployed": (failing(20 * MINUTES, 404), 0, HOUR),
    "is not there": (failing(10 * DAYS, 404), 20, HOUR),
    "refuses the body": (failing(10 * DAYS, 400), 20, HOUR),
    "has a foreign certificate": (failing(10 * DAYS, FOREIGN), 20, HOUR),
    "has one while it is deployed": (failing(20 * MINUTES, FOREIGN), 0, HOUR),
    "asks for a later try for a day": (failing(24 * HOUR, 425), 0, 36 * HOUR),
    "is gone": (failing(10 * DAYS, 410), 20, 0 * HOUR),
    "raises an unexpected error": (failing(10 * DAYS, UnicodeError("label too long")), 20, DAYS),
    "lies in a private network": (
        failing(10 * DAYS, HostNotAllowedError("no")),
        20,
        0 * HOUR,
    ),
}


@pytest.mark.promise("interfaces stay")
@pytest.mark.parametrize("name", RECEIVERS)
def test_every_change_arrives_or_is_a_dead_letter(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a receiver does, each change arrives there signed, or lies in the dead letters."""
    answers, dead, within = RECEIVERS[name]
    lab = Lab(answers)
    lab.add(*jobs())

    lab.run()

    assert (len(lab.ids), len(lab.dead)) == (20 - dead, dead)
    assert len(set(lab.ids)) == len(lab.ids)
    assert lab.clock() - BEGIN <= within
    for headers, body, at in lab.taken:
        monkeypatch.setattr(
            standard,
            "datetime",
            type("Then", (datetime,), {"now": lambda tz=None, at=at: tz and at}),
        )
        assert standard.Webhook(NOTIFY_SECRET).verify(body, dict(headers))["data"]["job_id"]
        found = unwrap_event(body, headers, secret=SECRET_PREFIX + NOTIFY_SECRET, now=at)
        assert found.webhook_id == headers["webhook-id"]
        assert found.change.status is Status.SUBMITTED


def test_a_receiver_that_is_gone_is_called_once_for_a_change() -> None:
    """Standard Webhooks, "410 Gone": "Sender should disable the webhook endpoint, and stop sending it messages"."""
    lab = Lab(failing(10 * DAYS, 410))
    lab.add(*jobs(2))
    lab.run()
    assert (len(lab.posts), len(lab.dead)) == (2, 2)
    assert [each.outcome.value for each in lab.outcomes] == ["given up"] * 2


def test_dead_letters_that_take_nothing_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The change is tried as any other, until its own queue gives it up."""

    def throttled(_body: str) -> None:
        raise ConnectionError("throttled")

    lab = Lab(failing(10 * DAYS, 410))
    monkeypatch.setattr(lab, "give_up", throttled)
    lab.add(*jobs(1))
    lab.run()
    assert (len(lab.posts), len(lab.dead)) == (MAX_TRIES, 1)
    assert "ConnectionError" in lab.outcomes[0].reason


def test_a_doubled_event_has_the_same_id_and_body() -> None:
    """A receiver that gets a change twice knows it by its webhook-id."""
    lab = Lab()
    [job] = jobs(1)
    lab.add(job, job)
    lab.run()
    [(one, body, _), (other, again, _)] = lab.taken
    assert (one["webhook-id"], body) == (other["webhook-id"], again)


def test_a_retry_is_signed_at_its_own_time() -> None:
    lab = Lab(failing(HOUR, 500))
    lab.add(*jobs(1))
    lab.run()
    stamps = [int(headers["webhook-timestamp"]) for _, headers, _, _ in lab.posts]
    assert stamps == [int(at.timestamp()) for *_, at in lab.posts]
    assert len(set(stamps)) == len(stamps) > 3
    assert len({headers["webhook-id"] for _, headers, _, _ in lab.posts}) == 1


# A job's own address, the stack's, the hosts: where the change goes, and what becomes of it.
PLACES: dict[str, tuple[str | None, str, tuple[str, ...], list[str], NotifyOutcome]] = {
    "the stack's": (None, NOTIFY_URL, (), [NOTIFY_URL], NotifyOutcome.DELIVERED),
    "its own": (OWN, NOTIFY_URL, ("customer.example",), [OWN], NotifyOutcome.DELIVERED),
    "its own alone": (OWN, "", ("customer.example",), [OWN], NotifyOutcome.DELIVERED),
    "none": (None, "", ("customer.example",), [], NotifyOutcome.UNWANTED),
    "no longer on the list": (OWN, NOTIFY_URL, ("other.example",), [], NotifyOutcome.GIVEN_UP),
}


@pytest.mark.parametrize("name", PLACES)
def test_the_jobs_own_address_goes_first(name: str) -> None:
    own, url, hosts, called, outcome = PLACES[name]
    lab = Lab()
    lab.add(make_job(Status.SUBMITTED, notify_url=own))
    lab.run(url=url, hosts=hosts)
    assert [each for each, *_ in lab.posts] == called
    assert {each.outcome for each in lab.outcomes} == {outcome}
    assert len(lab.dead) == (outcome is NotifyOutcome.GIVEN_UP)
    assert "private" not in str(lab.outcomes)


@pytest.mark.promise("nothing leaks")
def test_nothing_is_sent_of_a_forgotten_job() -> None:
    """A change of a job that is forgotten before it could be sent is dropped."""
    lab = Lab()
    lab.add(make_job(Status.SUBMITTED), forgotten=True)
    lab.run()
    assert (lab.posts, lab.dead, lab.waiting) == ([], [], {})


DEEP = '{"detail": ' + '{"x": ' * 100_000 + "1" + "}" * 100_001


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(
    "body",
    ["", "null", "[]", "{}", '{"detail": {"job_id": "x"}}', '{"detail": 1}', DEEP],
    ids=range(7),
)
def test_a_message_that_is_none_is_soon_a_dead_letter(body: str) -> None:
    """A message that cannot be read holds up no other, and is a dead letter within minutes."""
    lab = Lab()
    lab.add(*jobs(2))
    lab.waiting["strange"] = (BEGIN, 0, body)
    lab.run()
    assert (lab.dead, len(lab.ids)) == ([body], 2)
    assert lab.clock() - BEGIN < timedelta(minutes=2)


SUBMITTED = (
    make_job(Status.READY)
    .move(Status.SUBMITTING, now=BEGIN + MINUTES)
    .move(Status.SUBMITTED, now=BEGIN + 2 * MINUTES)
)
# What an event says other than the row, and whether that is a change of the job: true, false, or lost by its history.
CHANGES: dict[str, tuple[dict[str, object], str]] = {
    "the last": ({}, "true"),
    "to come": ({"version": SUBMITTED.version + 1}, "false"),
    "far ahead": ({"version": 999_999, "status": "SUCCEEDED"}, "false"),
    "another state of this version": ({"status": "SUCCEEDED"}, "false"),
    "an earlier state as this version": ({"status": "RECEIVED"}, "false"),
    "never so": ({"version": SUBMITTED.version - 1, "status": "SUCCEEDED"}, "false"),
    "not since then": ({"version": SUBMITTED.version - 1, "status": "RECEIVED"}, "false"),
    "a try that came to nothing": ({"version": SUBMITTED.version - 1, "status": "READY"}, "lost"),
    "with other fields": (
        {
            "problems": ["forged"],
            "since": "1999-01-01T00:00:00Z",
            "ended": True,
            "again": True,
            "needs_person": True,
            "history": [{"status": "SUCCEEDED", "at": "1999-01-01T00:00:00Z"}],
            "application": "forged",
            "bucket": "forged",
            "reference": "forged",
            "key": "forged",
        },
        "true",
    ),
}


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("name", CHANGES)
def test_only_what_the_row_says_is_signed(name: str) -> None:
    """An event on the bus says which change is meant, and the row says the rest; of one that it does not know nothing is signed."""
    forged, kind = CHANGES[name]
    lab = Lab()
    lab.add(SUBMITTED)
    sent = json.loads(envelope(SUBMITTED))
    body = json.dumps(sent | {"detail": sent["detail"] | forged})
    lab.waiting["0"] = (BEGIN, 0, body)

    lab.run()

    assert len(lab.dead) == (kind == "false")
    taken = [json.loads(body)["data"] for _, body, _ in lab.taken]
    assert taken == ([sent["detail"]] if kind == "true" else [])
    assert lab.clock() == BEGIN


def test_a_change_that_another_has_overtaken_is_of_its_own_state() -> None:
    """Its state, time and history are its own; of problems the row has only those of now."""
    held = SUBMITTED.move(Status.HELD, now=BEGIN + HOUR, problems=(Problem(code="x", message="x"),))
    ready = held.move(Status.READY, now=BEGIN + 2 * HOUR, by="ada", problems=())
    lab = Lab()
    lab.add(held)
    lab.jobs.rows[ready.job_id] = ready
    lab.run()
    [(headers, body, _)] = lab.taken
    stood = json.loads(envelope(held))["detail"]
    assert stood["problems"] == ["x"]
    assert json.loads(body)["data"] == stood | {"problems": [], "needs_person": False}
    assert headers["webhook-id"] == f"{held.job_id}-v{held.version}"


def test_a_try_that_came_to_nothing_is_not_sent_late() -> None:
    """The history of a job that is HELD again ends at its first HELD; of the try in between nothing is left to say."""
    lab = Lab()
    job = make_job(Status.READY)
    for to in (Status.HELD, Status.READY, Status.SUBMITTING, Status.HELD):
        lab.add(job := job.move(to, now=BEGIN))
    lab.run()
    assert [json.loads(body)["data"]["status"] for _, body, _ in lab.taken] == ["HELD"] * 2
    assert lab.dead == []


@pytest.mark.promise("never get stuck")
def test_a_message_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that cannot be read, or a queue that does not answer, has one change come again and holds up no other."""
    lab = Lab(lambda _now, _number: OK)
    lab.add(*jobs(3))
    broken, get = jobs(3)[1].job_id, lab.jobs.get

    def read(job_id: str) -> Job | None:
        if job_id == broken:
            raise ZeroDivisionError("a row that holds a secret")
        return get(job_id)

    def throttled(_receipt: str, _seconds: int) -> None:
        raise ConnectionError("throttled")

    monkeypatch.setattr(lab.jobs, "get", read)
    monkeypatch.setattr(lab, "delay", throttled)
    found = lab.notifier().notify(
        [QueuedChange(key, body, 1, key) for key, (*_, body) in lab.waiting.items()]
    )
    assert [each.outcome.value for each in found] == ["delivered", "later", "delivered"]
    assert "ZeroDivisionError" in found[1].reason
    assert "secret" not in found[1].reason


@pytest.mark.promise("never get stuck")
def test_a_slow_name_server_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change whose address is not found in time comes again, and the function lives to say so."""
    monkeypatch.setattr("lora_drop.services.notify.PATIENCE", 0.2)
    over = Event()

    def resolve(_host: str, _port: int) -> Sequence[str]:
        over.wait(5)
        return ["93.184.215.14"]

    slow = HttpReceiver(network=lambda inner: CheckedNetwork(resolve=resolve, network=inner))
    lab = Lab()
    lab.add(make_job(Status.SUBMITTED, notify_url=OWN), *jobs(1))

    class Receivers:
        def post(
            self, url: str, headers: Mapping[str, str], body: bytes, *, until: float
        ) -> ReceiverAnswer:
            return (slow if url == OWN else lab).post(url, headers, body, until=until)

    notifier = replace(lab.notifier(), receiver=Receivers())
    began = monotonic()
    try:
        found = notifier.notify(
            [QueuedChange(key, body, 1, key) for key, (*_, body) in lab.waiting.items()]
        )
        assert monotonic() - began < 2
    finally:
        over.set()
    assert [(each.outcome.value, each.reason) for each in found] == [
        ("later", "TimeoutError"),
        ("delivered", ""),
    ]


def test_changes_of_a_batch_are_sent_at_the_same_time() -> None:
    """A receiver that does not answer holds up none of the others."""
    together = Barrier(10)

    def answers(_now: datetime, _number: int) -> ReceiverAnswer:
        together.wait(timeout=5)  # broken, where one is sent only after another
        return OK

    lab = Lab(answers)
    lab.add(*jobs(10))
    lab.run()
    assert len(lab.ids) == 10
