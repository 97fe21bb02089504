"""What a trainer gets in place of an archive that is not quite as it should be."""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from shared.domain.archives import Member
from shared.domain.images.header import ImageHeader
from shared.domain.images.mending import Change, format_after
from shared.domain.selection import suffix_of
from shared.domain.trainers.demands import stem

MAX_STEM = 80  # characters; some file systems take 255 bytes


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo that is used: its file, what it says of itself, and what has to change about it."""

    member: Member
    header: ImageHeader
    changes: tuple[Change, ...] = ()


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


def names_for(
    photos: Sequence[Photo], masks: Mapping[str, str], mask_suffix: str
) -> dict[str, str]:
    """New names without folders, by the old ones: no two alike, and each with its format's ending.

    ``masks`` has the photos that are masks, each with the photo that it belongs to.
    """
    taken: set[str] = set()
    names: dict[str, str] = {}
    for photo in photos:
        if photo.member.name not in masks:
            own = _free(_plain(photo.member.name), taken)
            taken.add(own.casefold())
            names[photo.member.name] = _with_suffix(own, photo)
    for photo in photos:
        owner = masks.get(photo.member.name)
        if owner in names:
            names[photo.member.name] = _with_suffix(stem(names[owner]) + mask_suffix, photo)
    return names


def is_needed(
    photos: Sequence[Photo], names: Mapping[str, str], left_out: Collection[Member]
) -> bool:
    """Whether anything differs from the archive as it is."""
    changed = any(
        photo.changes or names[photo.member.name] != photo.member.name for photo in photos
    )
    return changed or bool(left_out)


def _with_suffix(name: str, photo: Photo) -> str:
    after = format_after(photo.header, photo.changes)
    if suffix_of(photo.member.name) in after.suffixes:
        return f"{name}.{photo.member.name.rsplit('.', 1)[-1]}"
    return f"{name}.{after.suffix}"


def _plain(path: str) -> str:
    """A name without folders and without what some program may stumble over."""
    last = unicodedata.normalize("NFC", re.split(r"[/\\]", path)[-1])
    name = last.rsplit(".", 1)[0] if "." in last.lstrip(".") else last
    return re.sub(r"[^\w .()+-]", "_", name).strip(" .")[:MAX_STEM] or "photo"


def _free(name: str, taken: Collection[str]) -> str:
    free, number = name, 1
    while free.casefold() in taken:
        number += 1
        free = f"{name}-{number}"
    return free
