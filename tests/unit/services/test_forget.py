"""What is forgotten, what may not be, and that nothing brings it back."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from lora_drop.fal.status import Finished
from lora_drop.jobs.erasures import Erasure, Found
from lora_drop.jobs.errors import (
    ActionNotAllowedError,
    JobForgottenError,
    JobNotFoundError,
    NotErasableError,
)
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.ports import Erasable
from tests.support.builders import ARTIFACTS, NOW, REQUEST_ID, make_job
from tests.support.forgetting import DONE, forget, kept, left_of, trained
from tests.support.world import World


def test_nothing_is_left_of_a_forgotten_job_but_a_proof(world: World) -> None:
    job = trained(world)
    results = len(world.results.files)

    [proof] = forget(world, job)

    assert left_of(world, "ada") == []
    assert world.payloads.stored == set()
    assert proof.done_at == world.clock.now
    assert proof.found == Found(dataset_versions=1, result_versions=results)
    assert (proof.fal_requests, proof.fal_files, proof.left) == (1, 2, ())
    assert world.forget_service.forget(job.job_id) == (proof,), "asked again, it is shown"


def test_a_job_is_not_done_before_everybody_is_dead_who_may_write_of_it(world: World) -> None:
    job = trained(world)
    [erasure] = world.forget_service.forget(job.job_id)
    assert (erasure.erased_at, erasure.done_at) == (NOW, None)

    # Somebody had read it before, and writes only now.
    world.results.write(job.prefix + "status.json", "late", "application/json")
    world.clock.now += DONE
    [proof] = world.forget_service.go_on()

    assert proof.done_at == world.clock.now
    assert left_of(world, "ada") == []


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
def test_a_job_that_has_not_ended_is_not_forgotten(world: World, status: Status, way: str) -> None:
    job = world.holds(make_job(status))

    with pytest.raises(ActionNotAllowedError, match=way):
        world.forget_service.forget(job.job_id)

    assert world.job(job.job_id) == job


@pytest.mark.parametrize(
    "status",
    [Status.REJECTED, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.EXPIRED],
)
def test_a_job_is_forgotten_however_it_ended(world: World, status: Status) -> None:
    [proof] = forget(world, world.holds(make_job(status)))

    assert proof.done_at


def test_what_was_never_there_cannot_be_forgotten(world: World) -> None:
    with pytest.raises(JobNotFoundError):
        world.forget_service.forget("ada-0123456789")


# ------------------------------------------------------------------------------ what comes late


def forgotten(world: World) -> Job:
    job = trained(world)
    forget(world, job)
    return job


@pytest.mark.parametrize("done", [False, True])
def test_nothing_brings_a_forgotten_job_back(world: World, *, done: bool) -> None:
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


def test_a_sweep_does_not_announce_a_dataset_that_is_being_erased(world: World) -> None:
    job = world.holds(make_job(Status.CANCELLED, dataset=world.drop()))
    world.jobs.begin(job, Erasure.of(job, now=NOW, dropped_by=NOW))
    world.clock.now += timedelta(minutes=30)

    assert world.sweep.datasets(world.clock()).datasets == 0
    assert world.queue.datasets == []


def test_the_same_photos_dropped_again_are_trained_again(world: World) -> None:
    forgotten(world)

    again = world.submit(world.drop("portrait/ada.zip"))

    assert (again.status, len(world.paid)) == (Status.SUBMITTED, 2)


# ------------------------------------------------------------------------------ time and trouble


def test_a_call_that_runs_out_of_time_says_so_and_the_next_goes_on(world: World) -> None:
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


def test_what_the_store_does_not_let_go_stops_nobody_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_who_is_overtaken_leaves_it_to_the_other(world: World) -> None:
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
