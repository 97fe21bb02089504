"""Two workers copy one job's files: the clock says which may begin, the row says whose writes count."""

from dataclasses import replace
from datetime import timedelta

import pytest

from lora_drop.fal.status import Finished
from lora_drop.jobs.artifacts import Upload
from lora_drop.jobs.errors import (
    ConflictError,
    DownloadInterruptedError,
    FalUnavailableError,
    HostNotAllowedError,
)
from lora_drop.jobs.job import Job, Lease
from lora_drop.jobs.status import Status
from lora_drop.results.copies import ExistingFile
from lora_drop.services.lease import JobLease
from lora_drop.services.store import ResultStorer
from tests.support.builders import ARTIFACTS, NOW, REQUEST_ID, make_job
from tests.support.memory_files import MemoryResults
from tests.support.world import World

LENGTH = timedelta(seconds=240)
MINUTE = timedelta(minutes=1)


def storing(world: World, **changes: object) -> Job:
    return world.holds(make_job(Status.STORING, **changes))


def held(world: World, job: Job, owner: str = "a") -> JobLease:
    job_lease = JobLease.take(world.record, world.job(job.job_id), owner=owner, length=LENGTH)
    assert job_lease
    return job_lease


def lease(world: World, job: Job) -> Lease:
    found = world.job(job.job_id).lease
    assert found
    return found


@pytest.mark.promise("never pay twice")
def test_leased_job_is_left_alone(world: World) -> None:
    """A lease is taken with one write before anything is fetched; others leave the job alone."""
    job = storing(world)
    held(world, job, owner="a")
    before = world.job(job.job_id)
    assert lease(world, job) == Lease(owner="a", fence=1, until=NOW + LENGTH)
    assert before.version == job.version + 1
    assert world.result_storer.store_result(job.job_id) == before == world.job(job.job_id)
    assert (world.source.opened, world.results.files) == ([], {})


def test_expired_lease_gets_greater_fence(world: World) -> None:
    """A lease holds to its last second; then it is taken with a greater fence."""
    job = storing(world)
    held(world, job, owner="a")
    world.clock.now += LENGTH - timedelta(seconds=1)
    assert JobLease.take(world.record, world.job(job.job_id), owner="b", length=LENGTH) is None
    world.clock.now += timedelta(seconds=1)
    held(world, job, owner="b")

    assert (lease(world, job).owner, lease(world, job).fence) == ("b", 2)


def test_row_decides_between_simultaneous_workers(world: World) -> None:
    job = storing(world)
    held(world, job, owner="a")
    with pytest.raises(ConflictError):
        JobLease.take(world.record, job, owner="b", length=LENGTH)
    assert lease(world, job).owner == "a"


@pytest.mark.promise("never lose a result")
def test_overtaken_worker_writes_no_more(world: World) -> None:
    """A worker that was overtaken can write nothing any more."""
    job = storing(world)
    first = held(world, job, owner="a")
    world.clock.now += LENGTH
    held(world, job, owner="b")
    now = world.job(job.job_id)
    with pytest.raises(ConflictError):
        first.add(Upload(name="x", upload_id="u", identity="", size=0))
    with pytest.raises(ConflictError):
        first.give_back()
    with pytest.raises(ConflictError):
        first.end(Status.SUCCEEDED)

    assert world.job(job.job_id) == now


def test_returned_lease_is_free_at_once(world: World) -> None:
    job = storing(world)
    held(world, job, owner="a").give_back()
    held(world, job, owner="b")
    assert lease(world, job) == Lease(owner="b", fence=2, until=NOW + LENGTH)


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(
    "trouble",
    [
        *(DownloadInterruptedError("cut"), HostNotAllowedError("x")),
        *(FalUnavailableError("503"), OSError("S3 is down")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_trouble_frees_the_lease(world: World, trouble: Exception) -> None:
    """After any trouble the next delivery can start at once."""
    job = storing(world)
    world.source.failing = {"config.json": trouble}
    with pytest.raises(type(trouble)):
        world.result_storer.store_result(job.job_id)
    world.source.failing = {}
    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED


def interrupted(world: World) -> Job:
    """A job of whose files the weights are stored, and the configuration was cut."""
    job = storing(world)
    world.source.cut = {"config.json"}
    with pytest.raises(DownloadInterruptedError):
        world.result_storer.store_result(job.job_id)
    world.source.cut, world.source.opened = set(), []
    return job


def test_note_and_lease_are_one_write(world: World) -> None:
    job = interrupted(world)
    assert world.job(job.job_id).version == job.version + 2  # the lease, and the note
    assert lease(world, job).until == world.clock.now


def test_stored_files_are_not_fetched_again(world: World) -> None:
    job = interrupted(world)
    looked_for: list[str] = []

    class Noting(MemoryResults):
        def find(self, key: str) -> ExistingFile | None:
            looked_for.append(key)
            return super().find(key)

    noting = Noting(world.results.files, world.results.sources)
    stored = replace(world.result_storer, results=noting).store_result(job.job_id)

    assert world.source.opened == ["config.json"]
    assert looked_for == [job.prefix + "config.json"]  # the other is known, and not read back
    assert [file.name for file in stored.files] == ["lora.safetensors", "config.json"]


@pytest.mark.promise("never lose a result")
def test_removed_file_is_fetched_again(world: World) -> None:
    """A stored file that a person removed is fetched again."""
    job = interrupted(world)
    world.results.remove(job.prefix + "lora.safetensors")
    stored = world.result_storer.store_result(job.job_id)
    assert stored.status is Status.SUCCEEDED
    assert all(world.results.has(file) for file in stored.files)


def test_trouble_is_not_hidden(world: World) -> None:
    job = storing(world)

    class Overtaken(MemoryResults):
        def find(self, key: str) -> None:
            now = world.job(job.job_id)
            world.holds(now.model_copy(update={"version": now.version + 1}))
            raise OSError(f"S3 is down: {key}")

    with pytest.raises(OSError, match="S3 is down"):
        replace(world.result_storer, results=Overtaken()).store_result(job.job_id)


def test_ended_job_has_no_lease(world: World) -> None:
    job = storing(world)
    stored = world.result_storer.store_result(job.job_id)
    assert (stored.lease, stored.uploads) == (None, ())
    assert world.job(job.job_id) == stored


def test_lease_outlasts_the_function(world: World) -> None:
    """Every call is its own owner; a lease is longer than the function lives, patience shorter."""
    storer = world.result_storer
    assert len({storer.owner() for _ in range(10)}) == 10
    assert storer.patience < timedelta(seconds=180) < storer.lease


class Slow(MemoryResults):
    """A bucket in which another worker stores the job while one call of it lasts."""

    def __init__(self, world: World, job: Job) -> None:
        super().__init__(world.results.files, world.results.sources)
        self.world, self.job = world, job
        self.meanwhile: list[Job] = []

    def put(self, key: str, data: bytes, label: object) -> None:
        if not self.meanwhile:
            self.meanwhile.append(self.job)
            self.world.clock.now += LENGTH
            self.meanwhile[0] = self.world.result_storer.store_result(self.job.job_id)
        super().put(key, data, label)  # type: ignore[arg-type]  # as it came


def test_expired_lease_harms_no_file(world: World) -> None:
    job = storing(world)
    results = Slow(world, job)
    with pytest.raises(ConflictError):
        replace(world.result_storer, results=results).store_result(job.job_id)

    [other] = results.meanwhile
    assert other.status is Status.SUCCEEDED
    assert world.job(job.job_id) == other
    assert {key.rsplit("/", 1)[-1] for key in world.results.files} == {
        *("lora.safetensors", "config.json"),
        *("job.json", "status.json"),
    }


def test_fast_clock_ends_job_once(world: World) -> None:
    job = storing(world, artifacts=())
    asked: list[Job] = []

    class Ahead:
        """fal, asked by the first; meanwhile a second comes whose clock is ahead."""

        def ask(self, application: str, request_id: str) -> Finished:
            assert application
            world.clock.now += timedelta(minutes=15)
            asked.append(other(world).store_result(job.job_id))
            world.clock.now -= timedelta(minutes=15)
            return Finished(request_id, ARTIFACTS)

    def other(world: World) -> ResultStorer:
        world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
        return world.result_storer

    with pytest.raises(ConflictError):
        replace(world.result_storer, fal=Ahead()).store_result(job.job_id)  # type: ignore[arg-type]

    assert asked[0].status is Status.SUCCEEDED
    assert world.job(job.job_id) == asked[0]
