"""What has to change about an image before it is trained on, how it looks, and the decoder's Protocol."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Protocol

from lora_drop.datasets.faces.face import FacesSeen
from lora_drop.datasets.images.formats import TRAINED, ImageFormat
from lora_drop.datasets.images.header import Colour, ImageHeader, Metadata

PLAIN_DEPTH = 8
# Trainers work at 512 to 1,024 pixels, some of them on a face that they cut out. What has more than 25
# megapixels (an iPhone's 24 stay) becomes as large as a photo of 12 megapixels: a face has enough pixels there.
LARGE_PIXELS, LARGE_SIDE = 25_000_000, 4096
# What cannot be cut out without a change of the picture or of what its colours mean.
SAVED_AGAIN = frozenset({Metadata.PROFILE, Metadata.HIDDEN})
# The fingerprint: of 32 by 32 pixels, 8 by 8 waves.
SIDE = 32
KEPT = 8
# Of its 64 bits. The same photo made smaller, saved again, brightened, in grey or cut by a fiftieth differs
# in 0 to 8; no two different ones of the 44 foreign photos and the sample's 14 in less than 12.
NEAR = 8
COSINES = tuple(
    tuple(math.cos(math.pi * (2 * x + 1) * u / (2 * SIDE)) for x in range(SIDE))
    for u in range(1, KEPT + 1)
)


class Change(StrEnum):
    """What is changed about an image, each with a stable code."""

    CONVERTED = "image_converted"
    FIRST_FRAME = "image_first_frame"
    FLATTENED = "image_flattened"
    DEPTH_REDUCED = "image_depth_reduced"
    COLOURS_CONVERTED = "image_colours_converted"
    TURNED = "image_turned"
    SHRUNK = "image_shrunk"
    SRGB = "image_srgb"
    TONE_MAPPED = "image_tone_mapped"
    METADATA_REMOVED = "image_metadata_removed"


def changes_for(
    header: ImageHeader,
    *,
    transparent: bool,
    keep_metadata: bool = False,
    lossless: bool = False,
) -> tuple[Change, ...]:
    """Return what has to change about an image; nothing for one that is passed through byte for byte.

    ``transparent``: whether one can see through any of its pixels. Trainers drop an alpha channel,
    and show what was meant to be hidden; one that is opaque everywhere does no harm. ``lossless``: for
    an image that is read as numbers, a mask: what is in its alpha channel stays there.
    """
    hdr = header.coded is not None and header.coded.hdr
    needed = {
        Change.CONVERTED: header.format not in TRAINED or bool(header.rare),
        Change.FIRST_FRAME: header.animated,
        Change.FLATTENED: transparent and not lossless,
        Change.DEPTH_REDUCED: header.bit_depth > PLAIN_DEPTH,
        Change.COLOURS_CONVERTED: header.colour in (Colour.CMYK, Colour.OTHER),
        Change.SRGB: header.wide
        and header.colour in (Colour.RGB, Colour.PALETTE)
        and not hdr
        and not lossless,
        Change.TONE_MAPPED: hdr and not lossless,
        Change.TURNED: header.orientation != 1,
        Change.SHRUNK: header.pixels > LARGE_PIXELS and not lossless,
        Change.METADATA_REMOVED: header.has_metadata and not keep_metadata,
    }
    return tuple(change for change, is_needed in needed.items() if is_needed)


def format_after(
    header: ImageHeader, changes: Collection[Change], *, lossless: bool = False
) -> ImageFormat:
    """Return the format of the mended image.

    The same where only metadata goes that can be cut out. Otherwise PNG for what was a PNG, which loses nothing, and
    for what was transparent: there flat white meets hard edges. JPEG for everything else, unless
    it has to be ``lossless``: then PNG.
    """
    if is_lossless(header, changes):
        return header.format
    lossless = lossless or header.format is ImageFormat.PNG or Change.FLATTENED in changes
    return ImageFormat.PNG if lossless else ImageFormat.JPEG


def is_lossless(header: ImageHeader, changes: Collection[Change]) -> bool:
    """Return whether these changes leave every pixel as it is: only what can be cut out is."""
    cut = header.format in TRAINED and set(changes) <= {Change.METADATA_REMOVED}
    return cut and not header.metadata & SAVED_AGAIN


def change_sentence(change: Change, header: ImageHeader) -> str:
    """Return what was changed, as the rest of a sentence that begins with the file's name."""
    return {
        Change.CONVERTED: f"was stored in a way that few programs read ({header.rare}), and was saved again."
        if header.rare and header.format in TRAINED
        else f"was {header.format.label} and was converted.",
        Change.FIRST_FRAME: "was an animation; only its first picture is used.",
        Change.FLATTENED: "was transparent in places; white was put behind it.",
        Change.DEPTH_REDUCED: f"had {header.bit_depth} bits per colour, and has {PLAIN_DEPTH} now.",
        Change.COLOURS_CONVERTED: "had colours for printing, and has those for screens now.",
        Change.TURNED: "lay on its side or was mirrored, and was turned upright.",
        Change.SHRUNK: f"had {header.pixels / 1_000_000:.0f} megapixels, more than trainers use, and has "
        f"{LARGE_SIDE:,} pixels along its longest side now.",
        Change.SRGB: "had colours of a wider range than screens show (a profile such as Display P3, Adobe RGB "
        "or ProPhoto), and has sRGB now: trainers do not look at profiles.",
        Change.TONE_MAPPED: "was HDR, and was mapped to the brightness and colours of an ordinary screen (sRGB). Look "
        "at it in the report; the camera's own JPEG may look better.",
        Change.METADATA_REMOVED: "said where it was taken; that and all other hidden data was removed."
        if header.has_gps
        else "carried hidden data (camera, time, captions and the like), which was removed.",
    }[change]


def fingerprint(grey: bytes) -> int:
    """Return 64 bits of how a picture looks, from its 32 by 32 grey values, row by row."""
    rows = [grey[at : at + SIDE] for at in range(0, SIDE * SIDE, SIDE)]
    across = [[math.sumprod(wave, row) for wave in COSINES] for row in rows]
    columns = list(zip(*across, strict=True))
    # Rounded, so that a flat picture's noise behind the last digit makes no bits.
    waves = [round(math.sumprod(wave, column), 3) for wave in COSINES for column in columns]
    middle = median(waves)
    return sum((wave > middle) << at for at, wave in enumerate(waves))


def distance(one: int, other: int) -> int:
    """Return in how many of their 64 bits two fingerprints differ."""
    return (one ^ other).bit_count()


def near_duplicates(fingerprints: Mapping[str, int]) -> Mapping[str, str]:
    """Return the images that look like an earlier one, each with the first of those, by name."""
    found: dict[str, str] = {}
    kept: list[tuple[str, int]] = []
    for name, bits in fingerprints.items():
        like = next((other for other, its in kept if distance(bits, its) <= NEAR), None)
        if like is None:
            kept.append((name, bits))
        else:
            found[name] = like
    return found


@dataclass(frozen=True, slots=True)
class FlatPart:
    """A part of a picture, at one of its sides, that is grey as libjpeg fills what is missing.

    ``share`` of the picture's pixels; ``turns``: quarters to the left that bring it to the foot; ``sure``:
    it begins in the middle of a row of blocks, as libjpeg alone makes it.
    """

    share: float
    turns: int
    sure: bool = False


@dataclass(frozen=True, slots=True)
class ImageInspection:
    """How an image looks, upright and in sRGB, measured on a copy of at most 512 pixels a side.

    ``fingerprint``: 64 bits, see ``similarity``. ``brightness``: the mean of its grey values, 0 to
    255. ``highlights``: the grey value that only a twentieth of its pixels are brighter than.
    ``sharpness``: the variance of its Laplacian, in squared grey values; blur makes it small.
    ``transparent``: whether one can see through any of its pixels. ``thumbnail``: a JPEG of at most
    320 pixels a side, without metadata. ``grey``: it has no colours; ``two_tones``: nearly all of it is
    one dark or one bright tone, as a mask is. ``flat_part``: what grey fills at one side. ``faces``: None
    where they were not looked for.
    """

    fingerprint: int
    brightness: float
    highlights: int
    sharpness: float
    transparent: bool
    thumbnail: bytes
    grey: bool = False
    two_tones: bool = False
    flat_part: FlatPart | None = None
    faces: FacesSeen | None = None


@dataclass(frozen=True, slots=True)
class Mended:
    """A mended image, and what it says of itself now."""

    data: bytes
    header: ImageHeader


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image that was mended while it was looked at, and the changes that were made."""

    data: bytes
    changes: tuple[Change, ...]


class Pictures(Protocol):
    """A decoder and encoder of images."""

    def look(self, data: bytes, header: ImageHeader) -> ImageInspection:
        """Decode all of an image, and say how it looks; raises InvalidImageError when it cannot be."""

    def look_and_mend(
        self, data: bytes, header: ImageHeader, *, keep_metadata: bool
    ) -> tuple[ImageInspection, Prepared | None]:
        """Return the same as ``look``, and the mended image where it costs no second decoding to make it.

        None where nothing has to change, where no pixel has to, and for a JPEG: it is looked at in a smaller size.
        """

    def mend(
        self,
        data: bytes,
        header: ImageHeader,
        changes: Collection[Change],
        *,
        lossless: bool = False,
    ) -> Mended:
        """Return the image with these changes made, and no metadata; raises InvalidImageError when it cannot be.

        The same input makes the same bytes. Where pixels change, all metadata goes, asked for or
        not, and the colours become sRGB. ``lossless``: as for ``changes_for`` and ``format_after``; an
        image of 8 bits keeps all of its numbers, those of its alpha channel as well.
        """
