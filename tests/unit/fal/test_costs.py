import math

import pytest

from lora_drop.fal.trainers.table import TRAINERS, estimated_cost_usd, price_of
from lora_drop.fal.trainers.trainer import Price
from lora_drop.simulator.ledger import PRICES as SIMULATED
from tests.support.builders import APPLICATION

PRICES = {name: trainer.price for name, trainer in TRAINERS.items() if trainer.price}


@pytest.mark.parametrize(
    ("steps", "usd"),
    [(1, 2.4), (1000, 2.4), (1001, 2.41), (1500, 3.6), (2500, 6.0), (10_000, 24.0)],
)
def test_a_training_costs_by_its_steps_and_a_thousand_at_least(steps: int, usd: float) -> None:
    assert estimated_cost_usd(APPLICATION, steps) == usd


@pytest.mark.parametrize(
    ("application", "steps", "usd"),
    [
        *(("fal-ai/flux-2-trainer", 100, 0.64), ("fal-ai/flux-2-trainer", 1, 0.01)),
        *(("fal-ai/qwen-image-trainer-v2", 1, 1.0), ("fal-ai/qwen-image-trainer-v2", 501, 1.01)),
        ("fal-ai/z-image-turbo-trainer-v2", 2000, 1.7),
    ],
)
def test_each_trainer_has_its_own_price(application: str, steps: int, usd: float) -> None:
    assert estimated_cost_usd(application, steps) == usd


@pytest.mark.parametrize(
    "application", ["fal-ai/nothing", "", "fal-ai/flux-lora-portrait", "fal-ai/z-image-trainer"]
)
def test_no_price_is_made_up(application: str) -> None:
    assert price_of(application) is None
    assert estimated_cost_usd(application, 1000) is None


def test_a_price_of_the_moment_comes_before_the_tables() -> None:
    assert estimated_cost_usd(APPLICATION, 2500, Price(0.003, 1000)) == 7.5
    assert estimated_cost_usd("fal-ai/nothing", 2500, Price(0.003, 1)) == 7.5


@pytest.mark.parametrize("steps", [1, 333, 1000, 1001, 1999, 2500, 7777, 10_000])
@pytest.mark.parametrize("application", PRICES)
def test_an_estimate_is_in_whole_cents_and_less_than_a_cent_too_much(
    application: str, steps: int
) -> None:
    price = PRICES[application]
    bill = max(steps, price.min_steps) * price.usd_per_step

    usd = estimated_cost_usd(application, steps)

    assert usd is not None
    assert usd == round(usd, 2)
    assert -1e-9 < usd - bill < 0.01


@pytest.mark.parametrize("usd_per_step", [0.0024000000000000002, 0.0023999999999999994])
def test_a_price_that_binary_cannot_hold_costs_no_cent_more(usd_per_step: float) -> None:
    assert estimated_cost_usd(APPLICATION, 1000, Price(usd_per_step, 1000)) == 2.4


def test_every_price_is_one() -> None:
    for price in PRICES.values():
        assert math.isfinite(price.usd_per_step)
        assert 0 < price.usd_per_step < 1
        assert price.min_steps >= 1


def test_the_simulator_bills_what_is_estimated() -> None:
    known = {
        application: (price.usd_per_step, price.min_steps) for application, price in PRICES.items()
    }

    assert known == SIMULATED
