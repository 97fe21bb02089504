"""How large and how small an image may be, by its header alone: before anything is decoded.

Upper limits: ours, far below where Pillow warns of a decompression bomb (89 megapixels), so that one
image never takes more memory than a function has; no phone or camera photo that a portrait trainer
can use is larger. Lower limits: the trainers work at 512 to 1,024 pixels and enlarge what is smaller,
and fal advises a high resolution: below 512 a photo trains, with little to learn from, and one gets
advice; below 64 there is no face left to see, and FLUX's own grid (16 pixels) nearly ends.
"""

from lora_drop.datasets.images.header import Flaw, ImageHeader, InvalidImageError, too_much_work

MAX_SIDE = 16_384
MAX_PIXELS = 50_000_000
MIN_SIDE = 64
# Pixels that are unpacked for a picture, with the parts of its tiles that are not shown: a tile is at
# most as large as a picture may be, and a sound file's reach over the edge by less than one tile.
MAX_UNPACKED = 2 * MAX_PIXELS
LOW_SIDE = 512


def check_not_too_large(width: int, height: int) -> None:
    """Raise InvalidImageError for more than 16,384 pixels along a side, or 50 megapixels."""
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise InvalidImageError(
            Flaw.TOO_MANY_PIXELS,
            f"has {width:,} by {height:,} pixels; {MAX_SIDE:,} along a side and "
            f"{MAX_PIXELS // 1_000_000} megapixels are the most. Save a smaller copy, 2,048 pixels "
            "along the longest side are plenty, and put that in instead.",
        )


def check_unpacked(pixels: int) -> None:
    """Raise InvalidImageError where more than 100 megapixels have to be unpacked for one picture."""
    if pixels > MAX_UNPACKED:
        raise too_much_work(
            f"it is made of tiles with {pixels:,} pixels, of which most are never shown"
        )


def check_size(header: ImageHeader) -> None:
    """Raise InvalidImageError for an image that is too large, or has less than 64 pixels along a side."""
    check_not_too_large(header.width, header.height)
    width, height = header.upright
    if min(width, height) < MIN_SIDE:
        raise InvalidImageError(
            Flaw.TOO_SMALL,
            f"has only {width} by {height} pixels; {MIN_SIDE} along the shortest side are the least, "
            "1,024 or more are best. Put in the original photo, not a thumbnail or a preview.",
        )
