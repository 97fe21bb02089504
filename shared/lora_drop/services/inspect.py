"""Every file of an archive, read once from front to back: what it is and how it looks."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lora_drop.datasets.archives import Content, Member, RangedReader, Structure, contents_of
from lora_drop.datasets.captions import MAX_CAPTION, caption_of, caption_problem
from lora_drop.datasets.dataset import (
    IMAGE_SUFFIXES,
    MAX_IMAGE_BYTES,
    beside,
    image_too_large,
    other_file,
    took_too_long,
)
from lora_drop.datasets.images import hints
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.formats import CONVERTED, SNIFFED, TRAINED, ImageFormat, sniff
from lora_drop.datasets.images.header import Flaw, InvalidImageError, check_size
from lora_drop.datasets.images.pictures import Pictures
from lora_drop.datasets.images.reading import WholeImage
from lora_drop.datasets.selection import InspectionResult, Selection, suffix_of
from lora_drop.fal.trainers.demands import stem
from lora_drop.jobs.errors import DatasetRejectedError

PHOTOS = TRAINED | CONVERTED
# What a photographer meant to be a photo; a clip or a document beside the photos is just left out.
MEANT = frozenset(
    {ImageFormat.RAW, ImageFormat.JPEG_XL, ImageFormat.JPEG_2000, ImageFormat.PHOTOSHOP}
)


@dataclass(frozen=True, slots=True)
class Inspector:
    """Looks at every file, as long as there is time: ``until`` is a moment of ``now``."""

    pictures: Pictures
    now: Callable[[], float]
    until: float

    def look(
        self, archive: RangedReader, structure: Structure, selection: Selection
    ) -> InspectionResult:
        """Everything that is to be known of the files' contents; each byte is verified."""
        seen = InspectionResult()
        others = {member.name: member for member in selection.others}
        captions = {member.name: member for member in selection.captions}
        try:
            for number, content in enumerate(contents_of(archive, structure)):
                if self.now() > self.until:
                    seen.errors.append(took_too_long(number, len(structure.members)))
                    return seen
                if content.member.name in others:
                    self._photo(content, seen)
                elif content.member.name in captions:
                    _caption(content, seen)
        except DatasetRejectedError as damaged:
            _refuse(damaged, others, seen)
        _spare_twins(seen)
        return seen

    def _photo(self, content: Content, seen: InspectionResult) -> None:
        member = content.member
        try:
            head = next(content, b"")
            kind = sniff(head[:SNIFFED])
            if kind not in PHOTOS | MEANT and suffix_of(member.name) not in IMAGE_SUFFIXES:
                seen.left_out[member.name] = other_file(member)
            elif kind in PHOTOS and member.size > MAX_IMAGE_BYTES:
                seen.refused[member.name] = image_too_large(member)
            else:
                data = head + content.read() if kind in PHOTOS else head
                seen.photos[member.name] = self._seen(member, data)
        except InvalidImageError as invalid:
            seen.refused[member.name] = invalid.problem(member.name)
        except DatasetRejectedError:
            pass  # the pass tells of it at its end, with everything else that is damaged

    def _seen(self, member: Member, data: bytes) -> hints.Photo:
        header = describe(WholeImage(data))
        check_size(header)
        look = self.pictures.look(data, header)
        return hints.Photo(member.name, hashlib.sha256(data).hexdigest(), header, look)


def _caption(content: Content, seen: InspectionResult) -> None:
    member = content.member
    try:
        caption = caption_of(content.read()) if member.size <= MAX_CAPTION else None
    except DatasetRejectedError:
        return  # told at the end of the pass
    if problem := caption_problem(member.name, member.size, caption):
        seen.errors.append(problem)
    elif caption is not None:
        seen.captions[member.name] = caption


def _spare_twins(seen: InspectionResult) -> None:
    """Cameras write the same photo twice, raw and as JPEG: the one that can be read is enough."""
    readable = {stem(name).casefold(): name for name in seen.photos}
    for name, problem in list(seen.refused.items()):
        photo = readable.get(stem(name).casefold())
        if problem.code == Flaw.UNSUPPORTED and photo is not None:
            del seen.refused[name]
            seen.left_out[name] = beside(name, photo)


def _refuse(
    damaged: DatasetRejectedError, others: Mapping[str, Member], seen: InspectionResult
) -> None:
    """What is damaged is no photo, whatever could be seen of it."""
    for problem in damaged.problems:
        if problem.member is not None and problem.member in others:
            seen.photos.pop(problem.member, None)
            seen.left_out.pop(problem.member, None)
            seen.refused[problem.member] = problem
        else:
            seen.errors.append(problem)
