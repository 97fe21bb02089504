"""Every file of an archive, read once from front to back: what it is and how it looks."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lora_drop.datasets.archives import Content, Member, RangedReader, Structure, contents_of
from lora_drop.datasets.caption_sources import MAX_SOURCE, SOURCE_SUFFIXES, gather_captions
from lora_drop.datasets.caption_text import MAX_CAPTION, Caption, too_long
from lora_drop.datasets.dataset import (
    MAX_IMAGE_BYTES,
    beside,
    image_too_large,
    other_file,
    took_too_long,
)
from lora_drop.datasets.images import hints
from lora_drop.datasets.images.check_time import CheckTime
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.embedded_captions import embedded_caption
from lora_drop.datasets.images.formats import (
    CONVERTED,
    PHOTO_SUFFIXES,
    SNIFFED,
    TRAINED,
    ImageFormat,
    sniff,
)
from lora_drop.datasets.images.header import Flaw, InvalidImageError, check_size
from lora_drop.datasets.images.pictures import Pictures
from lora_drop.datasets.images.reading import WholeImage
from lora_drop.datasets.selection import InspectionResult, Selection, suffix_of
from lora_drop.fal.trainers.demands import stem
from lora_drop.jobs.errors import DatasetRejectedError, FacesBrokenError
from lora_drop.jobs.time_limits import CHECK_PATIENCE
from lora_drop.services.prepared import PreparedPhotos

PHOTOS = TRAINED | CONVERTED
# What the stack has for a check; by the photos' own numbers, so that the check on a person's machine says the same.
MOST_SECONDS = CHECK_PATIENCE.total_seconds()
# What a photographer meant to be a photo; a clip or a document beside the photos is just left out.
MEANT = frozenset(
    {ImageFormat.RAW, ImageFormat.JPEG_XL, ImageFormat.JPEG_2000, ImageFormat.PHOTOSHOP}
)


@dataclass(frozen=True, slots=True)
class Inspector:
    """Looks at every file, as long as a function has time; ``until``, a moment of ``now``, is the last resort.

    ``prepared`` takes the photos that could be mended at once, where a clean copy is made after the check.
    ``without_faces`` look for no faces, and take the place of ``pictures`` where there is no time to look for them.
    """

    pictures: Pictures
    now: Callable[[], float]
    until: float
    prepared: PreparedPhotos | None = None
    keep_metadata: bool = False
    without_faces: Pictures | None = None

    def inspect(
        self, archive: RangedReader, structure: Structure, selection: Selection
    ) -> InspectionResult:
        """Read every file once and return what was found; each byte is verified.

        A dataset is refused for its time only where that is not enough without looking for faces either.
        """
        result = InspectionResult(structure, selection)
        others = {member.name: member for member in selection.others}
        captions = {member.name: member for member in selection.captions}
        time = CheckTime(len(others), MOST_SECONDS)
        try:
            for number, content in enumerate(contents_of(archive, structure)):
                seconds = time.alone if result.faces_left_out else time.seconds
                if self.now() > self.until or seconds > MOST_SECONDS:
                    result.errors.append(took_too_long(number, len(structure.members)))
                    return result
                if content.member.name in others:
                    if self.without_faces and time.seconds > time.alone:
                        result.faces_left_out |= not time.has_time_for_faces
                    self._inspect_photo(content, result)
                    _count(time, result.photos.get(content.member.name))
                elif content.member.name in captions:
                    _inspect_caption(content, result)
        except DatasetRejectedError as damaged:
            _refuse(damaged, others, result)
        _leave_out_raw_twins(result)
        gather_captions(result)
        return result

    def _inspect_photo(self, content: Content, result: InspectionResult) -> None:
        member = content.member
        try:
            head = next(content, b"")
            if suffix_of(member.name) in SOURCE_SUFFIXES and member.size <= MAX_SOURCE:
                result.sources[member.name] = head = head + content.read()
            kind = sniff(head[:SNIFFED])
            if kind not in PHOTOS | MEANT and suffix_of(member.name) not in PHOTO_SUFFIXES:
                result.left_out[member.name] = other_file(member)
            elif kind in PHOTOS and member.size > MAX_IMAGE_BYTES:
                result.refused[member.name] = image_too_large(member)
            else:
                data = head + content.read() if kind in PHOTOS else head
                result.photos[member.name] = self._looked_at(member, data, result)
                if caption := embedded_caption(data):
                    result.embedded[member.name] = caption
        except InvalidImageError as invalid:
            result.refused[member.name] = invalid.problem(member.name)
        except DatasetRejectedError:
            pass  # raised again at the end of the pass, with everything else that is damaged

    def _looked_at(self, member: Member, data: bytes, result: InspectionResult) -> hints.Photo:
        """Return the photo, without faces once looking for them has broken or takes too long."""
        if self.without_faces is None:
            return self._photo_of(member, data, self.pictures)
        if not result.faces_left_out:
            try:
                return self._photo_of(member, data, self.pictures)
            except FacesBrokenError as broken:
                result.faces_broken, result.faces_left_out = broken, True
        return self._photo_of(member, data, self.without_faces)

    def _photo_of(self, member: Member, data: bytes, pictures: Pictures) -> hints.Photo:
        header = describe(WholeImage(data))
        check_size(header)
        if self.prepared is None:
            look = pictures.look(data, header)
        else:
            look, mended = pictures.look_and_mend(data, header, keep_metadata=self.keep_metadata)
            if mended is not None:
                self.prepared.put(member.name, mended)
        return hints.Photo(member.name, hashlib.sha256(data).hexdigest(), header, look)


def _count(time: CheckTime, photo: hints.Photo | None) -> None:
    if photo is None:
        time.add(None, faces=None)
    else:
        time.add(photo.header, transparent=photo.look.transparent, faces=photo.look.faces)


def _inspect_caption(content: Content, result: InspectionResult) -> None:
    member = content.member
    if member.size > MAX_CAPTION:
        result.captions[member.name] = Caption("", problem=too_long(member.name, member.size))
        return
    try:
        result.raw_captions[member.name] = content.read()
    except DatasetRejectedError:
        return  # raised again at the end of the pass


def _leave_out_raw_twins(result: InspectionResult) -> None:
    """Leave out a raw photo whose JPEG lies beside it: cameras write both."""
    readable = {stem(name).casefold(): name for name in result.photos}
    for name, problem in list(result.refused.items()):
        photo = readable.get(stem(name).casefold())
        if problem.code == Flaw.UNSUPPORTED and photo is not None:
            del result.refused[name]
            result.left_out[name] = beside(name, photo)


def _refuse(
    damaged: DatasetRejectedError, others: Mapping[str, Member], result: InspectionResult
) -> None:
    """Refuse what is damaged, also where its picture could be decoded."""
    for problem in damaged.problems:
        if problem.member is not None and problem.member in others:
            result.photos.pop(problem.member, None)
            result.left_out.pop(problem.member, None)
            result.refused[problem.member] = problem
        else:
            result.errors.append(problem)
