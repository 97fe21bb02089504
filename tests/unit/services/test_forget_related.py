"""A job that others share with is not forgotten alone: what goes with it is known before, and whole."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from lora_drop.fal.status import Failed
from lora_drop.jobs import errors
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.erasures import LAST_LOOK_AFTER, Erasure, public
from lora_drop.jobs.errors import ConflictError, SharedJobError
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.ports import Submission
from tests.support.builders import NOW, make_dataset, make_job
from tests.support.forgetting import forget, kept, left_of, trained
from tests.support.outcome import Killed
from tests.support.world import World


def test_look_names_all_and_changes_nothing(world: World) -> None:
    job = trained(world)
    duplicate = world.submit(world.drop("portrait/bob.zip"))
    ports = (world.jobs, world.datasets, world.results, world.queue, world.payloads)
    before = [repr(vars(port)) for port in ports]
    found = world.forget_service.look(job.job_id, family=True)
    assert [*found] == [job, duplicate]
    assert duplicate.status is Status.SUCCEEDED
    assert [repr(vars(port)) for port in ports] == before


DUPLICATE = {"duplicate_of": "ada-1"}
REASONS: dict[str, tuple[dict[str, Any], str]] = {
    "another version": ({"dataset": make_dataset("ada-1.zip", version_id="v2")}, "dataset"),
    "a retry": ({"retry_of": "ada-1"}, "dataset"),
    "a duplicate": (DUPLICATE, "files"),
    "a duplicate with its content": ({**DUPLICATE, "content_digest": "c" * 64}, "files"),
    "one that went on from it": ({"resume_from": "ada-1"}, "files"),
    "one in its folder": ({"dataset": make_dataset("ada-1/ada-1/x.zip")}, "files"),
    "the same content, forced": ({"content_digest": "c" * 64}, "photos"),
    "one that stands in for it": ({"supersedes": "ada-1"}, "photos"),
}
SENTENCES = {
    "dataset": "ada-1 shares its dataset with bob-2, which would be left without it",
    "files": "ada-1 shares its files with bob-2, which would be left without them",
    "photos": "ada-1 has the same photos as bob-2, and duplicates of either are known by them",
}


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("how", REASONS)
def test_shared_job_is_not_forgotten_alone(world: World, how: str) -> None:
    """A job that others share with is not forgotten alone, and it is said what they share."""
    changes, what = REASONS[how]
    job = kept(world, "ada-1", content_digest="c" * 64)
    other = kept(world, "bob-2", **changes)
    with pytest.raises(SharedJobError) as shared:
        world.forget_service.forget(job.job_id)

    assert str(shared.value) == (
        f"{SENTENCES[what]}. Forget all of them: lora-drop forget ada-1 --family"
    )
    assert shared.value.jobs == ("bob-2",)
    assert set(world.jobs.rows) == {"ada-1", "bob-2"}
    assert world.jobs.erasures == {}
    assert len(forget(world, job, family=True)) == 2
    assert left_of(world, "ada") == left_of(world, other.job_id) == []


def test_large_family_is_explained(world: World) -> None:
    """What shares with a job that shares goes too, and of a large family each bond is named."""
    kept(world, "ada-1", content_digest="c" * 64)
    kept(world, "ada-2", retry_of="ada-1", created_at=NOW + timedelta(hours=1))
    kept(world, "ada-3", retry_of="ada-1", created_at=NOW + timedelta(hours=2))
    kept(world, "bob-4", content_digest="c" * 64, created_at=NOW + timedelta(hours=3))
    kept(world, "eve-5", resume_from="ada-3")
    with pytest.raises(SharedJobError) as shared:
        world.forget_service.forget("ada-1")

    assert shared.value.jobs == ("ada-2", "ada-3", "bob-4", "eve-5")
    assert str(shared.value).split(". ")[0].split("; ") == [
        "ada-1 shares its dataset with ada-2, ada-3, which would be left without it",
        "ada-1 has the same photos as bob-4, and duplicates of either are known by them",
        "ada-3 shares its files with eve-5, which would be left without them",
    ]


@pytest.mark.parametrize(
    ("status", "open_id", "family", "words"),
    [
        (Status.TRAINING, "eve-3", True, "lora-drop cancel eve-3"),
        (Status.SUBMIT_UNKNOWN, "eve-3", True, "lora-drop resolve eve-3"),
        (Status.TRAINING, "ada-1", False, "lora-drop cancel ada-1"),
    ],
)
def test_open_relative_keeps_all(
    world: World, status: Status, open_id: str, words: str, *, family: bool
) -> None:
    """One job that has not ended keeps all it shares with; the command that ends it is shown."""
    kept(world, "ada-1")
    kept(world, "bob-2", retry_of="ada-1")
    world.holds(make_job(status, job_id=open_id, retry_of="ada-1"))
    with pytest.raises(errors.ActionNotAllowedError, match=f"{open_id} is {status}") as refused:
        world.forget_service.forget("ada-1", family=family)
    assert str(refused.value).endswith(words)
    assert not isinstance(refused.value, errors.SharedJobError)
    assert world.jobs.erasures == {}


def chain(world: World) -> Iterator[Job]:
    """Each is found by the one before it alone; the youngest in the middle."""
    yield kept(world, "ada-1")
    yield kept(world, "bob-2", resume_from="ada-1", created_at=NOW + timedelta(hours=2))
    yield kept(world, "eve-3", resume_from="bob-2", created_at=NOW + timedelta(hours=1))
    yield kept(world, "zoe-4", resume_from="eve-3", created_at=NOW + timedelta(hours=3))


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("stops_after", [1, 2, 3])
def test_interrupted_order_is_finished(
    world: World, monkeypatch: pytest.MonkeyPatch, stops_after: int
) -> None:
    """An order that stops between two tombstones is not done before all are."""
    job, *_ = chain(world)
    begin = world.jobs.begin

    def begin_some(each: Job, erasure: Erasure) -> None:
        if len(world.jobs.erasures) == stops_after:
            raise Killed
        begin(each, erasure)

    monkeypatch.setattr(world.jobs, "begin", begin_some)
    with pytest.raises(Killed):
        world.forget_service.forget(job.job_id, family=True)
    monkeypatch.undo()
    world.clock.now += LAST_LOOK_AFTER / 2
    proofs = world.forget_service.forget(job.job_id, family=True)

    assert world.jobs.rows == {}
    assert proofs[0].digest == "1"
    assert {each.digest for each in proofs} == {"1", "2", "3", "4"}
    assert {*proofs[0].beside} == {"2", "3", "4"}


def test_separate_order_is_not_beside(world: World) -> None:
    """The proof names the jobs of its order beside it, and not with which job it was ordered."""
    job, *_ = chain(world)
    kept(world, "other-5")
    world.forget_service.forget("other-5")
    proofs = world.forget_service.forget(job.job_id, family=True)
    assert {*proofs[0].beside} == {"2", "3", "4"}
    assert {each.ordered_with for each in proofs[1:]} == {"1"}
    assert not any("ordered_with" in public(each) for each in proofs)


STRANGERS: dict[str, dict[str, Any]] = {
    "nothing in common": {},
    "no content either": {"content_digest": None},
    "another object with the same beginning": {"dataset": make_dataset("ada-1.zip.zip")},
    "what the other shares with others": {"retry_of": "eve-3"},
}


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("how", STRANGERS)
def test_stranger_stays(world: World, how: str) -> None:
    """A job that shares nothing with a forgotten one stays."""
    job, other = kept(world, "ada-1"), kept(world, "bob-2", **STRANGERS[how])
    [proof] = forget(world, job)
    assert proof.done_at
    assert world.job("bob-2") == other


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("asked", [0, 1], ids=["the first", "its retry"])
def test_training_and_retry_go_together(world: World, asked: int) -> None:
    """Of a training and its retry nothing is left, whichever is named."""
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


def test_duplicate_goes_without_its_original(world: World) -> None:
    world.clock.now = NOW
    original = trained(world)
    duplicate = world.submit(world.drop("portrait/bob.zip"))
    assert duplicate.duplicate_of == original.job_id
    with pytest.raises(SharedJobError):
        world.forget_service.forget(duplicate.job_id)  # the same photos
    forget(world, duplicate, family=True)
    assert world.payloads.asked == [original.request_id], "fal has the original's request alone"
    assert left_of(world, "ada") == left_of(world, "bob") == []


def test_lagging_index_hides_no_job(world: World) -> None:
    job = kept(world, "ada-1")
    duplicate = kept(world, "bob-2", duplicate_of="ada-1")
    world.jobs.untold.add(duplicate.job_id)  # it has just ended
    world.jobs.page = lambda **_: type("Page", (), {"jobs": (), "cursor": None})()  # type: ignore[method-assign]  # the index lags
    with pytest.raises(SharedJobError, match="bob-2"):
        world.forget_service.forget(job.job_id)


def test_simultaneous_duplicate_keeps_its_files(world: World) -> None:
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
    duplicate = world.submit(dataset)

    assert (duplicate.status, duplicate.duplicate_of) == (Status.SUBMITTED, None)
