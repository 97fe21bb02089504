"""Images that lie beside the photos of the person and are none of them: masks and regularization sets.

Where they are named so: OneTrainer's ``NAME-masklabel.png``, fal's ``NAME_mask``, folders ``masks/`` of kohya's
and others' tools (kohya-ss/sd-scripts, docs/masked_loss_README.md), and ``reg/`` and ``class/`` of DreamBooth's
(kohya-ss/sd-scripts, docs/train_README.md). A name alone makes no mask: it is grey as well.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from lora_drop.datasets.images.hints import Photo
from lora_drop.datasets.selection import InspectionResult
from lora_drop.fal.trainers.demands import first_names, masks_in, stem
from lora_drop.fal.trainers.trainer import Trainer
from lora_drop.jobs.problems import Problem

MASK_NAME = re.compile(r"(.+)[-_. ](?:masklabel|mask)", re.IGNORECASE)
MASK_FOLDERS = frozenset({"mask", "masks", "matte", "mattes", "segmentation", "segmentations"})
REGULARIZATION = frozenset(
    {"reg", "regs", "reg_images", "regularization", "regularisation", "regularization_images"}
)
# A folder "class" may hold anything where it is not beside what DreamBooth calls the photos of the person.
CLASS = frozenset({"class", "class_images", "class_data", "class_dir"})
UNUSED = "image_mask_unused"
OF_OTHERS = "image_regularization_unused"


def masks_of(photos: Mapping[str, Photo]) -> Mapping[str, str | None]:
    """Return the images that are masks, each with its photo; None where it has none.

    By name or folder, and grey; or by content: two tones, and the same size and name as a photo elsewhere.
    """
    named = {name: _own(name) for name, photo in photos.items() if photo.look.grey and _own(name)}
    rest = {name: photo for name, photo in photos.items() if name not in named}
    by_name: dict[str, list[str]] = defaultdict(list)
    for name, photo in rest.items():
        if not photo.look.two_tones:
            by_name[_alone(name)].append(name)
    found: dict[str, str | None] = {}
    for name, own in named.items():
        beside = [each for each in by_name[_alone(own)] if stem(each) == own]
        found[name] = _only(beside or by_name[_alone(own)])
        if found[name] is None and not photos[name].look.two_tones:
            del found[name]  # a grey photo in such a folder
    for name, photo in rest.items():
        same = [
            each
            for each in by_name[_alone(name)]
            if rest[each].header.upright == photo.header.upright
        ]
        if photo.look.two_tones and photo.look.grey and (owner := _only(same)):
            found[name] = owner
    return found


def leave_out(inspection: InspectionResult, trainer: Trainer | None) -> None:
    """Leave out the regularization set, and the masks that this trainer cannot use, each with a sentence."""
    for name in _regularization(list(inspection.photos)):
        del inspection.photos[name]
        inspection.left_out[name] = _of_others(name)
    masks = masks_of(inspection.photos)
    usable = _usable(trainer, inspection.photos, masks) if trainer else {}
    for name, photo in masks.items():
        if name not in usable:
            del inspection.photos[name]
            inspection.left_out[name] = _unused(name, photo, trainer)


def usable_masks(trainer: Trainer, photos: Mapping[str, Photo]) -> Mapping[str, str]:
    """Return the masks that a trainer can use once they are named as it wants, each with its photo; one a photo."""
    return _usable(trainer, photos, masks_of(photos))


def _usable(
    trainer: Trainer, photos: Mapping[str, Photo], masks: Mapping[str, str | None]
) -> Mapping[str, str]:
    if trainer.mask_suffix is None:
        return {}
    named = masks_in(trainer, list(photos))  # as the trainer wants it already
    owned = {photo: mask for mask, photo in masks.items() if photo is not None}
    owned |= {photo: mask for mask, photo in named.items()}
    return {mask: photo for photo, mask in owned.items()}


def _regularization(names: Sequence[str]) -> list[str]:
    """Return the images in folders of a regularization set, where photos lie outside of them."""
    found = [name for name in names if REGULARIZATION & _folders(name)]
    if any("instance" in folder for name in names for folder in _folders(name)):
        found += [name for name in names if CLASS & _folders(name)]
    return found if len(found) < len(names) else []


def _folders(name: str) -> set[str]:
    return {each.casefold() for each in re.split(r"[/\\]", name)[:-1]}


def named_masks(photo: str, names: Sequence[str]) -> Sequence[str]:
    """Return the files of these that are this photo's masks by their names; they are where they are grey as well."""
    owned = {name: own for name in names if (own := _own(name))}
    same = [name for name in names if name not in owned and _alone(name) == _alone(photo)]
    return [
        name
        for name, own in owned.items()
        if name != photo
        and (own == stem(photo) or (same == [photo] and _alone(own) == _alone(photo)))
    ]


def _own(name: str) -> str:
    """Return the stem of the photo that a mask of this name belongs to; empty where the name says nothing of one."""
    if match := MASK_NAME.fullmatch(stem(name)):
        return match[1]
    return stem(name) if MASK_FOLDERS & _folders(name) else ""


def _alone(name: str) -> str:
    last = re.split(r"[/\\]", name)[-1]
    return (last.rsplit(".", 1)[0] if "." in last else last).casefold()


def _only(names: Sequence[str]) -> str | None:
    return names[0] if len(names) == 1 else None


def _unused(name: str, photo: str | None, trainer: Trainer | None) -> Problem:
    whose = f"the mask of {photo}" if photo else "a mask"
    why = (
        f", and {trainer.short_name} takes no masks" if trainer and not trainer.mask_suffix else ""
    )
    return Problem(
        code=UNUSED,
        message=f"{name} is {whose}{why}: it is left out, and the photos are trained as a whole.",
        member=name,
    )


def _of_others(name: str) -> Problem:
    folder = first_names([name.rsplit("/", 1)[0]])
    return Problem(
        code=OF_OTHERS,
        message=f"{name} is left out: by its folder ({folder}) it is for regularization and shows other "
        "people, and it would be trained as the person. Where it shows the person, move it to the other photos.",
        member=name,
    )
