"""The trainers for Z-Image."""

from lora_drop.fal.trainers.common import (
    DEFAULT_CAPTION,
    FILES,
    SCHEMA,
    UNPRICED,
    WEIGHTS_FILE,
    steps,
)
from lora_drop.fal.trainers.fields import Choice
from lora_drop.fal.trainers.presets import by_steps
from lora_drop.fal.trainers.trainer import Captions, Price, Trainer

Z_IMAGE = Trainer(
    application="fal-ai/z-image-trainer",
    dataset_field="image_data_url",
    fields=(
        DEFAULT_CAPTION,
        steps(100, 10_000, default=1000),
        Choice(name="training_type", choices=("content", "style", "balanced")),
    ),
    outputs=FILES,
    weights=WEIGHTS_FILE,
    captions=Captions.NEEDED,
    presets=by_steps(fast=500, style={"training_type": "style"}),
    price=None,
    sources=(SCHEMA,),
    notes=(UNPRICED,),
)

Z_IMAGE_TURBO_V2 = Trainer(
    application="fal-ai/z-image-turbo-trainer-v2",
    dataset_field="image_data_url",
    fields=(DEFAULT_CAPTION, steps(10, 40_000, default=2000)),
    outputs=FILES,
    weights=WEIGHTS_FILE,
    captions=Captions.NEEDED,
    presets=by_steps(),
    price=Price(0.00085, 1000),
    sources=(SCHEMA, "https://fal.ai/models/fal-ai/z-image-turbo-trainer-v2"),
    notes=("1000 steps are taken for the least that is billed.",),
)
