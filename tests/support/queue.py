"""Datasets that come one after the other, also the same photos twice, and what becomes of them in the waiting queue."""

from datetime import timedelta
from typing import Any

from lora_drop.jobs.budget import Limits
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import make_jpeg
from tests.support.world import LATE_AFTER, World


def dropped(world: World, *names: str, **how: Any) -> list[Job]:
    """A dataset of its own for each name, a second apart, handled as it comes."""
    jobs = []
    for name in names:
        world.clock.now += timedelta(seconds=1)
        photo = {f"{name}.jpg": make_jpeg(name)}
        jobs.append(world.submit(world.drop(f"portrait/{name}.zip", members=photo, **how)))
    return jobs


def states(world: World, jobs: list[Job]) -> list[Status]:
    return [world.job(job.job_id).status for job in jobs]


def codes(job: Job) -> list[str]:
    return [problem.code for problem in job.problems]


def free(world: World) -> None:
    """Limits that let everything pass."""
    world.limits = Limits(max_in_flight=100)


def later(world: World, after: timedelta = LATE_AFTER) -> None:
    """Time passes, the reconciler makes a round, and the submitter empties the inbox."""
    world.clock.now += after
    world.reconciler.reconcile()
    world.work()


PHOTOS = {f"{number:02}.jpg": make_jpeg(number) for number in range(12)}
RENAMED = {f"IMG_{name}": data for name, data in reversed(PHOTOS.items())}


def first(world: World, **how: Any) -> Job:
    """The dataset that comes first, submitted."""
    return world.submit(world.drop("portrait/ada.zip", images=0, members=PHOTOS, **how))


def again(world: World, key: str = "portrait/copy.zip", **how: Any) -> Job:
    """The same photos once more, under other names and in another order."""
    return world.submit(world.drop(key, images=0, members=RENAMED, **how))
