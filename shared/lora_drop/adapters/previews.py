"""A photo as a page shows it: a small JPEG, upright, in sRGB and without metadata."""

from functools import cache
from pathlib import Path

from PIL import Image

from lora_drop.adapters.picture_colours import flat, screen_colours, turned
from lora_drop.adapters.picture_looks import small_jpeg, smaller
from lora_drop.adapters.pillow import DECODER_ERRORS, PillowPictures, decoded
from lora_drop.datasets.dataset import MAX_IMAGE_BYTES
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.header import Flaw, InvalidImageError, check_not_too_large
from lora_drop.datasets.images.reading import WholeImage


def preview(path: Path, side: int) -> bytes:
    """Return the photo as a JPEG of at most ``side`` pixels a side; raises InvalidImageError and OSError.

    A JPEG is decoded at an eighth to a half of its size where that suffices. Its memory has the bounds of
    ``PillowPictures``.
    """
    warm()
    size = path.stat().st_size
    if size > MAX_IMAGE_BYTES:
        raise InvalidImageError(
            Flaw.TOO_MUCH_WORK, f"has {size:,} bytes; {MAX_IMAGE_BYTES:,} are the most."
        )
    data = path.read_bytes()
    header = describe(WholeImage(data))
    check_not_too_large(header.width, header.height, header.format)
    image = decoded(data, header, at_least=(side, side))
    try:
        shown = screen_colours(smaller(image, side), coded=header.coded)
        shown.thumbnail((side, side))
        return small_jpeg(turned(flat(shown), header))
    except (MemoryError, *DECODER_ERRORS) as error:
        raise InvalidImageError(Flaw.DAMAGED, "cannot be shown.") from error


@cache
def warm() -> None:
    """Load the decoders of every format that the check knows."""
    PillowPictures()
    Image.init()
