"""An order is begun or says that it is not, and its rounds end in time and in turn."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from lora_drop.jobs.erasures import Erasure
from lora_drop.jobs.errors import ConflictError, FalUnavailableError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.services.forget import PATIENCE, ROUND, ForgetService
from tests.support.builders import make_dataset, make_job
from tests.support.forgetting import trained
from tests.support.template import properties
from tests.support.world import World


def overtaken(world: World, times: int) -> Callable[[Job, Erasure], None]:
    """A ``begin`` that comes too late, so many times."""
    begin, left = world.jobs.begin, [None] * times

    def too_late(job: Job, erasure: Erasure) -> None:
        if left:
            left.pop()
            raise ConflictError(job.job_id)
        begin(job, erasure)

    return too_late


def test_an_order_that_is_overtaken_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = trained(world)
    monkeypatch.setattr(world.jobs, "begin", overtaken(world, 2))

    [erasure] = world.forget_service.forget(job.job_id)

    assert erasure.erased_at


def test_an_order_that_could_not_be_begun_says_so_and_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = trained(world)
    monkeypatch.setattr(world.jobs, "begin", overtaken(world, 1000))

    with pytest.raises(ConflictError):
        world.forget_service.forget(job.job_id)

    assert world.job(job.job_id) == job
    assert world.forget_service.waiting() == []


def several(world: World, number: int) -> list[Job]:
    """Jobs that nobody shares with, each with a request at fal."""
    jobs = []
    for at in range(number):
        job_id, request = f"ada-{at:010}", f"request-{at}"
        dataset = make_dataset(f"{at}/ada.zip", version_id=f"v{at}")
        jobs.append(
            make_job(
                *(Status.CANCELLED,), job_id=job_id, dataset=dataset, request_id=request, intents=1
            )
        )
        world.holds(jobs[-1])
    return jobs


def silent_fal(world: World) -> tuple[ForgetService, list[float]]:
    """A fal that takes ten seconds to say nothing, and the seconds that have passed."""
    passed = [0.0]

    class Silent:
        def erase(self, _: str) -> Any:
            passed[0] += 10.0
            raise FalUnavailableError("silent")

    forget_service = world.forget_service
    return (
        ForgetService(
            forget_service.jobs,
            forget_service.erasures,
            forget_service.datasets,
            forget_service.results,
            Silent(),
            forget_service.clock,
            tick=lambda: passed[0],
        ),
        passed,
    )


def test_a_round_ends_in_time_and_each_erasure_has_its_turn(world: World) -> None:
    jobs = several(world, 6)
    forget_service, passed = silent_fal(world)
    for job in jobs:
        with pytest.raises(FalUnavailableError):
            forget_service.forget(job.job_id)
    asked: set[str] = set()
    world.jobs.erasures = {
        digest: each.model_copy(update={"found": None})
        for digest, each in world.jobs.erasures.items()
    }

    for _ in jobs:
        passed[0] = 0.0
        with pytest.raises(FalUnavailableError):
            forget_service.go_on()
        assert passed[0] <= PATIENCE + 10.0
        asked |= {each.digest for each in world.jobs.erasing() if each.found}
        world.clock.now += ROUND

    assert len(asked) == len(jobs)


def test_a_turn_is_as_long_as_the_schedule_is() -> None:
    schedule = properties("ForgetFunction")["Events"]["GoOn"]["Properties"]["Schedule"]

    assert schedule == f"rate({ROUND // timedelta(minutes=1)} minutes)"
