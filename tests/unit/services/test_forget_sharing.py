"""A job that others share with, or that somebody is about to share with, is not forgotten alone."""

from datetime import timedelta
from typing import Any

import pytest

from lora_drop.fal.status import Failed
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.erasures import Erasure
from lora_drop.jobs.errors import ActionNotAllowedError, ConflictError, SharedJobError
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.ports import Submission
from tests.support.builders import NOW, make_dataset, make_job
from tests.support.forgetting import forget, kept, left_of, trained
from tests.support.world import World

OTHERS: dict[str, dict[str, Any]] = {
    "a retry of it": {"retry_of": "ada-1"},
    "one that went on from its LoRA": {"resume_from": "ada-1"},
    "a duplicate with its files": {"duplicate_of": "ada-1"},
    "one that stands in for it": {"supersedes": "ada-1"},
    "one with the same content": {"content_digest": "c" * 64},
    "another version of its dataset": {"dataset": make_dataset("ada-1.zip", version_id="v2")},
    "one that lies in its folder": {"dataset": make_dataset("ada-1/ada-1/x.zip")},
}


@pytest.mark.parametrize("how", OTHERS)
def test_a_job_that_others_share_with_is_not_forgotten_alone(world: World, how: str) -> None:
    job = kept(world, "ada-1", content_digest="c" * 64)
    other = kept(world, "bob-2", **OTHERS[how])

    with pytest.raises(SharedJobError, match="bob-2") as shared:
        world.forget_service.forget(job.job_id)

    assert shared.value.jobs == ("bob-2",)
    assert set(world.jobs.rows) == {"ada-1", "bob-2"}
    assert world.jobs.erasures == {}
    assert len(forget(world, job, family=True)) == 2
    assert left_of(world, "ada") == []
    assert left_of(world, other.job_id) == []


STRANGERS: dict[str, dict[str, Any]] = {
    "nothing in common": {},
    "no content either": {"content_digest": None},
    "another object with the same beginning": {"dataset": make_dataset("ada-1.zip.zip")},
    "what the other shares with others": {"retry_of": "eve-3"},
}


@pytest.mark.parametrize("how", STRANGERS)
def test_a_stranger_stays(world: World, how: str) -> None:
    job, other = kept(world, "ada-1"), kept(world, "bob-2", **STRANGERS[how])

    [proof] = forget(world, job)

    assert proof.done_at
    assert world.job("bob-2") == other


@pytest.mark.parametrize("asked", [0, 1], ids=["the first", "its retry"])
def test_of_a_training_and_its_retry_nothing_is_left_whichever_is_named(
    world: World, asked: int
) -> None:
    first = world.submit(world.drop("portrait/ada.zip"))
    failed = Failed(first.request_id or "", Problem(code="x", message="y"), billed=True)
    world.fal_updates.receive(first.job_id, failed, asked=True)
    world.clock.now += timedelta(minutes=1)
    world.answer(lambda: Submission("another-request"))
    retry = world.retry_service.retry(first.job_id, resume=False, by="me")
    world.work()
    done = world.train(world.job(retry.job_id))
    world.queue.handed.clear()
    world.clock.now += timedelta(hours=1)
    assert done.status is Status.SUCCEEDED

    forget(world, (world.job(first.job_id), done)[asked], family=True)

    assert left_of(world, "ada") == []


def test_whoever_shares_with_whom_shares_goes_as_well(world: World) -> None:
    job = kept(world, "ada-1")
    kept(world, "ada-2", retry_of="ada-1", created_at=NOW + timedelta(hours=1))
    kept(world, "bob-3", duplicate_of="ada-2", created_at=NOW + timedelta(hours=2))

    with pytest.raises(SharedJobError) as shared:
        world.forget_service.forget(job.job_id)

    assert shared.value.jobs == ("ada-2", "bob-3")


def test_a_duplicate_is_forgotten_without_its_original(world: World) -> None:
    world.clock.now = NOW
    original = trained(world)
    twin = world.submit(world.drop("portrait/bob.zip"))
    assert twin.duplicate_of == original.job_id

    with pytest.raises(SharedJobError):
        world.forget_service.forget(twin.job_id)  # the same photos
    forget(world, twin, family=True)

    assert world.payloads.asked == [original.request_id], "fal has the original's request alone"
    assert left_of(world, "ada") == left_of(world, "bob") == []


def test_one_of_the_family_that_has_not_ended_keeps_all_of_it(world: World) -> None:
    job = kept(world, "ada-1")
    kept(world, "bob-2", retry_of="ada-1").model_copy(update={"status": Status.TRAINING})
    world.holds(make_job(Status.TRAINING, job_id="eve-3", retry_of="ada-1"))

    with pytest.raises(ActionNotAllowedError, match="eve-3 is TRAINING"):
        world.forget_service.forget(job.job_id, family=True)

    assert world.jobs.erasures == {}


def test_a_list_that_is_a_moment_old_hides_nobody(world: World) -> None:
    job = kept(world, "ada-1")
    twin = kept(world, "bob-2", duplicate_of="ada-1")
    world.jobs.untold.add(twin.job_id)  # it has just ended
    world.jobs.page = lambda **_: type("Page", (), {"jobs": (), "cursor": None})()  # type: ignore[method-assign]  # the index lags

    with pytest.raises(SharedJobError, match="bob-2"):
        world.forget_service.forget(job.job_id)


def test_a_twin_that_takes_its_files_at_the_same_moment_does_not_lose_them(world: World) -> None:
    original = trained(world)
    stands = world.results.has

    def forgotten_meanwhile(stored: StoredFile) -> bool:
        world.results.has = stands  # type: ignore[method-assign]
        there = stands(stored)
        world.jobs.begin(original, Erasure.of(original, now=NOW, dropped_by=NOW))
        return there

    world.results.has = forgotten_meanwhile  # type: ignore[method-assign]
    dataset = world.drop("portrait/bob.zip")

    with pytest.raises(ConflictError):
        world.submit(dataset)
    twin = world.submit(dataset)

    assert (twin.status, twin.duplicate_of) == (Status.SUBMITTED, None)


def test_a_retry_at_the_same_moment_is_none(world: World) -> None:
    job = world.holds(make_job(Status.FAILED))
    known = world.jobs.get

    def get(job_id: str) -> Job | None:
        found = known(job_id)
        if found is not None and not world.jobs.erasures:
            world.jobs.begin(found, Erasure.of(found, now=NOW, dropped_by=NOW))
        return found

    world.jobs.get = get  # type: ignore[method-assign]
    with pytest.raises(ConflictError):
        world.retry_service.retry(job.job_id, resume=False, by="me")

    assert world.jobs.rows == {}
