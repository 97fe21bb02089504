"""What is wrong with one job stands in nobody else's way, and does not add up without end."""

from datetime import timedelta

import pytest

from lora_drop.fal.status import Failed, Finished
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import (
    ActionNotAllowedError,
    DatasetUnreadableError,
    NotSubmittedError,
    SubmissionRefusedError,
)
from lora_drop.jobs.job import DatasetVersion
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.ports import OpenDataset
from lora_drop.services.reconcile import OVERDUE_AFTER, PROBE_AFTER
from tests.support.builders import ARTIFACTS, REQUEST_ID, make_job
from tests.support.memory import MemoryDatasets
from tests.support.world import World

LOCKED = Problem(code="fal_account_locked", message="Top up the balance.")


class Guarded(MemoryDatasets):
    """Datasets of which one may not be read."""

    forbidden = ""

    def open(self, dataset: DatasetVersion) -> OpenDataset:
        if dataset.key == self.forbidden:
            raise DatasetUnreadableError(f"{dataset.key} may not be read")
        return super().open(dataset)


def test_a_dataset_that_may_not_be_read_any_more_lets_the_others_pass(world: World) -> None:
    guarded = world.datasets = Guarded()
    world.limits = Limits(1)
    running = world.submit(world.drop("a.zip", images=11))
    bad = world.submit(world.drop("b.zip", images=12))
    good = world.submit(world.drop("c.zip", images=13))
    guarded.forbidden = "b.zip"
    error = Failed(running.request_id or "", Problem(code="fal_x", message="No."), billed=False)

    world.fal_updates.receive(running.job_id, error)
    for announced in world.queue.datasets:
        world.submit(announced)

    held = world.job(bad.job_id)
    assert (held.status, held.problems[0].code) == (Status.HELD, "dataset_unreadable")
    assert world.job(good.job_id).status is Status.SUBMITTED


def test_a_dataset_that_can_be_read_again_goes_on_by_itself(world: World) -> None:
    guarded = world.datasets = Guarded()
    guarded.forbidden = "b.zip"
    dataset = world.drop("b.zip")
    job = world.holds(make_job(Status.READY, dataset=dataset))
    world.dispatcher.submit_waiting(began=world.clock())
    guarded.forbidden = ""
    world.clock.now += PROBE_AFTER

    world.reconciler.reconcile()
    world.dispatcher.submit_waiting(began=world.clock())

    assert world.job(job.job_id).status is Status.SUBMITTED


def test_a_new_dataset_that_may_not_be_read_is_told_so(world: World) -> None:
    guarded = world.datasets = Guarded()
    dataset = world.drop("b.zip")
    guarded.forbidden = "b.zip"

    job = world.submit(dataset)

    assert (job.status, job.problems[0].code) == (Status.REJECTED, "dataset_unreadable")


def test_an_account_that_stays_locked_for_months_adds_nothing_to_a_jobs_story(world: World) -> None:
    world.answer(SubmissionRefusedError(LOCKED, held=True))
    job = world.submit(world.drop())

    for _ in range(30):
        world.clock.now += PROBE_AFTER + timedelta(minutes=1)
        world.reconciler.reconcile()
        world.dispatcher.submit_waiting(began=world.clock())

    held = world.job(job.job_id)
    assert len(world.fal.posts) == 31
    assert held.status is Status.HELD
    assert [step.status for step in held.history] == [step.status for step in job.history]


def test_what_a_person_let_go_on_stays_in_the_story(world: World) -> None:
    world.answer(SubmissionRefusedError(LOCKED, held=True))
    job = world.submit(world.drop())
    world.manual_actions.approve(job.job_id, by="ada")

    world.dispatcher.submit_waiting(began=world.clock())

    assert "ada" in [step.by for step in world.job(job.job_id).history]


def test_a_retry_has_a_free_second_download_of_its_own(world: World) -> None:
    dataset = world.drop()
    made = make_job(Status.SUBMITTED, dataset=dataset, earlier_requests=("an earlier attempt's",))
    job = world.holds(made)
    problem = Problem(code="fal_file_download_error", message="It could not be fetched.")

    fact = Failed(REQUEST_ID, problem, billed=False)
    assert world.fal_updates.receive(job.job_id, fact, asked=True).status is Status.READY


def test_a_retry_of_another_kind_is_told_of_the_one_there_is(world: World) -> None:
    dataset = world.drop()
    job = world.holds(make_job(Status.FAILED, dataset=dataset))
    first = world.retry_service.retry(job.job_id, resume=False, by="ada")
    stored = make_job(Status.SUCCEEDED).files
    assert stored == ()
    world.holds(first.model_copy(update={"resume_from": "another"}))

    with pytest.raises(ActionNotAllowedError, match=first.job_id):
        world.retry_service.retry(job.job_id, resume=False, by="ada")


def test_a_retry_does_not_pay_beside_a_job_with_the_same_content(world: World) -> None:
    dataset = world.drop()
    job = world.holds(make_job(Status.FAILED, dataset=dataset, content_digest="d"))
    twin = world.holds(make_job(Status.TRAINING, job_id="twin", content_digest="d"))
    world.jobs.contents["d"] = twin.job_id

    with pytest.raises(ActionNotAllowedError, match="twin"):
        world.retry_service.retry(job.job_id, resume=False, by="ada")


def test_a_forced_job_that_comes_to_nothing_does_not_make_an_earlier_lora_forgotten(
    world: World,
) -> None:
    first = world.submit(world.drop("a.zip"))
    world.fal_updates.receive(first.job_id, Finished(REQUEST_ID, ARTIFACTS))
    world.result_storer.store_result(first.job_id)
    world.answer(NotSubmittedError("no connection"))
    forced = world.submit(world.drop("b.zip", metadata={"force": "true"}))
    world.manual_actions.cancel(forced.job_id, by="ada")

    again = world.submit(world.drop("c.zip"))

    assert (again.status, again.duplicate_of) == (Status.SUCCEEDED, first.job_id)


def test_a_fal_that_stays_unreachable_calls_a_person(world: World) -> None:
    world.answer(NotSubmittedError("no connection"))
    world.submit(world.drop())
    world.clock.now += OVERDUE_AFTER

    assert world.reconciler.reconcile().overdue == 1


def test_waiting_for_a_slot_calls_nobody(world: World) -> None:
    world.limits = Limits(0, monthly_usd=100.0, job_usd=25.0)
    world.submit(world.drop())
    world.clock.now += OVERDUE_AFTER

    assert world.reconciler.reconcile().overdue == 0


def test_what_stays_unreadable_for_months_adds_nothing_to_a_jobs_story(world: World) -> None:
    guarded = world.datasets = Guarded()
    dataset = world.drop("b.zip")
    job = world.holds(make_job(Status.READY, dataset=dataset))
    guarded.forbidden = "b.zip"
    world.dispatcher.submit_waiting(began=world.clock())
    held = world.job(job.job_id)

    for _ in range(30):
        world.clock.now += PROBE_AFTER + timedelta(minutes=1)
        world.reconciler.reconcile()
        world.dispatcher.submit_waiting(began=world.clock())

    assert world.job(job.job_id).history == held.history


def test_an_approval_of_something_else_is_no_approval_of_the_price(world: World) -> None:
    world.limits = Limits(2)
    world.answer(SubmissionRefusedError(LOCKED, held=True))
    job = world.submit(world.drop())
    world.limits = Limits(2, monthly_usd=100.0, job_usd=1.0)

    world.manual_actions.approve(job.job_id, by="ada")
    world.dispatcher.submit_waiting(began=world.clock())

    held = world.job(job.job_id)
    assert (held.status, held.problems[0].code) == (Status.HELD, "job_over_limit")
