"""Metadata ``force=true`` pays for a training whatever was trained before."""

import pytest

from lora_drop.jobs.status import Status
from tests.support.duplicates import again, first
from tests.support.world import World


@pytest.fixture
def world(busy: World) -> World:
    return busy


def test_force_pays_for_it_whatever_was_trained_before(world: World) -> None:
    world.train(first(world))

    force_retrain = again(world, metadata={"force": "true"})

    assert (force_retrain.status, force_retrain.duplicate_of, len(world.fal.posts)) == (
        Status.SUBMITTED,
        None,
        2,
    )
    assert "force" not in world.fal.posts[1][1]


def test_force_pays_for_it_while_the_same_is_being_trained(world: World) -> None:
    first(world)

    assert again(world, metadata={"force": "true"}).status is Status.SUBMITTED


def test_what_was_forced_is_what_the_next_one_gets(world: World) -> None:
    world.train(first(world))
    force_retrain = world.train(again(world, metadata={"force": "true"}))

    assert (
        again(world, "third.zip", metadata={"preset": "portrait"}).duplicate_of
        == force_retrain.job_id
    )


def test_force_false_is_none(world: World) -> None:
    world.train(first(world))

    assert again(world, metadata={"force": "false"}).status is Status.SUCCEEDED


def test_a_force_that_is_neither_true_nor_false_is_refused_for_free(world: World) -> None:
    job = again(world, metadata={"force": "yes"})

    assert (job.status, job.problems[0].code) == (Status.REJECTED, "parameter_invalid_type")
    assert world.fal.posts == []
