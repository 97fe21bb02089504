"""Every dataset has a job, every unfinished upload an owner, and each round its measures."""

from datetime import datetime, timedelta

import pytest

from lora_drop.jobs.artifacts import Upload
from lora_drop.jobs.budget import Charge, Limits
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.job import DatasetVersion
from lora_drop.jobs.status import Status
from lora_drop.jobs.time_limits import ABANDONED_AFTER
from lora_drop.results.copies import Label
from lora_drop.services.sweep import BACKLOG, BACKLOG_PATIENCE, FORGOTTEN_AFTER, SETTLED_AFTER
from tests.support.builders import NOW, make_dataset, make_job
from tests.support.memory import MemoryQueue
from tests.support.world import World

SETTLED = NOW + SETTLED_AFTER


def lost(settled: World, key: str, *, came: datetime = NOW) -> DatasetVersion:
    """A dataset whose event was lost."""
    settled.datasets.came[key] = came
    return settled.drop(key, images=len(settled.datasets.objects) + 10)


def swept(settled: World) -> list[str]:
    """The keys that a round announces."""
    settled.queue.datasets.clear()
    found = settled.reconciler.reconcile().swept.datasets
    assert found == len(settled.queue.datasets)
    return [dataset.key for dataset in settled.queue.datasets]


A_SECOND = timedelta(seconds=1)


@pytest.fixture
def settled(world: World) -> World:
    """A world in which an event may have been lost for as long as it takes."""
    world.clock.now = SETTLED
    return world


@pytest.mark.promise(
    "never get stuck", "A dataset whose S3 event was lost is found in the bucket and taken in."
)
@pytest.mark.promise("never get stuck")
def test_lost_event_is_made_up_for(settled: World) -> None:
    """A dataset whose event was lost is announced and trained."""
    dataset = lost(settled, "portrait/ada.zip")
    assert swept(settled) == ["portrait/ada.zip"]
    settled.work()
    [job] = settled.jobs.rows.values()
    assert (job.status, job.dataset) == (Status.SUBMITTED, dataset)
    assert swept(settled) == []


@pytest.mark.promise("never pay twice")
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
def test_event_gets_its_time(settled: World, age: timedelta, found: list[str]) -> None:
    """An event gets its time, and an old bucket is not paid for at once."""
    lost(settled, "a.zip")
    settled.clock.now = NOW + age
    assert swept(settled) == found


@pytest.mark.promise("never get stuck")
def test_burst_is_not_announced_twice(settled: World) -> None:
    """In a burst the sweep leaves young datasets alone, whose events still wait in the inbox; after an hour it announces them."""
    dataset = lost(settled, "a.zip")

    def announced(waiting: int) -> int:
        settled.queue.datasets[:] = [make_dataset("other.zip")] * waiting
        settled.reconciler.reconcile()
        return settled.queue.datasets.count(dataset)

    assert (announced(BACKLOG - 1), announced(BACKLOG)) == (1, 0)
    settled.clock.now = NOW + BACKLOG_PATIENCE - A_SECOND
    assert announced(BACKLOG) == 0
    settled.clock.now = NOW + BACKLOG_PATIENCE
    assert announced(1000) == 1


def test_dataset_with_job_is_left_alone(settled: World) -> None:
    for status in Status:
        dataset = lost(settled, f"{status}.zip")
        job_id = job_id_for(dataset.bucket, dataset.key, dataset.version_id)
        settled.holds(make_job(status, job_id=job_id, dataset=dataset, updated_at=SETTLED))
    assert swept(settled) == []


def test_newest_version_alone_is_swept(settled: World) -> None:
    """Only the newest version is looked for, and none of a dataset that was deleted."""
    lost(settled, "a.zip")
    newest = lost(settled, "a.zip")
    lost(settled, "b.zip")
    settled.datasets.put("b.zip", None)
    assert swept(settled) == ["a.zip"]
    assert settled.queue.datasets == [newest]


@pytest.mark.parametrize(
    ("size", "rounds"),
    [(8, ["012", "345", "67", "012"]), (1, ["0", "0", "0"])],
    ids=["large", "small"],
)
def test_large_bucket_is_swept_by_pages(settled: World, size: int, rounds: list[str]) -> None:
    """A large bucket is read page by page and then again, a small one in every round."""
    settled.datasets.page = 3
    for number in range(size):
        lost(settled, f"{number}.zip")
    assert [swept(settled) for _ in rounds] == [[f"{n}.zip" for n in each] for each in rounds]


@pytest.mark.parametrize(("seconds", "ended"), [(0, 0), (1, 1)])
def test_abandoned_upload_ends_after_hour(settled: World, seconds: int, ended: int) -> None:
    settled.results.begin("x", Label("lora", "u"))
    settled.clock.now = NOW + ABANDONED_AFTER + timedelta(seconds=seconds)
    assert settled.reconciler.reconcile().swept.uploads == ended
    assert len(settled.results.uploads) == 1 - ended


@pytest.mark.promise("never lose a result")
def test_open_jobs_upload_is_kept(settled: World) -> None:
    """An upload of a job that is open is kept, however old."""
    ids = {
        name: settled.results.begin(name, Label("lora", name)) for name in ("open", "ended", "no")
    }
    for name, status in (("open", Status.STORING), ("ended", Status.FAILED)):
        upload = Upload(name=name, upload_id=ids[name], identity="e", size=9)
        settled.holds(make_job(status, job_id=name, uploads=(upload,)))
    settled.clock.now = NOW + timedelta(days=3)
    assert settled.reconciler.reconcile().swept.uploads == 2
    assert list(settled.results.uploads) == [ids["open"]]


@pytest.mark.promise("it can be operated")
def test_oldest_open_job_is_measured(world: World) -> None:
    """The oldest job that goes on by itself is measured."""
    world.holds(make_job(Status.HELD, job_id="held", created_at=NOW - timedelta(days=9)))
    world.holds(make_job(Status.FAILED, job_id="failed", created_at=NOW - timedelta(days=8)))
    world.holds(make_job(Status.TRAINING, job_id="trains", created_at=NOW - timedelta(hours=2)))
    world.holds(make_job(Status.READY, job_id="waits", created_at=NOW - timedelta(hours=1)))
    assert world.reconciler.reconcile().oldest_seconds == 7200


@pytest.mark.parametrize(
    ("budget", "percent"), [(100.0, 3.6), (3.6, 100.0), (0.0, 0.0), (None, 0.0)]
)
def test_budget_share_is_measured(world: World, budget: float | None, percent: float) -> None:
    world.limits = Limits(2, monthly_usd=budget, job_usd=25.0)
    charge = Charge.reserve(3.6, now=world.clock())
    world.holds(make_job(Status.TRAINING, charge=charge))
    assert world.reconciler.reconcile().budget_percent == percent


def test_jobs_at_fal_are_counted(world: World) -> None:
    for number, status in enumerate(Status):
        world.holds(make_job(status, job_id=f"job-{number}"))
    tally = world.reconciler.reconcile()
    assert (tally.at_fal, tally.waiting, tally.ended) == (4, 2, {})


@pytest.mark.parametrize("status", [status for status in Status if status.terminal])
def test_end_is_counted_once(world: World, status: Status) -> None:
    job = make_job(status)
    world.holds(job)
    world.jobs.untold.add(job.job_id)
    counts = []
    for _ in range(6):
        counts.append(world.reconciler.reconcile().ended)
        world.clock.now += timedelta(minutes=5)
    assert [each for each in counts if each] == [{status: 1}]


def test_dead_sweep_repeats_its_page(settled: World) -> None:
    class Dying(MemoryQueue):
        def announce(self, dataset: DatasetVersion) -> None:
            if dataset.key == "1.zip":
                raise OSError(dataset.key)
            super().announce(dataset)

    settled.datasets.page = 3
    for number in range(5):
        lost(settled, f"{number}.zip")
    settled.queue = Dying()
    with pytest.raises(ExceptionGroup):
        settled.reconciler.reconcile()
    settled.queue = MemoryQueue()

    assert swept(settled) == ["0.zip", "1.zip", "2.zip"]
