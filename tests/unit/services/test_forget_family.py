"""Who goes with a forgotten job: known before anything is erased, and forgotten whole."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from lora_drop.jobs.budget import Charge, ChargeState
from lora_drop.jobs.erasures import LAST_LOOK_AFTER, Erasure, public, to_go
from lora_drop.jobs.errors import ActionNotAllowedError, JobNotFoundError, SharedJobError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import NOW, make_dataset, make_job
from tests.support.forgetting import kept, trained
from tests.support.outcome import Killed
from tests.support.world import World

DONE = LAST_LOOK_AFTER + timedelta(seconds=1)


def looked(world: World, job_id: str, *, family: bool) -> list[str]:
    return [each.job_id for each in world.forget_service.look(job_id, family=family)]


# ------------------------------------------------------------------------------ the look


def test_a_look_names_everyone_who_goes_and_changes_nothing(world: World) -> None:
    job = trained(world)
    twin = world.submit(world.drop("portrait/bob.zip"))
    ports = (world.jobs, world.datasets, world.results, world.queue, world.payloads)
    before = [repr(vars(port)) for port in ports]

    found = world.forget_service.look(job.job_id, family=True)

    assert [*found] == [job, twin]
    assert twin.status is Status.SUCCEEDED
    assert [repr(vars(port)) for port in ports] == before


@pytest.mark.parametrize("family", [False, True])
@pytest.mark.parametrize("how", ["unknown", "at work", "shared", "shared with one at work"])
def test_a_look_refuses_what_the_order_would_refuse(
    world: World, how: str, *, family: bool
) -> None:
    if how != "unknown":
        world.holds(
            make_job(Status.TRAINING if how == "at work" else Status.FAILED, job_id="ada-1")
        )
    if how.startswith("shared"):
        at_work = Status.TRAINING if how.endswith("work") else Status.FAILED
        world.holds(make_job(at_work, job_id="bob-2"))

    looked = refusal(lambda: world.forget_service.look("ada-1", family=family))
    ordered = refusal(lambda: world.forget_service.forget("ada-1", family=family))

    assert looked == ordered
    assert (looked is None) == (how == "shared" and family)


def refusal(act: Any) -> tuple[type[Exception], str] | None:
    try:
        act()
    except (JobNotFoundError, ActionNotAllowedError) as refused:
        return type(refused), str(refused)
    return None


@pytest.mark.parametrize("done", [False, True])
def test_of_what_is_begun_nobody_is_left_to_be_asked_about(world: World, *, done: bool) -> None:
    job = trained(world)
    world.forget_service.forget(job.job_id)
    if done:
        world.clock.now += DONE
        world.forget_service.go_on()

    assert looked(world, job.job_id, family=False) == []


SPENT = Charge(month="2026-11", usd=2.4, state=ChargeState.SPENT)
WASTED = Charge(month="2026-11", usd=0.6, state=ChargeState.WASTED)


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
def test_what_was_paid_for_a_job_is_said_before_it_goes(
    money: dict[str, Any], paid: float | None
) -> None:
    job = make_job(Status.FAILED, **money)

    assert to_go(job) == {"job_id": job.job_id, "status": "FAILED", "paid_usd": paid}


# ------------------------------------------------------------------------------ why not alone


REASONS: dict[str, tuple[dict[str, Any], str]] = {
    "another version": ({"dataset": make_dataset("ada-1.zip", version_id="v2")}, "dataset"),
    "a retry": ({"retry_of": "ada-1"}, "dataset"),
    "a duplicate": ({"duplicate_of": "ada-1", "content_digest": "c" * 64}, "files"),
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


@pytest.mark.parametrize("how", REASONS)
def test_it_is_said_what_two_jobs_share(world: World, how: str) -> None:
    changes, what = REASONS[how]
    kept(world, "ada-1", content_digest="c" * 64)
    kept(world, "bob-2", **changes)

    with pytest.raises(SharedJobError) as shared:
        world.forget_service.forget("ada-1")

    assert str(shared.value) == (
        f"{SENTENCES[what]}. Forget all of them: lora-drop forget ada-1 --family"
    )


def test_of_a_large_family_it_is_said_who_shares_what_with_whom(world: World) -> None:
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


def test_a_job_at_work_is_told_so_before_it_is_told_who_shares_with_it(world: World) -> None:
    world.holds(make_job(Status.TRAINING, job_id="ada-1"))
    kept(world, "bob-2", duplicate_of="ada-1")

    with pytest.raises(ActionNotAllowedError, match="ada-1 is TRAINING; end it first") as refused:
        world.forget_service.forget("ada-1")

    assert not isinstance(refused.value, SharedJobError)


@pytest.mark.parametrize(
    ("status", "command"),
    [
        (Status.TRAINING, "lora-drop cancel eve-3"),
        (Status.SUBMIT_UNKNOWN, "lora-drop resolve eve-3"),
    ],
)
def test_what_ends_a_job_can_be_pasted(world: World, status: Status, command: str) -> None:
    kept(world, "ada-1")
    world.holds(make_job(status, job_id="eve-3", duplicate_of="ada-1"))

    with pytest.raises(ActionNotAllowedError) as refused:
        world.forget_service.forget("ada-1", family=True)

    assert str(refused.value).endswith(command)


# ------------------------------------------------------------------------------ interrupted


def chain(world: World) -> Iterator[Job]:
    """Each is found by the one before it alone; the youngest in the middle."""
    yield kept(world, "ada-1")
    yield kept(world, "bob-2", resume_from="ada-1", created_at=NOW + timedelta(hours=2))
    yield kept(world, "eve-3", resume_from="bob-2", created_at=NOW + timedelta(hours=1))
    yield kept(world, "zoe-4", resume_from="eve-3", created_at=NOW + timedelta(hours=3))


@pytest.mark.parametrize("stops_after", [1, 2, 3])
def test_an_order_that_stops_between_two_tombstones_is_not_done_before_all_are(
    world: World, monkeypatch: pytest.MonkeyPatch, stops_after: int
) -> None:
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


def test_what_was_ordered_with_another_is_not_told_as_beside(world: World) -> None:
    kept(world, "ada-1")
    kept(world, "bob-2")
    world.forget_service.forget("bob-2")

    [proof] = world.forget_service.forget("ada-1")

    assert proof.beside == ()


def test_the_proof_does_not_say_with_whom_it_was_ordered(world: World) -> None:
    job, *_ = chain(world)

    proofs = world.forget_service.forget(job.job_id, family=True)

    assert {each.ordered_with for each in proofs[1:]} == {"1"}
    assert not any("ordered_with" in public(each) for each in proofs)
