"""Every file of an archive, read once from front to back: what it is and how it looks."""

import hashlib
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

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
from lora_drop.datasets.images.header import Flaw, ImageHeader, InvalidImageError, check_size
from lora_drop.datasets.images.pictures import Pictures
from lora_drop.datasets.images.reading import WholeImage
from lora_drop.datasets.selection import InspectionResult, Selection, suffix_of
from lora_drop.fal.trainers.demands import stem
from lora_drop.jobs.errors import DatasetRejectedError, FacesBrokenError
from lora_drop.jobs.time_limits import CHECK_PATIENCE
from lora_drop.services.photo_queue import PhotoQueue, QueuedPhoto, SeenPhoto
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
    ``without_faces`` look for no faces, and take the place of ``pictures`` where there is no time to look for them, and
    where looking for them broke.
    ``threads``: several photos are looked at beside each other, while the next ones are read.
    """

    pictures: Pictures
    now: Callable[[], float]
    until: float
    prepared: PreparedPhotos | None = None
    keep_metadata: bool = False
    without_faces: Pictures | None = None
    threads: Callable[[], Executor] | None = None

    def inspect(
        self, archive: RangedReader, structure: Structure, selection: Selection
    ) -> InspectionResult:
        """Read every file once and return what was found; each byte is verified.

        A dataset is refused for its time only where that is not enough without looking for faces either.
        """
        with self.threads() if self.threads else nullcontext() as threads:
            return _Inspection(self, structure, selection, PhotoQueue(threads)).of(archive)

    def seen(
        self, member: Member, data: bytes, header: ImageHeader, pictures: Pictures
    ) -> SeenPhoto:
        """Return what is in a photo; raises InvalidImageError."""
        mended = None
        if self.prepared is None:
            look = pictures.look(data, header)
        else:
            look, mended = pictures.look_and_mend(data, header, keep_metadata=self.keep_metadata)
        photo = hints.Photo(member.name, hashlib.sha256(data).hexdigest(), header, look)
        return SeenPhoto(photo, mended, embedded_caption(data))


class _Inspection:
    """One pass over an archive: photos are read and put into the queue, and taken from it in the same order."""

    def __init__(
        self, inspector: Inspector, structure: Structure, selection: Selection, queue: PhotoQueue
    ) -> None:
        self._inspector, self._queue = inspector, queue
        self._result = InspectionResult(structure, selection)
        self._time = CheckTime(len(selection.others), MOST_SECONDS)

    def of(self, archive: RangedReader) -> InspectionResult:
        """Return what was found."""
        result = self._result
        selection, structure = result.selection, result.structure
        others = {member.name for member in selection.others}
        captions = {member.name for member in selection.captions}
        try:
            for number, content in enumerate(contents_of(archive, structure)):
                if not self._has_time():
                    result.errors.append(took_too_long(number, len(structure.members)))
                    return result
                if content.member.name in others:
                    self._put(content)
                elif content.member.name in captions:
                    _inspect_caption(content, result)
        except DatasetRejectedError as damaged:
            self._take_all()
            _refuse(damaged, others, result)
        self._take_all()
        _leave_out_raw_twins(result)
        gather_captions(result)
        return result

    def _has_time(self) -> bool:
        """Return whether there is time for one more file.

        It depends on what comes of the photos before it. Where it may, they are waited for: the answer is the same
        however many are looked at beside each other.
        """
        late = self._inspector.now() > self._inspector.until
        if late or self._seconds(self._time.at_most(self._coming)) > MOST_SECONDS:
            self._take_all()
        return not late and self._seconds(self._time) <= MOST_SECONDS

    def _seconds(self, time: CheckTime) -> float:
        return time.alone if self._result.faces_left_out else time.seconds

    def _choose(self) -> Pictures:
        """Return what looks at the next photo: without faces once there is no time to look for them, as above."""
        inspector, result = self._inspector, self._result
        if inspector.without_faces is None:
            return inspector.pictures
        if not (result.faces_left_out or self._time.at_most(self._coming).has_time_for_faces):
            self._take_all()
            searched = self._time.seconds > self._time.alone
            result.faces_left_out = searched and not self._time.has_time_for_faces
        return inspector.without_faces if result.faces_left_out else inspector.pictures

    @property
    def _coming(self) -> Iterator[ImageHeader | None]:
        return (photo.header for photo in self._queue)

    def _put(self, content: Content) -> None:
        photo = self._read(content, self._choose())
        while not self._queue.has_room(photo):
            self._take()
        self._queue.put(photo)

    def _take_all(self) -> None:
        while self._queue:
            self._take()

    def _take(self) -> None:
        """Note what comes of the first photo in the queue."""
        photo, result, seen = self._queue.take(), self._result, None
        name = photo.member.name
        if photo.problem:
            (result.refused if photo.refused else result.left_out)[name] = photo.problem
        try:
            seen = self._seen(photo)
        except InvalidImageError as invalid:
            result.refused[name] = invalid.problem(name)
        if seen is None:
            self._time.add(None, faces=None)
            return
        look = seen.photo.look
        self._time.add(seen.photo.header, transparent=look.transparent, faces=look.faces)
        result.photos[name] = seen.photo
        if seen.mended and self._inspector.prepared:
            self._inspector.prepared.put(name, seen.mended)
        if seen.caption:
            result.embedded[name] = seen.caption

    def _seen(self, photo: QueuedPhoto) -> SeenPhoto | None:
        """Return what is in a photo, without faces where looking for them breaks; raises InvalidImageError."""
        try:
            return photo.seen()
        except FacesBrokenError as broken:
            if self._inspector.without_faces is None:
                raise
            self._result.faces_broken, self._result.faces_left_out = broken, True
            return photo.seen_by(self._inspector.without_faces)

    def _read(self, content: Content, pictures: Pictures) -> QueuedPhoto:
        """Return a file with all of its bytes where they are those of a photo; others stop at their beginning."""
        member = content.member
        try:
            head = next(content, b"")
            if suffix_of(member.name) in SOURCE_SUFFIXES and member.size <= MAX_SOURCE:
                self._result.sources[member.name] = head = head + content.read()
            kind = sniff(head[:SNIFFED])
            if kind not in PHOTOS | MEANT and suffix_of(member.name) not in PHOTO_SUFFIXES:
                return QueuedPhoto(member, other_file(member))
            if kind in PHOTOS and member.size > MAX_IMAGE_BYTES:
                return QueuedPhoto(member, image_too_large(member), refused=True)
            data = b"".join((head, *content)) if kind in PHOTOS else head
            header = describe(WholeImage(data))
            check_size(header)
        except InvalidImageError as invalid:
            return QueuedPhoto(member, invalid.problem(member.name), refused=True)
        except DatasetRejectedError:
            return QueuedPhoto(
                member
            )  # raised again at the end of the pass, with all that is damaged
        look = partial(self._inspector.seen, member, data, header)
        return QueuedPhoto(member, header=header, look=look, pictures=pictures)


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
    damaged: DatasetRejectedError, others: Collection[str], result: InspectionResult
) -> None:
    """Refuse what is damaged, also where its picture could be decoded."""
    for problem in damaged.problems:
        if problem.member is not None and problem.member in others:
            result.photos.pop(problem.member, None)
            result.left_out.pop(problem.member, None)
            result.refused[problem.member] = problem
        else:
            result.errors.append(problem)
