"""Messages between functions, and the redrive of dead letters."""

import json
from dataclasses import dataclass

import pytest

from lora_drop.adapters.sqs import SqsDeadLetters, SqsHandover, SqsInbox
from lora_drop.jobs.job import DatasetVersion
from lora_drop.messages import ProofRequest, S3Notice, StoreRequest, inbox_message
from lora_drop.ports import Handover, Inbox
from tests.support.aws import Aws
from tests.support.builders import make_dataset
from tests.support.memory import MemoryQueue
from tests.support.outcome import Killed


@dataclass
class Place:
    """Both queues and their readers."""

    inbox: Inbox
    handover: Handover
    aws: Aws | None
    urls: tuple[str, str] = ("", "")

    def datasets(self) -> list[DatasetVersion]:
        if self.aws is None:
            assert isinstance(self.inbox, MemoryQueue)
            return self.inbox.datasets
        notices = map(S3Notice.model_validate_json, self.aws.messages(self.urls[0]))
        return [dataset for notice in notices for dataset in notice.datasets()]

    def proofs(self) -> list[str]:
        if self.aws is None:
            assert isinstance(self.inbox, MemoryQueue)
            return self.inbox.proofs
        found = map(inbox_message, self.aws.messages(self.urls[0]))
        return [each.proof_of for each in found if isinstance(each, ProofRequest)]

    def handed(self) -> list[str]:
        if self.aws is None:
            assert isinstance(self.handover, MemoryQueue)
            return self.handover.handed
        bodies = self.aws.messages(self.urls[1])
        return [StoreRequest.model_validate_json(body).job_id for body in bodies]


@pytest.fixture
def place(backend: Aws | None) -> Place:
    if backend is None:
        memory = MemoryQueue()
        return Place(memory, memory, None)
    inbox, results = backend.queue("inbox"), backend.queue("results")
    return Place(
        SqsInbox(backend.sqs, inbox), SqsHandover(backend.sqs, results), backend, (inbox, results)
    )


@pytest.mark.parametrize(
    "key", ["ada.zip", "style/a b+c%20d.zip", "\u5199\u771f/\U0001f600.zip", "quote'\"&<>.zip"]
)
def test_announced_dataset_has_its_version(place: Place, key: str) -> None:
    dataset = make_dataset(key, version_id="3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY")
    for _ in range(2):  # a dataset may be announced again
        place.inbox.announce(dataset)
    assert place.datasets() == [dataset, dataset]


def test_backlog_is_what_waits(place: Place) -> None:
    assert place.inbox.backlog() == 0
    place.inbox.announce(make_dataset("a.zip"))
    place.inbox.finish_proof("ada-0123456789")
    assert place.inbox.backlog() == 2


def test_proof_sheet_is_asked_for_by_job(place: Place) -> None:
    place.inbox.finish_proof("ada-0123456789")
    assert place.proofs() == ["ada-0123456789"]


def test_result_is_handed_over_by_job(place: Place) -> None:
    place.handover.hand_over("ada-0123456789")
    assert place.handed() == ["ada-0123456789"]


@pytest.mark.promise("interfaces stay")
def test_store_message_has_this_form(aws: Aws) -> None:
    """The message to the store function has this form."""
    url = aws.queue("results")
    SqsHandover(aws.sqs, url).hand_over("ada-0123456789")
    assert [json.loads(body) for body in aws.messages(url)] == [
        {"schema_version": 1, "job_id": "ada-0123456789"}
    ]


@dataclass
class Letters:
    """Two queues with dead letters each; what waits where."""

    aws: Aws
    dead: dict[str, str]
    source: dict[str, str]

    def adapter(self) -> SqsDeadLetters:
        queues = {name: (self.dead[name], self.source[name]) for name in self.dead}
        return SqsDeadLetters(self.aws.sqs, queues, poll=0)  # both emulators have one server

    def give_up(self, name: str, *bodies: str) -> None:
        for body in bodies:
            self.aws.sqs.send_message(QueueUrl=self.dead[name], MessageBody=body)

    def waiting(self, name: str) -> list[str]:
        return sorted(self.aws.messages(self.source[name]))

    def left(self, name: str) -> int:
        """Count the dead letters, those being moved included."""
        counted = self.aws.sqs.get_queue_attributes(
            QueueUrl=self.dead[name],
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
        return sum(int(count) for count in counted.values())


@pytest.fixture
def letters(aws: Aws) -> Letters:
    names = ("inbox", "results")
    dead = {name: aws.queue(f"dead-{name}") for name in names}
    return Letters(aws, dead, {name: aws.queue(name) for name in names})


def test_no_dead_letters_moves_none(letters: Letters) -> None:
    assert letters.adapter().redrive(100) == {"inbox": 0, "results": 0}


@pytest.mark.promise("it can be operated")
def test_dead_letters_return_unchanged(letters: Letters) -> None:
    """A redrive moves each dead letter unchanged to the queue that it came from."""
    notices = [json.dumps({"Records": [], "n": number}) for number in range(3)]
    letters.give_up("inbox", *notices)
    letters.give_up("results", "not JSON at all \u5199\u771f")
    assert letters.adapter().redrive(100) == {"inbox": 3, "results": 1}
    assert letters.waiting("inbox") == sorted(notices)
    assert letters.waiting("results") == ["not JSON at all \u5199\u771f"]
    assert (letters.left("inbox"), letters.left("results")) == (0, 0)


@pytest.mark.parametrize(
    ("limit", "moved"), [(1, 1), (9, 9), (10, 10), (11, 11), (23, 23), (24, 23)]
)
def test_redrive_respects_its_limit(letters: Letters, limit: int, moved: int) -> None:
    letters.give_up("inbox", *(f"{number:02}" for number in range(23)))
    assert letters.adapter().redrive(limit) == {"inbox": moved, "results": 0}
    assert len(letters.waiting("inbox")) == moved
    assert letters.left("inbox") == 23 - moved


def test_repeated_redrive_moves_all(letters: Letters) -> None:
    bodies = [f"{number:02}" for number in range(23)]
    letters.give_up("results", *bodies)
    rounds = []
    while sum((moved := letters.adapter().redrive(10)).values()):
        rounds.append(moved["results"])
    assert rounds == [10, 10, 3]
    assert letters.waiting("results") == bodies


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("fatal", ["SendMessage", "DeleteMessage"])
@pytest.mark.parametrize("at", [1, 5, 12])
def test_crash_in_redrive_loses_none(letters: Letters, fatal: str, at: int) -> None:
    """A redrive that is killed between two calls loses no dead letter."""
    bodies = [f"{number:02}" for number in range(12)]
    letters.give_up("inbox", *bodies)
    calls: list[str] = []

    def die(**_: object) -> None:
        calls.append(fatal)
        if len(calls) == at:
            raise Killed

    events = letters.aws.sqs.meta.events
    events.register(f"before-call.sqs.{fatal}", die)
    with pytest.raises(Killed):
        letters.adapter().redrive(100)
    events.unregister(f"before-call.sqs.{fatal}", die)
    arrived = letters.waiting("inbox")
    assert len(set(arrived)) == len(arrived) == (at if fatal == "DeleteMessage" else at - 1)
    # What was being moved is seen again a minute later.
    assert letters.left("inbox") == 12 - (at - 1)
