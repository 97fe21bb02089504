"""What a trainer gets: which files of an archive are used, as what, and under which names."""

import re
import unicodedata
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from lora_drop.datasets.archives import UTF8, Member, Structure
from lora_drop.datasets.auxiliary_images import OF_OTHERS, UNUSED, usable_masks
from lora_drop.datasets.captions import as_trained, paired
from lora_drop.datasets.dataset import Dataset
from lora_drop.datasets.images import hints
from lora_drop.datasets.images.header import ImageHeader
from lora_drop.datasets.images.pictures import Change, changes_for, format_after
from lora_drop.datasets.selection import InspectionResult, suffix_of
from lora_drop.fal.trainers.demands import stem
from lora_drop.fal.trainers.fields import Value
from lora_drop.fal.trainers.trainer import TRIGGER_PHRASE, Trainer

MAX_STEM = 120  # bytes; file systems take 255, and a number and an ending may follow


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo that is used: its file, what it says of itself, and what has to change about it.

    ``lossless``: it is a mask, and each of its numbers counts.
    """

    member: Member
    header: ImageHeader
    changes: tuple[Change, ...] = ()
    lossless: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """One photo of the clean copy under its new name, and its caption's text, where it has one."""

    name: str
    photo: Photo
    caption: str | None = None

    @property
    def caption_name(self) -> str:
        """The caption lies beside the photo."""
        return f"{stem(self.name)}.txt"

    @property
    def names(self) -> tuple[str, ...]:
        """Its files in the copy."""
        return (self.name,) if self.caption is None else (self.name, self.caption_name)


def names_for(
    photos: Sequence[Photo], masks: Mapping[str, str], mask_suffix: str | None
) -> dict[str, str]:
    """Return new names without folders, by the old ones: no two alike, and each with its format's ending.

    ``masks`` has the photos that are masks, each with the photo that it belongs to; no other photo
    comes to be called like a mask.
    """
    taken: set[str] = set()
    names: dict[str, str] = {}
    for photo in photos:
        if photo.member.name not in masks:
            plain = _plain(photo.member.name)
            if mask_suffix and plain.casefold().endswith(mask_suffix):
                plain = plain[: -len(mask_suffix)] + "-photo"
            own = _free(plain, taken)
            taken.add(own.casefold())
            names[photo.member.name] = _with_suffix(own, photo)
    for photo in photos:
        owner = masks.get(photo.member.name)
        if owner is not None:
            names[photo.member.name] = _with_suffix(f"{stem(names[owner])}{mask_suffix}", photo)
    return names


def is_as_planned(
    structure: Structure, plan: Sequence[Planned], extra: Member | None, *, keep_metadata: bool
) -> bool:
    """Return whether the archive already is what ``plan`` would make of it, for every program that reads it.

    It then holds the planned files and nothing else but ``extra``, each under its plain name, and no
    metadata (unless that is to be kept).
    """
    if structure.has_metadata and not keep_metadata:
        return False
    planned = [name for each in plan for name in each.names]
    lying = [member for member in structure.entries if member != extra]
    return sorted(planned) == sorted(map(_plainly_named, lying))


def _plainly_named(member: Member) -> str:
    """Return the name as every program reads it; empty where programs differ."""
    known = member.raw_name.isascii() or member.flags & UTF8
    return member.name if known and member.raw_name == member.name.encode() else ""


def _with_suffix(name: str, photo: Photo) -> str:
    after = format_after(photo.header, photo.changes, lossless=photo.lossless)
    if suffix_of(photo.member.name) in after.suffixes:
        # In lower case: some trainers pass over .JPG (replicate/lora-training#9).
        return f"{name}.{suffix_of(photo.member.name)}"
    return f"{name}.{after.suffix}"


def _plain(path: str) -> str:
    """Return a name without folders and without what some program may stumble over."""
    last = unicodedata.normalize("NFC", re.split(r"[/\\]", path)[-1])
    name = last.rsplit(".", 1)[0] if "." in last.lstrip(".") else last
    plain = re.sub(r"[^\w .()+-]", "_", name).strip(" .")
    return plain.encode()[:MAX_STEM].decode(errors="ignore").rstrip(" .") or "photo"


def _free(name: str, taken: Collection[str]) -> str:
    free, number = name, 1
    while free.casefold() in taken:
        number += 1
        free = f"{name}-{number}"
    return free


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything by the files' names in the archive.

    ``photos`` and ``masks`` are used, ``owners`` has the photo of each of the masks; ``twice`` each photo
    that another one's bytes stand for, with that one, ``alike`` each used one that looks like an earlier
    one, with that one; ``pairs`` the caption of each photo that has one,
    used or not; ``names`` what each photo and mask is called from now on; ``texts`` the used photos'
    captions, as a trainer gets them; ``dataset`` the same as members of the archive. ``plan`` is empty where the archive is good as it is.
    """

    photos: tuple[Photo, ...]
    masks: Mapping[str, Photo]
    owners: Mapping[str, str]
    twice: Mapping[str, str]
    alike: Mapping[str, str]
    pairs: Mapping[str, str]
    texts: Mapping[str, str]
    names: Mapping[str, str]
    dataset: Dataset
    plan: tuple[Planned, ...]


def layout_of(
    inspection: InspectionResult,
    *,
    trainer: Trainer | None,
    values: Mapping[str, Value],
    keep_metadata: bool,
) -> Layout:
    """Return what of the archive a trainer is to get; without a ``trainer`` as far as one can say."""
    members = {member.name: member for member in inspection.selection.others}
    owners = usable_masks(trainer, inspection.photos) if trainer else {}
    single = [photo for name, photo in inspection.photos.items() if name not in owners]
    own = [name for name, caption in inspection.captions.items() if not caption.origin]
    pairs = paired(own, [*(photo.member for photo in single), *inspection.refused])
    left = [name for name, why in inspection.left_out.items() if why.code in (UNUSED, OF_OTHERS)]
    free = [name for name in own if name not in set(pairs.values())]
    # A caption of what is left out is no orphan.
    pairs = {**inspection.elsewhere, **pairs, **paired(free, left)}
    captioned = {
        name for name, caption in pairs.items() if inspection.captions[caption].text.strip()
    }
    twice = hints.exact_duplicates(single, captioned)
    owners = {mask: photo for mask, photo in owners.items() if photo not in twice}
    used = [photo for photo in single if photo.member not in twice]

    def photo(name: str, *, lossless: bool = False) -> Photo:
        found = inspection.photos[name]
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
        name: _text(inspection.captions[pairs[name]].text, trainer, values)
        for name in names
        if name in captioned
    }
    planned = tuple(
        Planned(names[each.member.name], each, texts.get(each.member.name))
        for each in (*photos, *masks.values())
    )
    untouched = all(
        not each.photo.changes and each.name == each.photo.member.name for each in planned
    ) and all(_is_plain(inspection, pairs[name], text) for name, text in texts.items())
    good = untouched and is_as_planned(
        inspection.structure,
        planned,
        inspection.selection.training_json,
        keep_metadata=keep_metadata,
    )
    captions = {member.name: member for member in inspection.selection.captions}
    captions |= {name: _as_file(name, inspection) for name in inspection.elsewhere.values()}
    dataset = Dataset(
        images=tuple(each.member for each in photos),
        captions={name: captions[pairs[name]] for name in texts},
        masks={owners[name]: each.member for name, each in masks.items()},
    )
    plan = () if good else planned
    alike = hints.photos_alike(used)
    return Layout(photos, masks, owners, twice, alike, pairs, texts, names, dataset, plan)


def copied(dataset: Dataset, plan: Sequence[Planned], members: Sequence[Member]) -> Dataset:
    """Return a dataset as its clean copy holds it: ``members`` are the copy's files."""
    files = {member.name: member for member in members}
    copies = {each.photo.member.name: each for each in plan}
    return Dataset(
        images=tuple(files[copies[image.name].name] for image in dataset.images),
        captions={each.name: files[each.caption_name] for each in plan if each.caption is not None},
        masks={
            copies[photo].name: files[copies[mask.name].name]
            for photo, mask in dataset.masks.items()
        },
    )


def _text(text: str, trainer: Trainer | None, values: Mapping[str, Value]) -> str:
    phrase = str(values.get(TRIGGER_PHRASE) or "")
    replaced = trainer is None or trainer.trigger_in_captions
    return as_trained(text, trigger_phrase=phrase, replaced=replaced)


def _as_file(name: str, inspection: InspectionResult) -> Member:
    """Return a caption that lies elsewhere as the file that it would be: the same content has the same digest."""
    data = inspection.captions[name].text.encode(errors="replace")
    return Member(name, 0, 0, len(data), len(data), zlib.crc32(data))


def _is_plain(inspection: InspectionResult, name: str, text: str) -> bool:
    """Return whether a caption lies in the archive just as a trainer is to get it."""
    caption = inspection.captions[name]
    return not caption.rewritten and caption.text == text
