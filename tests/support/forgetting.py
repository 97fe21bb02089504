"""Jobs that are forgotten in memory, and what is left of them."""

from datetime import timedelta
from typing import Any

from lora_drop.jobs.erasures import STORED_BY, Erasure
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import make_dataset, make_job
from tests.support.world import World

DONE = STORED_BY + timedelta(seconds=1)


def trained(world: World, key: str = "portrait/ada.zip", **archive: Any) -> Job:
    """A job whose LoRA is stored, as the functions made it."""
    job = world.submit(world.drop(key, **archive))
    world.payloads.stored.add(job.request_id or "")
    done = world.train(job)
    world.queue.handed.clear()  # the worker has taken it
    return done


def forget(world: World, job: Job, *, family: bool = False) -> list[Erasure]:
    """Forget a job, and ask again after the last look."""
    world.forget_service.forget(job.job_id, family=family)
    world.clock.now += DONE
    return list(world.forget_service.forget(job.job_id, family=family))


def left_of(world: World, word: str) -> list[str]:
    """Return the places where a word is still found."""
    places = {
        "datasets": world.datasets.objects,
        "uploads": world.datasets.uploads,
        "results": world.results.files,
        "result uploads": world.results.uploads,
        "jobs": world.jobs.rows,
        "contents": world.jobs.contents,
        "untold": world.jobs.untold,
        "outbox": world.jobs.changes,
        "proofs": world.jobs.erasures,
        "bookmarks": world.jobs.bookmarks,
        "inbox": world.queue.datasets,
        "handed over": world.queue.handed,
    }
    return [name for name, place in places.items() if word in repr(place)]


def kept(world: World, job_id: str, **changes: Any) -> Job:
    """A job that has failed, with a dataset of its own where nothing else is said."""
    dataset = make_dataset(f"{job_id}.zip")
    return world.holds(make_job(Status.FAILED, **{"dataset": dataset, "job_id": job_id, **changes}))
