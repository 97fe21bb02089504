"""Workers that copy one job's files overtake each other, or die at any of their effects."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone
from lora_drop.jobs import errors
from lora_drop.jobs.artifacts import Artifact, Upload
from lora_drop.jobs.errors import LoraDropError
from lora_drop.jobs.job import Job, Lease
from lora_drop.jobs.lineage import LatestLora, latest_key
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.jobs.time_limits import STORE
from lora_drop.results.copies import ExistingFile
from lora_drop.services import copy
from lora_drop.services.lease import JobLease
from tests.support.builders import NOW, REQUEST_ID, make_job, make_weights
from tests.support.inline import Inline
from tests.support.memory_files import MemoryResults
from tests.support.outcome import FailingWorld, Killed, Outcome, ThrottledError
from tests.support.world import World

LENGTH = timedelta(seconds=240)
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let effects have one order, for they are counted; parts are stored at once otherwise."""
    monkeypatch.setattr(copy, "ThreadPoolExecutor", Inline)


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
    held(world, job := storing(world), owner="a")
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


def test_lease_outlasts_a_run(world: World) -> None:
    """Every call is its own owner; a lease outlasts a run by ranges, and a whole file ends before the function."""
    storer = world.result_storer
    assert len({storer.owner() for _ in range(10)}) == 10
    assert storer.patience < storer.lease < storer.patience_whole < STORE


PART = 200
LORA = make_weights(4 * PART)
CONFIG = b'{"rank": 16}'
EXTRA = b"s" * (2 * PART + 1)
FILES = {"lora.safetensors": LORA, "config.json": CONFIG, "samples.bin": EXTRA}
SERVED = tuple(Artifact(name=name, url=f"https://v3.fal.media/{name}") for name in FILES)
FAULTS: list[Callable[[], BaseException]] = [Killed, ThrottledError]


class CopyRun:
    """One job whose result is ready to be copied."""

    def __init__(self, outcome: Outcome) -> None:
        self.world = FailingWorld(outcome=outcome)
        self.world.source.files = dict(FILES)
        self.world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, SERVED)
        self.job = self.world.holds(make_job(Status.STORING, artifacts=SERVED))

    def deliver(self) -> None:
        """The queue's message, once."""
        replace(self.world.result_storer, part=PART).store_result(self.job.job_id)

    def redeliver(self) -> Job:
        """Again and again, as long as it comes back; each time the visibility timeout later."""
        for _ in range(4):
            self.world.clock.now += timedelta(minutes=18)
            with suppress(LoraDropError):
                self.deliver()
        return self.world.job(self.job.job_id)

    def sweep(self) -> None:
        """As the reconciler does it."""
        self.world.results.sweep(
            older_than=self.world.clock.now,
            keep={upload.upload_id for upload in self.world.job(self.job.job_id).uploads},
        )

    def check(self) -> None:
        """The job has ended well, and what lies there is what fal served, and nothing else."""
        job = self.redeliver()
        self.sweep()
        assert job.status is Status.SUCCEEDED
        lying = {
            key.removeprefix(job.prefix): data for key, data in self.world.results.files.items()
        }
        latest = LatestLora.read(lying.pop(latest_key(job.dataset.key)).decode())
        assert latest is not None
        assert (latest.job_id, latest.earlier) == (job.job_id, ())
        assert {name: lying.pop(name) for name in FILES} == FILES
        assert set(lying) == {"job.json", "report.html", "status.json"}
        assert {(file.name, file.size) for file in job.files} == {
            (name, len(data)) for name, data in FILES.items()
        }
        assert self.world.results.uploads == {}
        assert (job.uploads, job.lease) == ((), None)


def effects_of_a_copy() -> list[str]:
    run = CopyRun(Outcome())
    run.deliver()
    return run.world.outcome.effects


EFFECTS = effects_of_a_copy()
ANY_EFFECT = pytest.mark.parametrize("at", range(1, len(EFFECTS) + 1), ids=lambda at: f"{at}")
EITHER_SIDE = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
ANY_FAULT = pytest.mark.parametrize("fault", FAULTS, ids=["killed", "throttled"])


@pytest.mark.promise("never lose a result")
@ANY_EFFECT
@EITHER_SIDE
@ANY_FAULT
def test_no_fault_loses_result(at: int, *, after: bool, fault: Callable[[], BaseException]) -> None:
    """No fault at any effect loses a result or leaves anything behind."""
    assert len(EFFECTS) == 21, "or the rest proves nothing"
    run = CopyRun(Outcome(at=at, after=after, fault=fault))
    with pytest.raises((Killed, ThrottledError)):
        run.deliver()
    run.check()


@ANY_EFFECT
@EITHER_SIDE
def test_two_faults_are_no_worse(at: int, *, after: bool) -> None:
    for second in range(1, len(EFFECTS) + 6):
        run = CopyRun(Outcome(at=at, after=after))
        with pytest.raises(Killed):
            run.deliver()
        run.world.clock.now += timedelta(minutes=18)
        run.world.outcome.at = len(run.world.outcome.effects) + second
        with suppress(Killed):
            run.deliver()
        run.world.outcome.at = 0
        run.check()


@pytest.mark.promise(
    "never lose a result",
    "A copy whose every part is there, or that was complete, needs no source any more.",
)
@pytest.mark.promise("never lose a result")
@ANY_EFFECT
@EITHER_SIDE
def test_whole_result_survives_fals_deletion(at: int, *, after: bool) -> None:
    """A result that has arrived whole survives that fal and its CDN delete it."""
    run = CopyRun(Outcome(at=at, after=after))
    with pytest.raises(Killed):
        run.deliver()
    done = list(run.world.outcome.effects)  # the parts of a file are in any order
    if not after:
        del done[at - 1]
    run.world.source.gone = {artifact.url for artifact in SERVED}
    job = run.redeliver()
    if {f"upload {number} of samples.bin" for number in (1, 2, 3)} <= set(done):
        assert job.status is Status.SUCCEEDED
    else:
        assert job.status is Status.STORING  # fal still names it: a person may help


class MeanwhileError(Exception):
    """Nothing goes wrong, but something happens right before an effect."""


def run_with(at: int, meanwhile: Callable[[CopyRun], None]) -> CopyRun:
    """A run in which this happens right before the effect of this number."""

    def happen() -> BaseException:
        run.world.outcome.at = 0
        meanwhile(run)
        return MeanwhileError()

    run = CopyRun(Outcome(at=at, fault=happen))
    act = run.world.outcome.act

    def going_on[R](name: str, effect: Callable[[], R]) -> R:
        try:
            return act(name, effect)
        except MeanwhileError:
            return effect()

    run.world.outcome.act = going_on  # type: ignore[method-assign]  # this outcome goes on
    return run


@pytest.mark.promise("never get stuck")
@ANY_EFFECT
def test_a_change_by_others_delays_no_result(at: int) -> None:
    """Where fal's answer changes a job while its files are copied, the same delivery ends it, with the new files too."""
    late = Artifact(name="late.bin", url="https://v3.fal.media/late.bin")

    def receive(run: CopyRun) -> None:
        run.world.fal_updates.receive(run.job.job_id, Finished(REQUEST_ID, (*SERVED, late)))

    run = run_with(at, receive)
    run.world.source.files["late.bin"] = b"late"
    run.deliver()
    job = run.world.job(run.job.job_id)
    assert job.status is Status.SUCCEEDED
    ended = at > EFFECTS.index("replace SUCCEEDED") + 1  # before the fact came
    assert {file.name for file in job.files} == {*FILES, *(() if ended else (late.name,))}
    assert all(run.world.results.has(file) for file in job.files)
    assert run.world.results.uploads == {}


@ANY_EFFECT
@EITHER_SIDE
def test_conflict_at_any_effect_loses_nothing(at: int, *, after: bool) -> None:
    """A write that is refused, or that is kept and answered as refused, loses no result either."""
    run = CopyRun(Outcome(at=at, after=after, fault=lambda: errors.ConflictError("ada")))
    with suppress(LoraDropError):
        run.deliver()
    run.check()


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("after", [False, True], ids=["refused", "kept all the same"])
@pytest.mark.parametrize(
    "said",
    [Failed(REQUEST_ID, Problem(code="training_failed", message="it failed")), Gone(REQUEST_ID)],
    ids=["failed", "gone"],
)
def test_first_denial_is_final_for_no_delivery(said: FalStatus, *, after: bool) -> None:
    """fal is asked again after minutes, and not by the delivery that has just been denied the result."""
    run = CopyRun(Outcome())
    run.world.clock.now += timedelta(hours=2)
    run.world.source.gone = {artifact.url for artifact in SERVED}
    run.world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)
    asked = []

    def denied() -> BaseException:
        asked.append(run.world.outcome.effects[-1])
        run.world.fal.facts[REQUEST_ID] = said
        return errors.ConflictError("ada")

    run.world.outcome.at, run.world.outcome.after, run.world.outcome.fault = 2, after, denied
    with suppress(LoraDropError):
        run.deliver()
    assert asked == ["replace STORING"], "the denial was written"
    run.world.source.gone = set()
    run.world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, SERVED)
    run.check()


@ANY_EFFECT
def test_overtaken_copy_does_no_harm(at: int) -> None:
    """A worker that takes over in the middle ends the job; the first does no harm."""
    taken: list[Job] = []

    def overtaken(run: CopyRun) -> None:
        run.world.clock.now += timedelta(minutes=15)
        run.deliver()
        taken.append(run.world.job(run.job.job_id))

    run = run_with(at, overtaken)
    with suppress(LoraDropError):
        run.deliver()

    [ended] = taken
    assert ended.status is Status.SUCCEEDED
    assert run.world.job(run.job.job_id) == ended
    run.check()


def test_lease_is_renewed_while_a_copy_gets_on(world: World) -> None:
    """A lease is kept longer once half of it is over, by its holder alone."""
    job = storing(world)
    mine, began = held(world, job), world.clock.now
    for seconds, left in ((60, 180), (121, 240)):
        world.clock.now = began + timedelta(seconds=seconds)
        mine.renew()
        assert lease(world, job).until - world.clock.now == timedelta(seconds=left)
    world.clock.now += LENGTH
    held(world, job, "b")
    world.clock.now += LENGTH
    with pytest.raises(errors.ConflictError):
        mine.renew()
