"""What only DynamoDB itself can get wrong: transactions, consistency, numbers, foreign rows."""

from collections.abc import Iterator
from typing import Any

import pytest

from lora_drop.adapters.dynamodb import DynamoJobs
from lora_drop.fal.trainers.parameters import TrainingParameters
from lora_drop.jobs.errors import ConflictError
from lora_drop.jobs.status import Status
from tests.support.aws import Aws, moto
from tests.support.builders import NOW, make_job


@pytest.fixture
def aws() -> Iterator[Aws]:
    with moto() as world:
        yield world


@pytest.fixture
def table(aws: Aws) -> str:
    return aws.table()


def keys(aws: Aws, table: str) -> list[tuple[str, str]]:
    rows = aws.dynamodb.scan(TableName=table)["Items"]
    return sorted((row["pk"]["S"], row["sk"]["S"]) for row in rows)


PLACE = f"2026-11-24T12:00:00.000000+00:00#{make_job().job_id}"


def test_an_open_job_stands_a_second_time_under_open_until_its_end_is_told(
    aws: Aws, table: str
) -> None:
    jobs, job = DynamoJobs(aws.dynamodb, table), make_job(Status.STORING, charge=None)

    jobs.add(job)
    opened = keys(aws, table)
    done = job.move(Status.SUCCEEDED, now=NOW)
    jobs.replace(job, done)
    ended = keys(aws, table)
    jobs.close(done)

    untold = ("OUTBOX", job.job_id)
    assert opened == ended == [("OPEN", PLACE), untold, (job.job_id, "job")]
    assert keys(aws, table) == [untold, (job.job_id, "job")]


def test_a_job_that_waits_stands_a_third_time_under_waiting(aws: Aws, table: str) -> None:
    jobs, job = DynamoJobs(aws.dynamodb, table), make_job(Status.READY)

    jobs.add(job)
    ready = keys(aws, table)
    jobs.replace(job, job.move(Status.SUBMITTING, now=NOW))
    sent = keys(aws, table)

    untold = ("OUTBOX", job.job_id)
    assert ready == [("OPEN", PLACE), untold, ("WAITING", PLACE), (job.job_id, "job")]
    assert sent == [
        ("ACCOUNT", "2026-11"),
        ("OPEN", PLACE),
        untold,
        ("SLOTS", "SLOTS"),
        (job.job_id, "job"),
    ]


def test_a_write_that_comes_too_late_leaves_every_row_as_it_was(aws: Aws, table: str) -> None:
    jobs, job = DynamoJobs(aws.dynamodb, table), make_job(Status.READY)
    jobs.add(job)
    jobs.replace(job, job.move(Status.HELD, now=NOW))
    before = keys(aws, table)

    for late in (Status.CANCELLED, Status.SUBMITTING):
        with pytest.raises(ConflictError):
            jobs.replace(job, job.move(late, now=NOW))

    assert keys(aws, table) == before
    assert ("OPEN", PLACE) in before


def test_reads_that_decide_about_money_are_strongly_consistent(aws: Aws, table: str) -> None:
    asked: list[Any] = []
    for call in ("GetItem", "Query", "BatchGetItem"):
        aws.dynamodb.meta.events.register(
            f"provide-client-params.dynamodb.{call}",
            lambda params, **_: asked.append(params.get("RequestItems", {}).get(table, params)),
        )
    jobs, job = DynamoJobs(aws.dynamodb, table), make_job(Status.READY)
    jobs.add(job)

    jobs.get(job.job_id)
    list(jobs.unfinished())
    jobs.next_waiting()
    jobs.owner("0" * 64)
    jobs.account("2026-11")
    jobs.missing([job.job_id])
    jobs.bookmark("datasets")

    assert [params.get("ConsistentRead") for params in asked] == [True] * 10


def test_numbers_come_back_to_the_last_digit(aws: Aws, table: str) -> None:
    jobs = DynamoJobs(aws.dynamodb, table)
    parameters = TrainingParameters(
        trigger_phrase="ada", learning_rate=0.000012345678901234, steps=1
    )
    job = make_job(Status.READY, parameters=parameters, estimated_cost_usd=0.1 + 0.2)

    jobs.add(job)

    assert jobs.get(job.job_id) == job


def test_a_row_that_knows_more_than_this_version_is_still_read(aws: Aws, table: str) -> None:
    jobs, job = DynamoJobs(aws.dynamodb, table), make_job()
    jobs.add(job)
    aws.dynamodb.update_item(
        TableName=table,
        Key={"pk": {"S": job.job_id}, "sk": {"S": "job"}},
        UpdateExpression="SET invented_later = :value",
        ExpressionAttributeValues={":value": {"S": "x"}},
    )

    assert jobs.get(job.job_id) == job
