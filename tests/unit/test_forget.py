"""What is forgotten, what may not be, and what is said of what is left."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.artifacts import StoredFile
from shared.domain.delivery import Delivery, Way
from shared.domain.erasures import FAL_KEEPS, LAST_LOOK_AFTER, UNANSWERED, Erasure, Found, public
from shared.domain.errors import (
    Conflict,
    Forgotten,
    NotErasable,
    NothingToDecide,
    Shared,
    TrainerUnavailable,
    UnknownJob,
)
from shared.domain.facts import Failed, Finished
from shared.domain.jobs import Job, Status
from shared.domain.problems import Problem
from shared.ports import Erasable, PayloadsErased, Submission
from tests.builders import ARTIFACTS, NOW, REQUEST_ID, make_dataset, make_job
from tests.world import World

DONE = LAST_LOOK_AFTER + timedelta(seconds=1)


def trained(world: World, key: str = "portrait/ada.zip", **archive: Any) -> Job:
    """A job whose LoRA is stored, as the functions made it."""
    job = world.submit(world.drop(key, **archive))
    world.payloads.stored.add(job.request_id or "")
    done = world.train(job)
    world.queue.handed.clear()  # the worker has taken it
    return done


def forget(world: World, job: Job, *, family: bool = False) -> list[Erasure]:
    """Asked for, and asked again after the last look."""
    world.forgetter.forget(job.job_id, family=family)
    world.clock.now += DONE
    return list(world.forgetter.forget(job.job_id, family=family))


def left_of(world: World, word: str) -> list[str]:
    """Where a word is still to be found."""
    places = {
        "datasets": world.datasets.objects,
        "uploads": world.datasets.uploads,
        "results": world.results.files,
        "result uploads": world.results.uploads,
        "jobs": world.jobs.rows,
        "contents": world.jobs.contents,
        "untold": world.jobs.untold,
        "outbox": world.jobs.changes,
        "proofs": world.jobs.erasures,
        "bookmarks": world.jobs.bookmarks,
        "inbox": world.queue.datasets,
        "handed over": world.queue.handed,
    }
    return [name for name, place in places.items() if word in repr(place)]


def test_nothing_is_left_of_a_forgotten_job_but_a_proof(world: World) -> None:
    job = trained(world)
    results = len(world.results.files)

    [proof] = forget(world, job)

    assert left_of(world, "ada") == []
    assert world.payloads.stored == set()
    assert proof.done_at == world.clock.now
    assert proof.found == Found(dataset_versions=1, result_versions=results)
    assert (proof.fal_requests, proof.fal_files, proof.left) == (1, 2, ())
    assert world.forgetter.forget(job.job_id) == (proof,), "asked again, it is shown"


def test_a_job_is_not_done_before_everybody_is_dead_who_may_write_of_it(world: World) -> None:
    job = trained(world)
    [erasure] = world.forgetter.forget(job.job_id)
    assert (erasure.erased_at, erasure.done_at) == (NOW, None)

    # Somebody had read it before, and writes only now.
    world.results.write(job.prefix + "status.json", "late", "application/json")
    world.clock.now += DONE
    [proof] = world.forgetter.go_on()

    assert proof.done_at == world.clock.now
    assert left_of(world, "ada") == []


def test_every_version_of_its_dataset_goes_and_one_that_is_dropped_afterwards_stays(
    world: World,
) -> None:
    world.datasets.now = world.clock
    world.datasets.put("portrait/ada.zip", b"before the stack was there")
    world.datasets.put("portrait/ada.zip", None)
    job = trained(world)
    world.datasets.uploads["u-1"] = "portrait/ada.zip"
    world.forgetter.forget(job.job_id)
    world.clock.now += timedelta(minutes=1)
    new = world.drop("portrait/ada.zip")

    world.clock.now += DONE
    [proof] = world.forgetter.forget(job.job_id)

    [kept] = world.datasets.objects["portrait/ada.zip"]
    assert proof.found
    assert (proof.found.dataset_versions, proof.found.unfinished_uploads) == (3, 1)
    assert kept.version_id == new.version_id
    assert world.submit(new).status is Status.SUBMITTED, "a new drop is a new job"


def test_a_drop_whose_event_is_late_is_not_erased_with_another(world: World) -> None:
    world.datasets.now = world.clock
    job = trained(world)
    world.clock.now += timedelta(hours=1)
    new = world.drop("portrait/ada.zip")  # there is no job for it yet, so nobody is named
    world.clock.now += timedelta(seconds=5)

    forget(world, job)

    assert world.submit(new).status is Status.SUBMITTED


def test_a_drop_between_the_dataset_and_its_job_is_not_erased_with_it(world: World) -> None:
    """The event of the first is late, and that of the second is later still."""
    world.datasets.now = world.clock
    first = world.drop("portrait/ada.zip")
    world.clock.now += timedelta(seconds=20)
    second = world.drop("portrait/ada.zip")
    world.clock.now += timedelta(seconds=20)
    job = world.submit(first)
    done = world.train(job)
    world.queue.handed.clear()

    forget(world, done)

    assert [each.version_id for each in world.datasets.objects["portrait/ada.zip"]] == [
        second.version_id
    ]


@pytest.mark.parametrize("again", [False, True])
def test_a_marker_goes_with_what_was_deleted_and_brings_nobodys_photos_back(
    world: World, *, again: bool
) -> None:
    world.datasets.now = world.clock
    job = trained(world)
    world.clock.now += timedelta(hours=1)
    if again:
        world.datasets.put("portrait/ada.zip", b"another's, who has deleted it since")
    world.datasets.put("portrait/ada.zip", None)

    forget(world, job)

    left = world.datasets.objects.get("portrait/ada.zip", [])
    assert [each.data is None for each in left] == ([False, True] if again else [])


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

    with pytest.raises(NothingToDecide, match=way):
        world.forgetter.forget(job.job_id)

    assert world.job(job.job_id) == job


@pytest.mark.parametrize(
    "status",
    [Status.REJECTED, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.EXPIRED],
)
def test_a_job_is_forgotten_however_it_ended(world: World, status: Status) -> None:
    [proof] = forget(world, world.holds(make_job(status)))

    assert proof.done_at


def test_what_was_never_there_cannot_be_forgotten(world: World) -> None:
    with pytest.raises(UnknownJob):
        world.forgetter.forget("ada-0123456789")


# ------------------------------------------------------------------------------ who shares


def kept(world: World, job_id: str, **changes: Any) -> Job:
    dataset = make_dataset(f"{job_id}.zip")
    return world.holds(make_job(Status.FAILED, **{"dataset": dataset, "job_id": job_id, **changes}))


OTHERS: dict[str, dict[str, Any]] = {
    "a retry of it": {"retry_of": "ada-1"},
    "one that went on from its LoRA": {"resume_from": "ada-1"},
    "a duplicate with its files": {"duplicate_of": "ada-1"},
    "one that stands in for it": {"instead_of": "ada-1"},
    "one with the same content": {"content_digest": "c" * 64},
    "another version of its dataset": {"dataset": make_dataset("ada-1.zip", version_id="v2")},
    "one that lies in its folder": {"dataset": make_dataset("ada-1/ada-1/x.zip")},
}


@pytest.mark.parametrize("how", OTHERS)
def test_a_job_that_others_share_with_is_not_forgotten_alone(world: World, how: str) -> None:
    job = kept(world, "ada-1", content_digest="c" * 64)
    other = kept(world, "bob-2", **OTHERS[how])

    with pytest.raises(Shared, match="bob-2") as shared:
        world.forgetter.forget(job.job_id)

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
    world.receiver.receive(first.job_id, failed, asked=True)
    world.clock.now += timedelta(minutes=1)
    world.answer(lambda: Submission("another-request"))
    retry = world.repeater.retry(first.job_id, resume=False, by="me")
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

    with pytest.raises(Shared) as shared:
        world.forgetter.forget(job.job_id)

    assert shared.value.jobs == ("ada-2", "bob-3")


def test_a_duplicate_is_forgotten_without_its_original(world: World) -> None:
    world.clock.now = NOW
    original = trained(world)
    twin = world.submit(world.drop("portrait/bob.zip"))
    assert twin.duplicate_of == original.job_id

    with pytest.raises(Shared):
        world.forgetter.forget(twin.job_id)  # the same photos
    forget(world, twin, family=True)

    assert world.payloads.asked == [original.request_id], "fal has the original's request alone"
    assert left_of(world, "ada") == left_of(world, "bob") == []


def test_one_of_the_family_that_has_not_ended_keeps_all_of_it(world: World) -> None:
    job = kept(world, "ada-1")
    kept(world, "bob-2", retry_of="ada-1").model_copy(update={"status": Status.TRAINING})
    world.holds(make_job(Status.TRAINING, job_id="eve-3", retry_of="ada-1"))

    with pytest.raises(NothingToDecide, match="eve-3 is TRAINING"):
        world.forgetter.forget(job.job_id, family=True)

    assert world.jobs.erasures == {}


def test_a_list_that_is_a_moment_old_hides_nobody(world: World) -> None:
    job = kept(world, "ada-1")
    twin = kept(world, "bob-2", duplicate_of="ada-1")
    world.jobs.untold.add(twin.job_id)  # it has just ended
    world.jobs.page = lambda **_: type("Page", (), {"jobs": (), "cursor": None})()  # type: ignore[method-assign]  # the index lags

    with pytest.raises(Shared, match="bob-2"):
        world.forgetter.forget(job.job_id)


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

    with pytest.raises(Conflict):
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
    with pytest.raises(Conflict):
        world.repeater.retry(job.job_id, resume=False, by="me")

    assert world.jobs.rows == {}


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
    world.forgetter.forget(job.job_id)
    if done:
        world.clock.now += DONE
        world.forgetter.go_on()
    attempts: dict[str, Callable[[], object]] = {
        "its result": lambda: world.receiver.receive(job.job_id, Finished(REQUEST_ID, ARTIFACTS)),
        "a replay": lambda: world.repeater.replay(job.job_id),
        "a retry": lambda: world.repeater.retry(job.job_id, resume=False, by="me"),
        "a copy": lambda: world.keeper.store_result(job.job_id),
        "an approval": lambda: world.resolver.approve(job.job_id, by="me"),
        "its event": lambda: world.submit(job.dataset),
    }

    for attempt in attempts.values():
        with pytest.raises(Forgotten):
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


# ------------------------------------------------------------------------------ fal


def test_every_request_of_the_job_is_deleted_at_fal(world: World) -> None:
    job = world.holds(
        make_job(Status.FAILED, request_id="r-3", earlier_requests=("r-1", "r-2"), own_requests=())
    )

    [proof] = forget(world, job)

    assert world.payloads.asked == ["r-1", "r-2", "r-3"]
    assert proof.fal_requests == 3


def test_what_fal_keeps_is_said_once(world: World) -> None:
    job = world.holds(make_job(Status.FAILED, request_id="r-2", earlier_requests=("r-1",)))
    for request_id in ("r-1", "r-2"):
        world.payloads.says[request_id] = PayloadsErased(left=("fal keeps it",))

    [proof] = forget(world, job)

    assert (proof.left, proof.fal_files) == (("fal keeps it",), 0)
    assert public(proof)["left"] == ["fal keeps it"]


def test_a_fal_that_does_not_answer_keeps_nothing_of_ours_and_is_asked_again(world: World) -> None:
    job = trained(world)
    world.payloads.says[job.request_id or ""] = TrainerUnavailable("503")

    for _ in range(3):
        with pytest.raises(TrainerUnavailable):
            world.forgetter.go_on() if world.jobs.erasures else world.forgetter.forget(job.job_id)
    assert not world.results.files
    world.payloads.says.clear()
    [proof] = forget(world, job)

    assert (proof.done_at, proof.fal_files) == (world.clock.now, 2)


def test_a_fal_that_never_answers_does_not_make_us_keep_a_name_for_ever(world: World) -> None:
    job = trained(world)
    world.payloads.says[job.request_id or ""] = TrainerUnavailable("503")
    with pytest.raises(TrainerUnavailable):
        world.forgetter.forget(job.job_id)

    world.clock.now += FAL_KEEPS
    [proof] = world.forgetter.go_on()

    assert (proof.done_at, proof.left) == (world.clock.now, (UNANSWERED,))
    assert left_of(world, "ada") == []


@pytest.mark.parametrize(
    ("way", "hours", "said"),
    [(Way.FAL, 2, 1), (Way.FAL, -1, 0), (Way.PRESIGNED, 2, 0), (Way.DATA, None, 0)],
)
def test_a_dataset_in_fals_storage_is_said_to_be_there_while_it_is(
    world: World, way: Way, hours: int | None, said: int
) -> None:
    until = None if hours is None else NOW + timedelta(hours=hours)
    delivery = Delivery(way=way, sha256="0", expires_at=until, url="https://v3.fal.media/ada.zip")

    [proof] = forget(world, world.holds(make_job(Status.FAILED, delivery=delivery)))

    assert len(proof.left) == said
    assert all("2026-11-24 14:00" in each for each in proof.left)
    assert "ada" not in proof.model_dump_json()


# ------------------------------------------------------------------------------ time and trouble


def test_a_call_that_runs_out_of_time_says_so_and_the_next_goes_on(world: World) -> None:
    job = trained(world)
    seconds = iter(range(0, 1000, 10))
    forgetter = world.forgetter
    slow = type(forgetter)(
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
            raise NotErasable("a hold")
        erase(versions)

    monkeypatch.setattr(world.datasets, "erase", held)
    with pytest.raises(NotErasable):
        world.forgetter.forget(one.job_id)
    world.forgetter.forget(two.job_id)
    world.clock.now += DONE
    with pytest.raises(NotErasable):
        world.forgetter.go_on()

    assert [each.digest for each in world.jobs.erasing()] == ["1"]
    monkeypatch.undo()
    [proof] = world.forgetter.go_on()
    assert proof.done_at


def test_who_is_overtaken_leaves_it_to_the_other(world: World) -> None:
    job = trained(world)
    world.forgetter.forget(job.job_id)
    world.clock.now += DONE
    keep = world.jobs.keep

    def overtaken(before: Erasure, after: Erasure) -> None:
        world.jobs.keep = keep  # type: ignore[method-assign]
        keep(before, before.model_copy(update={"version": before.version + 1}))
        keep(before, after)

    world.jobs.keep = overtaken  # type: ignore[method-assign]

    assert world.forgetter.go_on() == []
    [proof] = world.forgetter.go_on()
    assert proof.done_at
