"""What fal refuses or never hears of, and datasets that cannot be read: who waits, and who goes on."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from lora_drop.fal.status import Failed
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import (
    DatasetUnreadableError,
    NotSubmittedError,
    SubmissionRefusedError,
    SubmissionUnknownError,
)
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.ports import OpenDataset, Submission
from lora_drop.services.reconcile import PROBE_AFTER
from tests.support.builders import BAD_IMAGE, LOCKED, make_job
from tests.support.memory import MemoryDatasets
from tests.support.queue import codes, dropped, free, later, states
from tests.support.world import World


@pytest.fixture
def world(busy: World) -> World:
    return busy


def test_unsendable_job_stops_the_queue(world: World) -> None:
    world.answer(NotSubmittedError("no connection"))
    jobs = dropped(world, "a", "b", "c")
    assert states(world, jobs) == [Status.READY] * 3
    # One try for each event, each of them for the first of the line.
    assert world.paid == [jobs[0].job_id] * 3
    assert world.jobs.account("2026-11").in_flight == ()


@pytest.mark.promise("never get stuck")
def test_refused_job_does_not_stop_others(world: World) -> None:
    """A refusal of one job does not stop the others."""
    free(world)
    world.answer(NotSubmittedError("no connection"))
    jobs = dropped(world, "a", "b", "c")
    outcomes: list[Callable[[], Submission]] = [lambda: Submission("r2"), lambda: Submission("r3")]

    def refuse_the_first() -> Submission:
        if len(world.fal.posts) == 4:
            raise SubmissionRefusedError(BAD_IMAGE)
        return outcomes.pop(0)()

    world.answer(refuse_the_first)
    world.dispatcher.submit_waiting()
    assert states(world, jobs) == [Status.FAILED, Status.SUBMITTED, Status.SUBMITTED]


@pytest.mark.promise("never get stuck")
def test_unlocked_account_sends_everything(world: World) -> None:
    """A locked account stops the queue; once it is in order again, everything goes on by itself."""
    free(world)
    world.answer(NotSubmittedError("no connection"))
    jobs = dropped(world, "a", "b", "c")
    world.fal.posts.clear()
    world.answer(SubmissionRefusedError(LOCKED, held=True))
    world.dispatcher.submit_waiting()

    assert states(world, jobs) == [Status.HELD, Status.READY, Status.READY]
    assert len(world.fal.posts) == 1
    assert "Top up the balance." in (world.results.text(jobs[0], "ERROR.txt") or "")
    assert world.jobs.account("2026-11").committed_usd == 0
    world.answer(lambda: Submission(f"request-{len(world.fal.posts)}"))
    later(world, after=timedelta(hours=1))
    assert states(world, jobs) == [Status.SUBMITTED] * 3
    assert world.results.text(jobs[0], "ERROR.txt") is None


@pytest.mark.parametrize(
    ("code", "after", "probes"),
    [
        (LOCKED.code, timedelta(minutes=59), 0),
        (LOCKED.code, timedelta(minutes=60), 1),
        ("fal_x", timedelta(days=40), 0),
    ],
)
def test_locked_account_is_probed_hourly(
    world: World, code: str, after: timedelta, probes: int
) -> None:
    """A locked account is tried again after an hour; what only a person can lift never is."""
    world.answer(SubmissionRefusedError(Problem(code=code, message="m"), held=True))
    [held] = dropped(world, "a")
    world.fal.posts.clear()
    later(world, after=after)
    assert len(world.fal.posts) == probes
    assert world.job(held.job_id).status is Status.HELD


def test_settling_never_touches_another_submission(world: World) -> None:
    [dataset] = [world.drop()]

    def fail_and_be_sent_again() -> Submission:
        [job_id] = world.jobs.rows
        if len(world.fal.posts) == 1:
            not_fetched = Problem(code="fal_file_download_error", message="m")
            fact = Failed("request-1", not_fetched, billed=False)
            world.fal_updates.receive(job_id, fact, asked=True)
            world.submit(dataset)
            raise SubmissionUnknownError("ReadTimeout")
        return Submission("request-2")

    world.answer(fail_and_be_sent_again)
    job = world.submit(dataset)

    assert (job.status, job.request_id) == (Status.SUBMITTED, "request-2")
    assert job.earlier_requests == ("request-1",)
    assert world.job(job.job_id).problems == ()


def test_settling_spares_a_simultaneous_submission(world: World) -> None:
    dataset = world.drop()
    seen: list[Job] = []

    def overtaken() -> Submission:
        [job_id] = world.jobs.rows
        if len(world.fal.posts) == 1:
            world.reconciler.record.move(world.job(job_id), Status.READY)
            world.submit(dataset)
            raise NotSubmittedError("no connection")
        seen.append(world.job(job_id))
        raise SubmissionUnknownError("ReadTimeout")

    world.answer(overtaken)
    job = world.submit(dataset)

    assert (job.status, seen[0].status) == (Status.SUBMIT_UNKNOWN, Status.SUBMITTING)


class Guarded(MemoryDatasets):
    """Datasets of which one may not be read."""

    forbidden = ""

    def open(self, dataset: DatasetVersion) -> OpenDataset:
        if dataset.key == self.forbidden:
            raise DatasetUnreadableError(f"{dataset.key} may not be read")
        return super().open(dataset)


@pytest.mark.promise("never get stuck")
def test_unreadable_dataset_lets_others_pass(world: World) -> None:
    """A dataset that cannot be read any more lets the others pass."""
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


def test_new_unreadable_dataset_is_rejected(world: World) -> None:
    guarded = world.datasets = Guarded()
    guarded.forbidden = "b.zip"
    job = world.submit(world.drop("b.zip"))
    assert (job.status, codes(job)) == (Status.REJECTED, ["dataset_unreadable"])


def test_long_lock_adds_no_history(world: World) -> None:
    """An account that stays locked adds nothing to a job's history, and an approval stays in it."""
    world.answer(SubmissionRefusedError(LOCKED, held=True))
    job = world.submit(world.drop())
    for _ in range(30):
        probed(world)
    held = world.job(job.job_id)
    assert len(world.fal.posts) == 31
    assert held.status is Status.HELD
    assert [step.status for step in held.history] == [step.status for step in job.history]
    world.manual_actions.approve(job.job_id, by="ada")
    world.dispatcher.submit_waiting(began=world.clock())
    assert "ada" in [step.by for step in world.job(job.job_id).history]


def probed(world: World) -> None:
    """A round that tries again what is held, and the submitter after it."""
    world.clock.now += PROBE_AFTER + timedelta(minutes=1)
    world.reconciler.reconcile()
    world.dispatcher.submit_waiting(began=world.clock())


def test_long_unreadable_adds_no_history(world: World) -> None:
    """A dataset that cannot be read adds nothing to the history; readable again, it goes on."""
    guarded = world.datasets = Guarded()
    job = world.holds(make_job(Status.READY, dataset=world.drop("b.zip")))
    guarded.forbidden = "b.zip"
    world.dispatcher.submit_waiting(began=world.clock())
    held = world.job(job.job_id)
    for _ in range(30):
        probed(world)
    assert world.job(job.job_id).history == held.history
    guarded.forbidden = ""
    probed(world)
    assert world.job(job.job_id).status is Status.SUBMITTED
