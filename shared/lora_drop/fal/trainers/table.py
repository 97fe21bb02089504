"""Every trainer that lora-drop knows, a row each, and what a training costs, before it is paid.

A trainer that is not here is refused, not paid and hoped for. The cost is an estimate that the bill does not
exceed. Where a row states no minimum for a price per 1000 steps, or per run of 1000, it is taken as 1000: an
estimate reserves money, and too much of it does no harm. fal's own list of the moment comes before the rows
(lora_drop.adapters.fal_prices).
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal
from types import MappingProxyType

from lora_drop.fal.trainers.common import (
    CONFIG_FILE,
    DEFAULT_CAPTION,
    FILES,
    FOR_PORTRAITS,
    LLMS,
    RETIRED,
    SCHEMA,
    TRIGGER_WORD,
    UNPRICED,
    WEIGHTS_FILE,
    by_steps,
    steps,
)
from lora_drop.fal.trainers.fields import Checkpoint, Choice, Flag, Rate, Text
from lora_drop.fal.trainers.late_rows import (
    FLUX_2,
    FLUX_2_KLEIN,
    FLUX_2_V2,
    FLUX_3_KLEIN,
    IDEOGRAM,
    KREA_2,
)
from lora_drop.fal.trainers.trainer import Captions, Price, Trainer

DEBUG = "debug_preprocessed_output"
# True: no masks and no captions are made, and the trigger word is all that is said of a photo.
IS_STYLE = Flag(name="is_style", default=False)
CREATE_MASKS = Flag(name="create_masks", default=True)

PORTRAIT = Trainer(
    application="fal-ai/flux-lora-portrait-trainer",
    dataset_field="images_data_url",
    fields=(
        Text(name="trigger_phrase"),
        Rate(name="learning_rate", low=0.000001, high=0.001, default=0.00009),
        steps(1, 10_000, default=2500),
        Flag(name="multiresolution_training", default=True),
        Flag(name="subject_crop", default=True),
        Flag(name="create_masks", default=False),
        # fal would tell it from the address, which ends in a signature.
        Choice(name="data_archive_format", choices=("zip",), default="zip"),
        Checkpoint(name="resume_from_checkpoint"),
    ),
    outputs=FILES,
    weights=WEIGHTS_FILE,
    captions=Captions.OPTIONAL,
    trigger_in_captions=True,
    presets=FOR_PORTRAITS,
    price=Price(0.0024, 1000),
    sources=(SCHEMA, LLMS.format("fal-ai/flux-lora-portrait-trainer")),
    notes=(
        "fal's page, read in July and September 2026: “$0.0024 … per step. A minimum of 1000 steps will be billed”.",
    ),
)

FAST = Trainer(
    application="fal-ai/flux-lora-fast-training",
    dataset_field="images_data_url",
    fields=(TRIGGER_WORD, steps(1, 10_000, default=1000), IS_STYLE, CREATE_MASKS),
    outputs=(*FILES, DEBUG),
    weights=WEIGHTS_FILE,
    captions=Captions.OPTIONAL,
    # "which disables auto-captioning and" segmentation
    presets=by_steps(style={"is_style": True}),
    # "If you have a image photo.jpg, you can include a mask file photo_mask.jpg"
    mask_suffix="_mask",
    price=Price(0.002, 1000),
    sources=(SCHEMA, "https://fal.ai/models/fal-ai/flux-lora-fast-training/api"),
    notes=(
        "The price is from reports: about $2 for 1000 steps.",
        "1000 steps are taken for the least that is billed.",
    ),
)

KREA = Trainer(
    application="fal-ai/flux-krea-trainer",
    dataset_field="images_data_url",
    fields=(TRIGGER_WORD, steps(1, 10_000, default=1000), IS_STYLE, CREATE_MASKS),
    outputs=(*FILES, DEBUG),
    weights=WEIGHTS_FILE,
    captions=Captions.OPTIONAL,
    presets=by_steps(style={"is_style": True}),
    price=Price(0.002, 1000),
    sources=(SCHEMA, LLMS.format("fal-ai/flux-krea-trainer")),
    notes=(
        "fal asks $2 for a run, linear in its steps; a run is taken for 1000 of them.",
        "1000 steps are taken for the least that is billed.",
        "The default of its steps was not found; lora-drop sends 1000.",
        RETIRED,
    ),
)

TURBO = Trainer(
    application="fal-ai/turbo-flux-trainer",
    dataset_field="images_data_url",
    fields=(
        Text(name="trigger_phrase"),
        Rate(name="learning_rate", low=0.0000001, high=0.01, default=0.00115),
        steps(1, 10_000, default=1000),
        Choice(name="training_style", choices=("subject", "style")),
        Flag(name="face_crop"),
    ),
    outputs=FILES,
    weights=WEIGHTS_FILE,
    captions=Captions.OPTIONAL,
    presets=by_steps(portrait={"training_style": "subject"}, style={"training_style": "style"}),
    price=Price(0.0024, 1000),
    sources=(SCHEMA, LLMS.format("fal-ai/turbo-flux-trainer")),
    notes=("1000 steps are taken for the least that is billed.",),
)

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

QWEN_IMAGE_2512 = replace(
    QWEN_IMAGE_V2,
    application="fal-ai/qwen-image-2512-trainer",
    fields=(*QWEN_IMAGE_V2.fields, Rate(name="learning_rate", default=0.0005)),
    price=Price(0.0015, 500),
    sources=(SCHEMA, "https://fal.ai/models/fal-ai/qwen-image-2512-trainer"),
    notes=(
        "The price is fal's as it was quoted in September 2026: “$0.0015 per step (minimum of 500 steps …)”.",
    ),
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


DEFAULT = PORTRAIT
LONGEST = 60  # characters of a name that are looked at

TRAINERS: Mapping[str, Trainer] = MappingProxyType(
    {
        trainer.application: trainer
        for trainer in (
            *(PORTRAIT, FAST, KREA, TURBO, FLUX_2),
            *(QWEN_IMAGE, QWEN_IMAGE_V2, QWEN_IMAGE_2512_V2, Z_IMAGE, Z_IMAGE_TURBO_V2),
            *(FLUX_2_V2, FLUX_2_KLEIN, FLUX_3_KLEIN, KREA_2, IDEOGRAM, QWEN_IMAGE_2512),
        )
    }
)
SHORT_NAMES: Mapping[str, Trainer] = MappingProxyType(
    {trainer.short_name: trainer for trainer in TRAINERS.values()}
)
DATASET_FIELDS = frozenset(trainer.dataset_field for trainer in TRAINERS.values())


def trainer_of(name: str) -> Trainer | None:
    """Return the trainer of this endpoint id, or of this id without ``fal-ai/``."""
    return TRAINERS.get(name) or SHORT_NAMES.get(name)


def closest_trainer(written: str) -> str | None:
    """Return the name of the trainer that may be meant: one that begins so, else one that is written alike."""
    import difflib  # noqa: PLC0415  # only a wrong name needs it

    name = written.lower()[:LONGEST]
    names = TRAINERS if name.startswith("fal-ai/") else SHORT_NAMES
    begins = [each for each in names if name and each.startswith(name)]
    alike = difflib.get_close_matches(name, (*SHORT_NAMES, *TRAINERS), n=1)
    return next(iter((*begins, *alike)), None)


def price_of(application: str) -> Price | None:
    """Return the price of a trainer as it was last published; None where it is not known."""
    trainer = TRAINERS.get(application)
    return trainer.price if trainer else None


def estimated_cost_usd(application: str, steps: int, price: Price | None = None) -> float | None:
    """Return US dollars for one training, in whole cents rounded up; None where no price is known.

    ``price`` is fal's of the moment and comes before the row's.
    """
    asked = price or price_of(application)
    if asked is None:
        return None
    billed = max(steps, asked.min_steps)
    # In decimals: a price that is a bit more than $0.0024 in binary would make $2.40 be $2.41.
    usd = Decimal(f"{asked.usd_per_step:.12f}") * billed
    return float(usd.quantize(Decimal("0.01"), rounding=ROUND_CEILING))
