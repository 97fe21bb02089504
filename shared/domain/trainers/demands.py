"""What a trainer demands of a dataset besides photos that are good for any of them."""

from collections.abc import Collection, Mapping, Sequence

from shared.domain.problems import Problem
from shared.domain.trainers.fields import Value
from shared.domain.trainers.trainer import TRIGGER_PHRASE, Captions, Trainer

SHOWN = 3  # names in a sentence


def stem(name: str) -> str:
    """What a photo, its caption and its mask have in common: the path without the suffix."""
    return name.rsplit(".", 1)[0]


def masks_in(trainer: Trainer, images: Sequence[str]) -> Mapping[str, str]:
    """The images that this trainer takes for masks, each with the name of its photo."""
    if trainer.mask_suffix is None:
        return {}
    photos = {stem(name) + trainer.mask_suffix: name for name in images}
    return {name: photos[stem(name)] for name in images if stem(name) in photos}


def unmet_demands(
    trainer: Trainer,
    values: Mapping[str, Value],
    *,
    images: Sequence[str],
    captions: Collection[str],
    min_images: int,
) -> list[Problem]:
    """Why this trainer would fail on a dataset with these files, by their names in the archive.

    ``values`` are the trainer's inputs under our names, ``min_images`` is how many photos it takes.
    """
    masks = masks_in(trainer, images)
    photos = [name for name in images if name not in masks]
    problems = []
    if masks and len(photos) < min_images:
        problems.append(_few_photos(len(photos), len(masks), min_images))
    if trainer.captions is Captions.NEEDED and not values.get(TRIGGER_PHRASE):
        captioned = {stem(name) for name in captions}
        bare = [name for name in photos if stem(name) not in captioned]
        if bare:
            problems.append(_no_captions(trainer, bare))
    return problems


def _few_photos(photos: int, masks: int, least: int) -> Problem:
    return Problem(
        code="dataset_insufficient_images",
        message=f"{masks} of the images are masks, and photos are {photos}; at least {least} are "
        "needed, 20 to 50 are best. Add photos and drop it again.",
    )


def _no_captions(trainer: Trainer, bare: Sequence[str]) -> Problem:
    names = ", ".join(bare[:SHOWN]) + (", …" if len(bare) > SHOWN else "")
    of_all = "1 photo has" if len(bare) == 1 else f"{len(bare)} photos have"
    return Problem(
        code="caption_missing",
        message=f"{of_all} no caption ({names}), and {trainer.short_name} fails without. Write one "
        "for each into a text file with the photo's name (anna.jpg, anna.txt), or give all of them "
        "one with default_caption.",
        member=bare[0],
    )
