"""Each row of facts holds together, and none says what no other part can keep."""

import math
from dataclasses import FrozenInstanceError

import pytest

from lora_drop.fal.trainers.common import NAMES
from lora_drop.fal.trainers.fields import (
    Checkpoint,
    Choice,
    Field,
    Rate,
    UnacceptableValueError,
    WholeNumber,
    plain,
)
from lora_drop.fal.trainers.table import DATASET_FIELDS, TRAINERS, trainer_of
from lora_drop.fal.trainers.trainer import Captions, Trainer
from lora_drop.jobs.artifacts import KNOWN_OUTPUTS, WEIGHTS, artifacts_in
from tests.support.builders import APPLICATION

ROWS = list(TRAINERS.values())
EVERY = pytest.mark.parametrize("trainer", ROWS, ids=lambda each: each.short_name)
EVERY_FIELD = pytest.mark.parametrize(
    ("trainer", "field"),
    [
        pytest.param(trainer, field, id=f"{trainer.short_name}-{field.name}")
        for trainer in ROWS
        for field in trainer.fields
    ],
)
ASKED_FOR = (
    *("flux-lora-portrait-trainer", "flux-lora-fast-training", "flux-krea-trainer"),
    *("flux-2-trainer", "qwen-image-trainer", "z-image-trainer"),
)


@pytest.mark.parametrize("name", ASKED_FOR)
def test_a_trainer_is_found_by_its_id_with_and_without_its_owner(name: str) -> None:
    trainer = trainer_of(name)

    assert trainer is not None
    assert trainer is trainer_of(f"fal-ai/{name}")
    assert trainer.short_name == name


@pytest.mark.parametrize("name", ["", "fal-ai", "fal-ai/", "flux", "FLUX-2-TRAINER", "x/y/z"])
def test_what_is_no_trainer_is_none(name: str) -> None:
    assert trainer_of(name) is None


def test_no_two_trainers_have_one_short_name() -> None:
    assert len({trainer.short_name for trainer in ROWS}) == len(ROWS)


def test_a_row_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        ROWS[0].price = None  # type: ignore[misc]  # that is the point
    with pytest.raises(TypeError):
        TRAINERS["x"] = ROWS[0]  # type: ignore[index]  # that is the point


@EVERY
def test_each_name_means_one_input(trainer: Trainer) -> None:
    names = [name for field in trainer.fields for name in {field.name, field.wire}]

    assert len(names) == len(set(names))
    assert not {*names} & {"trainer", "preset", "force", *DATASET_FIELDS}
    for name in names:
        found = trainer.known_as(name)
        assert found is not None
        assert name in (found.name, found.wire)


@EVERY_FIELD
def test_a_default_is_a_value_that_is_accepted(trainer: Trainer, field: Field) -> None:
    assert trainer.sources
    if field.default is not None:
        assert field.accept(field.default, text=False) == field.default
        assert field.accept(text_of(field.default), text=True) == field.default


def text_of(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@EVERY_FIELD
def test_both_ends_of_a_range_are_accepted_and_nothing_beyond(
    trainer: Trainer, field: Field
) -> None:
    assert field in trainer.fields
    match field:
        case WholeNumber(low=low, high=high):
            inside: list[object] = [low, high]
            outside: list[object] = [low - 1, high + 1]
        case Rate(low=low, high=high):
            inside = [low, high]
            outside = [math.nextafter(low, -1), math.nextafter(high, 2), 0.0, -1, math.inf]
        case Choice(choices=choices):
            inside, outside = [*choices], ["", choices[0].upper(), " ".join(choices) + "x"]
        case _:
            return
    assert [field.accept(value, text=False) for value in inside] == inside
    for value in outside:
        with pytest.raises(UnacceptableValueError) as refused:
            field.accept(value, text=False)
        assert (refused.value.code, str(refused.value)) == (
            "parameter_out_of_range",
            f"it takes {field.takes}",
        )


@EVERY
def test_every_preset_is_there_and_sets_what_the_trainer_takes_and_is_advised(
    trainer: Trainer,
) -> None:
    assert tuple(trainer.presets) == NAMES
    for preset in trainer.presets.values():
        for name, value in preset.values.items():
            field = trainer.field(name)
            assert field is not None
            assert field.accept(value, text=False) == value
        low, high = preset.steps
        assert low <= int(preset.values["steps"]) <= high
        rate = preset.values.get("learning_rate")
        assert (rate is None) == (preset.learning_rate is None)
        if preset.learning_rate:
            assert preset.learning_rate[0] <= float(rate or 0) <= preset.learning_rate[1]


@EVERY
def test_no_preset_trains_less_than_is_billed(trainer: Trainer) -> None:
    least = trainer.price.min_steps if trainer.price else 1

    assert all(int(preset.values["steps"]) >= least for preset in trainer.presets.values())


@EVERY
def test_a_job_has_steps_whatever_is_said_since_they_are_what_is_paid_for(trainer: Trainer) -> None:
    assert trainer.steps.default is not None
    assert trainer.steps.name == "steps"


@EVERY
def test_the_lora_of_every_trainer_gets_the_one_name_and_its_configuration_too(
    trainer: Trainer,
) -> None:
    payload = {
        name: {"url": f"https://v3.fal.media/files/a/{name}", "file_name": f"{name}.bin"}
        for name in trainer.outputs
    }

    found = {artifact.name: artifact.url for artifact in artifacts_in(payload)}

    assert KNOWN_OUTPUTS[trainer.weights] == WEIGHTS
    assert found["lora.safetensors"].endswith(f"/{trainer.weights}")
    assert found["config.json"].endswith("/config_file")
    assert len(found) == 2  # the photos that some give back as well are not kept


@EVERY
def test_who_needs_captions_has_a_default_one_to_give(trainer: Trainer) -> None:
    named = trainer.known_as("default_caption")

    assert (named is not None) == (trainer.captions is Captions.NEEDED)
    assert trainer.makes_trigger == (trainer.captions is Captions.OPTIONAL)


@EVERY
def test_arguments_are_in_the_trainers_own_words(trainer: Trainer) -> None:
    values = {field.name: field.default or "ada" for field in trainer.fields}

    sent = trainer.arguments(values, "https://x/y")

    assert sent[trainer.dataset_field] == "https://x/y"
    assert set(sent) == {trainer.dataset_field, *(field.wire for field in trainer.fields)}


def test_the_portrait_trainer_alone_is_known_to_go_on_from_a_lora() -> None:
    assert [trainer.application for trainer in ROWS if trainer.resumes] == [APPLICATION]


JOBS = ["ada-0123456789", "a-0123456789", "my-photos-2-abcdef0123"]
URLS = ["https://v3.fal.media/files/a/b.safetensors", "https://x/y?a=b%20c"]


@pytest.mark.parametrize("value", [*JOBS, *URLS, ""])
def test_a_checkpoint_is_an_address_or_a_job(value: str) -> None:
    field = Checkpoint(name="resume_from_checkpoint")

    assert field.accept(f" {value} ", text=True) == value


@pytest.mark.parametrize(
    "value",
    [
        *(
            "http://x/y",
            "s3://models/ada/lora.safetensors",
            "https://x",
            "https://x/a b",
            "ftp://x/y",
        ),
        *("ada", "ada-012345678", "ada-01234567890", "Ada-0123456789", "-0123456789", "0123456789"),
        *("ada/ada-0123456789", "ada-0123456789\nx", "ada--0123456789"),
    ],
)
def test_what_is_neither_is_refused(value: str) -> None:
    with pytest.raises(
        UnacceptableValueError, match="https:// address of a LoRA, or the id of an earlier"
    ):
        Checkpoint(name="resume_from_checkpoint").accept(value, text=True)


@pytest.mark.parametrize(
    ("number", "shown"), [(1e-6, "0.000001"), (0.00115, "0.00115"), (1.0, "1"), (100.0, "100")]
)
def test_a_number_is_shown_as_a_person_writes_it(number: float, shown: str) -> None:
    assert plain(number) == shown
