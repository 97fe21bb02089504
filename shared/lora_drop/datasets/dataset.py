"""What a dataset must be before a cent is paid for it, and what makes two datasets the same."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lora_drop.datasets.archives import Member
from lora_drop.datasets.images.formats import NEVER_PHOTO_SUFFIXES, PHOTO_SUFFIXES
from lora_drop.datasets.parameters import CHECKPOINT, ResolvedParameters
from lora_drop.datasets.selection import select, suffix_of
from lora_drop.fal.trainers.parameters import ParameterSource
from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.fal.trainers.trainer import TRIGGER_PHRASE
from lora_drop.jobs.problems import Problem

MIN_IMAGES = 10  # fal: "Try to use at least 10 images"
GOOD_IMAGES = 20  # fal: 20 to 50 are best
# Each image is looked at, and a thousand looks end well before the function does. fal's own
# maximum (archive_file_count_exceeds_maximum) is not published.
MAX_IMAGES = 1000
MAX_IMAGE_BYTES = 100 * 1024**2
MAX_DATASET_BYTES = 2 * 1024**3
# A smaller archive is read to its end, however few photos are in it: its report says what is wrong with each.
WORTH_READING = 32 * 1024**2


@dataclass(frozen=True, slots=True)
class Dataset:
    """What an archive holds for a trainer: the photos that are used.

    ``captions`` and ``masks`` have those that belong to one, by the photo's name in the archive.
    """

    images: tuple[Member, ...]
    captions: Mapping[str, Member]
    masks: Mapping[str, Member]


def size_problem(members: Sequence[Member]) -> Problem | None:
    """Return why there is too much in the archive to look at; ``members`` are what may be photos."""
    members = [member for member in members if suffix_of(member.name) in {"", *PHOTO_SUFFIXES}]
    if len(members) > MAX_IMAGES:
        return Problem(
            code="dataset_too_many_images",
            message=f"The archive holds {len(members)} files that may be photos; {MAX_IMAGES} are "
            "the most, 20 to 50 are best. Choose the best ones and drop it again.",
        )
    size = sum(member.size for member in members)
    if size > MAX_DATASET_BYTES:
        return Problem(
            code="dataset_too_large",
            message=f"The photos have {size:,} bytes together; {MAX_DATASET_BYTES:,} are the most. "
            "Choose 20 to 50 of them, or save smaller copies: 2,048 pixels are plenty.",
        )
    return None


def hopeless_problem(members: Sequence[Member]) -> Problem | None:
    """Return why a large archive cannot be trained on whatever its files hold; ``members`` are all of them.

    That is where too few of them may be photos by their names: nothing else of it is read then.
    """
    others = select(members, edited=False).others
    photos = sum(suffix_of(member.name) not in NEVER_PHOTO_SUFFIXES for member in others)
    if photos >= MIN_IMAGES or sum(member.compressed for member in members) <= WORTH_READING:
        return None
    left = len(others) - photos
    besides = f" besides {left} videos, raw files or documents" if left else ""
    return Problem(
        code="dataset_insufficient_images",
        message=f"The archive holds {photos or 'no'} files that may be photos{besides}, and was not read any further; "
        f"at least {MIN_IMAGES} photos are needed, 20 to 50 are best. Raw files have to be exported as JPEG. "
        "Add photos and drop it again.",
    )


def too_large_mended() -> Problem:
    """Return the problem that the photos have become too many bytes by what had to be converted about them."""
    return Problem(
        code="dataset_too_large",
        message="Once they are converted, the photos have more than 4 GB together. Choose 20 to 50 of "
        "them, or save smaller copies: 2,048 pixels are plenty.",
    )


def count_problem(images: int, *, masks: int = 0) -> Problem | None:
    """Return why there are too few photos; masks are none."""
    if images >= MIN_IMAGES:
        return None
    held = "one image" if images == 1 else f"{images or 'no'} images"
    held += f" (besides {masks} masks)" if masks else ""
    return Problem(
        code="dataset_insufficient_images",
        message=f"The archive holds {held} that can be trained on; at least {MIN_IMAGES} are needed, "
        "20 to 50 are best. Add photos and drop it again.",
    )


def count_warning(images: int) -> Problem | None:
    """Return the problem that more photos would be better."""
    if not MIN_IMAGES <= images < GOOD_IMAGES:
        return None
    return Problem(
        code="dataset_few_images",
        message=f"{images} photos are enough to train; {GOOD_IMAGES} to 50 from different angles, with "
        "different light and expressions, make a better likeness.",
    )


def image_too_large(member: Member) -> Problem:
    """Return the problem that one file is larger than any photo need be."""
    return Problem(
        code="image_too_large",
        message=f"{member.name} has {member.size:,} bytes; {MAX_IMAGE_BYTES:,} are the most. Save a "
        "smaller copy: 2,048 pixels along the longest side are plenty.",
        member=member.name,
    )


def other_file(member: Member) -> Problem:
    """Return the problem that a file is neither a photo nor a caption."""
    return Problem(
        code="dataset_other_file",
        message=f"{member.name} is neither a photo nor a caption, and is left out.",
        member=member.name,
    )


def beside(name: str, photo: str) -> Problem:
    """Return the problem that a file is left out because the same photo lies beside it in a format that can be read."""
    return Problem(
        code="image_other_format_beside",
        message=f"{name} cannot be read by trainers and is left out; {photo} is used.",
        member=name,
    )


def took_too_long(checked: int, of: int) -> Problem:
    """Return the problem that a check has to end before it is through."""
    return Problem(
        code="dataset_check_too_long",
        message=f"Only {checked} of {of} files can be looked at in the time that the stack has for a check. "
        "Choose 20 to 50 photos, or save smaller copies, and drop it again.",
    )


def content_digest(dataset: Dataset, resolved: ResolvedParameters) -> str:
    """Return the same digest for two datasets exactly when a training of them would be the same; hex SHA-256.

    Photos and captions count by their size and CRC-32, as the archive's directory states them, and
    by which caption (and mask, where the trainer takes masks) belongs to which photo; names do not. A
    trigger phrase that was made up for the job does not count either.
    """
    captions, masks = dataset.captions, dataset.masks
    photos = sorted(
        (*_content(image), *_content(captions.get(image.name)), *_mask(masks.get(image.name)))
        for image in dataset.images
    )
    content = json.dumps([resolved.values.trainer, photos, _parameters(resolved)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _parameters(resolved: ResolvedParameters) -> dict[str, Any]:
    """Return what is trained with, always written the same way: another spelling would be paid for again."""
    values = dict(resolved.values.values)
    if resolved.sources.get(TRIGGER_PHRASE) is ParameterSource.GENERATED:
        del values[TRIGGER_PHRASE]
    trainer = TRAINERS.get(resolved.values.trainer)
    if trainer is not None and trainer.resumes:
        values[CHECKPOINT] = resolved.resume_from or values.get(CHECKPOINT, "")
    return values


def _mask(member: Member | None) -> tuple[int, ...]:
    return (member.size, member.crc) if member else ()


def _content(member: Member | None) -> tuple[int, int]:
    return (member.size, member.crc) if member else (-1, -1)
