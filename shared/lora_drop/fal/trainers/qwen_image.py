"""The trainers for Qwen-Image."""

from lora_drop.fal.trainers.common import (
    CONFIG_FILE,
    DEFAULT_CAPTION,
    FILES,
    LLMS,
    RETIRED,
    SCHEMA,
    UNPRICED,
    WEIGHTS_FILE,
    steps,
)
from lora_drop.fal.trainers.fields import Text
from lora_drop.fal.trainers.presets import by_steps
from lora_drop.fal.trainers.trainer import Captions, Price, Trainer

QWEN_IMAGE = Trainer(
    application="fal-ai/qwen-image-trainer",
    dataset_field="image_data_url",
    # The phrase is what a photo without a caption is trained on with.
    fields=(Text(name="trigger_phrase"), steps(1, 8000, default=1000)),
    outputs=("lora_file", CONFIG_FILE),
    weights="lora_file",
    captions=Captions.OPTIONAL,
    presets=by_steps(fast=500),
    price=None,
    sources=(SCHEMA,),
    notes=(UNPRICED, RETIRED),
)

QWEN_IMAGE_V2 = Trainer(
    application="fal-ai/qwen-image-trainer-v2",
    dataset_field="image_data_url",
    fields=(DEFAULT_CAPTION, steps(100, 30_000, default=1000)),
    outputs=FILES,
    weights=WEIGHTS_FILE,
    captions=Captions.NEEDED,
    presets=by_steps(fast=500),
    price=Price(0.002, 500),
    sources=(SCHEMA, LLMS.format("fal-ai/qwen-image-trainer-v2")),
)

QWEN_IMAGE_2512_V2 = Trainer(
    application="fal-ai/qwen-image-2512-trainer-v2",
    dataset_field="image_data_url",
    fields=(DEFAULT_CAPTION, steps(10, 40_000, default=2000)),
    outputs=FILES,
    weights=WEIGHTS_FILE,
    captions=Captions.NEEDED,
    presets=by_steps(fast=500),
    price=Price(0.00095, 500),
    sources=(SCHEMA, LLMS.format("fal-ai/qwen-image-2512-trainer-v2")),
)
