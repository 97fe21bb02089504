"""A job that there is no money for is held, for free, and goes on by itself; what is shown of jobs."""

from datetime import UTC, datetime, timedelta

import pytest

from lora_drop.fal.status import Failed, Finished
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import ActionNotAllowedError, SubmissionRefusedError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.services.browse import show_budget
from tests.support.builders import (
    ADA,
    ARTIFACTS,
    BAD_IMAGE,
    LOCKED,
    NOW,
    make_job,
    make_jpeg,
    path_to,
)
from tests.support.memory_jobs import MemoryJobs
from tests.support.queue import codes, later
from tests.support.world import World

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


def dropped(busy: World, name: str = "a", *, steps: int = 1500) -> Job:
    """A dataset of its own; $3.60 where nothing else is said."""
    photo = {f"{name}.jpg": make_jpeg(name)}
    return busy.submit(busy.drop(f"{name}.zip", members=photo, metadata={"steps": str(steps)}))


@pytest.mark.promise("never pay twice")
def test_dear_training_waits_for_a_person(busy: World) -> None:
    """A training dearer than any may be is held for a person; it may cost exactly the most."""
    busy.limits = Limits(max_in_flight=2, job_usd=3.59)
    held = dropped(busy)
    assert (held.status, codes(held)) == (Status.HELD, ["job_over_limit"])
    text = busy.results.text(held, "ERROR.txt") or ""
    assert all(part in text for part in ("$3.60", "$3.59", "lora-drop approve"))
    assert busy.fal.posts == []
    later(busy, after=timedelta(days=60))
    assert busy.job(held.job_id).status is Status.HELD
    busy.limits = Limits(max_in_flight=2, job_usd=3.6)
    assert dropped(busy, "b").status is Status.SUBMITTED


@pytest.mark.parametrize(
    ("month", "steps", "statuses"),
    [
        (7.19, (1500, 1500), [Status.SUBMITTED, Status.HELD]),
        (7.2, (1500, 1500, 1500), [Status.SUBMITTED, Status.SUBMITTED, Status.HELD]),
        (6.0, (4000, 1000), [Status.HELD, Status.SUBMITTED]),
    ],
    ids=["a cent is missing", "to its last cent", "a cheaper one passes"],
)
def test_month_is_spent_to_its_cent(
    busy: World, month: float, steps: tuple[int, ...], statuses: list[Status]
) -> None:
    """The month is spent to its last cent, and a cheaper training passes a dear one."""
    busy.limits = Limits(max_in_flight=9, monthly_usd=month)
    jobs = [dropped(busy, name, steps=number) for name, number in zip("abc", steps, strict=False)]
    assert [job.status for job in jobs] == statuses
    assert len(busy.fal.posts) == statuses.count(Status.SUBMITTED)
    [held] = [job for job in jobs if job.status is Status.HELD]
    text = busy.results.text(held, "ERROR.txt") or ""
    assert codes(held) == ["budget_exhausted"]
    assert f"${held.estimated_cost_usd:.2f}" in text
    assert f"${month:.2f}" in text


@pytest.mark.promise("never get stuck")
def test_new_month_sends_held_jobs(busy: World) -> None:
    """A new month sends the jobs that the old one could not pay."""
    busy.limits = Limits(max_in_flight=9, monthly_usd=4.0)
    dropped(busy, "a")
    held = dropped(busy, "b")
    busy.clock.now = DECEMBER - timedelta(seconds=1)
    later(busy, after=timedelta(0))
    assert busy.job(held.job_id).status is Status.HELD
    later(busy, after=timedelta(seconds=1))
    assert busy.job(held.job_id).status is Status.SUBMITTED
    assert busy.results.text(held, "ERROR.txt") is None
    assert busy.jobs.account("2026-12").reserved_usd == 3.6


@pytest.mark.parametrize(
    ("billed", "after", "wasted"),
    [(False, Status.SUBMITTED, 0.0), (None, Status.HELD, 3.6)],
    ids=["not billed", "unknown"],
)
def test_returned_money_sends_held_jobs(
    busy: World, *, billed: bool | None, after: Status, wasted: float
) -> None:
    """Money that is given back sends the job that was held for it; wasted money is not given back."""
    busy.limits = Limits(max_in_flight=9, monthly_usd=4.0)
    first, held = dropped(busy, "a"), dropped(busy, "b")
    later(busy)
    assert busy.job(held.job_id).status is Status.HELD
    busy.fal_updates.receive(first.job_id, Failed("request-1", BAD_IMAGE, billed=billed))
    later(busy)
    assert busy.job(held.job_id).status is after
    assert busy.jobs.account("2026-11").wasted_usd == wasted


def test_money_sends_as_many_as_possible(busy: World) -> None:
    """Of several held jobs, those go on that there is money for."""
    busy.limits = Limits(max_in_flight=9, monthly_usd=3.6)
    names = "abcd"
    jobs = [dropped(busy, name) for name in names]
    busy.limits = Limits(max_in_flight=9, monthly_usd=2 * 3.6)
    for _ in range(4):
        later(busy)
    assert [busy.job(job.job_id).at_fal for job in jobs] == [True, True, False, False]
    assert [busy.job(job.job_id).status for job in jobs[2:]] == [Status.HELD, Status.HELD]
    # No job is held and released without end.
    assert len(busy.job(jobs[3].job_id).history) <= len(jobs[3].history) + 2


def unpriced(busy: World, application: str = "fal-ai/qwen-image-trainer") -> Job:
    """A dataset for a trainer of unknown price."""
    submitter = busy.submitter
    object.__setattr__(submitter, "application", application)
    return submitter.submit_dataset(busy.drop()).job


def test_without_limits_price_is_no_matter(busy: World) -> None:
    busy.limits = Limits(9)
    assert unpriced(busy).status is Status.SUBMITTED


@pytest.mark.parametrize(
    "limits", [Limits(9, monthly_usd=100.0), Limits(9, job_usd=100.0), Limits(9, 100.0, 100.0)]
)
def test_unknown_price_is_held(busy: World, limits: Limits) -> None:
    """A training of unknown price is held wherever there is a limit, until a person approves it."""
    busy.limits = limits
    held = unpriced(busy)
    assert (held.status, codes(held)) == (Status.HELD, ["price_unknown"])
    assert "fal-ai/qwen-image-trainer" in (busy.results.text(held, "ERROR.txt") or "")
    assert busy.fal.posts == []
    busy.manual_actions.approve(held.job_id, by=ADA)
    busy.work()
    assert busy.job(held.job_id).status is Status.SUBMITTED


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(
    "limits", [Limits(9, job_usd=1.0), Limits(9, monthly_usd=1.0), Limits(9, 0.0, 0.0)]
)
def test_approval_overrides_every_limit(busy: World, limits: Limits) -> None:
    """An approval goes over every limit for one job alone, and is kept with its name."""
    busy.limits = limits
    held, other = dropped(busy), dropped(busy, "b")
    ready = busy.manual_actions.approve(held.job_id, by=ADA)
    busy.work()
    job = busy.job(held.job_id)
    assert (ready.status, ready.approved, ready.history[-1].by) == (Status.READY, True, ADA)
    assert (job.status, job.approved) == (Status.SUBMITTED, True)
    assert busy.jobs.account("2026-11").reserved_usd == 3.6
    assert busy.job(other.job_id).status is Status.HELD
    with pytest.raises(ActionNotAllowedError):
        busy.manual_actions.approve(held.job_id, by=ADA)


def test_approved_job_waits_for_a_slot(busy: World) -> None:
    busy.limits = Limits(1, job_usd=3.6)
    held, first = dropped(busy, "a", steps=2000), dropped(busy, "b")
    busy.manual_actions.approve(held.job_id, by=ADA)
    busy.work()
    assert busy.job(held.job_id).status is Status.READY
    busy.fal_updates.receive(first.job_id, Finished("request-1", ARTIFACTS))
    busy.work()
    assert busy.job(held.job_id).status is Status.SUBMITTED


def test_other_approval_is_none_of_price(busy: World) -> None:
    """An approval of something else is no approval of the price."""
    busy.limits = Limits(2)
    busy.answer(SubmissionRefusedError(LOCKED, held=True))
    job = busy.submit(busy.drop())
    busy.limits = Limits(2, monthly_usd=100.0, job_usd=1.0)
    busy.manual_actions.approve(job.job_id, by="ada")
    busy.dispatcher.submit_waiting(began=busy.clock())
    held = busy.job(job.job_id)
    assert (held.status, held.problems[0].code) == (Status.HELD, "job_over_limit")


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(
    ("limits", "left"),
    [(Limits(2, 100.0, 25.0), 87.99), (Limits(2, 12.01), 0.0), (Limits(2), 0.0)],
)
def test_months_money_is_shown(limits: Limits, left: float) -> None:
    """The month's money is what the jobs have cost and may cost."""
    jobs = MemoryJobs()
    for name, status, usd in (
        ("a", Status.TRAINING, 3.6),
        ("b", Status.SUCCEEDED, 2.4),
        ("c", Status.EXPIRED, 6.01),
        ("d", Status.READY, 9.6),
    ):
        ready = make_job(Status.READY, job_id=name, estimated_cost_usd=usd)
        steps = path_to(status)[2:] if status is not Status.READY else ()
        job = ready.move(Status.SUBMITTING, now=NOW) if steps else ready
        for step in steps:
            job = job.move(step, now=NOW)
        jobs.rows[name] = job

    shown = show_budget(now=NOW, limits=limits, jobs=jobs)

    assert shown == {
        "month": "2026-11",
        "reserved_usd": 3.6,
        "spent_usd": 8.41,
        "wasted_usd": 6.01,
        "left_usd": left,
        "in_flight": ("a",),
        "limits": {
            "max_in_flight": 2,
            "monthly_usd": limits.monthly_usd,
            "job_usd": limits.job_usd,
        },
    }
