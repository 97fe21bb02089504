"""The store worker dies, or a call fails, at every one of its effects; then the queue delivers again."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from lora_drop.fal.status import Finished
from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.errors import LoraDropError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import REQUEST_ID, make_job, make_weights
from tests.support.outcome import FailingWorld, Killed, Outcome, ThrottledError

PART = 200
LORA = make_weights(4 * PART)
CONFIG = b'{"rank": 16}'
EXTRA = b"s" * (2 * PART + 1)
FILES = {"lora.safetensors": LORA, "config.json": CONFIG, "samples.bin": EXTRA}
ARTIFACTS = tuple(Artifact(name=name, url=f"https://v3.fal.media/{name}") for name in FILES)
FAULTS: list[Callable[[], BaseException]] = [Killed, ThrottledError]


class CopyRun:
    """One job whose result is ready to be copied."""

    def __init__(self, outcome: Outcome) -> None:
        self.world = FailingWorld(outcome=outcome)
        self.world.source.files = dict(FILES)
        self.world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
        self.job = self.world.holds(make_job(Status.STORING, artifacts=ARTIFACTS))

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


def test_copy_has_these_effects() -> None:
    """A copy without a fault has these effects, or the rest proves nothing."""
    assert [
        "replace STORING",  # the lease
        "begin lora.safetensors",
        "replace STORING",  # the upload, before its first part
        *(f"upload {number} of lora.safetensors" for number in (1, 2, 3, 4, 5)),
        "complete lora.safetensors",
        "put config.json",
        "begin samples.bin",
        "replace STORING",
        *(f"upload {number} of samples.bin" for number in (1, 2, 3)),
        "complete samples.bin",
        "write job.json",
        "write report.html",
        "replace SUCCEEDED",
        "write status.json",
        "remove",
    ] == EFFECTS


@pytest.mark.promise("never lose a result")
@ANY_EFFECT
@EITHER_SIDE
@ANY_FAULT
def test_no_fault_loses_a_result(
    at: int, *, after: bool, fault: Callable[[], BaseException]
) -> None:
    """No fault at any effect loses a result or leaves anything behind."""
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


@ANY_EFFECT
@EITHER_SIDE
def test_arrived_parts_are_not_fetched_again(at: int, *, after: bool) -> None:
    run = CopyRun(Outcome(at=at, after=after))
    with pytest.raises(Killed):
        run.deliver()
    results = run.world.results
    there = {
        (upload.key.rsplit("/", 1)[-1], (number - 1) * PART)
        for upload_id, upload in results.uploads.items()
        if upload_id in {each.upload_id for each in run.world.job(run.job.job_id).uploads}
        for number in upload.parts
    }
    whole = {key.rsplit("/", 1)[-1] for key in results.files}
    run.world.source.reads.clear()
    run.redeliver()

    fetched = run.world.source.reads
    assert not there & set(fetched)
    assert not whole & {name for name, _ in fetched}
    assert len(fetched) == len(set(fetched))


@pytest.mark.promise("never lose a result")
@ANY_EFFECT
@EITHER_SIDE
def test_whole_result_survives_fals_deletion(at: int, *, after: bool) -> None:
    """A result that has arrived whole survives that fal and its CDN delete it."""
    run = CopyRun(Outcome(at=at, after=after))
    with pytest.raises(Killed):
        run.deliver()
    has_all = EFFECTS.index("upload 3 of samples.bin") + 1
    run.world.source.gone = {artifact.url for artifact in ARTIFACTS}
    job = run.redeliver()
    if at > has_all or (at == has_all and after):
        assert job.status is Status.SUCCEEDED
    else:
        assert job.status is Status.STORING  # fal still names it: a person may help


@ANY_EFFECT
def test_overtaken_copy_does_no_harm(at: int) -> None:
    """A worker that takes over in the middle ends the job; the first does no harm."""
    taken: list[Job] = []

    def overtaken() -> BaseException:
        run.world.outcome.at = 0
        run.world.clock.now += timedelta(minutes=15)
        run.deliver()
        taken.append(run.world.job(run.job.job_id))
        return ContinueError()

    class ContinueError(Exception):  # nothing goes wrong
        pass

    run = CopyRun(Outcome(at=at, fault=overtaken))
    act = run.world.outcome.act

    def going_on[R](name: str, effect: Callable[[], R]) -> R:
        try:
            return act(name, effect)
        except ContinueError:
            return effect()

    run.world.outcome.act = going_on  # type: ignore[method-assign]  # this outcome goes on
    with suppress(LoraDropError):
        run.deliver()

    [ended] = taken
    assert ended.status is Status.SUCCEEDED
    assert run.world.job(run.job.job_id) == ended
    run.check()
