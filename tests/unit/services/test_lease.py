"""Two workers copy one job's files: the clock says which may begin, the row says whose writes count."""

from dataclasses import replace
from datetime import timedelta

import pytest

from lora_drop.fal.status import Finished
from lora_drop.jobs import errors
from lora_drop.jobs.artifacts import Upload
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


@pytest.mark.parametrize("returned", [False, True], ids=["expired", "returned"])
def test_free_lease_gets_greater_fence(world: World, *, returned: bool) -> None:
    """A lease holds to its last second, or until it is given back; the next has a greater fence."""
    job = storing(world)
    first = held(world, job, owner="a")
    with pytest.raises(errors.ConflictError):
        JobLease.take(world.record, job, owner="b", length=LENGTH)  # at the same moment
    world.clock.now += LENGTH - timedelta(seconds=1)
    assert JobLease.take(world.record, world.job(job.job_id), owner="b", length=LENGTH) is None
    if returned:
        first.give_back()
    world.clock.now += timedelta(seconds=not returned)
    held(world, job, owner="b")
    assert lease(world, job) == Lease(owner="b", fence=2, until=world.clock.now + LENGTH)


@pytest.mark.promise("never lose a result")
def test_overtaken_worker_writes_no_more(world: World) -> None:
    """A worker that was overtaken can write nothing any more."""
    job = storing(world)
    first = held(world, job, owner="a")
    world.clock.now += LENGTH
    held(world, job, owner="b")
    now = world.job(job.job_id)
    upload = Upload(name="x", upload_id="u", identity="", size=0)
    for write in (first.give_back, lambda: first.add(upload), lambda: first.end(Status.SUCCEEDED)):
        with pytest.raises(errors.ConflictError):
            write()
    assert world.job(job.job_id) == now


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(
    "trouble",
    [errors.DownloadInterruptedError("cut"), OSError("S3 is down")],
    ids=["noted", "unknown"],
)
def test_trouble_frees_the_lease(world: World, trouble: Exception) -> None:
    """After any trouble the next delivery can start at once."""
    job = storing(world)
    world.source.failing = {"config.json": trouble}
    with pytest.raises(type(trouble)):
        world.result_storer.store_result(job.job_id)
    # The note of a trouble gives the lease back in the same write.
    assert world.job(job.job_id).version == job.version + 2
    assert lease(world, job).until == world.clock.now
    world.source.failing = {}
    stored = world.result_storer.store_result(job.job_id)
    assert stored == world.job(job.job_id)
    assert (stored.status, stored.lease, stored.uploads) == (Status.SUCCEEDED, None, ())


@pytest.mark.promise("never lose a result", "A stored file that a person removed is fetched again.")
@pytest.mark.parametrize("removed", [False, True])
def test_stored_files_are_not_fetched_again(world: World, *, removed: bool) -> None:
    """What is stored before a trouble is kept with the job and not fetched again."""
    job = storing(world)
    world.source.cut = {"config.json"}
    with pytest.raises(errors.DownloadInterruptedError):
        world.result_storer.store_result(job.job_id)
    world.source.cut, world.source.opened = set(), []
    if removed:
        world.results.remove(job.prefix + "lora.safetensors")
    looked_for: list[str] = []

    class Noting(MemoryResults):
        def find(self, key: str) -> ExistingFile | None:
            looked_for.append(key.rsplit("/", 1)[-1])
            return super().find(key)

    noting = Noting(world.results.files, world.results.sources)
    stored = replace(world.result_storer, results=noting).store_result(job.job_id)
    missing = ["lora.safetensors"] * removed + ["config.json"]
    assert world.source.opened == looked_for == missing  # the other is known, and not read back
    assert [file.name for file in stored.files] == ["lora.safetensors", "config.json"]
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


def test_lease_outlasts_the_function(world: World) -> None:
    """Every call is its own owner; a lease outlasts a run by ranges, patience ends before the function does."""
    storer = world.result_storer
    assert len({storer.owner() for _ in range(10)}) == 10
    assert storer.patience < storer.lease
    assert storer.patience_whole < timedelta(seconds=900)


def test_lease_is_renewed_while_a_copy_gets_on(world: World) -> None:
    """A lease is kept longer once half of it is over, by its holder alone."""
    job = storing(world)
    mine, began = held(world, job), world.clock.now
    for seconds, left in ((60, 180), (121, 240)):
        world.clock.now = began + timedelta(seconds=seconds)
        mine.renew()
        kept = world.job(job.job_id).lease
        assert kept is not None
        assert kept.until - world.clock.now == timedelta(seconds=left)
    world.clock.now += LENGTH
    held(world, job, "b")
    world.clock.now += LENGTH
    with pytest.raises(errors.ConflictError):
        mine.renew()


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
    with pytest.raises(errors.ConflictError):
        replace(world.result_storer, results=results).store_result(job.job_id)
    [other] = results.meanwhile
    assert other.status is Status.SUCCEEDED
    assert world.job(job.job_id) == other
    assert {key.rsplit("/", 1)[-1] for key in world.results.files} == {
        *("lora.safetensors", "config.json"),
        *("job.json", "status.json", "report.html"),
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

    with pytest.raises(errors.ConflictError):
        replace(world.result_storer, fal=Ahead()).store_result(job.job_id)  # type: ignore[arg-type]

    assert asked[0].status is Status.SUCCEEDED
    assert world.job(job.job_id) == asked[0]
