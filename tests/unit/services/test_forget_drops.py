"""What of a dataset's key goes with a job: its own versions, and no drop that came since."""

from datetime import timedelta

import pytest

from lora_drop.jobs.status import Status
from tests.support.forgetting import DONE, forget, trained
from tests.support.world import World


def test_every_version_of_its_dataset_goes_and_one_that_is_dropped_afterwards_stays(
    world: World,
) -> None:
    world.datasets.now = world.clock
    world.datasets.put("portrait/ada.zip", b"before the stack was there")
    world.datasets.put("portrait/ada.zip", None)
    job = trained(world)
    world.datasets.uploads["u-1"] = "portrait/ada.zip"
    world.forget_service.forget(job.job_id)
    world.clock.now += timedelta(minutes=1)
    new = world.drop("portrait/ada.zip")

    world.clock.now += DONE
    [proof] = world.forget_service.forget(job.job_id)

    [kept] = world.datasets.objects["portrait/ada.zip"]
    assert proof.found
    assert (proof.found.dataset_versions, proof.found.unfinished_uploads) == (3, 1)
    assert kept.version_id == new.version_id
    assert world.submit(new).status is Status.SUBMITTED, "a new drop is a new job"


def test_a_drop_whose_event_is_late_is_not_erased_with_another(world: World) -> None:
    world.datasets.now = world.clock
    job = trained(world)
    world.clock.now += timedelta(hours=1)
    new = world.drop("portrait/ada.zip")  # there is no job for it yet, so nobody is named
    world.clock.now += timedelta(seconds=5)

    forget(world, job)

    assert world.submit(new).status is Status.SUBMITTED


def test_a_drop_between_the_dataset_and_its_job_is_not_erased_with_it(world: World) -> None:
    """The event of the first is late, and that of the second is later still."""
    world.datasets.now = world.clock
    first = world.drop("portrait/ada.zip")
    world.clock.now += timedelta(seconds=20)
    second = world.drop("portrait/ada.zip")
    world.clock.now += timedelta(seconds=20)
    job = world.submit(first)
    done = world.train(job)
    world.queue.handed.clear()

    forget(world, done)

    assert [each.version_id for each in world.datasets.objects["portrait/ada.zip"]] == [
        second.version_id
    ]


@pytest.mark.parametrize("again", [False, True])
def test_a_marker_goes_with_what_was_deleted_and_brings_nobodys_photos_back(
    world: World, *, again: bool
) -> None:
    world.datasets.now = world.clock
    job = trained(world)
    world.clock.now += timedelta(hours=1)
    if again:
        world.datasets.put("portrait/ada.zip", b"another's, who has deleted it since")
    world.datasets.put("portrait/ada.zip", None)

    forget(world, job)

    left = world.datasets.objects.get("portrait/ada.zip", [])
    assert [each.data is None for each in left] == ([False, True] if again else [])
