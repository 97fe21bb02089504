"""The trainers for FLUX.1."""

from lora_drop.fal.trainers.common import (
    FILES,
    LLMS,
    RETIRED,
    SCHEMA,
    TRIGGER_WORD,
    WEIGHTS_FILE,
    steps,
)
from lora_drop.fal.trainers.fields import Checkpoint, Choice, Flag, Rate, Text
from lora_drop.fal.trainers.presets import FOR_PORTRAITS, by_steps
from lora_drop.fal.trainers.trainer import Captions, Price, Trainer

DEBUG = "debug_preprocessed_output"

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
    notes=("The price is what three independent reports agree on; fal's page states none.",),
)

FAST = Trainer(
    application="fal-ai/flux-lora-fast-training",
    dataset_field="images_data_url",
    fields=(TRIGGER_WORD, steps(1, 10_000, default=1000)),
    outputs=(*FILES, DEBUG),
    weights=WEIGHTS_FILE,
    captions=Captions.OPTIONAL,
    presets=by_steps(),
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
    fields=(TRIGGER_WORD, steps(1, 10_000, default=1000)),
    outputs=(*FILES, DEBUG),
    weights=WEIGHTS_FILE,
    captions=Captions.OPTIONAL,
    presets=by_steps(),
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
