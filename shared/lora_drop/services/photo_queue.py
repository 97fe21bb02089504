"""Photos that are looked at in several threads, and taken in the order in which they came."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

from lora_drop.datasets.archives import Member
from lora_drop.datasets.images.embedded_captions import EmbeddedCaption
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import ImageHeader
from lora_drop.datasets.images.hints import Photo
from lora_drop.datasets.images.pictures import Pictures, Prepared
from lora_drop.jobs.problems import Problem

# Bytes for each pixel at the peak, as the decoder has them. A JPEG is decoded in a smaller size; where it is progressive,
# its coefficients lie in memory.
NEEDED = {ImageFormat.JPEG: 6, ImageFormat.WEBP: 17}
OTHERS_NEEDED = 12
# What is decoded beside others. The rest is rare, or says what is wrong by a channel of the whole process.
BESIDE_OTHERS = frozenset({ImageFormat.JPEG, ImageFormat.PNG, ImageFormat.HEIF, ImageFormat.WEBP})
# Of all photos that are on their way, unless it is one alone: half of what a decoder may take, and as many as keep
# every thread at work.
MOST_BYTES, MOST_PHOTOS = 512 * 1024**2, 8


@dataclass(frozen=True, slots=True)
class SeenPhoto:
    """What was found in a photo's bytes."""

    photo: Photo
    mended: Prepared | None
    caption: EmbeddedCaption | None


@dataclass(slots=True)
class QueuedPhoto:
    """A file that may be a photo, and how it is looked at, by which ``pictures``.

    Its bytes are those of a photo with this ``header`` where there is one. Otherwise ``problem`` says why it is not looked
    at, and whether it is ``refused`` or left out for that; a file that is damaged has none, for the archive's end says it.
    """

    member: Member
    problem: Problem | None = None
    refused: bool = False
    header: ImageHeader | None = None
    look: Callable[[Pictures], SeenPhoto] | None = None
    pictures: Pictures | None = None
    _seen: Future[SeenPhoto] | None = field(default=None, init=False)

    @property
    def needed(self) -> int:
        """Return the bytes of memory that looking at it takes."""
        if self.header is None:
            return 0
        each = NEEDED.get(self.header.format, OTHERS_NEEDED)
        return self.member.size + self.header.pixels * each

    def begin(self, threads: Executor) -> None:
        """Look at it in one of these threads."""
        beside = self.header is not None and self.header.format in BESIDE_OTHERS
        if self.look and self.pictures and beside:
            self._seen = threads.submit(self.look, self.pictures)

    def seen(self) -> SeenPhoto | None:
        """Return what is in it, None where it is not looked at; raises what looking at it raises.

        What fails beside others is looked at once more, alone: what is said of a photo is its own fault, and the same
        wherever a check runs.
        """
        if self.pictures is None:
            return None
        if self._seen is None or self._seen.exception() is not None:
            return self.seen_by(self.pictures)
        return self._seen.result()

    def seen_by(self, pictures: Pictures) -> SeenPhoto | None:
        """Return what these pictures see in it, alone."""
        return self.look(pictures) if self.look else None


class PhotoQueue:
    """Photos on their way, the first that came the first to be taken. Without threads there is only one at a time."""

    def __init__(self, threads: Executor | None) -> None:
        self._threads = threads
        self._photos: deque[QueuedPhoto] = deque()

    def __len__(self) -> int:
        return len(self._photos)

    def __iter__(self) -> Iterator[QueuedPhoto]:
        return iter(self._photos)

    def has_room(self, photo: QueuedPhoto) -> bool:
        """Return whether this one may be looked at beside those that are here."""
        if not self._photos:
            return True
        needed = photo.needed + sum(each.needed for each in self._photos)
        return bool(self._threads) and len(self._photos) < MOST_PHOTOS and needed <= MOST_BYTES

    def put(self, photo: QueuedPhoto) -> None:
        """Add one for which there is room."""
        if self._threads:
            photo.begin(self._threads)
        self._photos.append(photo)

    def take(self) -> QueuedPhoto:
        """Return the first one, which is no longer here; raises IndexError where there is none."""
        return self._photos.popleft()
