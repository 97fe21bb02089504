"""What is forgotten here and at fal, what may not be, and that nothing brings it back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from lora_drop.fal.status import Finished
from lora_drop.jobs import errors
from lora_drop.jobs.budget import Charge, ChargeState
from lora_drop.jobs.delivery import DatasetDelivery, DeliveryMethod
from lora_drop.jobs.erasures import FAL_KEEPS, UNANSWERED, Erasure, Found, public, to_go
from lora_drop.jobs.status import Status
from lora_drop.ports import Erasable, PayloadsErased
from tests.support.builders import ARTIFACTS, NOW, REQUEST_ID, make_job
from tests.support.forgetting import DONE, forget, kept, left_of, trained
from tests.support.world import World


@pytest.mark.promise("nothing leaks", "Nothing is left of a forgotten job but a proof.")
@pytest.mark.promise(
    "nothing leaks", "A job is not done before each worker that may write of it has ended."
)
def test_forgotten_job_leaves_only_proof(world: World) -> None:
    job = trained(world)
    results = len(world.results.files)
    [erasure] = world.forget_service.forget(job.job_id)
    assert (erasure.erased_at, erasure.done_at) == (NOW, None)
    # Another function had read it before, and writes only now.
    world.results.write(job.prefix + "status.json", "late", "application/json")
    world.clock.now += DONE
    [proof] = world.forget_service.go_on()
    assert left_of(world, "ada") == []
    assert world.payloads.stored == set()
    assert proof.done_at == world.clock.now
    assert proof.found == Found(dataset_versions=1, result_versions=results)
    assert (proof.fal_requests, proof.fal_files, proof.left) == (1, 2, ())
    assert world.forget_service.forget(job.job_id) == (proof,), "asked again, it is shown"


WAYS = {
    **dict.fromkeys((Status.RECEIVED, Status.READY, Status.HELD), "lora-drop cancel"),
    **dict.fromkeys((Status.SUBMITTED, Status.TRAINING), "lora-drop cancel"),
    Status.SUBMITTING: "a minute",
    Status.SUBMIT_UNKNOWN: "lora-drop resolve",
    Status.STORING: "wait for its end",
}


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("status", list(Status))
def test_open_job_is_not_forgotten(world: World, status: Status) -> None:
    """A job is forgotten however it ended, and not before; the way to end it is named."""
    job = world.holds(make_job(status))
    with pytest.raises(errors.JobNotFoundError):
        world.forget_service.forget("ada-0000000000")
    assert status.terminal == (status not in WAYS)
    if status.terminal:
        [proof] = forget(world, job)
        assert proof.done_at
        return
    with pytest.raises(errors.ActionNotAllowedError, match=WAYS[status]):
        world.forget_service.forget(job.job_id)
    assert world.job(job.job_id) == job


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
        with pytest.raises(errors.JobForgottenError):
            attempt()
    world.clock.now += timedelta(minutes=30)
    assert world.sweep.datasets(world.clock()).datasets == 0
    world.reconciler.reconcile()
    world.work()

    assert [*world.forget_service.look(job.job_id, family=False)] == []
    assert world.jobs.rows == {}
    assert world.paid == []
    assert world.queue.handed == []
    assert not world.results.files


def test_same_photos_are_trained_again(world: World) -> None:
    forget(world, trained(world))
    again = world.submit(world.drop("portrait/ada.zip"))
    assert (again.status, len(world.paid)) == (Status.SUBMITTED, 2)


@pytest.mark.promise("never get stuck")
def test_slow_erasure_goes_on_later(world: World) -> None:
    """A call that runs out of time says so, and the next goes on."""
    job = trained(world)
    seconds = iter(range(0, 1000, 10))
    slow = replace(world.forget_service, patience=5, tick=lambda: next(seconds))
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
    one, two = kept(world, "ada-1"), kept(world, "bob-2")
    world.datasets.put(one.dataset.key, b"held")
    erase = world.datasets.erase

    def held(versions: list[Erasable]) -> None:
        if "ada" in versions[0].key:
            raise errors.NotErasableError("a hold")
        erase(versions)

    monkeypatch.setattr(world.datasets, "erase", held)
    with pytest.raises(errors.NotErasableError):
        world.forget_service.forget(one.job_id)
    world.forget_service.forget(two.job_id)
    world.clock.now += DONE
    with pytest.raises(errors.NotErasableError):
        world.forget_service.go_on()

    assert [each.digest for each in world.jobs.erasing()] == ["1"]
    monkeypatch.undo()
    [proof] = world.forget_service.go_on()
    assert proof.done_at


def test_overtaken_call_changes_nothing(world: World) -> None:
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
@pytest.mark.parametrize("left", [(), ("fal keeps it",)], ids=["deleted", "kept"])
def test_every_request_is_deleted(world: World, left: tuple[str, ...]) -> None:
    """Every request of the job is deleted at fal; what fal keeps is reported once."""
    earlier = ("r-1", "r-2")
    job = make_job(Status.FAILED, request_id="r-3", earlier_requests=earlier, own_requests=())
    for request_id in (*earlier, "r-3") if left else ():
        world.payloads.says[request_id] = PayloadsErased(left=left)
    [proof] = forget(world, world.holds(job))
    assert world.payloads.asked == ["r-1", "r-2", "r-3"]
    assert (proof.fal_requests, proof.left, proof.fal_files) == (3, left, 0)
    assert public(proof)["left"] == list(left)


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("answers", [True, False])
def test_silent_fal_is_asked_again(world: World, *, answers: bool) -> None:
    """While fal does not answer, our copies go, and fal is asked again."""
    job = trained(world)
    world.payloads.says[job.request_id or ""] = errors.FalUnavailableError("503")
    with pytest.raises(errors.FalUnavailableError):
        world.forget_service.forget(job.job_id)
    for _ in range(2):
        with pytest.raises(errors.FalUnavailableError):
            world.forget_service.go_on()
    assert not world.results.files
    if answers:
        world.payloads.says.clear()
    world.clock.now += DONE if answers else FAL_KEEPS  # a name is not kept for ever
    [proof] = world.forget_service.go_on()
    assert proof.done_at == world.clock.now
    assert (proof.fal_files, proof.left) == ((2, ()) if answers else (0, (UNANSWERED,)))
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
def test_storage_is_named(world: World, way: DeliveryMethod, hours: int | None, said: int) -> None:
    """A dataset in fal's storage is said to be there while it is."""
    until = None if hours is None else NOW + timedelta(hours=hours)
    delivery = DatasetDelivery(
        way=way, sha256="0", expires_at=until, url="https://fal.media/ada.zip"
    )
    [proof] = forget(world, world.holds(make_job(Status.FAILED, delivery=delivery)))
    assert len(proof.left) == said
    assert all("2026-11-24 14:00" in each for each in proof.left)
    assert "ada" not in proof.model_dump_json()


SPENT = Charge(month="2026-11", usd=2.4, state=ChargeState.SPENT)
WASTED = Charge(month="2026-11", usd=0.6, state=ChargeState.WASTED)


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(
    ("money", "paid"),
    [
        ({}, None),
        ({"charge": SPENT}, 2.4),
        ({"charge": SPENT, "past_charges": (WASTED,)}, 3.0),
        ({"past_charges": (WASTED,)}, 0.6),
        ({"charge": SPENT.model_copy(update={"usd": 0.0})}, 0.0),
    ],
)
def test_paid_money_is_shown_first(money: dict[str, Any], paid: float | None) -> None:
    """The money that was paid for a job is shown before it goes."""
    job = make_job(Status.FAILED, **money)
    assert to_go(job) == {"job_id": job.job_id, "status": "FAILED", "paid_usd": paid}
