"""A job that there is no money for is held, for free, and goes on by itself; what is shown of jobs."""

from datetime import UTC, datetime, timedelta

import pytest

from lora_drop.fal.status import Failed, Finished
from lora_drop.fal.trainers.trainer import Price
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import ActionNotAllowedError, JobNotFoundError, SubmissionRefusedError
from lora_drop.jobs.job import Job
from lora_drop.jobs.public_job import public
from lora_drop.jobs.status import Status
from lora_drop.services.browse import list_jobs, show_budget, show_job
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


@pytest.fixture
def world(busy: World) -> World:
    return busy


def dropped(world: World, name: str = "a", *, steps: int = 1500) -> Job:
    """A dataset of its own; $3.60 where nothing else is said."""
    photo = {f"{name}.jpg": make_jpeg(name)}
    return world.submit(world.drop(f"{name}.zip", members=photo, metadata={"steps": str(steps)}))


@pytest.mark.promise("never pay twice")
def test_dear_training_waits_for_a_person(world: World) -> None:
    """A training dearer than any may be is held for a person; it may cost exactly the most."""
    world.limits = Limits(max_in_flight=2, job_usd=3.59)
    held = dropped(world)
    assert (held.status, codes(held)) == (Status.HELD, ["job_over_limit"])
    text = world.results.text(held, "ERROR.txt") or ""
    assert all(part in text for part in ("$3.60", "$3.59", "lora-drop approve"))
    assert world.fal.posts == []
    later(world, after=timedelta(days=60))
    assert world.job(held.job_id).status is Status.HELD
    world.limits = Limits(max_in_flight=2, job_usd=3.6)
    assert dropped(world, "b").status is Status.SUBMITTED


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
    world: World, month: float, steps: tuple[int, ...], statuses: list[Status]
) -> None:
    """The month is spent to its last cent, and a cheaper training passes a dear one."""
    world.limits = Limits(max_in_flight=9, monthly_usd=month)
    jobs = [dropped(world, name, steps=number) for name, number in zip("abc", steps, strict=False)]
    assert [job.status for job in jobs] == statuses
    assert len(world.fal.posts) == statuses.count(Status.SUBMITTED)
    [held] = [job for job in jobs if job.status is Status.HELD]
    text = world.results.text(held, "ERROR.txt") or ""
    assert codes(held) == ["budget_exhausted"]
    assert f"${held.estimated_cost_usd:.2f}" in text
    assert f"${month:.2f}" in text


@pytest.mark.promise("never get stuck")
def test_new_month_sends_held_jobs(world: World) -> None:
    """A new month sends the jobs that the old one could not pay."""
    world.limits = Limits(max_in_flight=9, monthly_usd=4.0)
    dropped(world, "a")
    held = dropped(world, "b")
    world.clock.now = DECEMBER - timedelta(seconds=1)
    later(world, after=timedelta(0))
    assert world.job(held.job_id).status is Status.HELD
    later(world, after=timedelta(seconds=1))
    assert world.job(held.job_id).status is Status.SUBMITTED
    assert world.results.text(held, "ERROR.txt") is None
    assert world.jobs.account("2026-12").reserved_usd == 3.6


@pytest.mark.parametrize(
    ("billed", "after", "wasted"),
    [(False, Status.SUBMITTED, 0.0), (None, Status.HELD, 3.6)],
    ids=["not billed", "unknown"],
)
def test_returned_money_sends_held_jobs(
    world: World, *, billed: bool | None, after: Status, wasted: float
) -> None:
    """Money that is given back sends the job that was held for it; wasted money is not given back."""
    world.limits = Limits(max_in_flight=9, monthly_usd=4.0)
    first, held = dropped(world, "a"), dropped(world, "b")
    later(world)
    assert world.job(held.job_id).status is Status.HELD
    world.fal_updates.receive(first.job_id, Failed("request-1", BAD_IMAGE, billed=billed))
    later(world)
    assert world.job(held.job_id).status is after
    assert world.jobs.account("2026-11").wasted_usd == wasted


@pytest.mark.parametrize(
    ("first", "second", "both"), [(1000, 1209, 5.31), (1000, 1627, 6.31), (1000, 1693, 6.47)]
)
def test_money_to_the_cent_is_enough(world: World, first: int, second: int, both: float) -> None:
    # In binary the two cost a bit more than their sum: 2.4 + 2.91 > 5.31.
    world.limits = Limits(max_in_flight=9, monthly_usd=round(both - 0.01, 2))
    dropped(world, "a", steps=first)
    held = dropped(world, "b", steps=second)
    later(world)
    assert world.job(held.job_id) == held
    world.limits = Limits(max_in_flight=9, monthly_usd=both)
    later(world)
    assert world.job(held.job_id).status is Status.SUBMITTED


def test_money_sends_as_many_as_possible(world: World) -> None:
    """Of several held jobs, those go on that there is money for."""
    world.limits = Limits(max_in_flight=9, monthly_usd=3.6)
    names = "abcd"
    jobs = [dropped(world, name) for name in names]
    world.limits = Limits(max_in_flight=9, monthly_usd=2 * 3.6)
    for _ in range(4):
        later(world)
    assert [world.job(job.job_id).at_fal for job in jobs] == [True, True, False, False]
    assert [world.job(job.job_id).status for job in jobs[2:]] == [Status.HELD, Status.HELD]
    # No job is held and released without end.
    assert len(world.job(jobs[3].job_id).history) <= len(jobs[3].history) + 2


def unpriced(world: World, application: str = "fal-ai/qwen-image-trainer") -> Job:
    """A dataset for a trainer of unknown price."""
    submitter = world.submitter
    object.__setattr__(submitter, "application", application)
    return submitter.submit_dataset(world.drop()).job


def test_without_limits_price_is_no_matter(world: World) -> None:
    world.limits = Limits(9)
    assert unpriced(world).status is Status.SUBMITTED


@pytest.mark.parametrize(
    "limits", [Limits(9, monthly_usd=100.0), Limits(9, job_usd=100.0), Limits(9, 100.0, 100.0)]
)
def test_unknown_price_is_held(world: World, limits: Limits) -> None:
    """A training of unknown price is held wherever there is a limit, until a person approves it."""
    world.limits = limits
    held = unpriced(world)
    assert (held.status, codes(held)) == (Status.HELD, ["price_unknown"])
    assert "fal-ai/qwen-image-trainer" in (world.results.text(held, "ERROR.txt") or "")
    assert world.fal.posts == []
    world.manual_actions.approve(held.job_id, by=ADA)
    world.work()
    assert world.job(held.job_id).status is Status.SUBMITTED


def test_fals_current_price_counts(world: World) -> None:
    world.fal.asks = Price(0.01, 1000)
    world.limits = Limits(9, job_usd=14.99)
    held = dropped(world)
    assert (held.status, held.estimated_cost_usd) == (Status.HELD, 15.0)


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(
    "limits", [Limits(9, job_usd=1.0), Limits(9, monthly_usd=1.0), Limits(9, 0.0, 0.0)]
)
def test_approval_overrides_every_limit(world: World, limits: Limits) -> None:
    """An approval goes over every limit for one job alone, and is kept with its name."""
    world.limits = limits
    held, other = dropped(world), dropped(world, "b")
    ready = world.manual_actions.approve(held.job_id, by=ADA)
    world.work()
    job = world.job(held.job_id)
    assert (ready.status, ready.approved, ready.history[-1].by) == (Status.READY, True, ADA)
    assert (job.status, job.approved) == (Status.SUBMITTED, True)
    assert world.jobs.account("2026-11").reserved_usd == 3.6
    assert world.job(other.job_id).status is Status.HELD
    with pytest.raises(ActionNotAllowedError):
        world.manual_actions.approve(held.job_id, by=ADA)


def test_approved_job_waits_for_a_slot(world: World) -> None:
    world.limits = Limits(1, job_usd=3.6)
    held, first = dropped(world, "a", steps=2000), dropped(world, "b")
    world.manual_actions.approve(held.job_id, by=ADA)
    world.work()
    assert world.job(held.job_id).status is Status.READY
    world.fal_updates.receive(first.job_id, Finished("request-1", ARTIFACTS))
    world.work()
    assert world.job(held.job_id).status is Status.SUBMITTED


def test_other_approval_is_none_of_price(world: World) -> None:
    """An approval of something else is no approval of the price."""
    world.limits = Limits(2)
    world.answer(SubmissionRefusedError(LOCKED, held=True))
    job = world.submit(world.drop())
    world.limits = Limits(2, monthly_usd=100.0, job_usd=1.0)
    world.manual_actions.approve(job.job_id, by="ada")
    world.dispatcher.submit_waiting(began=world.clock())
    held = world.job(job.job_id)
    assert (held.status, held.problems[0].code) == (Status.HELD, "job_over_limit")


@pytest.fixture
def jobs() -> MemoryJobs:
    """Five jobs, each younger than the one before; every other one is being trained."""
    return MemoryJobs(
        {
            f"job-{number}": make_job(
                Status.TRAINING if number % 2 else Status.SUCCEEDED,
                job_id=f"job-{number}",
                created_at=NOW + timedelta(seconds=number),
            )
            for number in range(5)
        }
    )


@pytest.mark.promise("nothing leaks")
def test_job_is_shown_publicly(jobs: MemoryJobs) -> None:
    """A job is shown as its public form."""
    assert show_job("job-3", jobs=jobs) == public(jobs.rows["job-3"])


def test_unknown_job_is_reported(jobs: MemoryJobs) -> None:
    with pytest.raises(JobNotFoundError, match="job-9"):
        show_job("job-9", jobs=jobs)


def test_jobs_come_newest_first(jobs: MemoryJobs) -> None:
    first = list_jobs(status=None, limit=3, cursor=None, jobs=jobs)
    second = list_jobs(status=None, limit=3, cursor=first["next"], jobs=jobs)
    training = list_jobs(status=Status.TRAINING, limit=20, cursor=None, jobs=jobs)
    pages = [[job["job_id"] for job in page["jobs"]] for page in (first, second, training)]
    assert pages == [["job-4", "job-3", "job-2"], ["job-1", "job-0"], ["job-3", "job-1"]]
    assert second["next"] is None


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(
    ("limits", "left"),
    [(Limits(2, 100.0, 25.0), 87.99), (Limits(2, 12.01), 0.0), (Limits(2, 5.0), 0.0)],
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


def test_another_month_is_another_account(jobs: MemoryJobs) -> None:
    shown = show_budget(now=NOW + timedelta(days=31), limits=Limits(2, 100.0), jobs=jobs)
    assert (shown["month"], shown["spent_usd"], shown["left_usd"]) == ("2026-12", 0.0, 100.0)
