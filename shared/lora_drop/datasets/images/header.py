"""The facts of one image, the ways in which a file is no usable image, and the limits of its size.

Upper limits: what can be decoded within the memory of a function. A JPEG can be decoded at an eighth to
a half of its size, so it may have more pixels (phones make 108 megapixels) than the others, of which
all pixels have to be in memory (61 and 64 megapixels are common). More than 25 megapixels are shrunk in the
clean copy. Lower limits: the trainers work at 512 to 1,024 pixels and enlarge what is smaller,
and fal advises a high resolution: below 512 a photo trains, with little to learn from, and gets a
warning; below 64 there is no face left to see, and FLUX's own grid (16 pixels) nearly ends.
"""

from dataclasses import dataclass
from enum import StrEnum

from lora_drop.datasets.images.colours import Coded
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.reading import ImageBytes
from lora_drop.jobs.problems import Problem

MAX_SIDE = 16_384
MAX_PIXELS, MAX_JPEG_PIXELS = 66_000_000, 120_000_000
MIN_SIDE = 64
# Pixels that are unpacked for a picture, with the parts of its tiles that are not shown: a tile is at
# most as large as a picture may be, and a sound file's reach over the edge by less than one tile.
MAX_UNPACKED = 2 * MAX_PIXELS
LOW_SIDE = 512


class Metadata(StrEnum):
    """What a file carries beside its picture; all of it is taken out before a photo leaves."""

    EXIF = "exif"
    GPS = "gps"
    XMP = "xmp"
    IPTC = "iptc"
    TEXT = "text"  # comments, captions, the name of the software
    TIME = "time"
    THUMBNAIL = "thumbnail"
    PICTURES = "pictures"  # more pictures behind the first: MPO, depth and gain maps
    TRAILER = "trailer"  # anything after the image's own end
    PROFILE = "profile"  # of one screen or person, not a standard: its colours are applied, and it is left out
    HIDDEN = "hidden"  # bytes that cannot be cut out with certainty that the picture stays as it is
    OTHER = "other"  # what only its maker can read


class Colour(StrEnum):
    """What a picture's numbers mean."""

    GREY = "grey"
    RGB = "rgb"  # YCbCr as well: every reader turns it into RGB
    PALETTE = "palette"
    CMYK = "cmyk"
    OTHER = "other"


class Flaw(StrEnum):
    """The ways not to be an image that can be trained on, each with a stable code."""

    EMPTY = "image_empty"
    NO_IMAGE = "image_invalid_format"
    UNSUPPORTED = "image_unsupported_format"
    TRUNCATED = "image_truncated"
    DAMAGED = "image_damaged"
    TOO_MANY_PIXELS = "image_too_many_pixels"
    TOO_MUCH_WORK = "image_too_much_work"
    TOO_SMALL = "image_too_small"
    UNSUPPORTED_PIXELS = "image_unsupported_pixels"
    NOT_MENDED = "image_not_mended"


class InvalidImageError(ValueError):
    """Raised when a file is no image that can be trained on; ``flaw`` says in which way.

    ``says`` is the rest of a sentence that begins with the file's name, and what to do.
    """

    def __init__(self, flaw: Flaw, says: str) -> None:
        super().__init__(f"The file {says}")
        self.flaw = flaw
        self.says = says

    def problem(self, member: str) -> Problem:
        """Return the same as a problem of a file in an archive."""
        return Problem(code=self.flaw, message=f"{member} {self.says}", member=member)


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What an image says of itself. Believed only as far as it goes: the decoder has the last word.

    ``width`` and ``height`` are those of the stored pixels, and ``orientation`` (EXIF 1 to 8) is
    what a viewer does to them. For JPEG, PNG and WEBP that is the EXIF tag; for HEIF and AVIF
    it is the file's own rotation and mirroring, and their EXIF tag means nothing (ISO 23008-12,
    6.5.10); a HEIF's clean aperture is cut out already. ``bit_depth`` is per channel.
    ``wide``: its numbers mean other colours than those of sRGB, by its profile or as ``coded`` says.
    ``rare``: how it is stored, in words, where few programs read that; its decoder has the last word.
    ``complete``: the file was read to its end, so nothing else is in it; otherwise frames, metadata
    and even an orientation may follow that are not known here.
    """

    format: ImageFormat
    width: int
    height: int
    orientation: int = 1
    animated: bool = False
    metadata: frozenset[Metadata] = frozenset()
    has_alpha: bool = False
    has_profile: bool = False
    wide: bool = False
    coded: Coded | None = None
    bit_depth: int = 8
    colour: Colour = Colour.RGB
    progressive: bool = False
    rare: str = ""
    complete: bool = True

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height as a viewer shows the image."""
        turned = self.orientation in (5, 6, 7, 8)
        return (self.height, self.width) if turned else (self.width, self.height)

    @property
    def pixels(self) -> int:
        """How many there are."""
        return self.width * self.height

    @property
    def has_metadata(self) -> bool:
        """Whether anything is in the file beside its picture."""
        return bool(self.metadata)

    @property
    def has_gps(self) -> bool:
        """Whether the file says where it was taken."""
        return Metadata.GPS in self.metadata


def exactly(source: ImageBytes, offset: int, length: int) -> bytes:
    """Return so many bytes; raises InvalidImageError where the file ends before."""
    data = source.read(offset, length)
    if len(data) < length:
        raise cut_off()
    return data


def cut_off() -> InvalidImageError:
    """Return the error for an image that ends too early."""
    return InvalidImageError(
        Flaw.TRUNCATED,
        "ends too early: it was cut off, perhaps while it was copied. Copy it again from the "
        "camera or phone, and check that it opens.",
    )


def hidden() -> InvalidImageError:
    """Return the error for hidden data that cannot be cut out without a change of the picture."""
    return InvalidImageError(
        Flaw.NOT_MENDED,
        "holds hidden data that cannot be cut out. Open it in an image program and save it as JPEG.",
    )


def too_much_work(what: str) -> InvalidImageError:
    """Return the error for an image that would take far more work than its pixels justify."""
    return InvalidImageError(
        Flaw.TOO_MUCH_WORK,
        f"would take too long to open: {what}. Open it in an image program and save it again as JPEG, "
        "or leave it out.",
    )


def damaged(what: str) -> InvalidImageError:
    """Return the error for an image that contradicts itself."""
    return InvalidImageError(
        Flaw.DAMAGED,
        f"is damaged: {what}. If it opens in an image program, save it again as JPEG; otherwise "
        "leave it out.",
    )


def unsupported_pixels(what: str) -> InvalidImageError:
    """Return the error for a sound image whose pixels are stored in a way that is not read here."""
    return InvalidImageError(
        Flaw.UNSUPPORTED_PIXELS,
        f"is stored in a way that only special programs read ({what}). Open it in an image program and "
        "save it as an ordinary JPEG, in RGB with 8 bits.",
    )


def broken() -> InvalidImageError:
    """Return the error for an image of which a part is missing or was overwritten, though it opens."""
    return InvalidImageError(
        Flaw.DAMAGED,
        "is damaged: it opens, but a part of the picture is missing or was overwritten, and shows grey or "
        "wrong colours. Copy it again from the camera or phone, or leave it out.",
    )


def check_not_too_large(width: int, height: int, kind: ImageFormat | None = None) -> None:
    """Raise InvalidImageError for more than 16,384 pixels along a side, or more than can be decoded safely."""
    most = MAX_JPEG_PIXELS if kind is ImageFormat.JPEG else MAX_PIXELS
    if max(width, height) > MAX_SIDE or width * height > most:
        raise InvalidImageError(
            Flaw.TOO_MANY_PIXELS,
            f"has {width:,} by {height:,} pixels; {MAX_SIDE:,} along a side and "
            f"{most // 1_000_000} megapixels are the most. Save a smaller copy, 2,048 pixels "
            "along the longest side are plenty, and put that in instead.",
        )


def check_unpacked(pixels: int) -> None:
    """Raise InvalidImageError where more than 132 megapixels have to be unpacked for one picture."""
    if pixels > MAX_UNPACKED:
        raise too_much_work(
            f"it is made of tiles with {pixels:,} pixels, of which most are never shown"
        )


def check_size(header: ImageHeader) -> None:
    """Raise InvalidImageError for an image that is too large, or has less than 64 pixels along a side."""
    check_not_too_large(header.width, header.height, header.format)
    width, height = header.upright
    if min(width, height) < MIN_SIDE:
        raise InvalidImageError(
            Flaw.TOO_SMALL,
            f"has only {width} by {height} pixels; {MIN_SIDE} along the shortest side are the least, "
            "1,024 or more are best. Put in the original photo, not a thumbnail or a preview.",
        )
