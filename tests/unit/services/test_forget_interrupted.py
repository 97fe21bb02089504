"""Forgetting dies before or after each thing it does, once or twice; said again, nothing is left."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from lora_drop.jobs.erasures import LAST_LOOK_AFTER, Erasure
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.resilience.faults.effects import Effect, wire
from tests.support.builders import make_dataset, make_job
from tests.support.forgetting import left_of, trained
from tests.support.outcome import Killed
from tests.support.world import World


@dataclass
class Blows:
    """A hand that kills before or after the n-th effect: ``(n, after)``."""

    blows: tuple[tuple[int, bool], ...] = ()
    seen: list[str] = field(default_factory=list)

    def act[R](self, effect: Effect, call: Callable[[], R]) -> R:
        self.seen.append(f"{effect.port}.{effect.method}")
        now = len(self.seen)
        if (now, False) in self.blows:
            raise Killed
        result = call()
        if (now, True) in self.blows:
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


def live(blows: tuple[tuple[int, bool], ...]) -> tuple[World, Blows, list[Erasure]]:
    """A family is forgotten with these blows, in a world where everything else goes on as well."""
    world = World()
    world.datasets.now = world.clock
    job = a_family(world)
    paid = len(world.paid)
    hand = Blows(blows)
    before = wire(world, hand)
    proofs: list[Erasure] = []
    for _ in range(2 + len(blows)):
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
        yield f"a stranger is gone, or somebody came back: {set(world.jobs.rows)}"


def test_nothing_is_left_and_nothing_is_paid_wherever_it_is_interrupted() -> None:
    world, calm, proofs = live(())
    assert [*broken(world, proofs)] == []
    assert len(calm.seen) > 40, calm.seen

    wrong = {
        (at, after): found
        for at in range(1, len(calm.seen) + 1)
        for after in (False, True)
        if (found := _wrong(((at, after),)))
    }

    assert wrong == {}


@pytest.mark.parametrize("first", [3, 9, 17, 25, 33])
def test_nor_when_it_is_interrupted_a_second_time(first: int) -> None:
    for second in range(first + 1, first + 40, 3):
        assert _wrong(((first, True), (second, second % 2 == 0))) == []


def _wrong(blows: tuple[tuple[int, bool], ...]) -> list[str]:
    world, _, proofs = live(blows)
    return [*broken(world, proofs)]
