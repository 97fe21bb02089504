"""What fal refuses or never hears of, and datasets that cannot be read: who waits, and who goes on."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

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
from tests.support.builders import BAD_IMAGE, LOCKED
from tests.support.memory import MemoryDatasets
from tests.support.queue import codes, dropped, free, later, states
from tests.support.world import World


def test_unsendable_job_stops_the_queue(busy: World) -> None:
    busy.answer(NotSubmittedError("no connection"))
    jobs = dropped(busy, "a", "b", "c")
    assert states(busy, jobs) == [Status.READY] * 3
    # One try for each event, each of them for the first of the line.
    assert busy.paid == [jobs[0].job_id] * 3
    assert busy.jobs.account("2026-11").in_flight == ()


@pytest.mark.promise("never get stuck")
def test_refused_job_does_not_stop_others(busy: World) -> None:
    """A refusal of one job does not stop the others."""
    free(busy)
    busy.answer(NotSubmittedError("no connection"))
    jobs = dropped(busy, "a", "b", "c")
    outcomes: list[Callable[[], Submission]] = [lambda: Submission("r2"), lambda: Submission("r3")]

    def refuse_the_first() -> Submission:
        if len(busy.fal.posts) == 4:
            raise SubmissionRefusedError(BAD_IMAGE)
        return outcomes.pop(0)()

    busy.answer(refuse_the_first)
    busy.dispatcher.submit_waiting()
    assert states(busy, jobs) == [Status.FAILED, Status.SUBMITTED, Status.SUBMITTED]


@pytest.mark.promise("never get stuck")
def test_unlocked_account_sends_everything(busy: World) -> None:
    """A locked account stops the queue; once it is in order again, everything goes on by itself."""
    free(busy)
    busy.answer(NotSubmittedError("no connection"))
    jobs = dropped(busy, "a", "b", "c")
    busy.fal.posts.clear()
    busy.answer(SubmissionRefusedError(LOCKED, held=True))
    busy.dispatcher.submit_waiting()

    assert states(busy, jobs) == [Status.HELD, Status.READY, Status.READY]
    assert len(busy.fal.posts) == 1
    assert "Top up the balance." in (busy.results.text(jobs[0], "ERROR.txt") or "")
    assert busy.jobs.account("2026-11").committed_usd == 0
    busy.answer(lambda: Submission(f"request-{len(busy.fal.posts)}"))
    later(busy, after=timedelta(hours=1))
    assert states(busy, jobs) == [Status.SUBMITTED] * 3
    assert busy.results.text(jobs[0], "ERROR.txt") is None


@pytest.mark.parametrize(
    ("code", "after", "probes"),
    [
        (LOCKED.code, timedelta(minutes=59), 0),
        (LOCKED.code, timedelta(minutes=60), 1),
        ("dataset_unreadable", timedelta(minutes=60), 1),
        ("fal_x", timedelta(days=40), 0),
    ],
)
def test_lock_is_probed_hourly(busy: World, code: str, after: timedelta, probes: int) -> None:
    """A locked account is tried again after an hour; what only a person can lift never is."""
    busy.answer(SubmissionRefusedError(Problem(code=code, message="m"), held=True))
    [held] = dropped(busy, "a")
    busy.fal.posts.clear()
    later(busy, after=after)
    assert len(busy.fal.posts) == probes
    assert busy.job(held.job_id).status is Status.HELD


def test_settling_never_touches_another_submission(busy: World) -> None:
    [dataset] = [busy.drop()]

    def fail_and_be_sent_again() -> Submission:
        [job_id] = busy.jobs.rows
        if len(busy.fal.posts) == 1:
            not_fetched = Problem(code="fal_file_download_error", message="m")
            fact = Failed("request-1", not_fetched, billed=False)
            busy.fal_updates.receive(job_id, fact, asked=True)
            busy.submit(dataset)
            raise SubmissionUnknownError("ReadTimeout")
        return Submission("request-2")

    busy.answer(fail_and_be_sent_again)
    job = busy.submit(dataset)

    assert (job.status, job.request_id) == (Status.SUBMITTED, "request-2")
    assert job.earlier_requests == ("request-1",)
    assert busy.job(job.job_id).problems == ()


def test_settling_spares_a_simultaneous_submission(busy: World) -> None:
    dataset = busy.drop()
    seen: list[Job] = []

    def overtaken() -> Submission:
        [job_id] = busy.jobs.rows
        if len(busy.fal.posts) == 1:
            busy.reconciler.record.move(busy.job(job_id), Status.READY)
            busy.submit(dataset)
            raise NotSubmittedError("no connection")
        seen.append(busy.job(job_id))
        raise SubmissionUnknownError("ReadTimeout")

    busy.answer(overtaken)
    job = busy.submit(dataset)

    assert (job.status, seen[0].status) == (Status.SUBMIT_UNKNOWN, Status.SUBMITTING)


class Guarded(MemoryDatasets):
    """Datasets of which one may not be read."""

    forbidden = ""

    def open(self, dataset: DatasetVersion) -> OpenDataset:
        if dataset.key == self.forbidden:
            raise DatasetUnreadableError(f"{dataset.key} may not be read")
        return super().open(dataset)


@pytest.mark.promise("never get stuck")
def test_unreadable_dataset_lets_others_pass(busy: World) -> None:
    """A dataset that cannot be read any more lets the others pass."""
    guarded = busy.datasets = Guarded()
    busy.limits = Limits(1)
    running = busy.submit(busy.drop("a.zip", images=11))
    bad = busy.submit(busy.drop("b.zip", images=12))
    good = busy.submit(busy.drop("c.zip", images=13))
    guarded.forbidden = "b.zip"
    error = Failed(running.request_id or "", Problem(code="fal_x", message="No."), billed=False)
    busy.fal_updates.receive(running.job_id, error)
    for announced in busy.queue.datasets:
        busy.submit(announced)

    held = busy.job(bad.job_id)
    assert (held.status, held.problems[0].code) == (Status.HELD, "dataset_unreadable")
    assert busy.job(good.job_id).status is Status.SUBMITTED


class HalfGuarded(MemoryDatasets):
    """Datasets whose heads may be read, and whose bytes may not."""

    def open(self, dataset: DatasetVersion) -> OpenDataset:
        found = super().open(dataset)

        def read(_offset: int, _length: int) -> bytes:
            raise DatasetUnreadableError(f"{dataset.key} may not be read")

        return replace(found, archive=SimpleNamespace(size=found.version.size, read=read))


@pytest.mark.promise("never get stuck")
def test_dataset_whose_bytes_are_forbidden_is_rejected(busy: World) -> None:
    """A dataset whose head may be read and whose bytes may not, as without the right to decrypt, is refused with what to do."""
    busy.datasets = HalfGuarded()
    job = busy.submit(busy.drop("b.zip"))
    assert (job.status, job.problems[0].code) == (Status.REJECTED, "dataset_unreadable")
    assert "Make it readable" in job.problems[0].message
    assert busy.fal.posts == []


def test_new_unreadable_dataset_is_rejected(busy: World) -> None:
    guarded = busy.datasets = Guarded()
    guarded.forbidden = "b.zip"
    job = busy.submit(busy.drop("b.zip"))
    assert (job.status, codes(job)) == (Status.REJECTED, ["dataset_unreadable"])


def test_long_lock_adds_no_history(busy: World) -> None:
    """An account that stays locked adds nothing to a job's history, and an approval stays in it."""
    busy.answer(SubmissionRefusedError(LOCKED, held=True))
    job = busy.submit(busy.drop())
    for _ in range(30):
        probed(busy)
    held = busy.job(job.job_id)
    assert len(busy.fal.posts) == 31
    assert held.status is Status.HELD
    assert [step.status for step in held.history] == [step.status for step in job.history]
    busy.manual_actions.approve(job.job_id, by="ada")
    busy.dispatcher.submit_waiting(began=busy.clock())
    assert "ada" in [step.by for step in busy.job(job.job_id).history]


def probed(busy: World) -> None:
    """A round that tries again what is held, and the submitter after it."""
    busy.clock.now += PROBE_AFTER + timedelta(minutes=1)
    busy.reconciler.reconcile()
    busy.dispatcher.submit_waiting(began=busy.clock())
