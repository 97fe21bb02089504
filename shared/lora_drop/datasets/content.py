"""What a dataset is, whatever it is called: the same photos, captions and parameters again."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lora_drop.datasets.archives import Member
from lora_drop.datasets.limits import Dataset
from lora_drop.datasets.parameters import CHECKPOINT, ResolvedParameters
from lora_drop.fal.trainers.parameters import ParameterSource
from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.fal.trainers.trainer import TRIGGER_PHRASE
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.problems import Problem

FORCE = "force"


def content_digest(dataset: Dataset, resolved: ResolvedParameters) -> str:
    """The same for two datasets exactly when a training of them would be the same; hex SHA-256.

    Photos and captions count by their size and CRC-32, as the archive's directory states them, and
    by which caption (and mask, where the trainer takes masks) belongs to which photo; names do not. A
    trigger phrase that was made up for the job does not count either.
    """
    captions, masks = dataset.captions, dataset.masks
    photos = sorted(
        (*_content(image), *_content(captions.get(image.name)), *_mask(masks.get(image.name)))
        for image in dataset.images
    )
    told = json.dumps([resolved.values.trainer, photos, _parameters(resolved)], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _parameters(resolved: ResolvedParameters) -> dict[str, Any]:
    """What is trained with, written as ever: in other words, everything would be paid for again."""
    values = dict(resolved.values.values)
    if resolved.sources.get(TRIGGER_PHRASE) is ParameterSource.GENERATED:
        del values[TRIGGER_PHRASE]
    trainer = TRAINERS.get(resolved.values.trainer)
    if trainer is not None and trainer.resumes:
        values[CHECKPOINT] = resolved.resume_from or values.get(CHECKPOINT, "")
    return values


def forced(metadata: Mapping[str, str]) -> bool:
    """Whether the object's metadata wants a training whatever was trained before.

    Raises DatasetRejectedError for what is neither true nor false.
    """
    said = metadata.get(FORCE, "false").strip().lower()
    if said not in ("true", "false"):
        message = f"force in the object metadata is “{said[:60]}”; it takes true or false."
        raise DatasetRejectedError([Problem(code="parameter_invalid_type", message=message)])
    return said == "true"


def _mask(member: Member | None) -> tuple[int, ...]:
    return (member.size, member.crc) if member else ()


def _content(member: Member | None) -> tuple[int, int]:
    return (member.size, member.crc) if member else (-1, -1)
