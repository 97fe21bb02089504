"""What only DynamoDB can get wrong: transactions, consistency, contention, foreign rows."""

from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError

from lora_drop.adapters.dynamodb import ATTEMPTS, DynamoJobs
from lora_drop.fal.trainers.parameters import TrainingParameters
from lora_drop.jobs.budget import Limits
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


def test_open_row_stays_until_published(aws: Aws, table: str) -> None:
    """An open job has a second row under OPEN until its end is published."""
    jobs, job = DynamoJobs(aws.dynamodb, table), make_job(Status.STORING, charge=None)
    jobs.add(job)
    opened = keys(aws, table)
    done = job.move(Status.SUCCEEDED, now=NOW)
    jobs.replace(job, done)
    ended = keys(aws, table)
    jobs.close(done)
    unpublished = ("OUTBOX", job.job_id)
    assert opened == ended == [("OPEN", PLACE), unpublished, (job.job_id, "job")]
    assert keys(aws, table) == [unpublished, (job.job_id, "job")]


def test_waiting_job_has_a_third_row(aws: Aws, table: str) -> None:
    """A job that waits has a third row under WAITING."""
    jobs, job = DynamoJobs(aws.dynamodb, table), make_job(Status.READY)
    jobs.add(job)
    ready = keys(aws, table)
    jobs.replace(job, job.move(Status.SUBMITTING, now=NOW))
    sent = keys(aws, table)
    unpublished = ("OUTBOX", job.job_id)
    assert ready == [("OPEN", PLACE), unpublished, ("WAITING", PLACE), (job.job_id, "job")]
    assert sent == [
        ("ACCOUNT", "2026-11"),
        ("OPEN", PLACE),
        unpublished,
        ("SLOTS", "SLOTS"),
        (job.job_id, "job"),
    ]


def test_late_write_changes_no_row(aws: Aws, table: str) -> None:
    jobs, job = DynamoJobs(aws.dynamodb, table), make_job(Status.READY)
    jobs.add(job)
    jobs.replace(job, job.move(Status.HELD, now=NOW))
    before = keys(aws, table)
    for late in (Status.CANCELLED, Status.SUBMITTING):
        with pytest.raises(ConflictError):
            jobs.replace(job, job.move(late, now=NOW))

    assert keys(aws, table) == before
    assert ("OPEN", PLACE) in before


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
    parameters = TrainingParameters(
        trigger_phrase="ada", learning_rate=0.000012345678901234, steps=1
    )
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
CLASH = "TransactionConflict"


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which no test waits for."""
    waited: list[float] = []
    monkeypatch.setattr("lora_drop.adapters.dynamodb.time.sleep", waited.append)
    return waited


class Cancelling:
    """An empty DynamoDB that cancels the first transactions, or all of them, for one reason."""

    def __init__(self, code: str, *reasons: str, times: int | None = None) -> None:
        self._answer: Any = {
            "Error": {"Code": code, "Message": "cancelled"},
            "CancellationReasons": [{"Code": reason} for reason in reasons],
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


@pytest.mark.parametrize("reason", ["ConditionalCheckFailed", CLASH])
@pytest.mark.parametrize("place", [0, 1], ids=["the job", "its open row"])
def test_lost_race_is_a_conflict(reason: str, place: int) -> None:
    reasons = ["None", "None"]
    reasons[place] = reason
    jobs, job = Cancelling(CANCELLED, *reasons).jobs(), make_job()
    with pytest.raises(ConflictError):
        jobs.replace(job, job.move(Status.REJECTED, now=NOW))


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        ("C----", ConflictError),
        ("---C-", NoSlotError),
        ("----C", OverBudgetError),
        # a lost race comes first
        ("C--CC", ConflictError),
        ("---CC", NoSlotError),
        # what does not hold would not hold the next time either
        ("X--C-", NoSlotError),
        ("C---X", ConflictError),
    ],
)
def test_failed_condition_names_its_error(reasons: str, expected: type[Exception]) -> None:
    names = {"C": "ConditionalCheckFailed", "X": CLASH, "-": "None"}
    client = Cancelling(CANCELLED, *(names[each] for each in reasons))
    with pytest.raises(expected):
        submit(client.jobs())
    assert client.asked == 1


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("reasons", ["X---", "--X-", "---X", "--XX"])
@pytest.mark.parametrize("times", [1, 3, ATTEMPTS - 1])
def test_counter_contention_is_retried(pauses: list[float], reasons: str, times: int) -> None:
    """A write that meets another one in a counter is retried after a short pause."""
    client = Cancelling(CANCELLED, *(CLASH if x == "X" else "None" for x in reasons), times=times)
    submit(client.jobs())
    assert (client.asked, len(client.written), len(pauses)) == (times + 1, 1, times)
    assert all(0 <= pause <= 0.4 for pause in pauses)


def test_endless_contention_is_a_conflict(pauses: list[float]) -> None:
    client = Cancelling(CANCELLED, "None", "None", CLASH, "None")
    with pytest.raises(ConflictError):
        submit(client.jobs())
    assert (client.asked, len(pauses)) == (ATTEMPTS, ATTEMPTS - 1)
    assert sum(pauses) < 3


@pytest.mark.promise("never lose a result")
def test_contention_is_no_existing_job() -> None:
    """Contention over a new job is not taken for a job that exists."""
    jobs = Cancelling(CANCELLED, CLASH, "None").jobs()
    with pytest.raises(ConflictError):
        jobs.add(make_job())


@pytest.mark.parametrize(
    ("code", "reasons"),
    [
        (CANCELLED, ["ThrottlingError", "None"]),
        (CANCELLED, ["ValidationError", "None"]),
        (CANCELLED, ["None", "None", "ThrottlingError", "None"]),
        (CANCELLED, []),
        ("ProvisionedThroughputExceededException", []),
        ("AccessDeniedException", []),
        ("InternalServerError", []),
    ],
)
def test_dynamodb_errors_are_no_conflict(code: str, reasons: list[str]) -> None:
    """An error of DynamoDB is never taken for a conflict."""
    client, job = Cancelling(code, *reasons), make_job()
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
