"""Two who copy one job's files: the clock says who may begin, the row says whose writes count."""

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


def test_a_lease_is_taken_with_one_write_before_anything_is_fetched(world: World) -> None:
    job = storing(world)

    held(world, job, owner="a")

    assert lease(world, job) == Lease(owner="a", fence=1, until=NOW + LENGTH)
    assert world.job(job.job_id).version == job.version + 1
    assert world.results.files == {}


def test_a_job_that_somebody_else_copies_is_left_to_them(world: World) -> None:
    job = storing(world)
    held(world, job)
    before = world.job(job.job_id)

    assert world.result_storer.store_result(job.job_id) == before
    assert world.job(job.job_id) == before
    assert world.source.opened == []


def test_a_lease_that_is_over_is_taken_with_a_greater_fence(world: World) -> None:
    job = storing(world)
    held(world, job, owner="a")
    world.clock.now += LENGTH

    held(world, job, owner="b")

    assert (lease(world, job).owner, lease(world, job).fence) == ("b", 2)


def test_a_second_before_its_end_a_lease_still_holds(world: World) -> None:
    job = storing(world)
    held(world, job)
    world.clock.now += LENGTH - timedelta(seconds=1)

    assert JobLease.take(world.record, world.job(job.job_id), owner="b", length=LENGTH) is None


def test_two_who_take_it_at_one_moment_are_told_apart_by_the_row(world: World) -> None:
    job = storing(world)
    held(world, job, owner="a")

    with pytest.raises(ConflictError):
        JobLease.take(world.record, job, owner="b", length=LENGTH)

    assert lease(world, job).owner == "a"


def test_whoever_was_overtaken_can_write_nothing_any_more(world: World) -> None:
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


def test_a_lease_that_is_given_back_can_be_taken_at_once_and_its_fence_grows(world: World) -> None:
    job = storing(world)
    held(world, job, owner="a").give_back()

    held(world, job, owner="b")

    assert lease(world, job) == Lease(owner="b", fence=2, until=NOW + LENGTH)


@pytest.mark.parametrize(
    "trouble",
    [
        DownloadInterruptedError("cut"),
        HostNotAllowedError("x"),
        FalUnavailableError("503"),
        OSError("S3 is down"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_after_any_trouble_the_next_delivery_can_start_at_once(
    world: World, trouble: Exception
) -> None:
    job = storing(world)
    world.source.failing = {"config.json": trouble}
    with pytest.raises(type(trouble)):
        world.result_storer.store_result(job.job_id)
    world.source.failing = {}

    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED


def test_the_note_of_a_trouble_gives_the_lease_back_in_the_same_write(world: World) -> None:
    job = storing(world)
    world.source.cut = {"config.json"}
    taken = job.version + 1

    with pytest.raises(DownloadInterruptedError):
        world.result_storer.store_result(job.job_id)

    assert world.job(job.job_id).version == taken + 1
    assert lease(world, job).until == world.clock.now


def test_what_is_stored_by_then_is_kept_with_it_and_not_fetched_again(world: World) -> None:
    job = storing(world)
    world.source.cut = {"config.json"}
    with pytest.raises(DownloadInterruptedError):
        world.result_storer.store_result(job.job_id)
    world.source.cut, world.source.opened = set(), []
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


def test_a_stored_file_that_somebody_took_away_is_fetched_again(world: World) -> None:
    job = storing(world)
    world.source.cut = {"config.json"}
    with pytest.raises(DownloadInterruptedError):
        world.result_storer.store_result(job.job_id)
    world.source.cut = set()
    world.results.remove(job.prefix + "lora.safetensors")

    stored = world.result_storer.store_result(job.job_id)

    assert stored.status is Status.SUCCEEDED
    assert all(world.results.has(file) for file in stored.files)


def test_trouble_with_giving_back_does_not_hide_what_went_wrong(world: World) -> None:
    job = storing(world)

    class Overtaken(MemoryResults):
        def find(self, key: str) -> None:
            now = world.job(job.job_id)
            world.holds(now.model_copy(update={"version": now.version + 1}))
            raise OSError(f"S3 is down: {key}")

    with pytest.raises(OSError, match="S3 is down"):
        replace(world.result_storer, results=Overtaken()).store_result(job.job_id)


def test_an_ended_job_has_no_lease_and_no_upload_left(world: World) -> None:
    job = storing(world)

    stored = world.result_storer.store_result(job.job_id)

    assert (stored.lease, stored.uploads) == (None, ())
    assert world.job(job.job_id) == stored


def test_every_call_is_an_owner_of_its_own(world: World) -> None:
    owners = {world.result_storer.owner() for _ in range(10)}

    assert len(owners) == 10


def test_a_lease_is_longer_than_the_function_lives_and_patience_shorter(world: World) -> None:
    result_storer = world.result_storer

    assert result_storer.patience < timedelta(seconds=180) < result_storer.lease


class Slow(MemoryResults):
    """A bucket that somebody else uses while one call of it lasts."""

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


def test_a_lease_that_runs_out_in_the_middle_lets_another_finish_the_job_and_harms_nothing(
    world: World,
) -> None:
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


def test_a_clock_that_is_ahead_lets_two_copy_and_still_only_one_ends_the_job(world: World) -> None:
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
