"""The pipeline dies, or a call fails, at every one of its effects; then life goes on as usual."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from shared.domain.errors import LoraDropError
from shared.domain.facts import Finished
from shared.domain.jobs import DatasetVersion, Status
from tests.builders import ARTIFACTS, REQUEST_ID, make_weights
from tests.fate import Fate, Killed, MortalWorld, Throttled

ACCIDENTS: list[Callable[[], BaseException]] = [Killed, Throttled]
FACT = Finished(REQUEST_ID, ARTIFACTS)


def live(world: MortalWorld, dataset: DatasetVersion) -> None:
    """From the drop to the LoRA, as the queues and fal would have it."""
    job = world.submit(dataset)
    if world.trainer.accepted:
        world.receiver.receive(job.job_id, FACT)
    for job_id in list(world.queue.handed):
        world.keeper.store_result(job_id)


def undisturbed() -> list[str]:
    world = MortalWorld()
    live(world, world.drop())
    return world.fate.effects


EFFECTS = undisturbed()
ANY_EFFECT = pytest.mark.parametrize("at", range(1, len(EFFECTS) + 1), ids=lambda at: f"{at}")
EITHER_SIDE = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
ANY_ACCIDENT = pytest.mark.parametrize("accident", ACCIDENTS, ids=["killed", "throttled"])


def redelivered(world: MortalWorld, dataset: DatasetVersion, *, rounds: int = 4) -> None:
    """Queues deliver again, fal calls again, and the reconciler makes its rounds."""
    for _ in range(rounds):
        with suppress(LoraDropError):
            live(world, dataset)
        world.clock.now += timedelta(minutes=10)
        world.trainer.facts[REQUEST_ID] = FACT
        world.reconciler.reconcile()


def test_an_undisturbed_life_has_every_effect_once_or_it_would_prove_nothing() -> None:
    assert EFFECTS == [
        "add",
        "write status.json",
        "replace READY",
        "write status.json",
        "replace SUBMITTING",
        "submit",
        "replace SUBMITTED",
        "write status.json",
        "replace STORING",
        "write status.json",
        "hand over",
        "replace STORING",
        "put lora.safetensors",
        "put config.json",
        "write job.json",
        "replace SUCCEEDED",
        "write status.json",
        "remove",
    ]


@ANY_EFFECT
@EITHER_SIDE
@ANY_ACCIDENT
def test_nothing_is_paid_twice_and_nothing_gets_stuck_or_lost(
    at: int,
    after: bool,  # noqa: FBT001  # a table's column
    accident: Callable[[], BaseException],
) -> None:
    world = MortalWorld(fate=Fate(at=at, after=after, accident=accident))
    dataset = world.drop()

    with pytest.raises((Killed, Throttled)):
        live(world, dataset)
    redelivered(world, dataset)

    [job] = world.jobs.rows.values()
    assert len(world.trainer.accepted) <= 1
    if world.trainer.accepted:
        assert job.status is Status.SUCCEEDED
        assert world.results.files[job.prefix + "lora.safetensors"] == make_weights()
        assert world.results.uploads == {}
        assert world.results.text(job, "job.json")
        assert world.results.text(job, "ERROR.txt") is None
    else:
        # The intent was kept, and nobody can know whether the POST had left: a person decides.
        assert job.status is Status.SUBMIT_UNKNOWN
        assert world.results.text(job, "ERROR.txt")
    assert f'"{job.status}"' in (world.results.text(job, "status.json") or "")


@EITHER_SIDE
@ANY_ACCIDENT
def test_only_an_accident_around_the_post_leaves_a_doubt(
    after: bool,  # noqa: FBT001  # a table's column
    accident: Callable[[], BaseException],
) -> None:
    doubtful = []
    for at, effect in enumerate(EFFECTS, start=1):
        world = MortalWorld(fate=Fate(at=at, after=after, accident=accident))
        dataset = world.drop()
        with pytest.raises((Killed, Throttled)):
            live(world, dataset)
        redelivered(world, dataset)
        if not world.trainer.accepted:
            doubtful.append(effect)

    assert doubtful == (["replace SUBMITTING"] if after else ["submit"])


@ANY_EFFECT
@EITHER_SIDE
def test_two_accidents_in_one_life_are_no_worse(
    at: int,
    after: bool,  # noqa: FBT001  # a table's column
) -> None:
    for second in range(1, len(EFFECTS) + 4):
        world = MortalWorld(fate=Fate(at=at, after=after))
        dataset = world.drop()
        with pytest.raises(Killed):
            live(world, dataset)
        world.fate.at = len(world.fate.effects) + second
        with suppress(Killed, LoraDropError):
            live(world, dataset)
        world.fate.at = 0
        redelivered(world, dataset)

        [job] = world.jobs.rows.values()
        assert len(world.trainer.accepted) <= 1
        assert job.status is (Status.SUCCEEDED if world.trainer.accepted else Status.SUBMIT_UNKNOWN)
