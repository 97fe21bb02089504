"""What a trainer demands of a dataset besides photos that are good for any of them."""

from collections.abc import Iterator, Mapping, Sequence

from lora_drop.fal.trainers.fields import Value
from lora_drop.fal.trainers.trainer import TRIGGER_PHRASE, Captions, Trainer
from lora_drop.jobs.problems import Problem

SHOWN = 3  # names in a sentence
MASK_SUFFIX = "_mask"  # as fal's trainers that take masks have it


def stem(name: str) -> str:
    """Return what a photo, its caption and its mask have in common: the path without the suffix."""
    return name.rsplit(".", 1)[0]


def first_names(names: Sequence[str]) -> str:
    """Return the first three names for a sentence, and a sign that there are more."""
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def masks_in(trainer: Trainer, images: Sequence[str]) -> Mapping[str, str]:
    """Return the images that this trainer takes for masks, each with the name of its photo."""
    if trainer.mask_suffix is None:
        return {}
    photos = {stem(name) + trainer.mask_suffix: name for name in images}
    return {name: photos[stem(name)] for name in images if stem(name) in photos}


def unmet_demands(
    trainer: Trainer, values: Mapping[str, Value], *, bare: Sequence[str]
) -> list[Problem]:
    """Return why this trainer would fail; ``bare`` are the photos without a caption.

    ``values`` are the trainer's inputs under our names.
    """
    if bare and trainer.captions is not Captions.OPTIONAL and not values.get(TRIGGER_PHRASE):
        return [_no_captions(trainer, bare)]
    return []


def mask_warnings(
    trainer: Trainer, sizes: Mapping[str, tuple[int, int]], masks: Mapping[str, str]
) -> Iterator[Problem]:
    """Yield warnings about masks that do not fit their photo, and photos that only look like masks.

    ``sizes`` has width and height of every image as a viewer sees it, ``masks`` each mask with its photo.
    """
    for mask, photo in masks.items():
        if sizes[mask] != sizes[photo]:
            yield Problem(
                code="image_mask_differs",
                message=f"{mask} has {_size(sizes[mask])} pixels, and {photo}, which it is the mask of, has "
                f"{_size(sizes[photo])}. Make it again from the photo as it is shown.",
                member=mask,
            )
    if trainer.mask_suffix is not None:
        return
    photos = {stem(name) + MASK_SUFFIX: name for name in sizes}
    for name in sizes:
        if stem(name) in photos:
            yield Problem(
                code="image_mask_unused",
                message=f"{name} looks like the mask of {photos[stem(name)]}, and {trainer.short_name} takes "
                "no masks: it is trained on as a photo. Take it out.",
                member=name,
            )


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} by {size[1]}"


def _no_captions(trainer: Trainer, bare: Sequence[str]) -> Problem:
    of_all = "1 photo has" if len(bare) == 1 else f"{len(bare)} photos have"
    return Problem(
        code="caption_missing",
        message=f"{of_all} no caption ({first_names(bare)}), and {trainer.short_name} fails without. "
        "Write one for each into a text file with the photo's name (anna.jpg, anna.txt), or give all of them "
        f'one: --set {trainer.caption_field}="a photo of Ada".',
        member=bare[0],
    )
