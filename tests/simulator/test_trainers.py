"""Each trainer with its own names, rules, files and price: our rows and the simulator's agree."""

from typing import Any

import fal_client
import pytest

from lora_drop.datasets.parameters import ResolvedParameters, resolve
from lora_drop.fal.trainers.fields import LEAST_RATE, Choice, Field, Flag, Rate, WholeNumber
from lora_drop.fal.trainers.table import FAST, FLUX_2, TRAINERS, estimated_cost_usd
from lora_drop.fal.trainers.trainer import Captions, Trainer
from lora_drop.jobs.artifacts import artifacts_in
from lora_drop.simulator.inputs import ENDPOINTS
from tests.simulator.fal_calls import Calls, data_uri
from tests.support.builders import JPEG, make_archive

EVERY = pytest.mark.parametrize("trainer", TRAINERS.values(), ids=lambda each: each.short_name)
BARE = data_uri(make_archive())


def resolved(trainer: Trainer, **metadata: str) -> ResolvedParameters:
    return resolve(
        key="photos.zip",
        training_json=None,
        metadata=metadata,
        trigger_seed="0123456789",
        application=trainer.application,
    )


def test_simulator_has_every_trainer() -> None:
    assert set(ENDPOINTS) == set(TRAINERS)


@EVERY
def test_same_inputs_by_same_names(trainer: Trainer) -> None:
    rules = ENDPOINTS[trainer.application]
    names = {trainer.dataset_field, *(field.wire for field in trainer.fields)}
    assert set(rules.model.model_fields) == names
    assert rules.dataset_field == trainer.dataset_field
    assert (rules.weights, rules.mask_suffix) == (trainer.weights, trainer.mask_suffix)


def limits_in(schema: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Least, most and default in a JSON schema; None where nothing is said."""
    return schema.get("minimum"), schema.get("maximum"), schema.get("default")


@pytest.mark.parametrize(
    ("trainer", "field"),
    [
        pytest.param(trainer, field, id=f"{trainer.short_name}-{field.name}")
        for trainer in TRAINERS.values()
        for field in trainer.fields
        if isinstance(field, WholeNumber | Rate | Flag | Choice)
    ],
)
def test_same_values_are_taken(trainer: Trainer, field: Field) -> None:
    model = ENDPOINTS[trainer.application].model
    schema = model.model_json_schema()["properties"][field.wire]

    match field:
        case WholeNumber():
            assert limits_in(schema) == (field.low, field.high, field.default)
        case Rate():
            low, high = (field.low, field.high) if field.low > LEAST_RATE else (None, None)
            assert limits_in(schema) == (low, high, field.default)
        case Flag():
            assert schema["default"] == field.default
        case Choice(choices=choices) if len(choices) > 1:
            assert schema["anyOf"][0]["enum"] == list(choices)


@EVERY
def test_resolved_parameters_are_trained_with(
    trainer: Trainer, fal: fal_client.SyncClient, calls: Calls
) -> None:
    """What is resolved for a trainer is what it trains with, and the bill is what was estimated."""
    parameters = resolved(trainer, preset="fast", trigger_phrase="ada").values
    handle = fal.submit(trainer.application, parameters.arguments(BARE))
    result = handle.get()

    assert set(result) == set(trainer.outputs)
    files = {each.name: each for each in artifacts_in(result)}
    assert {"lora.safetensors", "config.json"} <= set(files)
    assert files["lora.safetensors"].url == result[trainer.weights]["url"]
    config = calls.http.get(result["config_file"]["url"]).json()
    sent = parameters.arguments(BARE).items() - {(trainer.dataset_field, BARE)}
    assert sent <= {name: config[name] for name, _ in sent}.items()
    query = {"request_id": handle.request_id}
    rows = calls.http.get("/v1/models/billing-events", params=query).json()["billing_events"]
    usd = sum(row["cost_total"] for row in rows)
    estimate = estimated_cost_usd(trainer.application, parameters.steps)
    assert (usd > 0) == (trainer.price is not None)  # a trainer without a price is free
    assert -1e-9 < (estimate or 0.0) - usd < 0.01  # the rest of a cent


@EVERY
@pytest.mark.parametrize("beyond", [-1, 1])
def test_refused_steps_are_refused_there(trainer: Trainer, beyond: int, standing: Calls) -> None:
    steps = trainer.steps.low - 1 if beyond < 0 else trainer.steps.high + 1
    arguments = {**resolved(trainer, trigger_phrase="ada").values.arguments(BARE), "steps": steps}
    detail = standing.detail(arguments, application=trainer.application)
    assert detail["loc"] == ["body", "steps"]


@EVERY
def test_dataset_needs_its_own_field(trainer: Trainer, standing: Calls) -> None:
    [other] = {"images_data_url", "image_data_url"} - {trainer.dataset_field}
    detail = standing.detail({other: BARE}, application=trainer.application)
    assert detail["loc"] == ["body", trainer.dataset_field]


@EVERY
def test_needed_captions_are_missed(trainer: Trainer, standing: Calls) -> None:
    """Without captions and a default one a training fails where captions are needed."""
    request_id = standing.submitted({trainer.dataset_field: BARE}, application=trainer.application)
    status = standing.ended(request_id, trainer.application)
    assert ("error" in status) == (trainer.captions is Captions.NEEDED)


def test_caption_for_each_photo(standing: Calls) -> None:
    captions = {f"photo-{number:02}.txt": b"a photo of ada" for number in range(12)}
    captioned = data_uri(make_archive(members=captions))
    missing = data_uri(make_archive(members=dict(list(captions.items())[1:])))
    parameters, application = resolved(FLUX_2).values, FLUX_2.application

    result = standing.trained(parameters.arguments(captioned), application=application)
    detail = standing.detail(parameters.arguments(missing), application=application)
    assert set(result) == set(FLUX_2.outputs)
    assert detail["loc"] == ["body", "default_caption"]
    assert "photo-00.jpg" in detail["msg"]


def test_mask_is_no_photo(calls: Calls) -> None:
    masked = data_uri(make_archive(members={"photo-00_mask.jpg": JPEG, "odd_mask.jpg": JPEG}))
    for application in (FAST.application, "fal-ai/flux-krea-trainer"):
        calls.trained({"images_data_url": masked}, application=application)
    assert [row["images"] for row in calls.rows("datasets")] == [13, 14]
