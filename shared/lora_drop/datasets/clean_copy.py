"""What a trainer gets in place of an archive that is not quite as it should be."""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from lora_drop.datasets.archives import UTF8, Member, Structure
from lora_drop.datasets.images.header import ImageHeader
from lora_drop.datasets.images.mending import Change, format_after
from lora_drop.datasets.selection import suffix_of
from lora_drop.fal.trainers.demands import stem

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
    """New names without folders, by the old ones: no two alike, and each with its format's ending.

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
    """Whether the archive already is what ``plan`` would make of it, for every program that reads it.

    It then holds the planned files and nothing else but ``extra``, each under its plain name, and tells
    nothing besides (unless that is to be kept).
    """
    if structure.told and not keep_metadata:
        return False
    planned = [name for each in plan for name in each.names]
    lying = [member for member in structure.entries if member != extra]
    return sorted(planned) == sorted(map(_plainly_named, lying))


def _plainly_named(member: Member) -> str:
    """The name as every program reads it; empty where programs differ."""
    known = member.raw_name.isascii() or member.flags & UTF8
    return member.name if known and member.raw_name == member.name.encode() else ""


def _with_suffix(name: str, photo: Photo) -> str:
    after = format_after(photo.header, photo.changes, lossless=photo.lossless)
    if suffix_of(photo.member.name) in after.suffixes:
        return f"{name}.{photo.member.name.rsplit('.', 1)[-1]}"
    return f"{name}.{after.suffix}"


def _plain(path: str) -> str:
    """A name without folders and without what some program may stumble over."""
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
