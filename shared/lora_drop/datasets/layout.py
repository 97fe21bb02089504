"""Which files of an archive are used, as what, beside what, and under which names."""

from collections.abc import Mapping
from dataclasses import dataclass

from lora_drop.datasets.archives import Structure
from lora_drop.datasets.captions import as_trained
from lora_drop.datasets.clean_copy import Photo, Planned, is_as_planned, names_for
from lora_drop.datasets.images import hints
from lora_drop.datasets.images.mending import changes_for
from lora_drop.datasets.inspection import InspectionResult
from lora_drop.datasets.pairing import paired
from lora_drop.datasets.selection import Selection
from lora_drop.fal.trainers.demands import masks_in
from lora_drop.fal.trainers.fields import Value
from lora_drop.fal.trainers.trainer import TRIGGER_PHRASE, Trainer


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything by the files' names in the archive.

    ``photos`` and ``masks`` are used, ``owners`` has the photo of each of the masks; ``twice`` each photo
    that another one's bytes stand for, with that one; ``pairs`` the caption of each photo that has one,
    used or not; ``names`` what each photo and mask is called from now on; ``texts`` the used photos'
    captions, as a trainer gets them. ``plan`` is empty where the archive is good as it is.
    """

    photos: tuple[Photo, ...]
    masks: Mapping[str, Photo]
    owners: Mapping[str, str]
    twice: Mapping[str, str]
    pairs: Mapping[str, str]
    texts: Mapping[str, str]
    names: Mapping[str, str]
    plan: tuple[Planned, ...]


def layout_of(
    structure: Structure,
    selection: Selection,
    seen: InspectionResult,
    *,
    trainer: Trainer | None,
    values: Mapping[str, Value],
    keep_metadata: bool,
) -> Layout:
    """What of the archive a trainer is to get; without a ``trainer`` as far as one can say."""
    members = {member.name: member for member in selection.others}
    owners = masks_in(trainer, list(seen.photos)) if trainer else {}
    single = [photo for name, photo in seen.photos.items() if name not in owners]
    pairs = paired(seen.captions, [*(photo.member for photo in single), *seen.refused])
    said = {name for name, caption in pairs.items() if seen.captions[caption].text.strip()}
    twice = hints.exact_duplicates(single, said)
    owners = {mask: photo for mask, photo in owners.items() if photo not in twice}
    used = [photo for photo in single if photo.member not in twice]

    def photo(name: str, *, lossless: bool = False) -> Photo:
        found = seen.photos[name]
        changes = changes_for(
            found.header,
            transparent=found.look.transparent,
            keep_metadata=keep_metadata,
            lossless=lossless,
        )
        return Photo(members[name], found.header, changes, lossless=lossless)

    photos = tuple(photo(each.member) for each in used)
    masks = {name: photo(name, lossless=True) for name in owners}
    names = names_for([*photos, *masks.values()], owners, trainer.mask_suffix if trainer else None)
    texts = {
        name: _text(seen.captions[pairs[name]].text, trainer, values)
        for name in names
        if name in said
    }
    planned = tuple(
        Planned(names[each.member.name], each, texts.get(each.member.name))
        for each in (*photos, *masks.values())
    )
    untouched = all(
        not each.photo.changes and each.name == each.photo.member.name for each in planned
    ) and all(_is_plain(seen, pairs[name], text) for name, text in texts.items())
    good = untouched and is_as_planned(
        structure, planned, selection.training_json, keep_metadata=keep_metadata
    )
    return Layout(photos, masks, owners, twice, pairs, texts, names, () if good else planned)


def _text(text: str, trainer: Trainer | None, values: Mapping[str, Value]) -> str:
    phrase = str(values.get(TRIGGER_PHRASE) or "")
    replaced = trainer is None or trainer.trigger_in_captions
    return as_trained(text, trigger_phrase=phrase, replaced=replaced)


def _is_plain(seen: InspectionResult, name: str, text: str) -> bool:
    """Whether a caption lies in the archive just as a trainer is to get it."""
    caption = seen.captions[name]
    return not caption.rewritten and caption.text == text
