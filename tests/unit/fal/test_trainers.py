"""Each row of the trainers' table holds together, and each training has a price."""

import math
from dataclasses import FrozenInstanceError

import pytest

from lora_drop.fal.trainers import fields, table
from lora_drop.fal.trainers.common import NAMES
from lora_drop.fal.trainers.trainer import Captions, Price, Trainer
from lora_drop.jobs.artifacts import KNOWN_OUTPUTS, WEIGHTS, artifacts_in
from lora_drop.simulator.ledger import PRICES as SIMULATED
from tests.support.builders import APPLICATION

ROWS = list(table.TRAINERS.values())
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
    *("flux-2-trainer", "qwen-image-trainer", "z-image-trainer", "krea-2-trainer"),
    *("blackforestlabs/flux-3/klein/base/trainer", "ideogram/v4/trainer"),
)


@pytest.mark.parametrize("name", ASKED_FOR)
def test_a_trainer_is_found_by_id(name: str) -> None:
    trainer = table.trainer_of(name)
    assert trainer is not None
    assert trainer is table.trainer_of(f"fal-ai/{name}" if "/" not in name else name)
    assert trainer.short_name == name


@pytest.mark.parametrize(
    "name", ["", "fal-ai", "fal-ai/", "flux", "FLUX-2-TRAINER", "x/y/z", "trainer"]
)
def test_what_is_no_trainer_is_none(name: str) -> None:
    assert table.trainer_of(name) is None


def test_a_row_cannot_be_changed() -> None:
    """The table of trainers is read-only, and each short name stands in it once."""
    assert len({trainer.short_name for trainer in ROWS}) == len(ROWS)
    with pytest.raises(FrozenInstanceError):
        ROWS[0].price = None  # type: ignore[misc]  # that is the point
    with pytest.raises(TypeError):
        table.TRAINERS["x"] = ROWS[0]  # type: ignore[index]  # that is the point


@EVERY
def test_each_name_means_one_input(trainer: Trainer) -> None:
    names = [name for field in trainer.fields for name in {field.name, field.wire}]
    assert len(names) == len(set(names))
    assert not {*names} & {"trainer", "preset", "force", *table.DATASET_FIELDS}
    for name in names:
        found = trainer.known_as(name)
        assert found is not None
        assert name in (found.name, found.wire)


@EVERY_FIELD
def test_a_default_is_accepted(trainer: Trainer, field: fields.Field) -> None:
    assert trainer.sources
    if field.default is not None:
        assert field.accept(field.default, text=False) == field.default
        said = str(field.default)
        text = said.lower() if isinstance(field.default, bool) else said
        assert field.accept(text, text=True) == field.default


@pytest.mark.promise("never pay for a dataset that cannot train")
@EVERY_FIELD
def test_a_range_ends_where_it_says(trainer: Trainer, field: fields.Field) -> None:
    """Both ends of a parameter's range are accepted and nothing beyond."""
    assert field in trainer.fields
    match field:
        case fields.WholeNumber(low=low, high=high):
            inside: list[object] = [low, high]
            outside: list[object] = [low - 1, high + 1]
        case fields.Rate(low=low, high=high):
            inside = [low, high]
            outside = [math.nextafter(low, -1), math.nextafter(high, 2), 0.0, -1, math.inf]
        case fields.WholeNumberChoice(choices=sizes):
            inside, outside = [*sizes], [sizes[0] - 1, sizes[-1] + 1]
        case fields.Choice(choices=choices):
            inside, outside = [*choices], ["", choices[0].upper(), " ".join(choices) + "x"]
        case _:
            return
    assert [field.accept(value, text=False) for value in inside] == inside
    for value in outside:
        with pytest.raises(fields.UnacceptableValueError) as refused:
            field.accept(value, text=False)
        assert (refused.value.code, str(refused.value)) == (
            "parameter_out_of_range",
            f"it takes {field.takes}",
        )


@pytest.mark.promise("never pay for a dataset that cannot train")
@EVERY
def test_every_preset_fits_its_trainer(trainer: Trainer) -> None:
    """Each trainer has every preset, and each preset sets what the trainer takes and what is advised."""
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


@pytest.mark.promise("never pay twice")
@EVERY
def test_no_preset_wastes_billed_steps(trainer: Trainer) -> None:
    """No preset trains fewer steps than are billed."""
    least = trainer.price.min_steps if trainer.price else 1
    assert all(int(preset.values["steps"]) >= least for preset in trainer.presets.values())


@EVERY
def test_each_row_holds_together(trainer: Trainer) -> None:
    """A job always has steps, arguments have the trainer's names, needed captions a default."""
    values = {field.name: field.default or "ada" for field in trainer.fields}
    sent = trainer.arguments(values, "https://x/y")
    caption = trainer.known_as("default_caption")
    assert trainer.steps.default is not None
    assert trainer.steps.name == "steps"
    assert (caption is not None) == (trainer.captions is Captions.NEEDED)
    assert trainer.makes_trigger == (trainer.captions is not Captions.NEEDED)
    assert sent[trainer.dataset_field] == "https://x/y"
    assert set(sent) == {trainer.dataset_field, *(field.wire for field in trainer.fields)}


@pytest.mark.promise("interfaces stay")
@EVERY
def test_every_trainers_lora_has_one_name(trainer: Trainer) -> None:
    """The LoRA of every trainer gets the same name, and so does its configuration."""
    payload = {
        name: {"url": f"https://v3.fal.media/files/a/{name}", "file_name": f"{name}.bin"}
        for name in trainer.outputs
    }
    found = {artifact.name: artifact.url for artifact in artifacts_in(payload)}
    assert KNOWN_OUTPUTS[trainer.weights] == WEIGHTS
    assert found["lora.safetensors"].endswith(f"/{trainer.weights}")
    assert found["config.json"].endswith("/config_file")
    assert len(found) == 2  # the photos that some give back as well are not kept


@pytest.mark.parametrize(
    ("name", "style"),
    [
        *(("flux-lora-fast-training", True), ("flux-krea-trainer", True)),
        *(("flux-lora-portrait-trainer", None), ("turbo-flux-trainer", None)),
    ],
)
def test_a_style_is_said_to_be_one(name: str, style: bool | None) -> None:  # noqa: FBT001  # a row
    """The preset style sets is_style where a trainer has it; masks are made unless it says otherwise."""
    trainer = table.trainer_of(name)
    assert trainer is not None
    assert trainer.presets["style"].values.get("is_style") is style
    masks = trainer.field("create_masks")
    assert not style or (masks is not None and masks.default is True)
    assert "is_style" not in trainer.presets["portrait"].values


def test_only_the_portrait_trainer_resumes() -> None:
    assert [trainer.application for trainer in ROWS if trainer.resumes] == [APPLICATION]


JOBS = ["ada-0123456789", "a-0123456789", "my-photos-2-abcdef0123"]
URLS = ["https://v3.fal.media/files/a/b.safetensors", "https://x/y?a=b%20c"]


@pytest.mark.parametrize("value", [*JOBS, *URLS, ""])
def test_a_checkpoint_is_address_or_job(value: str) -> None:
    field = fields.Checkpoint(name="resume_from_checkpoint")
    assert field.accept(f" {value} ", text=True) == value


@pytest.mark.parametrize(
    "value",
    [
        *("http://x/y", "s3://models/ada/lora.safetensors", "https://x", "https://x/a b"),
        "ftp://x/y",
        *("ada", "ada-012345678", "ada-01234567890", "Ada-0123456789", "-0123456789", "0123456789"),
        *("ada/ada-0123456789", "ada-0123456789\nx", "ada--0123456789"),
    ],
)
def test_another_checkpoint_is_refused(value: str) -> None:
    with pytest.raises(
        fields.UnacceptableValueError, match="https:// address of a LoRA, or the id of an earlier"
    ):
        fields.Checkpoint(name="resume_from_checkpoint").accept(value, text=True)


@pytest.mark.parametrize(
    ("number", "shown"), [(1e-6, "0.000001"), (0.00115, "0.00115"), (1.0, "1"), (100.0, "100")]
)
def test_a_number_is_shown_plainly(number: float, shown: str) -> None:
    assert fields.plain(number) == shown


PRICES = {name: trainer.price for name, trainer in table.TRAINERS.items() if trainer.price}


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize(
    ("application", "steps", "usd"),
    [
        *((APPLICATION, 1, 2.4), (APPLICATION, 1000, 2.4), (APPLICATION, 1001, 2.41)),
        *((APPLICATION, 1500, 3.6), (APPLICATION, 2500, 6.0), (APPLICATION, 10_000, 24.0)),
        *(("fal-ai/flux-2-trainer", 100, 0.64), ("fal-ai/flux-2-trainer", 1, 0.01)),
        *(("fal-ai/qwen-image-trainer-v2", 1, 1.0), ("fal-ai/qwen-image-trainer-v2", 501, 1.01)),
        *(("fal-ai/z-image-turbo-trainer-v2", 2000, 1.7), ("fal-ai/flux-2-trainer-v2", 1000, 6.4)),
        *(("fal-ai/flux-2-klein-9b-base-trainer", 1000, 4.3), ("ideogram/v4/trainer", 1000, 6.75)),
        ("blackforestlabs/flux-3/klein/base/trainer", 1000, 4.3),
        ("blackforestlabs/flux-3/klein/base/trainer", 50, 0.43),
        *(("fal-ai/krea-2-trainer", 1000, 3.0), ("fal-ai/krea-2-trainer", 1, 0.3)),
        *(
            ("fal-ai/qwen-image-2512-trainer", 1000, 1.5),
            ("fal-ai/qwen-image-2512-trainer", 1, 0.75),
        ),
    ],
)
def test_each_trainer_has_its_price(application: str, steps: int, usd: float) -> None:
    """A training costs by its steps, with the trainer's price and minimum."""
    assert table.estimated_cost_usd(application, steps) == usd


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize(
    "application", ["fal-ai/nothing", "", "fal-ai/flux-lora-portrait", "fal-ai/z-image-trainer"]
)
def test_no_price_is_invented(application: str) -> None:
    """A trainer without a published price has no estimate."""
    assert table.price_of(application) is None
    assert table.estimated_cost_usd(application, 1000) is None


@pytest.mark.parametrize(
    ("application", "steps", "price", "usd"),
    [
        (APPLICATION, 2500, Price(0.003, 1000), 7.5),
        ("fal-ai/nothing", 2500, Price(0.003, 1), 7.5),
        # What binary cannot hold costs no cent more.
        (APPLICATION, 1000, Price(0.0024000000000000002, 1000), 2.4),
        (APPLICATION, 1000, Price(0.0023999999999999994, 1000), 2.4),
    ],
)
def test_a_current_price_comes_first(
    application: str, steps: int, price: Price, usd: float
) -> None:
    assert table.estimated_cost_usd(application, steps, price) == usd


@pytest.mark.parametrize("steps", [1, 333, 1000, 1001, 1999, 2500, 7777, 10_000])
@pytest.mark.parametrize("application", PRICES)
def test_an_estimate_is_in_whole_cents(application: str, steps: int) -> None:
    price = PRICES[application]
    bill = max(steps, price.min_steps) * price.usd_per_step
    usd = table.estimated_cost_usd(application, steps)
    assert usd is not None
    assert usd == round(usd, 2)
    assert -1e-9 < usd - bill < 0.01


def test_the_simulator_bills_the_estimate() -> None:
    known = {name: (price.usd_per_step, price.min_steps) for name, price in PRICES.items()}
    assert known == SIMULATED
