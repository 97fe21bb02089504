"""The trainers of models that came after FLUX.1, a row each (see table.py)."""

from dataclasses import replace

from lora_drop.fal.trainers.common import (
    CONFIG_FILE,
    DEFAULT_CAPTION,
    FILES,
    LLMS,
    SCHEMA,
    WEIGHTS_FILE,
    by_steps,
    steps,
)
from lora_drop.fal.trainers.fields import Choice, Rate, Text, WholeNumberChoice
from lora_drop.fal.trainers.trainer import Captions, Price, Trainer

FLUX_2 = Trainer(
    application="fal-ai/flux-2-trainer",
    dataset_field="image_data_url",
    fields=(
        DEFAULT_CAPTION,
        Rate(name="learning_rate", default=0.00005),
        steps(100, 10_000, default=1000),
        Choice(name="output_lora_format", choices=("fal", "comfy")),
    ),
    outputs=FILES,
    weights=WEIGHTS_FILE,
    captions=Captions.NEEDED,
    presets=by_steps(fast=500),
    price=Price(0.0064, 1),
    sources=(SCHEMA, LLMS.format("fal-ai/flux-2-trainer")),
    notes=(
        "The range of its learning rate was not found.",
        "Another page of fal's is reported to say $0.008 a step.",
    ),
)

FLUX_2_V2 = replace(
    FLUX_2,
    application="fal-ai/flux-2-trainer-v2",
    sources=(SCHEMA, "https://fal.ai/models/fal-ai/flux-2-trainer-v2"),
    notes=(
        "The range of its learning rate was not found.",
        "The price is fal's as it was quoted in September 2026: “0.0064 * steps”.",
    ),
)

FLUX_2_KLEIN = replace(
    FLUX_2,
    application="fal-ai/flux-2-klein-9b-base-trainer",
    price=Price(0.0043, 1),
    sources=(SCHEMA, "https://fal.ai/models/fal-ai/flux-2-klein-9b-base-trainer"),
    notes=(
        "The range of its learning rate was not found.",
        "The price is fal's as it was quoted in September 2026: “0.0043 * steps”.",
    ),
)

FLUX_3_KLEIN = Trainer(
    application="blackforestlabs/flux-3/klein/base/trainer",
    dataset_field="images_data_url",
    fields=(
        Text(name="trigger_phrase"),
        steps(100, 10_000, default=1000),
        Rate(name="learning_rate", default=0.0001),
        WholeNumberChoice(name="resolution", choices=(512, 768, 1024)),
    ),
    outputs=("lora_file", CONFIG_FILE),
    weights="lora_file",
    captions=Captions.OPTIONAL,
    presets=by_steps(fast=500),
    price=Price(0.0043, 100),
    sources=(LLMS.format("blackforestlabs/flux-3/klein/base/trainer"),),
    notes=("The range of its learning rate was not found.",),
)

KREA_2 = Trainer(
    application="fal-ai/krea-2-trainer",
    dataset_field="images_data_url",
    fields=(
        Text(name="trigger_phrase"),
        steps(100, 10_000, default=1000),
        Rate(name="learning_rate"),
        WholeNumberChoice(name="resolution", choices=(768, 1024)),
    ),
    outputs=("lora_file", CONFIG_FILE),
    weights="lora_file",
    captions=Captions.PHRASE,
    presets=by_steps(fast=500),
    price=Price(0.003, 100),
    sources=(LLMS.format("fal-ai/krea-2-trainer"),),
    notes=(
        "fal's page was read with $0.0028 and with $0.003 a step; the higher price is reserved.",
        "A photo with neither caption nor trigger phrase is answered 422 (fal's page).",
        "The range of its steps was not found: 100 are the least that is billed; more than 10,000 are not sent.",
        "The range and the default of its learning rate were not found.",
    ),
)

IDEOGRAM = Trainer(
    application="ideogram/v4/trainer",
    dataset_field="images_data_url",
    fields=(
        DEFAULT_CAPTION,
        steps(100, 40_000, default=1000),
        Rate(name="learning_rate", low=0.000001, high=0.01, default=0.0001),
        Text(name="resolution"),
        Choice(name="output_lora_format", choices=("fal", "comfy")),
    ),
    outputs=FILES,
    weights=WEIGHTS_FILE,
    captions=Captions.NEEDED,
    presets=by_steps(fast=500),
    price=Price(0.00675, 1),
    sources=(LLMS.format("ideogram/v4/trainer"),),
    notes=(
        "What it does with a photo that has neither a caption nor a default one was not found; two such photos failed.",
        "`resolution` is auto, the name of a size or WIDTHxHEIGHT in multiples of 16, which fal checks.",
    ),
)
