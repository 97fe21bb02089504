"""A job that has ended is paid for once more as a new job, and what fal delivered is taken in again."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from lora_drop.fal.status import Failed, Gone
from lora_drop.fal.trainers.trainer import Price
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import (
    ActionNotAllowedError,
    JobNotFoundError,
    SubmissionRefusedError,
    SubmissionUnknownError,
)
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_files import of_job
from lora_drop.jobs.status import Status
from lora_drop.services.retry import WAYS_ON
from tests.support.builders import ADA, BAD_IMAGE, make_job
from tests.support.queue import later
from tests.support.world import World


def retried(busy: World, job: Job) -> Job:
    """The new job, as far on as it goes at once."""
    new = busy.retry_service.retry(job.job_id, resume=False, by=ADA)
    busy.work()
    return busy.job(new.job_id)


def sent(busy: World) -> Job:
    return busy.submit(busy.drop(metadata={"steps": "1200"}))


def failed(busy: World) -> Job:
    job = sent(busy)
    return busy.fal_updates.receive(job.job_id, Failed(job.request_id or "", BAD_IMAGE))


def cancelled(busy: World) -> Job:
    busy.limits = Limits(0)
    ended = busy.manual_actions.cancel(sent(busy).job_id, by=ADA)
    busy.limits = Limits(2, 100.0, 25.0)
    return ended


def expired(busy: World) -> Job:
    job = sent(busy)
    for doubted in (False, True):
        gone = Gone(job.request_id or "")
        busy.fal_updates.receive(job.job_id, gone, asked=True, doubted=doubted)
    return busy.job(job.job_id)


def refused(busy: World) -> Job:
    accept = busy.fal.outcome
    busy.answer(SubmissionRefusedError(BAD_IMAGE))
    job = sent(busy)
    busy.fal.outcome = accept
    return job


@pytest.mark.promise("never pay twice", "The same retry, asked for again, is the same job.")
@pytest.mark.parametrize(
    "ended", [failed, cancelled, expired, refused], ids=lambda ended: ended.__name__
)
def test_retry_is_a_new_job(busy: World, ended: Callable[[World], Job]) -> None:
    """A job that came to nothing is paid for once more as a new job."""
    old = ended(busy)
    before = len(busy.fal.posts)
    new, *same = (retried(busy, old) for _ in range(4))
    assert same == [new] * 3
    assert len(busy.fal.posts) == before + 1
    assert (new.status, new.attempt, new.retry_of) == (Status.SUBMITTED, 2, old.job_id)
    assert new.job_id != old.job_id
    assert new.dataset == old.dataset
    assert (new.parameters, new.images, new.preset) == (old.parameters, 12, "portrait")
    assert [step.by for step in new.history] == [None, ADA, None, None]
    assert busy.job(old.job_id) == old
    assert busy.paid[-1] == new.job_id


def test_both_attempts_are_paid(busy: World) -> None:
    """Each attempt has files of its own, is paid, and both count; a duplicate gets the new files."""
    old = failed(busy)
    new = busy.train(retried(busy, old))
    account = busy.jobs.account("2026-11")
    assert (account.spent_usd, account.wasted_usd) == (5.76, 2.88)
    assert new.prefix != old.prefix
    assert all(stored.key.startswith(new.prefix) for stored in new.files)
    again = busy.submit(busy.drop("copy.zip", metadata={"preset": "portrait", "steps": "1200"}))
    assert (again.status, again.duplicate_of) == (Status.SUCCEEDED, new.job_id)


@pytest.mark.promise("never get stuck")
def test_lost_retry_is_announced_again(busy: World) -> None:
    """A retry whose announcement was lost is announced again by the next."""
    old = failed(busy)
    busy.retry_service.retry(old.job_id, resume=False, by=ADA)
    busy.queue.datasets.clear()
    assert retried(busy, old).status is Status.SUBMITTED


def test_a_retry_may_be_retried(busy: World) -> None:
    """A retry that has ended is named and not made again, and may itself be retried."""
    first = failed(busy)
    second = retried(busy, first)
    second = busy.fal_updates.receive(second.job_id, Failed("request-2", BAD_IMAGE))
    with pytest.raises(ActionNotAllowedError, match=f"as {second.job_id}, which is FAILED"):
        busy.retry_service.retry(first.job_id, resume=False, by=ADA)
    third = retried(busy, second)
    assert (third.attempt, third.retry_of, third.status) == (3, second.job_id, Status.SUBMITTED)
    assert third.earlier_requests == ("request-1", "request-2")
    assert len({first.job_id, second.job_id, third.job_id}) == 3


@pytest.mark.parametrize("status", [status for status in Status if not status.terminal])
def test_open_job_is_not_retried(busy: World, status: Status) -> None:
    job = busy.submit(busy.drop())
    busy.holds(job.model_copy(update={"status": status}))
    way = of_job(WAYS_ON.get(status, "goes on by itself"), job.job_id)  # as it is typed
    with pytest.raises(ActionNotAllowedError, match=way):
        busy.retry_service.retry(job.job_id, resume=False, by=ADA)
    assert len(busy.jobs.rows) == 1


@pytest.mark.promise("never pay twice")
def test_rejected_job_is_not_retried(busy: World) -> None:
    """A job that was rejected, has its LoRA or does not exist is not paid for by a retry."""
    rejected = busy.submit(busy.drop(images=3))
    done = busy.train(busy.submit(busy.drop("b.zip")))
    for resume in (False, True):
        with pytest.raises(ActionNotAllowedError, match="mend it and drop it"):
            busy.retry_service.retry(rejected.job_id, resume=resume, by=ADA)
    with pytest.raises(ActionNotAllowedError, match="force=true"):
        busy.retry_service.retry(done.job_id, resume=False, by=ADA)
    with pytest.raises(JobNotFoundError):
        busy.retry_service.retry("unknown", resume=False, by=ADA)
    with pytest.raises(JobNotFoundError):
        busy.retry_service.replay("unknown")


def test_unchecked_job_is_dropped_again(busy: World) -> None:
    first = busy.submit(busy.drop())
    waiting = busy.submit(busy.drop("copy.zip", metadata={"preset": "portrait"}))
    cancelled = busy.manual_actions.cancel(waiting.job_id, by=ADA)
    with pytest.raises(ActionNotAllowedError, match="drop its dataset again"):
        busy.retry_service.retry(cancelled.job_id, resume=False, by=ADA)
    assert first.status is Status.SUBMITTED


def test_retry_waits_for_money(busy: World) -> None:
    """A retry costs what fal asks for it today, and waits for money like any other job."""
    old = failed(busy)
    busy.fal.asks = Price(0.01, 1000)
    busy.limits = Limits(2, monthly_usd=5.0)
    new = retried(busy, old)
    assert (new.status, new.problems[0].code) == (Status.HELD, "budget_exhausted")
    assert new.estimated_cost_usd == 12.0


@pytest.mark.promise("never pay twice")
def test_earlier_requests_evidence_is_ignored(busy: World) -> None:
    """Evidence for an earlier request is never taken for the new one, nor can a person name it."""
    old = failed(busy)
    busy.answer(SubmissionUnknownError("ReadTimeout"))
    new = retried(busy, old)
    busy.fal.known = ["request-1"]
    later(busy, after=timedelta(minutes=10))
    assert busy.job(new.job_id).status is Status.SUBMIT_UNKNOWN
    with pytest.raises(ActionNotAllowedError, match="is over"):
        busy.manual_actions.accepted(new.job_id, "request-1", by=ADA)
    busy.fal.known = ["request-1", "request-2"]
    busy.reconciler.reconcile()

    adopted = busy.job(new.job_id)
    assert (adopted.status, adopted.request_id) == (Status.TRAINING, "request-2")


def test_retry_of_another_kind_is_named(busy: World) -> None:
    dataset = busy.drop()
    job = busy.holds(make_job(Status.FAILED, dataset=dataset))
    first = busy.retry_service.retry(job.job_id, resume=False, by="ada")
    busy.holds(first.model_copy(update={"resume_from": "another"}))
    with pytest.raises(ActionNotAllowedError, match=first.job_id):
        busy.retry_service.retry(job.job_id, resume=False, by="ada")


@pytest.mark.promise("never pay twice")
def test_retry_beside_same_content_is_refused(busy: World) -> None:
    """A retry does not pay beside a job with the same content."""
    dataset = busy.drop()
    job = busy.holds(make_job(Status.FAILED, dataset=dataset, content_digest="d"))
    twin = busy.holds(make_job(Status.TRAINING, job_id="twin", content_digest="d"))
    busy.jobs.contents["d"] = twin.job_id
    with pytest.raises(ActionNotAllowedError, match="twin"):
        busy.retry_service.retry(job.job_id, resume=False, by="ada")
