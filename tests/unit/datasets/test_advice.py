"""What is allowed and yet not what is advised: told, never refused."""

import pytest

from lora_drop.datasets.parameters import advice, folder_advice, resolve
from lora_drop.fal.trainers.common import NAMES
from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.fal.trainers.trainer import Price

STEPS, RATE, BILLED = (
    "parameter_steps_unusual",
    "parameter_learning_rate_unusual",
    "parameter_steps_below_minimum",
)


def told(asked: Price | None = None, /, **metadata: str) -> dict[str, str]:
    """Each code of the advice and its sentence."""
    resolved = resolve(
        key="a.zip", training_json=None, metadata=metadata, trigger_seed="0123456789"
    )
    return {problem.code: problem.message for problem in advice(resolved, asked)}


@pytest.mark.parametrize("preset", NAMES)
@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_preset_as_it_is_needs_no_advice(trainer: str, preset: str) -> None:
    assert told(trainer=trainer, preset=preset) == {}


@pytest.mark.parametrize("trainer", TRAINERS)
def test_neither_do_fals_own_defaults(trainer: str) -> None:
    assert told(trainer=trainer) == {}


@pytest.mark.parametrize(
    ("metadata", "codes"),
    [
        ({"preset": "portrait", "steps": "1000"}, []),
        ({"preset": "portrait", "steps": "2500"}, []),
        ({"preset": "portrait", "steps": "2501"}, [STEPS]),
        ({"preset": "portrait", "steps": "999"}, [BILLED, STEPS]),
        ({"preset": "portrait", "learning_rate": "0.0001"}, []),
        ({"preset": "portrait", "learning_rate": "0.0002"}, []),
        ({"preset": "portrait", "learning_rate": "0.00021"}, [RATE]),
        ({"preset": "portrait", "learning_rate": "0.00009"}, [RATE]),
        ({"preset": "portrait", "steps": "9000", "learning_rate": "0.001"}, [STEPS, RATE]),
        ({"preset": "style", "steps": "1999"}, [STEPS]),
        ({"preset": "style", "learning_rate": "0.00011"}, [RATE]),
        ({"preset": "fast", "steps": "500"}, [BILLED]),
        ({"preset": "fast", "learning_rate": "0.0001"}, [RATE]),
        ({"preset": "quality", "steps": "10000"}, []),
        ({"preset": "quality", "steps": "2999"}, [STEPS]),
        ({"preset": "quality", "learning_rate": "0.0002"}, [RATE]),
        # without a preset it is enough to be like one of them
        ({"steps": "1500", "learning_rate": "0.00015"}, []),
        ({"steps": "10000", "learning_rate": "0.00006"}, []),
        ({"steps": "1200"}, []),
        ({"steps": "1200", "learning_rate": "0.00009"}, [RATE]),
        ({"steps": "499"}, [BILLED, STEPS]),
        ({"steps": "10000", "learning_rate": "0.001"}, [RATE]),
        # a trainer whose learning rate nobody gives advice on
        ({"trainer": "flux-2-trainer", "preset": "portrait", "learning_rate": "0.9"}, []),
        ({"trainer": "flux-2-trainer", "preset": "portrait", "steps": "100"}, [STEPS]),
        ({"trainer": "qwen-image-trainer-v2", "preset": "fast", "steps": "499"}, [BILLED, STEPS]),
    ],
)
def test_advice_is_given_beyond_the_ranges_and_only_there(
    metadata: dict[str, str], codes: list[str]
) -> None:
    assert list(told(**metadata)) == codes


def test_steps_below_what_is_billed_are_told_in_numbers() -> None:
    said = told(preset="fast", steps="600")[BILLED]

    assert (
        said
        == "600 steps will be trained and 1000 billed, which is the least: 1000 steps would cost the same."
    )


def test_what_fal_asks_at_the_moment_counts() -> None:
    assert list(told(Price(0.003, 2000), preset="portrait")) == [BILLED]
    assert told(Price(0.003, 1), preset="fast", steps="600") == {}


def test_the_advised_ranges_are_named() -> None:
    said = told(preset="quality", steps="100")[STEPS]
    rates = told(steps="10000", learning_rate="0.001")[RATE]

    assert "3000 and more for quality" in said
    assert "0.000001 to 0.0001 for quality" in rates


@pytest.mark.parametrize("folder", ["portriat", "Portrait", "syle", "qualty"])
def test_a_folder_that_is_nearly_called_like_a_preset_is_told(folder: str) -> None:
    [problem] = folder_advice(f"{folder}/ada.zip")

    assert problem.code == "parameter_preset_unlike"
    assert folder in problem.message


@pytest.mark.parametrize("key", ["portrait/a.zip", "anna/a.zip", "portrai.zip", "style/x/a.zip"])
def test_a_folder_of_ones_own_is_nobodys_business(key: str) -> None:
    assert folder_advice(key) == ()
