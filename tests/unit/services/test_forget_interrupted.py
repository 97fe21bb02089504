"""Forgetting ends in time and in turn, however often it is interrupted, and spares later drops."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from lora_drop.jobs.erasures import LAST_LOOK_AFTER, Erasure
from lora_drop.jobs.errors import ConflictError, FalUnavailableError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.services.forget import PATIENCE, ROUND, ForgetService
from tests.resilience.faults.effects import Effect, wire
from tests.support.builders import make_dataset, make_job
from tests.support.forgetting import DONE, forget, left_of, trained
from tests.support.outcome import Killed
from tests.support.template import properties
from tests.support.world import World


@dataclass
class Interruptions:
    """A hand that kills before or after the n-th effect: ``(n, after)``."""

    points: tuple[tuple[int, bool], ...] = ()
    seen: list[str] = field(default_factory=list)

    def act[R](self, effect: Effect, call: Callable[[], R]) -> R:
        self.seen.append(f"{effect.port}.{effect.method}")
        now = len(self.seen)
        if (now, False) in self.points:
            raise Killed
        result = call()
        if (now, True) in self.points:
            raise Killed
        return result


def a_family(world: World) -> Job:
    """A job with a LoRA, its twin, an unfinished copy, and a stranger who stays."""
    job = trained(world)
    twin = world.submit(world.drop("portrait/ada-again.zip"))
    assert twin.duplicate_of == job.job_id
    world.queue.handed.clear()
    world.datasets.put("portrait/ada.zip", None)
    world.datasets.uploads["u-1"] = "portrait/ada.zip"
    world.holds(
        make_job(Status.FAILED, job_id="eve-9999999999", dataset=make_dataset("style/eve.zip"))
    )
    return job


def interrupted(points: tuple[tuple[int, bool], ...]) -> tuple[World, Interruptions, list[Erasure]]:
    """A family is forgotten with these points, in a world where everything else goes on as well."""
    world = World()
    world.datasets.now = world.clock
    job = a_family(world)
    paid = len(world.paid)
    hand = Interruptions(points)
    before = wire(world, hand)
    proofs: list[Erasure] = []
    for _ in range(2 + len(points)):
        try:
            proofs = list(world.forget_service.forget(job.job_id, family=True))
            if all(proof.done_at for proof in proofs):
                break
        except Killed:
            pass
        _others_work(world)
        world.clock.now += LAST_LOOK_AFTER / 2
    for name, port in before.items():
        setattr(world, name, port)
    world.clock.now += 2 * LAST_LOOK_AFTER
    world.forget_service.go_on()
    proofs = [world.jobs.erasures[digest] for digest in sorted(world.jobs.erasures)]
    assert len(world.paid) == paid, "nothing is paid"
    return world, hand, proofs


def _others_work(world: World) -> None:
    """The other functions, between two tries, without accidents."""
    calm = World(**{name: getattr(port, "_inner", port) for name, port in vars(world).items()})
    calm.webhook_secret = World().webhook_secret
    calm.reconciler.reconcile()
    calm.work()


def broken(world: World, proofs: list[Erasure]) -> Iterator[str]:
    if left := left_of(world, "ada"):
        yield f"left in {left}"
    if len(proofs) != 2 or not all(proof.done_at for proof in proofs):
        yield f"no proof: {proofs}"
    if [proof.found.dataset_versions if proof.found else 0 for proof in proofs] not in (
        [1, 2],
        [2, 1],
    ):
        yield f"miscounted: {proofs}"
    if sum(proof.fal_requests for proof in proofs) != 1 or world.payloads.stored:
        yield "fal was not asked"
    if set(world.jobs.rows) != {"eve-9999999999"}:
        yield f"another job is gone, or one came back: {set(world.jobs.rows)}"


@pytest.mark.promise(
    "never get stuck",
    "Wherever an erasure is interrupted, it can be repeated until nothing is left, and nothing is paid.",
)
@pytest.mark.promise("nothing leaks")
def test_no_interruption_leaves_anything() -> None:
    """Nothing is left and nothing is paid wherever forgetting is interrupted."""
    world, done, proofs = interrupted(())
    assert [*broken(world, proofs)] == []
    assert len(done.seen) > 40, done.seen
    wrong = {
        (at, after): found
        for at in range(1, len(done.seen) + 1)
        for after in (False, True)
        if (found := _wrong(((at, after),)))
    }
    assert wrong == {}


@pytest.mark.parametrize("first", [3, 9, 17, 25, 33])
def test_second_interruption_leaves_nothing(first: int) -> None:
    for second in range(first + 1, first + 40, 3):
        assert _wrong(((first, True), (second, second % 2 == 0))) == []


def _wrong(points: tuple[tuple[int, bool], ...]) -> list[str]:
    world, _, proofs = interrupted(points)
    return [*broken(world, proofs)]


def overtaken(world: World, times: int) -> Callable[[Job, Erasure], None]:
    """A ``begin`` that comes too late, so many times."""
    begin, left = world.jobs.begin, [None] * times

    def too_late(job: Job, erasure: Erasure) -> None:
        if left:
            left.pop()
            raise ConflictError(job.job_id)
        begin(job, erasure)

    return too_late


@pytest.mark.parametrize(("times", "begun"), [(2, True), (1000, False)])
def test_overtaken_order_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch, times: int, *, begun: bool
) -> None:
    """An order that is overtaken is tried again; one that cannot be begun changes nothing."""
    job = trained(world)
    monkeypatch.setattr(world.jobs, "begin", overtaken(world, times))
    if begun:
        [erasure] = world.forget_service.forget(job.job_id)
        assert erasure.erased_at
        return
    with pytest.raises(ConflictError):
        world.forget_service.forget(job.job_id)
    assert world.job(job.job_id) == job
    assert world.forget_service.waiting() == []


def several(world: World, number: int) -> list[Job]:
    """Jobs that share with no other, each with a request at fal."""
    return [
        world.holds(
            make_job(
                Status.CANCELLED,
                job_id=f"ada-{at:010}",
                dataset=make_dataset(f"{at}/ada.zip", version_id=f"v{at}"),
                request_id=f"request-{at}",
                intents=1,
            )
        )
        for at in range(number)
    ]


def silent_fal(world: World) -> tuple[ForgetService, list[float]]:
    """A fal that takes ten seconds to say nothing, and the seconds that have passed."""
    passed = [0.0]

    class Silent:
        def erase(self, _: str) -> Any:
            passed[0] += 10.0
            raise FalUnavailableError("silent")

    return replace(world.forget_service, payloads=Silent(), tick=lambda: passed[0]), passed


@pytest.mark.promise("never get stuck")
def test_round_ends_in_time(world: World) -> None:
    """A round ends in time, and each erasure has its turn."""
    jobs = several(world, 6)
    forget_service, passed = silent_fal(world)
    for job in jobs:
        with pytest.raises(FalUnavailableError):
            forget_service.forget(job.job_id)
    asked: set[str] = set()
    world.jobs.erasures = {
        digest: each.model_copy(update={"found": None})
        for digest, each in world.jobs.erasures.items()
    }
    for _ in jobs:
        passed[0] = 0.0
        with pytest.raises(FalUnavailableError):
            forget_service.go_on()
        assert passed[0] <= PATIENCE + 10.0
        asked |= {each.digest for each in world.jobs.erasing() if each.found}
        world.clock.now += ROUND

    assert len(asked) == len(jobs)


def test_turn_is_as_long_as_schedule() -> None:
    schedule = properties("ForgetFunction")["Events"]["GoOn"]["Properties"]["Schedule"]
    assert schedule == f"rate({ROUND // timedelta(minutes=1)} minutes)"


@pytest.mark.promise("nothing leaks")
def test_every_version_goes_but_later(world: World) -> None:
    """Every version of its dataset goes; one that is dropped afterwards stays."""
    world.datasets.now = world.clock
    world.datasets.put("portrait/ada.zip", b"before the stack was there")
    world.datasets.put("portrait/ada.zip", None)
    job = trained(world)
    world.datasets.uploads["u-1"] = "portrait/ada.zip"
    world.forget_service.forget(job.job_id)
    world.clock.now += timedelta(minutes=1)
    new = world.drop("portrait/ada.zip")
    world.clock.now += DONE
    [proof] = world.forget_service.forget(job.job_id)

    [kept] = world.datasets.objects["portrait/ada.zip"]
    assert proof.found
    assert (proof.found.dataset_versions, proof.found.unfinished_uploads) == (3, 1)
    assert kept.version_id == new.version_id
    assert world.submit(new).status is Status.SUBMITTED, "a new drop is a new job"


@pytest.mark.promise("never lose a result")
def test_late_event_saves_its_drop(world: World) -> None:
    """A drop whose event is late is not erased with another."""
    world.datasets.now = world.clock
    job = trained(world)
    world.clock.now += timedelta(hours=1)
    new = world.drop("portrait/ada.zip")  # there is no job for it yet
    world.clock.now += timedelta(seconds=5)
    forget(world, job)
    assert world.submit(new).status is Status.SUBMITTED


def test_drop_before_the_job_stays(world: World) -> None:
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
def test_marker_goes_and_restores_nothing(world: World, *, again: bool) -> None:
    world.datasets.now = world.clock
    job = trained(world)
    world.clock.now += timedelta(hours=1)
    if again:
        world.datasets.put("portrait/ada.zip", b"another's, who has deleted it since")
    world.datasets.put("portrait/ada.zip", None)
    forget(world, job)
    left = world.datasets.objects.get("portrait/ada.zip", [])
    assert [each.data is None for each in left] == ([False, True] if again else [])
