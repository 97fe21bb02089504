"""How long a function takes to look at a photo and to convert it: the same number wherever a check runs."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lora_drop.datasets.faces.face import FacesSeen
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import ImageHeader
from lora_drop.datasets.images.pictures import changes_for, format_after, is_lossless

MILLION = 1_000_000
# Seconds for a megapixel: what one core takes, HEIC without vector code as on arm64 (docs/decisions.md), and half as
# much again, because an arm64 core is slower than the one that was measured.
LOOKED_AT = {ImageFormat.JPEG: 0.02, ImageFormat.HEIF: 0.16, ImageFormat.BMP: 0.04}
OTHER_LOOKED_AT = 0.07
# A JPEG is looked at in a smaller size, so it is decoded once more; the others are converted as they are decoded.
CONVERTED_TO = {ImageFormat.JPEG: 0.025, ImageFormat.PNG: 0.3}
CONVERTED_IN_LOOK = frozenset({ImageFormat.HEIF, ImageFormat.AVIF})
# Seconds for a photo in which faces were looked for, whatever its size: to find one and to compare it, or to find none in
# all ways of looking. Measured as the above (``make bench-faces``): 0.04 to 0.1, 0.14 for a tilted head and 0.22 for a
# small face, and 0.26.
FACE_FOUND, NO_FACE_FOUND = 0.3, 0.4
# Of the time for a check. Before so much of it is spent, the photos say too little of those that come.
ENOUGH_TO_PREDICT = 0.25


def check_seconds(
    header: ImageHeader, *, transparent: bool, faces: FacesSeen | None = None
) -> float:
    """Return the seconds that a photo takes in the check and in the clean copy; ``faces`` None were not looked for."""
    each = LOOKED_AT.get(header.format, OTHER_LOOKED_AT)
    changes = changes_for(header, transparent=transparent)
    if changes and not is_lossless(header, changes) and header.format not in CONVERTED_IN_LOOK:
        each += CONVERTED_TO.get(format_after(header, changes), 0.0)
    seconds = each * header.pixels / MILLION
    if faces is None:
        return seconds
    return seconds + (FACE_FOUND if faces.faces else NO_FACE_FOUND)


@dataclass(slots=True)
class CheckTime:
    """The seconds that a check of ``files`` has taken until now, of ``most``: ``alone`` without the search for faces."""

    files: int
    most: float
    looked_at: int = 0
    seconds: float = 0.0
    alone: float = 0.0

    def add(
        self, header: ImageHeader | None, *, transparent: bool = False, faces: FacesSeen | None
    ) -> None:
        """Count a file that was looked at; ``header`` None was no photo."""
        self.looked_at += 1
        if header is not None:
            self.alone += check_seconds(header, transparent=transparent)
            self.seconds += check_seconds(header, transparent=transparent, faces=faces)

    def at_most(self, coming: Iterable[ImageHeader | None]) -> "CheckTime":
        """Return what has been taken once these files are looked at as well, whatever is found in them."""
        longest = replace(self)
        for header in coming:
            may_be_transparent = header is not None and header.format is not ImageFormat.JPEG
            longest.add(header, transparent=may_be_transparent, faces=FacesSeen())
        return longest

    @property
    def has_time_for_faces(self) -> bool:
        """Return whether the other files can be looked at when faces are looked for in one more of them.

        The others are taken to be like those until now.
        """
        if self.seconds < ENOUGH_TO_PREDICT * self.most:
            return True
        left = self.alone / self.looked_at * (self.files - self.looked_at)
        return self.seconds + left + NO_FACE_FOUND <= self.most
