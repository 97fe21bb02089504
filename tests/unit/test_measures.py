"""What a round measures for the alarms and the dashboard."""

from datetime import timedelta

import pytest

from lora_drop.jobs.budget import Charge, Limits
from lora_drop.jobs.status import Status
from tests.support.builders import NOW, make_job
from tests.support.world import World


def test_the_oldest_job_that_goes_on_by_itself_is_measured(world: World) -> None:
    world.holds(make_job(Status.HELD, job_id="held", created_at=NOW - timedelta(days=9)))
    world.holds(make_job(Status.FAILED, job_id="failed", created_at=NOW - timedelta(days=8)))
    world.holds(make_job(Status.TRAINING, job_id="trains", created_at=NOW - timedelta(hours=2)))
    world.holds(make_job(Status.READY, job_id="waits", created_at=NOW - timedelta(hours=1)))

    assert world.reconciler.reconcile().oldest_seconds == 7200


@pytest.mark.parametrize(
    ("budget", "percent"), [(100.0, 3.6), (3.6, 100.0), (0.0, 0.0), (None, 0.0)]
)
def test_what_the_month_has_taken_of_its_budget_is_measured(
    world: World, budget: float | None, percent: float
) -> None:
    world.limits = Limits(2, monthly_usd=budget, job_usd=25.0)
    charge = Charge.reserve(3.6, now=world.clock())
    world.holds(make_job(Status.TRAINING, charge=charge))

    assert world.reconciler.reconcile().budget_percent == percent


def test_who_trains_and_who_waits_is_counted(world: World) -> None:
    for number, status in enumerate(Status):
        world.holds(make_job(status, job_id=f"job-{number}"))

    tally = world.reconciler.reconcile()

    assert (tally.at_fal, tally.waiting, tally.ended) == (4, 2, {})


@pytest.mark.parametrize("status", [status for status in Status if status.terminal])
def test_an_end_counts_once_when_it_is_told_for_good(world: World, status: Status) -> None:
    job = make_job(status)
    world.holds(job)
    world.jobs.untold.add(job.job_id)
    counts = []

    for _ in range(4):
        counts.append(world.reconciler.reconcile().ended)
        world.clock.now += timedelta(minutes=5)

    assert [each for each in counts if each] == [{status: 1}]
