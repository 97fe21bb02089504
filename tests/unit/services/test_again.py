"""A job that has ended, once more: paid for as a new job, and never mixed up with the old one."""

from datetime import timedelta
from typing import Any

import pytest

from lora_drop.fal.status import Failed, Finished, Gone
from lora_drop.fal.trainers.trainer import Price
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import (
    ActionNotAllowedError,
    JobNotFoundError,
    SubmissionRefusedError,
    SubmissionUnknownError,
)
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.services.retry import WAYS_ON
from tests.support.builders import ARTIFACTS
from tests.support.world import World

ADA = "arn:aws:iam::123456789012:user/ada"
BAD = Problem(code="fal_image_load_error", message="One of the images cannot be read.")


@pytest.fixture
def world(busy: World) -> World:
    return busy


def retried(world: World, job: Job, *, resume: bool = False) -> Job:
    """The new job, as far on as it goes at once."""
    new = world.retry_service.retry(job.job_id, resume=resume, by=ADA)
    world.work()
    return world.job(new.job_id)


def failed(world: World) -> Job:
    job = world.submit(world.drop(metadata={"steps": "1200"}))
    return world.fal_updates.receive(job.job_id, Failed(job.request_id or "", BAD))


def cancelled(world: World) -> Job:
    world.limits = Limits(0)
    job = world.submit(world.drop(metadata={"steps": "1200"}))
    ended = world.manual_actions.cancel(job.job_id, by=ADA)
    world.limits = Limits(2, 100.0, 25.0)
    return ended


def expired(world: World) -> Job:
    job = world.submit(world.drop(metadata={"steps": "1200"}))
    world.fal_updates.receive(job.job_id, Gone(job.request_id or ""), asked=True)
    return world.fal_updates.receive(
        job.job_id, Gone(job.request_id or ""), asked=True, doubted=True
    )


def refused(world: World) -> Job:
    accept = world.fal.outcome
    world.answer(SubmissionRefusedError(BAD))
    job = world.submit(world.drop(metadata={"steps": "1200"}))
    world.fal.outcome = accept
    return job


def trained(world: World, **how: Any) -> Job:
    return world.train(world.submit(world.drop(**how)))


ENDED = [failed, cancelled, expired, refused]


@pytest.mark.parametrize("ended", ENDED, ids=lambda ended: ended.__name__)
def test_what_came_to_nothing_is_paid_for_once_more_as_a_new_job(world: World, ended: Any) -> None:
    old = ended(world)

    new = retried(world, old)

    assert (new.status, new.attempt, new.retry_of) == (Status.SUBMITTED, 2, old.job_id)
    assert new.job_id != old.job_id
    assert new.dataset == old.dataset
    assert (new.parameters, new.images, new.preset) == (old.parameters, 12, "portrait")
    assert [step.by for step in new.history] == [None, ADA, None, None]
    assert world.job(old.job_id) == old
    assert world.paid[-1] == new.job_id


@pytest.mark.parametrize("ended", ENDED, ids=lambda ended: ended.__name__)
def test_the_same_retry_again_is_the_same_job(world: World, ended: Any) -> None:
    old = ended(world)
    before = len(world.fal.posts)

    jobs = [retried(world, old) for _ in range(4)]

    assert {job.job_id for job in jobs} == {jobs[0].job_id}
    assert len(world.fal.posts) == before + 1


def test_a_retry_that_has_ended_is_named_and_not_made_again(world: World) -> None:
    old = failed(world)
    new = retried(world, old)
    world.fal_updates.receive(new.job_id, Failed(new.request_id or "", BAD))

    with pytest.raises(ActionNotAllowedError, match=f"as {new.job_id}, which is FAILED"):
        world.retry_service.retry(old.job_id, resume=False, by=ADA)


def test_a_retry_whose_call_was_lost_is_called_again_by_the_next(world: World) -> None:
    old = failed(world)
    world.retry_service.retry(old.job_id, resume=False, by=ADA)
    world.queue.datasets.clear()

    assert retried(world, old).status is Status.SUBMITTED


def test_a_retry_may_be_retried(world: World) -> None:
    first = failed(world)
    second = retried(world, first)
    second = world.fal_updates.receive(second.job_id, Failed("request-2", BAD))

    third = retried(world, second)

    assert (third.attempt, third.retry_of, third.status) == (3, second.job_id, Status.SUBMITTED)
    assert third.earlier_requests == ("request-1", "request-2")
    assert len({first.job_id, second.job_id, third.job_id}) == 3


def test_each_attempt_is_paid_and_both_count(world: World) -> None:
    old = failed(world)

    world.train(retried(world, old))

    account = world.jobs.account("2026-11")
    assert (account.spent_usd, account.wasted_usd) == (5.76, 2.88)


def test_a_retry_has_files_of_its_own(world: World) -> None:
    old = failed(world)

    new = world.train(retried(world, old))

    assert new.prefix != old.prefix
    assert all(stored.key.startswith(new.prefix) for stored in new.files)


@pytest.mark.parametrize(
    "status",
    [status for status in Status if not status.terminal],
)
def test_what_goes_on_by_itself_is_not_retried(world: World, status: Status) -> None:
    job = world.submit(world.drop())
    world.holds(job.model_copy(update={"status": status}))

    with pytest.raises(ActionNotAllowedError, match=WAYS_ON.get(status, "goes on by itself")):
        world.retry_service.retry(job.job_id, resume=False, by=ADA)

    assert len(world.jobs.rows) == 1


def test_what_was_rejected_would_be_again(world: World) -> None:
    job = world.submit(world.drop(images=3))

    with pytest.raises(ActionNotAllowedError, match="mend it and drop it"):
        world.retry_service.retry(job.job_id, resume=False, by=ADA)
    with pytest.raises(ActionNotAllowedError, match="mend it and drop it"):
        world.retry_service.retry(job.job_id, resume=True, by=ADA)


def test_what_has_its_lora_is_not_paid_for_again_by_a_retry(world: World) -> None:
    job = trained(world)

    with pytest.raises(ActionNotAllowedError, match="force=true"):
        world.retry_service.retry(job.job_id, resume=False, by=ADA)


def test_what_was_cancelled_before_it_was_checked_is_to_be_dropped_again(world: World) -> None:
    first = world.submit(world.drop())
    waiting = world.submit(world.drop("copy.zip", metadata={"preset": "portrait"}))
    cancelled = world.manual_actions.cancel(waiting.job_id, by=ADA)

    with pytest.raises(ActionNotAllowedError, match="drop its dataset again"):
        world.retry_service.retry(cancelled.job_id, resume=False, by=ADA)
    assert first.status is Status.SUBMITTED


def test_nobody_retries_or_replays_a_job_that_is_not_there(world: World) -> None:
    with pytest.raises(JobNotFoundError):
        world.retry_service.retry("nobody", resume=False, by=ADA)
    with pytest.raises(JobNotFoundError):
        world.retry_service.replay("nobody")


def test_a_retry_of_a_deleted_dataset_is_not_paid_for(world: World) -> None:
    old = failed(world)
    world.datasets.put(old.dataset.key, None)

    assert retried(world, old).status is Status.CANCELLED


def test_a_retry_waits_for_slots_and_money_like_everybody(world: World) -> None:
    old = failed(world)
    world.limits = Limits(2, monthly_usd=5.0)

    new = retried(world, old)

    assert (new.status, new.problems[0].code) == (Status.HELD, "budget_exhausted")


def test_a_retry_costs_what_fal_asks_for_it_today(world: World) -> None:
    old = failed(world)
    world.fal.asks = Price(0.01, 1000)

    assert retried(world, old).estimated_cost_usd == 12.0


def test_a_retry_is_the_one_for_its_content(world: World) -> None:
    new = world.train(retried(world, failed(world)))

    again = world.submit(world.drop("copy.zip", metadata={"preset": "portrait", "steps": "1200"}))

    assert (again.status, again.duplicate_of) == (Status.SUCCEEDED, new.job_id)


def test_evidence_for_an_earlier_request_is_never_taken_for_the_new_one(world: World) -> None:
    old = failed(world)
    world.answer(SubmissionUnknownError("ReadTimeout"))
    new = retried(world, old)
    world.fal.known = ["request-1"]
    world.clock.now += timedelta(minutes=10)

    world.reconciler.reconcile()
    assert world.job(new.job_id).status is Status.SUBMIT_UNKNOWN
    world.fal.known = ["request-1", "request-2"]
    world.reconciler.reconcile()

    adopted = world.job(new.job_id)
    assert (adopted.status, adopted.request_id) == (Status.TRAINING, "request-2")


def test_a_person_cannot_name_an_earlier_request_either(world: World) -> None:
    old = failed(world)
    world.answer(SubmissionUnknownError("ReadTimeout"))
    new = retried(world, old)

    with pytest.raises(ActionNotAllowedError, match="is over"):
        world.manual_actions.accepted(new.job_id, "request-1", by=ADA)


@pytest.mark.parametrize("doubtful", [True, False], ids=["in doubt", "submitted"])
def test_a_webhook_of_an_earlier_request_changes_nothing(
    world: World,
    doubtful: bool,  # noqa: FBT001  # a table's column
) -> None:
    old = failed(world)
    if doubtful:
        world.answer(SubmissionUnknownError("ReadTimeout"))
    new = retried(world, old)

    received = world.fal_updates.receive(new.job_id, Finished("request-1", ARTIFACTS))

    assert received == new == world.job(new.job_id)
    assert world.queue.handed == []
