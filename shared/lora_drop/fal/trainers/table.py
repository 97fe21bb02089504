"""Every trainer that lora-drop knows: one that is not here is refused, not paid and hoped for."""

from collections.abc import Mapping
from types import MappingProxyType

from lora_drop.fal.trainers.flux import FAST, KREA, PORTRAIT, TURBO
from lora_drop.fal.trainers.flux_2 import FLUX_2
from lora_drop.fal.trainers.qwen_image import QWEN_IMAGE, QWEN_IMAGE_2512_V2, QWEN_IMAGE_V2
from lora_drop.fal.trainers.trainer import Trainer
from lora_drop.fal.trainers.z_image import Z_IMAGE, Z_IMAGE_TURBO_V2

DEFAULT = PORTRAIT

TRAINERS: Mapping[str, Trainer] = MappingProxyType(
    {
        trainer.application: trainer
        for trainer in (
            *(PORTRAIT, FAST, KREA, TURBO, FLUX_2),
            *(QWEN_IMAGE, QWEN_IMAGE_V2, QWEN_IMAGE_2512_V2, Z_IMAGE, Z_IMAGE_TURBO_V2),
        )
    }
)
SHORT_NAMES: Mapping[str, Trainer] = MappingProxyType(
    {trainer.short_name: trainer for trainer in TRAINERS.values()}
)
DATASET_FIELDS = frozenset(trainer.dataset_field for trainer in TRAINERS.values())


def trainer_of(name: str) -> Trainer | None:
    """The trainer of this endpoint id, or of this id without its owner."""
    return TRAINERS.get(name) or SHORT_NAMES.get(name)
