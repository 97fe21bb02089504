"""Every dataset has a job, every unfinished upload somebody who goes on with it."""

from datetime import datetime, timedelta

import pytest

from lora_drop.jobs.artifacts import Upload
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.job import DatasetVersion
from lora_drop.jobs.status import Status
from lora_drop.results.copies import Label
from lora_drop.services.sweep import ABANDONED_AFTER, FORGOTTEN_AFTER, SETTLED_AFTER
from tests.support.builders import NOW, make_job
from tests.support.memory import MemoryDatasets, MemoryQueue
from tests.support.world import World

SETTLED = NOW + SETTLED_AFTER


@pytest.fixture
def world(world: World) -> World:
    """A world in which an event may have been lost for as long as it takes."""
    world.clock.now = SETTLED
    return world


def lost(world: World, key: str, *, came: datetime = NOW) -> DatasetVersion:
    """A dataset that nobody was told of."""
    world.datasets.came[key] = came
    return world.drop(key, images=len(world.datasets.objects) + 10)


def swept(world: World) -> list[str]:
    """The keys that a round announces."""
    world.queue.datasets.clear()
    found = world.reconciler.reconcile().swept.datasets
    assert found == len(world.queue.datasets)
    return [dataset.key for dataset in world.queue.datasets]


def test_a_dataset_whose_event_was_lost_is_announced_and_trained(world: World) -> None:
    dataset = lost(world, "portrait/ada.zip")

    assert swept(world) == ["portrait/ada.zip"]
    world.work()

    [job] = world.jobs.rows.values()
    assert (job.status, job.dataset) == (Status.SUBMITTED, dataset)
    assert swept(world) == []


A_SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("age", "found"),
    [
        (SETTLED_AFTER - A_SECOND, []),
        (SETTLED_AFTER, ["a.zip"]),
        (FORGOTTEN_AFTER - A_SECOND, ["a.zip"]),
        (FORGOTTEN_AFTER, []),
    ],
    ids=str,
)
def test_an_event_gets_its_time_and_an_old_bucket_is_not_paid_for_at_once(
    world: World, age: timedelta, found: list[str]
) -> None:
    lost(world, "a.zip")

    world.clock.now = NOW + age

    assert swept(world) == found


def test_a_dataset_that_has_a_job_is_left_alone_whatever_became_of_it(world: World) -> None:
    for status in Status:
        dataset = lost(world, f"{status}.zip")
        job_id = job_id_for(dataset.bucket, dataset.key, dataset.version_id)
        world.holds(make_job(status, job_id=job_id, dataset=dataset, updated_at=SETTLED))

    assert swept(world) == []


def test_only_the_newest_version_is_looked_for(world: World) -> None:
    lost(world, "a.zip")
    newest = lost(world, "a.zip")

    swept(world)

    assert world.queue.datasets == [newest]


def test_a_dataset_that_was_deleted_is_not_announced(world: World) -> None:
    lost(world, "a.zip")
    world.datasets.put("a.zip", None)

    assert swept(world) == []


def test_a_large_bucket_is_walked_through_page_by_page_and_then_again(world: World) -> None:
    world.datasets.page = 3
    for number in range(8):
        lost(world, f"{number}.zip")

    rounds = [swept(world) for _ in range(4)]

    assert rounds == [
        ["0.zip", "1.zip", "2.zip"],
        ["3.zip", "4.zip", "5.zip"],
        ["6.zip", "7.zip"],
        ["0.zip", "1.zip", "2.zip"],
    ]


def test_a_small_bucket_is_walked_through_in_every_round(world: World) -> None:
    lost(world, "a.zip")

    assert [swept(world) for _ in range(3)] == [["a.zip"]] * 3


def test_who_dies_in_a_page_walks_it_again(world: World) -> None:
    class Dying(MemoryQueue):
        def announce(self, dataset: DatasetVersion) -> None:
            if dataset.key == "1.zip":
                raise OSError(dataset.key)
            super().announce(dataset)

    world.datasets.page = 3
    for number in range(5):
        lost(world, f"{number}.zip")
    world.queue = Dying()
    with pytest.raises(ExceptionGroup):
        world.reconciler.reconcile()

    world.queue = MemoryQueue()

    assert swept(world) == ["0.zip", "1.zip", "2.zip"]


def test_a_sweep_that_fails_stops_neither_the_jobs_nor_the_other_sweep(world: World) -> None:
    class Broken(MemoryDatasets):
        def list_page(self, after: str | None) -> object:  # type: ignore[override]  # it never comes to it
            raise OSError(f"no bucket, {after}")

    world.datasets = Broken()
    stuck = world.holds(make_job(Status.STORING))
    world.results.begin("x", Label("lora", "u"))
    world.clock.now = NOW + timedelta(days=1)

    with pytest.raises(ExceptionGroup) as raised:
        world.reconciler.reconcile()

    assert [str(error) for error in raised.value.exceptions] == ["no bucket, None"]
    assert world.queue.handed == [stuck.job_id]
    assert world.results.uploads == {}


@pytest.mark.parametrize(("seconds", "ended"), [(0, 0), (1, 1)])
def test_an_upload_that_nobody_goes_on_with_is_ended_after_an_hour(
    world: World, seconds: int, ended: int
) -> None:
    world.results.begin("x", Label("lora", "u"))
    world.clock.now = NOW + ABANDONED_AFTER + timedelta(seconds=seconds)

    assert world.reconciler.reconcile().swept.uploads == ended
    assert len(world.results.uploads) == 1 - ended


def test_an_upload_of_a_job_that_is_open_is_kept_however_old(world: World) -> None:
    ids = {name: world.results.begin(name, Label("lora", name)) for name in ("open", "ended", "no")}
    for name, status in (("open", Status.STORING), ("ended", Status.FAILED)):
        upload = Upload(name=name, upload_id=ids[name], identity="e", size=9)
        world.holds(make_job(status, job_id=name, uploads=(upload,)))
    world.clock.now = NOW + timedelta(days=3)

    assert world.reconciler.reconcile().swept.uploads == 2

    assert list(world.results.uploads) == [ids["open"]]
