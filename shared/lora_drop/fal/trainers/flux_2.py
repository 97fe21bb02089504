"""The trainer for FLUX.2."""

from lora_drop.fal.trainers.common import DEFAULT_CAPTION, FILES, LLMS, SCHEMA, WEIGHTS_FILE, steps
from lora_drop.fal.trainers.fields import Choice, Rate
from lora_drop.fal.trainers.presets import by_steps
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
