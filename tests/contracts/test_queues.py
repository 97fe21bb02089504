import json
from dataclasses import dataclass

import pytest

from shared.adapters.sqs import SqsHandover, SqsInbox
from shared.domain.jobs import DatasetVersion
from shared.messages import S3Notice, StoreRequest
from shared.ports import Handover, Inbox
from tests.aws import Aws
from tests.builders import make_dataset
from tests.memory import MemoryQueue


@dataclass
class Place:
    """Both queues, and who reads them."""

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
    "key",
    ["ada.zip", "style/a b+c%20d.zip", "\u5199\u771f/\U0001f600.zip", "quote'\"&<>.zip"],
)
def test_an_announced_dataset_is_the_very_version(place: Place, key: str) -> None:
    dataset = make_dataset(key, version_id="3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY")

    place.inbox.announce(dataset)

    assert place.datasets() == [dataset]


def test_a_dataset_may_be_announced_again(place: Place) -> None:
    place.inbox.announce(make_dataset())
    place.inbox.announce(make_dataset())

    assert place.datasets() == [make_dataset(), make_dataset()]


def test_a_result_is_handed_over_by_its_job(place: Place) -> None:
    place.handover.hand_over("ada-0123456789")

    assert place.handed() == ["ada-0123456789"]


def test_the_store_reads_a_message_of_this_form(aws: Aws) -> None:
    url = aws.queue("results")

    SqsHandover(aws.sqs, url).hand_over("ada-0123456789")

    assert [json.loads(body) for body in aws.messages(url)] == [
        {"schema_version": 1, "job_id": "ada-0123456789"}
    ]
