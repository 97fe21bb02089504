"""The same on AWS's own calls: a few of them here, all of them in ``python -m tests.resilience.faults``."""

from collections.abc import Iterator

import pytest

from tests.resilience.faults import functions
from tests.resilience.faults.cloud import on_moto
from tests.resilience.faults.crash import live, singles

ONE_IN = 48


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with functions.quietly():
        yield


def test_an_undisturbed_life_calls_every_service() -> None:
    life = live(on=on_moto)

    assert life.wrong == ()
    assert {effect.port for effect, _ in life.effects} == {
        *("dynamodb", "events", "s3", "sqs", "secretsmanager", "fal"),
    }
    assert len(life.effects) > 60


def test_death_or_failure_at_a_call_breaks_nothing() -> None:
    calls = len(live(on=on_moto).effects)

    lives = [live(blow, on=on_moto) for blow in list(singles(calls))[::ONE_IN]]

    assert [str(life) for life in lives if life.wrong] == []
