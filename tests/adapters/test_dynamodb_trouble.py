"""What DynamoDB answers when it does not write: who was first, what is full, what is broken."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from lora_drop.adapters.dynamodb import ATTEMPTS, DynamoJobs
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import ConflictError, NoSlotError, OverBudgetError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.aws import Aws, moto
from tests.support.builders import NOW, make_job

LIMITS = Limits(max_in_flight=2, monthly_usd=10.0)
CANCELLED = "TransactionCanceledException"
CLASH = "TransactionConflict"


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited between two tries; nobody waits here."""
    waited: list[float] = []
    monkeypatch.setattr("lora_drop.adapters.dynamodb.time.sleep", waited.append)
    return waited


class Cancelling:
    """A DynamoDB that cancels transactions, so many or every one, for one reason; it is empty."""

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
    """The write with the most conditions: the job, the lists, the outbox, the slot, the money."""
    job = make_job(Status.READY, **changes)
    jobs.replace(job, job.move(Status.SUBMITTING, now=NOW), limits=LIMITS)


@pytest.mark.parametrize("reason", ["ConditionalCheckFailed", CLASH])
@pytest.mark.parametrize("place", [0, 1], ids=["the job", "its open row"])
def test_somebody_who_was_first_is_a_conflict(reason: str, place: int) -> None:
    reasons = ["None", "None"]
    reasons[place] = reason
    jobs, job = Cancelling(CANCELLED, *reasons).jobs(), make_job()

    with pytest.raises(ConflictError):
        jobs.replace(job, job.move(Status.REJECTED, now=NOW))


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        ("C----", ConflictError),
        ("---C-", NoSlotError),
        ("----C", OverBudgetError),
        # who was first is told first
        ("C--CC", ConflictError),
        ("---CC", NoSlotError),
        # what does not hold would not hold the next time either
        ("X--C-", NoSlotError),
        ("C---X", ConflictError),
    ],
)
def test_the_condition_that_does_not_hold_says_what_it_is(
    reasons: str, told: type[Exception]
) -> None:
    names = {"C": "ConditionalCheckFailed", "X": CLASH, "-": "None"}
    client = Cancelling(CANCELLED, *(names[each] for each in reasons))

    with pytest.raises(told):
        submit(client.jobs())

    assert client.asked == 1


@pytest.mark.parametrize("reasons", ["X---", "--X-", "---X", "--XX"])
@pytest.mark.parametrize("times", [1, 3, ATTEMPTS - 1])
def test_who_meets_somebody_in_a_counter_goes_again(
    pauses: list[float], reasons: str, times: int
) -> None:
    client = Cancelling(CANCELLED, *(CLASH if x == "X" else "None" for x in reasons), times=times)

    submit(client.jobs())

    assert (client.asked, len(client.written), len(pauses)) == (times + 1, 1, times)
    assert all(0 <= pause <= 0.4 for pause in pauses)


def test_a_counter_that_is_never_free_is_a_conflict_in_the_end(pauses: list[float]) -> None:
    client = Cancelling(CANCELLED, "None", "None", CLASH, "None")

    with pytest.raises(ConflictError):
        submit(client.jobs())

    assert (client.asked, len(pauses)) == (ATTEMPTS, ATTEMPTS - 1)
    assert sum(pauses) < 3


def test_a_clash_over_a_job_that_is_not_there_is_not_taken_for_its_being_there() -> None:
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
def test_trouble_with_dynamodb_is_never_taken_for_a_conflict(code: str, reasons: list[str]) -> None:
    client, job = Cancelling(code, *reasons), make_job()

    with pytest.raises(ClientError):
        client.jobs().replace(job, job.move(Status.READY, now=NOW))
    with pytest.raises(ClientError):
        client.jobs().add(job)
    with pytest.raises(ClientError):
        submit(client.jobs())
    assert client.asked == 3


@pytest.fixture
def aws() -> Iterator[Aws]:
    with moto() as world:
        yield world


def test_keys_that_were_not_answered_are_asked_for_again(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_who_has_just_left_the_line_is_passed_over(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
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
