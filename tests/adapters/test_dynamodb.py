"""What only DynamoDB can get wrong: transactions, consistency, contention, foreign rows."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError

from lora_drop.adapters.dynamodb import ATTEMPTS, DynamoJobs
from lora_drop.fal.trainers.parameters import TrainingParameters
from lora_drop.jobs.budget import ChargeState, Limits
from lora_drop.jobs.errors import ConflictError, NoSlotError, OverBudgetError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.aws import REGION, Aws
from tests.support.builders import NOW, make_job


@pytest.fixture
def table(aws: Aws) -> str:
    return aws.table()


def keys(aws: Aws, table: str) -> list[tuple[str, str]]:
    rows = aws.dynamodb.scan(TableName=table)["Items"]
    return sorted((row["pk"]["S"], row["sk"]["S"]) for row in rows)


PLACE = f"2026-11-24T12:00:00.000000+00:00#{make_job().job_id}"
JOB, OUTBOX = (make_job().job_id, "job"), ("OUTBOX", make_job().job_id)
OPEN, WAITING = ("OPEN", PLACE), ("WAITING", PLACE)


@pytest.mark.parametrize(
    ("steps", "rows", "then"),
    [
        ((Status.STORING, Status.SUCCEEDED, Status.FAILED), [], []),
        (
            *((Status.READY, Status.SUBMITTING, Status.CANCELLED), [WAITING]),
            [("ACCOUNT", "2026-11"), ("SLOTS", "SLOTS")],
        ),
        ((Status.READY, Status.HELD, Status.SUBMITTING), [WAITING], []),
    ],
)
def test_rows_follow_the_job(aws: Aws, table: str, steps: Any, rows: Any, then: Any) -> None:
    """An open job has a row under OPEN until its end is published, one that waits under WAITING."""
    before, to, late = steps
    jobs, job = DynamoJobs(aws.dynamodb, table), make_job(before, charge=None)
    jobs.add(job)
    assert keys(aws, table) == sorted([OPEN, OUTBOX, JOB, *rows])
    after = job.move(to, now=NOW)
    jobs.replace(job, after)
    with pytest.raises(ConflictError):
        jobs.replace(job, job.move(late, now=NOW))
    assert keys(aws, table) == sorted([OPEN, OUTBOX, JOB, *then])
    jobs.close(after)
    assert (OPEN in keys(aws, table)) is not after.terminal


@pytest.mark.promise("never pay twice")
def test_reads_about_money_are_consistent(table: str) -> None:
    """Reads that decide about money are strongly consistent."""
    asked: list[Any] = []
    client = boto3.client("dynamodb", REGION)  # of its own: it is changed here
    for call in ("GetItem", "Query", "BatchGetItem"):
        client.meta.events.register(
            f"provide-client-params.dynamodb.{call}",
            lambda params, **_: asked.append(params.get("RequestItems", {}).get(table, params)),
        )
    jobs, job = DynamoJobs(client, table), make_job(Status.READY)
    jobs.add(job)
    jobs.get(job.job_id)
    list(jobs.unfinished())
    jobs.next_waiting()
    jobs.owner("0" * 64)
    jobs.account("2026-11")
    jobs.missing([job.job_id])
    jobs.bookmark("datasets")
    assert [params.get("ConsistentRead") for params in asked] == [True] * 10


def test_numbers_keep_every_digit(aws: Aws, table: str) -> None:
    jobs = DynamoJobs(aws.dynamodb, table)
    parameters = TrainingParameters(trigger_phrase="ada", learning_rate=1.2345678901234e-5, steps=1)
    job = make_job(Status.READY, parameters=parameters, estimated_cost_usd=0.1 + 0.2)
    jobs.add(job)
    assert jobs.get(job.job_id) == job


@pytest.mark.promise("it can be operated")
def test_row_of_newer_version_is_read(aws: Aws, table: str) -> None:
    """A row with a field that this version does not know is still read."""
    jobs, job = DynamoJobs(aws.dynamodb, table), make_job()
    jobs.add(job)
    aws.dynamodb.update_item(
        TableName=table,
        Key={"pk": {"S": job.job_id}, "sk": {"S": "job"}},
        UpdateExpression="SET invented_later = :value",
        ExpressionAttributeValues={":value": {"S": "x"}},
    )
    assert jobs.get(job.job_id) == job


LIMITS = Limits(max_in_flight=2, monthly_usd=10.0)
CANCELLED = "TransactionCanceledException"


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which no test waits for."""
    waited: list[float] = []
    monkeypatch.setattr("lora_drop.adapters.dynamodb.time.sleep", waited.append)
    return waited


# C: a condition fails; X: contention.
REASONS = {"C": "ConditionalCheckFailed", "X": "TransactionConflict", "-": "None"}
REASONS |= {"T": "ThrottlingError", "V": "ValidationError"}


class Cancelling:
    """An empty DynamoDB that cancels the first transactions, or all of them, for one reason."""

    def __init__(self, reasons: str, *, code: str = CANCELLED, times: int | None = None) -> None:
        self._answer: Any = {
            "Error": {"Code": code, "Message": "cancelled"},
            "CancellationReasons": [{"Code": REASONS[each]} for each in reasons],
        }
        self._times = times
        self.written: list[Any] = []
        self.asked = 0

    def transact_write_items(self, **request: object) -> None:
        self.asked += 1
        if self._times is None or self.asked <= self._times:
            raise ClientError(self._answer, "TransactWriteItems")
        self.written.append(request)

    def get_item(self, **_: object) -> dict[str, object]:
        return {}

    def jobs(self) -> DynamoJobs:
        return DynamoJobs(cast("Any", self), "jobs")


def submit(jobs: DynamoJobs, **changes: Any) -> None:
    """Make the write with the most conditions: job, lists, outbox, slot and money."""
    job = make_job(Status.READY, **changes)
    jobs.replace(job, job.move(Status.SUBMITTING, now=NOW), limits=LIMITS)


@pytest.mark.promise(
    "never lose a result", "Contention over a new job is not taken for a job that exists."
)
@pytest.mark.parametrize("reasons", ["C-", "X-", "-C", "-X"])
def test_lost_race_is_a_conflict(reasons: str) -> None:
    jobs, job = Cancelling(reasons).jobs(), make_job()
    with pytest.raises(ConflictError):
        jobs.replace(job, job.move(Status.REJECTED, now=NOW))
    if "X" in reasons:
        with pytest.raises(ConflictError):
            jobs.add(job)


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        *(("C----", ConflictError), ("---C-", NoSlotError), ("----C", OverBudgetError)),
        *(("C--CC", ConflictError), ("---CC", NoSlotError)),  # a lost race comes first
        # what does not hold would not hold the next time either
        *(("X--C-", NoSlotError), ("C---X", ConflictError)),
    ],
)
def test_failed_condition_names_its_error(reasons: str, expected: type[Exception]) -> None:
    client = Cancelling(reasons)
    with pytest.raises(expected):
        submit(client.jobs())
    assert client.asked == 1


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("reasons", ["X---", "--X-", "---X", "--XX"])
@pytest.mark.parametrize("times", [1, 3, ATTEMPTS - 1])
def test_counter_contention_is_retried(pauses: list[float], reasons: str, times: int) -> None:
    """A write that meets another one in a counter is retried after a short pause."""
    client = Cancelling(reasons, times=times)
    submit(client.jobs())
    assert (client.asked, len(client.written), len(pauses)) == (times + 1, 1, times)
    assert all(0 <= pause <= 0.4 for pause in pauses)


def test_endless_contention_is_a_conflict(pauses: list[float]) -> None:
    client = Cancelling("--X-")
    with pytest.raises(ConflictError):
        submit(client.jobs())
    assert (client.asked, len(pauses)) == (ATTEMPTS, ATTEMPTS - 1)
    assert sum(pauses) < 3


@pytest.mark.parametrize(
    ("code", "reasons"),
    [
        *((CANCELLED, reasons) for reasons in ("T-", "V-", "--T-", "")),
        *(("ProvisionedThroughputExceededException", ""), ("AccessDeniedException", "")),
        ("InternalServerError", ""),
    ],
)
def test_dynamodb_errors_are_no_conflict(code: str, reasons: str) -> None:
    """An error of DynamoDB is never taken for a conflict."""
    client, job = Cancelling(reasons, code=code), make_job()
    with pytest.raises(ClientError):
        client.jobs().replace(job, job.move(Status.READY, now=NOW))
    with pytest.raises(ClientError):
        client.jobs().add(job)
    with pytest.raises(ClientError):
        submit(client.jobs())
    assert client.asked == 3


def test_unprocessed_keys_are_read_again(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, table = DynamoJobs(aws.dynamodb, name := aws.table()), name
    for number in range(6):
        jobs.add(make_job(job_id=f"job-{number}"))
    whole, asked = aws.dynamodb.batch_get_item, []

    def some(**request: Any) -> Any:
        keys = request["RequestItems"][table]["Keys"]
        asked.append(len(keys))
        request["RequestItems"][table]["Keys"] = keys[:2]
        got = whole(**request)
        left = {**request["RequestItems"][table], "Keys": keys[2:]}
        return {**got, "UnprocessedKeys": {table: left} if keys[2:] else {}}

    monkeypatch.setattr(aws.dynamodb, "batch_get_item", some)
    missing = jobs.missing([f"job-{number}" for number in range(8)])
    # The last two were looked for among the forgotten ones as well.
    assert (missing, asked) == (["job-6", "job-7"], [8, 6, 4, 2, 2])


def test_submitted_job_is_passed_over(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = DynamoJobs(aws.dynamodb, aws.table())
    first, second = (make_job(Status.READY, job_id=f"job-{number}") for number in (1, 2))
    for job in (first, second):
        jobs.add(job)
    get = jobs.get

    def after_it_was_sent(job_id: str) -> Job | None:
        if job_id == first.job_id:
            return first.move(Status.SUBMITTING, now=NOW)
        return get(job_id)

    monkeypatch.setattr(jobs, "get", after_it_was_sent)
    assert jobs.next_waiting() == second


# What version 0.1 wrote, its own adapter's output.
OLD_ROWS = json.loads(Path(__file__).with_name("old_rows.json").read_text())


@pytest.fixture
def jobs(aws: Aws, table: str) -> DynamoJobs:
    for row in OLD_ROWS:
        aws.dynamodb.put_item(TableName=table, Item=row)
    return DynamoJobs(aws.dynamodb, table)


@pytest.mark.promise("interfaces stay")
def test_old_rows_are_read(jobs: DynamoJobs) -> None:
    """A stack that is updated reads every row that the version before wrote."""
    training, waiting = jobs.get("ada-0000000001"), jobs.get("ada-0000000002")
    account = jobs.account("2026-11")
    assert training
    assert training.charge
    assert waiting
    assert (training.status, training.request_id) == (Status.SUBMITTED, "request-1")
    assert (training.charge.usd, training.charge.state) == (3.6, ChargeState.RESERVED)
    assert (waiting.supersedes, waiting.force_retrain) == ("ada-0000000001", True)
    assert (account.reserved_usd, account.in_flight) == (3.6, ("ada-0000000001",))
    assert [job.job_id for job in jobs.unfinished()] == ["ada-0000000001", "ada-0000000002"]
    assert jobs.next_waiting() == waiting
    assert jobs.owner("c" * 64) == "ada-0000000002"
    assert dict(jobs.outbox()) == {"ada-0000000001": training.version}
    assert jobs.bookmark("datasets") == "place"
    held = waiting.move(Status.HELD, now=NOW + timedelta(hours=1))
    jobs.replace(waiting, held)
    assert jobs.get("ada-0000000002") == held


def test_old_tombstone_is_read(jobs: DynamoJobs) -> None:
    erasure = jobs.erasure("0000000003")
    assert erasure
    assert erasure.job
    assert erasure.job.job_id == "eve-0000000003"
    assert jobs.forgotten("eve-0000000003")
    assert [each.digest for each in jobs.erasing()] == ["0000000003"]
