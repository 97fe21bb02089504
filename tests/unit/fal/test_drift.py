"""What fal publishes of a trainer is compared with our row, as far as both say something."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from lora_drop.fal.drift import PublishedTrainer, differences
from lora_drop.fal.trainers.table import DEFAULT, TRAINERS
from lora_drop.fal.trainers.trainer import Price, Trainer
from lora_drop.services.drift import DriftCheck
from lora_drop.simulator.published import openapi
from tests.support.builders import APPLICATION, make_job
from tests.support.world import World

FAST = TRAINERS["fal-ai/flux-lora-fast-training"]
type Inputs = dict[str, Any]


def published(trainer: Trainer = DEFAULT) -> Any:
    return copy.deepcopy(openapi(trainer.application))


def compared(document: Any, trainer: Trainer = DEFAULT) -> list[tuple[str, str, str]]:
    found = differences(trainer, PublishedTrainer(listed=True, openapi=document), trainer.price)
    return [(each.field, each.ours, each.theirs) for each in found]


@pytest.mark.parametrize("trainer", TRAINERS.values(), ids=lambda each: each.short_name)
def test_same_schema_is_no_difference(trainer: Trainer) -> None:
    assert compared(published(trainer), trainer) == []


REFERENCE = {"allOf": [{"$ref": "#/components/schemas/Steps"}], "default": 2500}
CHANGES: dict[str, tuple[Callable[[Inputs], object], list[tuple[str, str, str]]]] = {
    "another default": (
        lambda inputs: inputs["steps"].update(default=2000),
        [("steps", "default 2500", "default 2000")],
    ),
    "another range": (
        lambda inputs: inputs["learning_rate"].update(minimum=0.00001, maximum=0.1),
        [
            ("learning_rate", "minimum 1e-06", "minimum 1e-05"),
            ("learning_rate", "maximum 0.001", "maximum 0.1"),
        ],
    ),
    "another type": (
        lambda inputs: inputs["create_masks"].update(type="string"),
        [("create_masks", "boolean", "string")],
    ),
    "an input is gone": (
        lambda inputs: inputs.pop("subject_crop"),
        [("subject_crop", "an input", "not there")],
    ),
    "the dataset has another name": (
        lambda inputs: inputs.update(dataset_url=inputs.pop("images_data_url")),
        [
            ("images_data_url", "an input", "not there"),
            ("dataset_url", "not there", "an input"),
        ],
    ),
    "a value of a choice is gone": (
        lambda inputs: inputs.update(data_archive_format={"type": "string", "enum": ["tar"]}),
        [("data_archive_format", "takes zip", "takes tar")],
    ),
    "by reference": (lambda inputs: inputs.update(steps=REFERENCE), []),
    "unreadable": (lambda inputs: inputs.update(steps=7, create_masks={"anyOf": 7}), []),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_input_is_named(change: str) -> None:
    document = published()
    schemas = document["components"]["schemas"]
    schemas["Steps"] = {"type": "integer", "minimum": 1, "maximum": 10_000}
    CHANGES[change][0](schemas["Input"]["properties"])
    assert compared(document) == CHANGES[change][1]


def test_new_input_matters_where_it_is_required() -> None:
    """Of the portrait trainer every input is in our row; of others those that could be verified."""
    for trainer, required, found in (
        (DEFAULT, [], [("rank", "not there", "an input")]),
        (FAST, [], []),
        (FAST, ["rank"], [("rank", "not there", "a required input")]),
    ):
        document = published(trainer)
        inputs = document["components"]["schemas"]["Input"]
        inputs["properties"]["rank"] = {"type": "integer"}
        inputs["required"] += required
        assert compared(document, trainer) == found


def test_output_that_is_gone_is_named() -> None:
    document = published()
    del document["components"]["schemas"]["Output"]["properties"]["config_file"]
    assert compared(document) == [("config_file", "an output", "not there")]


@pytest.mark.parametrize(
    ("said", "price", "fields"),
    [
        (None, None, []),
        (PublishedTrainer(listed=True), None, []),
        (PublishedTrainer(listed=True, status="active", openapi={}), DEFAULT.price, []),
        (PublishedTrainer(listed=True, openapi={"paths": []}), None, []),
        (PublishedTrainer(listed=False), None, ["endpoint"]),
        (PublishedTrainer(listed=True, status="deprecated"), None, ["status"]),
        (None, Price(0.003, 1000), ["price"]),
    ],
)
def test_silence_is_no_difference(
    said: PublishedTrainer | None, price: Price | None, fields: list[str]
) -> None:
    assert [each.field for each in differences(DEFAULT, said, price)] == fields


def test_used_trainers_and_the_default_are_compared(world: World) -> None:
    """Compared are the stack's own trainer and those of its newest jobs; one that is not known is left out."""
    for name, application in (("a", FAST.application), ("b", "fal-ai/of-yesterday")):
        world.holds(make_job(job_id=name, application=application))
    asked: list[str] = []

    class Fal:
        def published(self, application: str) -> PublishedTrainer:
            asked.append(application)
            return PublishedTrainer(listed=False)

    found = DriftCheck(world.jobs, Fal(), world.fal, APPLICATION).compare()
    assert asked == sorted([FAST.application, APPLICATION])
    assert [each.application for each in found] == asked


@pytest.fixture
def world() -> World:
    return World()
