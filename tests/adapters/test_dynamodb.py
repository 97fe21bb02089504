"""What only DynamoDB itself can get wrong: transactions, consistency, numbers, foreign rows."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from shared.adapters.dynamodb import DynamoJobs
from shared.domain.errors import Conflict
from shared.domain.jobs import Status
from shared.domain.parameters import TrainingParameters
from tests.aws import Aws, moto
from tests.builders import NOW, make_job


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


def test_an_open_job_stands_a_second_time_under_open_until_it_ends(aws: Aws, table: str) -> None:
    jobs, job = DynamoJobs(aws.dynamodb, table), make_job(Status.STORING)

    jobs.add(job)
    opened = keys(aws, table)
    jobs.replace(job, job.move(Status.SUCCEEDED, now=NOW))
    ended = keys(aws, table)

    assert opened == [("OPEN", job.job_id), (job.job_id, "job")]
    assert ended == [(job.job_id, "job")]


def test_a_write_that_comes_too_late_leaves_the_job_open(aws: Aws, table: str) -> None:
    jobs, job = DynamoJobs(aws.dynamodb, table), make_job(Status.STORING)
    jobs.add(job.move(Status.SUCCEEDED, now=NOW))

    with pytest.raises(Conflict):
        jobs.replace(job, job.move(Status.EXPIRED, now=NOW))

    assert ("OPEN", job.job_id) in keys(aws, table)


def test_reads_that_decide_about_money_are_strongly_consistent(aws: Aws, table: str) -> None:
    asked: list[dict[str, Any]] = []
    for call in ("GetItem", "Query"):
        aws.dynamodb.meta.events.register(
            f"provide-client-params.dynamodb.{call}", lambda params, **_: asked.append(params)
        )
    jobs = DynamoJobs(aws.dynamodb, table)
    jobs.add(make_job())

    jobs.get(make_job().job_id)
    list(jobs.unfinished())

    assert [params.get("ConsistentRead") for params in asked] == [True, True, True]


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


class Cancelling:
    """A DynamoDB that cancels every transaction, for one reason; its table is empty."""

    def __init__(self, code: str, *reasons: str) -> None:
        self._answer: Any = {
            "Error": {"Code": code, "Message": "cancelled"},
            "CancellationReasons": [{"Code": reason} for reason in reasons],
        }

    def transact_write_items(self, **_: object) -> None:
        raise ClientError(self._answer, "TransactWriteItems")

    def get_item(self, **_: object) -> dict[str, object]:
        return {}


def cancelling(code: str, *reasons: str) -> DynamoJobs:
    return DynamoJobs(cast("Any", Cancelling(code, *reasons)), "jobs")


@pytest.mark.parametrize("reason", ["ConditionalCheckFailed", "TransactionConflict"])
@pytest.mark.parametrize("place", [0, 1], ids=["the job", "its open row"])
def test_somebody_who_was_first_is_a_conflict(reason: str, place: int) -> None:
    reasons = ["None", "None"]
    reasons[place] = reason
    jobs, job = cancelling("TransactionCanceledException", *reasons), make_job()

    with pytest.raises(Conflict):
        jobs.replace(job, job.move(Status.REJECTED, now=NOW))


def test_a_clash_over_a_job_that_is_not_there_is_not_taken_for_its_being_there() -> None:
    jobs = cancelling("TransactionCanceledException", "TransactionConflict", "None")

    with pytest.raises(Conflict):
        jobs.add(make_job())


@pytest.mark.parametrize(
    ("code", "reasons"),
    [
        ("TransactionCanceledException", ["ThrottlingError", "None"]),
        ("TransactionCanceledException", ["ValidationError", "None"]),
        ("ProvisionedThroughputExceededException", []),
        ("AccessDeniedException", []),
        ("InternalServerError", []),
    ],
)
def test_trouble_with_dynamodb_is_never_taken_for_a_conflict(code: str, reasons: list[str]) -> None:
    jobs, job = cancelling(code, *reasons), make_job()

    with pytest.raises(ClientError):
        jobs.replace(job, job.move(Status.READY, now=NOW))
    with pytest.raises(ClientError):
        jobs.add(job)
