"""What has to change about an image before it is trained on, and what a person is told of it."""

from collections.abc import Collection
from enum import StrEnum

from lora_drop.datasets.images.formats import TRAINED, ImageFormat
from lora_drop.datasets.images.header import Colour, ImageHeader, Metadata

PLAIN_DEPTH = 8
# What cannot be cut out without a change of the picture or of what its colours mean.
SAVED_ANEW = frozenset({Metadata.PROFILE, Metadata.HIDDEN})


class Change(StrEnum):
    """What is changed about an image, each with a stable code."""

    CONVERTED = "image_converted"
    FIRST_FRAME = "image_first_frame"
    FLATTENED = "image_flattened"
    DEPTH_REDUCED = "image_depth_reduced"
    COLOURS_CONVERTED = "image_colours_converted"
    TURNED = "image_turned"
    METADATA_REMOVED = "image_metadata_removed"


def changes_for(
    header: ImageHeader,
    *,
    transparent: bool,
    keep_metadata: bool = False,
    lossless: bool = False,
) -> tuple[Change, ...]:
    """What has to change about an image; nothing for one that is passed through byte for byte.

    ``transparent``: whether one can see through any of its pixels. Trainers drop an alpha channel,
    and show what nobody was meant to see; one that is opaque everywhere harms nobody. ``lossless``: for
    an image that is read as numbers, a mask: what is in its alpha channel stays there.
    """
    needed = {
        Change.CONVERTED: header.format not in TRAINED,
        Change.FIRST_FRAME: header.animated,
        Change.FLATTENED: transparent and not lossless,
        Change.DEPTH_REDUCED: header.bit_depth > PLAIN_DEPTH,
        Change.COLOURS_CONVERTED: header.colour in (Colour.CMYK, Colour.OTHER),
        Change.TURNED: header.orientation != 1,
        Change.METADATA_REMOVED: header.has_metadata and not keep_metadata,
    }
    return tuple(change for change, is_needed in needed.items() if is_needed)


def format_after(
    header: ImageHeader, changes: Collection[Change], *, lossless: bool = False
) -> ImageFormat:
    """The format of the mended image.

    The same where only metadata goes that can be cut out. Otherwise PNG for what was a PNG, which loses nothing, and
    for what was transparent: there flat white meets hard edges. JPEG for everything else, unless
    it has to be ``lossless``: then PNG.
    """
    if is_lossless(header, changes):
        return header.format
    lossless = lossless or header.format is ImageFormat.PNG or Change.FLATTENED in changes
    return ImageFormat.PNG if lossless else ImageFormat.JPEG


def is_lossless(header: ImageHeader, changes: Collection[Change]) -> bool:
    """Whether these changes leave every pixel as it is: only what can be cut out is."""
    cut = header.format in TRAINED and set(changes) <= {Change.METADATA_REMOVED}
    return cut and not header.metadata & SAVED_ANEW


def told(change: Change, header: ImageHeader) -> str:
    """What was changed, as the rest of a sentence that begins with the file's name."""
    return {
        Change.CONVERTED: f"was {header.format.label} and was converted.",
        Change.FIRST_FRAME: "was an animation; only its first picture is used.",
        Change.FLATTENED: "was transparent in places; white was put behind it.",
        Change.DEPTH_REDUCED: f"had {header.bit_depth} bits per colour, and has {PLAIN_DEPTH} now.",
        Change.COLOURS_CONVERTED: "had colours for printing, and has those for screens now.",
        Change.TURNED: "lay on its side or was mirrored, and was turned upright.",
        Change.METADATA_REMOVED: "said where it was taken; that and all other hidden data was removed."
        if header.has_gps
        else "carried hidden data (camera, time, captions and the like), which was removed.",
    }[change]
