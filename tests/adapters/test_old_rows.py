"""Rows that version 0.1 wrote (old_rows.json, its own adapter's output) are read by this version."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lora_drop.adapters.dynamodb import DynamoJobs
from lora_drop.jobs.budget import ChargeState
from lora_drop.jobs.status import Status
from tests.support.aws import moto
from tests.support.builders import NOW

ROWS = json.loads(Path(__file__).with_name("old_rows.json").read_text())


@pytest.fixture
def jobs() -> Iterator[DynamoJobs]:
    with moto() as aws:
        table = aws.table()
        for row in ROWS:
            aws.dynamodb.put_item(TableName=table, Item=row)
        yield DynamoJobs(aws.dynamodb, table)


@pytest.mark.promise("interfaces stay")
def test_old_rows_are_read(jobs: DynamoJobs) -> None:
    """A stack that is updated reads every row that the version before wrote."""
    training, waiting = jobs.get("ada-0000000001"), jobs.get("ada-0000000002")
    account = jobs.account("2026-11")

    assert training is not None
    assert waiting is not None
    assert (training.status, training.request_id) == (Status.SUBMITTED, "request-1")
    assert training.charge is not None
    assert (training.charge.usd, training.charge.state) == (3.6, ChargeState.RESERVED)
    assert (waiting.supersedes, waiting.force_retrain) == ("ada-0000000001", True)
    assert (account.reserved_usd, account.in_flight) == (3.6, ("ada-0000000001",))
    assert [job.job_id for job in jobs.unfinished()] == ["ada-0000000001", "ada-0000000002"]
    assert jobs.next_waiting() == waiting
    assert jobs.owner("c" * 64) == "ada-0000000002"
    assert dict(jobs.outbox()) == {"ada-0000000001": training.version}
    assert jobs.bookmark("datasets") == "place"


def test_old_tombstone_is_read(jobs: DynamoJobs) -> None:
    erasure = jobs.erasure("0000000003")

    assert erasure is not None
    assert erasure.job is not None
    assert erasure.job.job_id == "eve-0000000003"
    assert jobs.forgotten("eve-0000000003")
    assert [each.digest for each in jobs.erasing()] == ["0000000003"]


def test_old_row_goes_on(jobs: DynamoJobs) -> None:
    waiting = jobs.get("ada-0000000002")
    assert waiting is not None

    held = waiting.move(Status.HELD, now=NOW + timedelta(hours=1))
    jobs.replace(waiting, held)

    assert jobs.get("ada-0000000002") == held
