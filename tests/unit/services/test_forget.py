"""What is forgotten here and at fal, what may not be, and that nothing brings it back."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from lora_drop.fal.status import Finished
from lora_drop.jobs.delivery import DatasetDelivery, DeliveryMethod
from lora_drop.jobs.erasures import FAL_KEEPS, UNANSWERED, Erasure, Found, public
from lora_drop.jobs.errors import (
    ActionNotAllowedError,
    FalUnavailableError,
    JobForgottenError,
    JobNotFoundError,
    NotErasableError,
)
from lora_drop.jobs.job import Job, Status
from lora_drop.ports import Erasable, PayloadsErased
from tests.support.builders import ARTIFACTS, NOW, REQUEST_ID, make_job
from tests.support.forgetting import DONE, forget, kept, left_of, trained
from tests.support.world import World


@pytest.mark.promise("nothing leaks")
def test_forgotten_job_leaves_only_proof(world: World) -> None:
    """Nothing is left of a forgotten job but a proof."""
    job = trained(world)
    results = len(world.results.files)
    [proof] = forget(world, job)

    assert left_of(world, "ada") == []
    assert world.payloads.stored == set()
    assert proof.done_at == world.clock.now
    assert proof.found == Found(dataset_versions=1, result_versions=results)
    assert (proof.fal_requests, proof.fal_files, proof.left) == (1, 2, ())
    assert world.forget_service.forget(job.job_id) == (proof,), "asked again, it is shown"


@pytest.mark.promise("nothing leaks")
def test_late_writes_are_erased(world: World) -> None:
    """A job is not done before each worker that may write of it has ended."""
    job = trained(world)
    [erasure] = world.forget_service.forget(job.job_id)
    assert (erasure.erased_at, erasure.done_at) == (NOW, None)
    # Somebody had read it before, and writes only now.
    world.results.write(job.prefix + "status.json", "late", "application/json")
    world.clock.now += DONE
    [proof] = world.forget_service.go_on()

    assert proof.done_at == world.clock.now
    assert left_of(world, "ada") == []


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(
    ("status", "way"),
    [
        (Status.RECEIVED, "lora-drop cancel"),
        (Status.READY, "lora-drop cancel"),
        (Status.HELD, "lora-drop cancel"),
        (Status.SUBMITTING, "a minute"),
        (Status.SUBMIT_UNKNOWN, "lora-drop resolve"),
        (Status.SUBMITTED, "lora-drop cancel"),
        (Status.TRAINING, "lora-drop cancel"),
        (Status.STORING, "wait for its end"),
    ],
)
def test_open_job_is_not_forgotten(world: World, status: Status, way: str) -> None:
    """A job that has not ended is not forgotten."""
    job = world.holds(make_job(status))
    with pytest.raises(ActionNotAllowedError, match=way):
        world.forget_service.forget(job.job_id)

    assert world.job(job.job_id) == job


@pytest.mark.parametrize(
    "status", [Status.REJECTED, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.EXPIRED]
)
def test_ended_job_is_forgotten(world: World, status: Status) -> None:
    """A job is forgotten however it ended."""
    [proof] = forget(world, world.holds(make_job(status)))

    assert proof.done_at


def test_unknown_job_cannot_be_forgotten(world: World) -> None:
    """What was never there cannot be forgotten."""
    with pytest.raises(JobNotFoundError):
        world.forget_service.forget("ada-0123456789")


def forgotten(world: World) -> Job:
    job = trained(world)
    forget(world, job)
    return job


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("done", [False, True])
def test_forgotten_job_never_returns(world: World, *, done: bool) -> None:
    """Nothing brings a forgotten job back."""
    job = world.holds(
        make_job(Status.CANCELLED, request_id=REQUEST_ID, intents=1, dataset=world.drop())
    )
    world.forget_service.forget(job.job_id)
    if done:
        world.clock.now += DONE
        world.forget_service.go_on()
    attempts: dict[str, Callable[[], object]] = {
        "its result": lambda: world.fal_updates.receive(
            job.job_id, Finished(REQUEST_ID, ARTIFACTS)
        ),
        "a replay": lambda: world.retry_service.replay(job.job_id),
        "a retry": lambda: world.retry_service.retry(job.job_id, resume=False, by="me"),
        "a copy": lambda: world.result_storer.store_result(job.job_id),
        "an approval": lambda: world.manual_actions.approve(job.job_id, by="me"),
        "its event": lambda: world.submit(job.dataset),
    }

    for attempt in attempts.values():
        with pytest.raises(JobForgottenError):
            attempt()
    world.clock.now += timedelta(minutes=30)
    world.reconciler.reconcile()
    world.work()

    assert world.jobs.rows == {}
    assert world.paid == []
    assert world.queue.handed == []
    assert not world.results.files


def test_sweep_ignores_an_erased_dataset(world: World) -> None:
    """A sweep does not announce a dataset that is being erased."""
    job = world.holds(make_job(Status.CANCELLED, dataset=world.drop()))
    world.jobs.begin(job, Erasure.of(job, now=NOW, dropped_by=NOW))
    world.clock.now += timedelta(minutes=30)

    assert world.sweep.datasets(world.clock()).datasets == 0
    assert world.queue.datasets == []


def test_same_photos_are_trained_again(world: World) -> None:
    """The same photos dropped again are trained again."""
    forgotten(world)
    again = world.submit(world.drop("portrait/ada.zip"))

    assert (again.status, len(world.paid)) == (Status.SUBMITTED, 2)


@pytest.mark.promise("never get stuck")
def test_slow_erasure_goes_on_later(world: World) -> None:
    """A call that runs out of time says so, and the next goes on."""
    job = trained(world)
    seconds = iter(range(0, 1000, 10))
    forget_service = world.forget_service
    slow = type(forget_service)(
        jobs=world.jobs,
        erasures=world.jobs,
        datasets=world.datasets,
        results=world.results,
        payloads=world.payloads,
        clock=world.clock,
        patience=5,
        tick=lambda: next(seconds),
    )
    calls = 0
    world.clock.now += DONE
    while not (erasures := slow.forget(job.job_id))[0].done_at:
        calls += 1
        world.clock.now += DONE
        assert calls < 20

    assert calls > 2
    assert left_of(world, "ada") == []
    assert erasures[0].fal_files == 2


def test_held_version_stops_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the store does not let go stops no one else."""
    one, two = kept(world, "ada-1"), kept(world, "bob-2")
    world.datasets.put(one.dataset.key, b"held")
    erase = world.datasets.erase

    def held(versions: list[Erasable]) -> None:
        if "ada" in versions[0].key:
            raise NotErasableError("a hold")
        erase(versions)

    monkeypatch.setattr(world.datasets, "erase", held)
    with pytest.raises(NotErasableError):
        world.forget_service.forget(one.job_id)
    world.forget_service.forget(two.job_id)
    world.clock.now += DONE
    with pytest.raises(NotErasableError):
        world.forget_service.go_on()

    assert [each.digest for each in world.jobs.erasing()] == ["1"]
    monkeypatch.undo()
    [proof] = world.forget_service.go_on()
    assert proof.done_at


def test_overtaken_call_changes_nothing(world: World) -> None:
    """Who is overtaken leaves it to the other."""
    job = trained(world)
    world.forget_service.forget(job.job_id)
    world.clock.now += DONE
    keep = world.jobs.keep

    def overtaken(before: Erasure, after: Erasure) -> None:
        world.jobs.keep = keep  # type: ignore[method-assign]
        keep(before, before.model_copy(update={"version": before.version + 1}))
        keep(before, after)

    world.jobs.keep = overtaken  # type: ignore[method-assign]

    assert world.forget_service.go_on() == []
    [proof] = world.forget_service.go_on()
    assert proof.done_at


@pytest.mark.promise("nothing leaks")
def test_every_request_is_deleted(world: World) -> None:
    """Every request of the job is deleted at fal."""
    job = world.holds(
        make_job(Status.FAILED, request_id="r-3", earlier_requests=("r-1", "r-2"), own_requests=())
    )
    [proof] = forget(world, job)

    assert world.payloads.asked == ["r-1", "r-2", "r-3"]
    assert proof.fal_requests == 3


def test_fals_refusal_is_reported_once(world: World) -> None:
    job = world.holds(make_job(Status.FAILED, request_id="r-2", earlier_requests=("r-1",)))
    for request_id in ("r-1", "r-2"):
        world.payloads.says[request_id] = PayloadsErased(left=("fal keeps it",))
    [proof] = forget(world, job)

    assert (proof.left, proof.fal_files) == (("fal keeps it",), 0)
    assert public(proof)["left"] == ["fal keeps it"]


@pytest.mark.promise("nothing leaks")
def test_silent_fal_is_asked_again(world: World) -> None:
    """While fal does not answer, our copies go, and it is asked again."""
    job = trained(world)
    world.payloads.says[job.request_id or ""] = FalUnavailableError("503")
    for _ in range(3):
        with pytest.raises(FalUnavailableError):
            world.forget_service.go_on() if world.jobs.erasures else world.forget_service.forget(
                job.job_id
            )
    assert not world.results.files
    world.payloads.says.clear()
    [proof] = forget(world, job)

    assert (proof.done_at, proof.fal_files) == (world.clock.now, 2)


def test_silent_fal_blocks_no_proof(world: World) -> None:
    """A fal that never answers does not make us keep a name for ever."""
    job = trained(world)
    world.payloads.says[job.request_id or ""] = FalUnavailableError("503")
    with pytest.raises(FalUnavailableError):
        world.forget_service.forget(job.job_id)
    world.clock.now += FAL_KEEPS
    [proof] = world.forget_service.go_on()

    assert (proof.done_at, proof.left) == (world.clock.now, (UNANSWERED,))
    assert left_of(world, "ada") == []


@pytest.mark.parametrize(
    ("way", "hours", "said"),
    [
        (DeliveryMethod.FAL, 2, 1),
        (DeliveryMethod.FAL, -1, 0),
        (DeliveryMethod.PRESIGNED, 2, 0),
        (DeliveryMethod.DATA, None, 0),
    ],
)
def test_storage_end_is_named(
    world: World, way: DeliveryMethod, hours: int | None, said: int
) -> None:
    """A dataset in fal's storage is said to be there while it is."""
    until = None if hours is None else NOW + timedelta(hours=hours)
    delivery = DatasetDelivery(
        way=way, sha256="0", expires_at=until, url="https://v3.fal.media/ada.zip"
    )
    [proof] = forget(world, world.holds(make_job(Status.FAILED, delivery=delivery)))

    assert len(proof.left) == said
    assert all("2026-11-24 14:00" in each for each in proof.left)
    assert "ada" not in proof.model_dump_json()
