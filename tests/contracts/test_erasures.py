"""A forgotten job is a tombstone from one write on, then a proof; its cost stays booked."""

from datetime import timedelta
from typing import Any

import pytest

from lora_drop.adapters.dynamodb import DynamoJobs
from lora_drop.jobs.budget import Charge, ChargeState
from lora_drop.jobs.delivery import DatasetDelivery, DeliveryMethod
from lora_drop.jobs.erasures import Erasure, Found
from lora_drop.jobs.errors import ConflictError, JobForgottenError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.ports import Claim, JobStore
from tests.contracts.builders import NOVEMBER, money
from tests.support.aws import Aws
from tests.support.builders import NOW, make_dataset, make_job
from tests.support.memory_jobs import MemoryJobs

CONTENT = "c" * 64


@pytest.fixture
def both(jobs: JobStore) -> DynamoJobs | MemoryJobs:
    """The jobs, and the erasures beside them."""
    assert isinstance(jobs, DynamoJobs | MemoryJobs)
    return jobs


type Both = DynamoJobs | MemoryJobs


def ended(jobs: Both, job_id: str = "ada-0123456789", **changes: Any) -> Job:
    """A job that was moved to its end there; with a content it owns that."""
    job = make_job(Status.HELD, job_id=job_id, **changes)
    assert jobs.add(job, claim=Claim(job.supersedes))
    after = job.move(Status.CANCELLED, now=NOW)
    jobs.replace(job, after)
    return after


def begun(jobs: Both, job: Job) -> Erasure:
    erasure = Erasure.of(job, now=NOW, dropped_by=NOW)
    jobs.begin(job, erasure)
    return erasure


@pytest.mark.promise("nothing leaks")
def test_forgotten_job_leaves_every_list(both: Both) -> None:
    """A job that was forgotten is gone from every list."""
    job = ended(both)
    begun(both, job)
    assert both.get(job.job_id) is None
    assert both.page(status=None, limit=10, cursor=None).jobs == ()
    assert both.page(status=Status.CANCELLED, limit=10, cursor=None).jobs == ()
    assert list(both.unfinished()) == []
    assert both.next_waiting() is None
    assert both.outbox() == {}
    assert both.forgotten(job.job_id)


def test_other_jobs_are_not_forgotten(both: Both) -> None:
    job = ended(both)
    assert not both.forgotten(job.job_id)
    assert both.erasure("0123456789") is None
    assert list(both.erasing()) == []


@pytest.mark.promise("never pay twice")
def test_forgotten_job_cannot_come_back(both: Both) -> None:
    """A forgotten job cannot be added, changed or forgotten again."""
    job = ended(both)
    erasure = begun(both, job)
    with pytest.raises(ConflictError):
        begun(both, job)
    with pytest.raises(JobForgottenError, match=f"^{job.job_id}$"):
        both.add(make_job(job_id=job.job_id))
    both.keep(erasure, erasure.done(NOW))
    with pytest.raises(JobForgottenError):
        both.add(make_job(job_id=job.job_id))
    with pytest.raises(ConflictError):
        both.replace(job, job.move(Status.STORING, now=NOW))

    assert both.get(job.job_id) is None


@pytest.mark.promise("never lose a result")
def test_changed_job_is_not_forgotten(both: Both) -> None:
    """A job that changed since it was read is not forgotten."""
    job = ended(both)
    both.replace(job, job.move(Status.STORING, now=NOW))
    with pytest.raises(ConflictError):
        begun(both, job)
    assert not both.forgotten(job.job_id)
    assert both.get(job.job_id)


def test_erasure_is_read_as_written(both: Both) -> None:
    job = ended(
        both,
        estimated_cost_usd=3.6,
        request_id="r-2",
        earlier_requests=("r-1",),
        dataset=make_dataset("p/\u5199 \U0001f600\n.zip"),
        delivery=DatasetDelivery(
            way=DeliveryMethod.FAL, sha256="0", expires_at=NOW + timedelta(hours=1), url="https://x"
        ),
    )
    erasure = Erasure.of(job, now=NOW, dropped_by=NOW, beside=("aa", "bb"))
    both.begin(job, erasure)
    counted = erasure.counted(Found(dataset_versions=1, result_versions=2, unfinished_uploads=3))
    reported = counted.at_fal("r-1", files=2, left=("fal keeps it",))
    both.keep(erasure, counted)
    both.keep(counted, reported)

    assert both.erasure("0123456789") == reported
    assert list(both.erasing()) == [reported]
    assert reported.requests == ("r-2",)
    assert reported.left[1:] == ("fal keeps it",)
    assert "2026-11-24 13:00" in reported.left[0]


@pytest.mark.promise("nothing leaks")
def test_finished_proof_names_no_person(both: Both) -> None:
    """The proof of a finished erasure names no person, and it stays."""
    job = ended(both, dataset=make_dataset("portrait/ada.zip"))
    erasure = begun(both, job)
    both.keep(erasure, erasure.done(NOW))
    proof = both.erasure("0123456789")
    assert proof
    assert (proof.done_at, proof.job, proof.requests) == (NOW, None, ())
    assert "ada" not in proof.model_dump_json()
    assert list(both.erasing()) == []


def test_stale_erasure_write_conflicts(both: Both) -> None:
    erasure = begun(both, ended(both))
    both.keep(erasure, erasure.counted(Found()))
    with pytest.raises(ConflictError):
        both.keep(erasure, erasure.done(NOW))
    assert list(both.erasing()) == [erasure.counted(Found())]


@pytest.mark.parametrize(
    ("forgotten", "owner"),
    [(["bob"], "ada"), (["ada"], "bob"), (["bob", "ada"], None), (["ada", "bob"], None)],
    ids=["the first", "the second", "both", "both, backwards"],
)
def test_content_returns_to_superseded_job(
    both: Both, forgotten: list[str], owner: str | None
) -> None:
    """The content goes back to the job that the forgotten one superseded, unless that is forgotten."""
    made = {"bob": ended(both, "bob", content_digest=CONTENT)}
    made["ada"] = ended(both, "ada", content_digest=CONTENT, supersedes="bob")
    for name in forgotten:
        begun(both, made[name])
    assert both.owner(CONTENT) == owner


def test_newer_claim_survives_an_erasure(both: Both) -> None:
    """Content that another job has claimed since stays with that job."""
    job = ended(both, content_digest=CONTENT)
    other = make_job(job_id="bob-1111111111", content_digest=CONTENT)
    assert both.add(other, claim=Claim(job.job_id))
    begun(both, job)
    assert both.owner(CONTENT) == other.job_id


def test_forgotten_costs_stay_booked(both: Both) -> None:
    """What a forgotten job cost stays in the account."""
    job = make_job(Status.STORING, job_id="ada-0123456789")
    charged = make_job(Status.SUBMITTED, job_id="ada-0123456789")
    assert both.add(charged.model_copy(update={"charge": None}))
    spent = Charge(month=NOVEMBER, usd=6.0, state=ChargeState.SPENT)
    before = both.get(job.job_id)
    assert before
    paid = before.model_copy(update={"charge": spent, "version": before.version + 1})
    both.replace(before, paid)
    failed = paid.move(Status.FAILED, now=NOW)
    both.replace(paid, failed)
    booked = money(both)
    begun(both, failed)

    assert booked[1] == 6.0
    assert money(both) == booked


@pytest.mark.promise("never pay twice")
def test_sweep_skips_forgotten_jobs(both: Both) -> None:
    """A sweep does not take a forgotten job for a missing one."""
    job, kept = ended(both), ended(both, "bob-1111111111")
    begun(both, job)
    many = [f"x-{number:010}" for number in range(150)]
    assert list(both.missing([job.job_id, "eve-2222222222", kept.job_id, *many])) == [
        "eve-2222222222",
        *many,
    ]


def test_new_job_depends_on_unchanged_jobs(both: Both) -> None:
    """A new job that depends on others is kept only while those are as they were read."""
    one, two = ended(both), ended(both, "bob-1111111111")
    assert both.add(make_job(job_id="eve-2222222222"), unchanged=(one,))
    begun(both, two)
    with pytest.raises(ConflictError):
        both.add(make_job(job_id="eve-3333333333"), unchanged=(one, two))
    assert both.get("eve-3333333333") is None


@pytest.mark.promise("nothing leaks")
def test_table_forgets_an_erased_job(aws: Aws) -> None:
    """No row in the table names a job whose erasure is done."""
    table = aws.table()
    jobs = DynamoJobs(aws.dynamodb, table)
    erasure = begun(jobs, ended(jobs, content_digest=CONTENT))
    jobs.keep(erasure, erasure.done(NOW))
    [row] = aws.dynamodb.scan(TableName=table)["Items"]
    assert "ada" not in str(row)
