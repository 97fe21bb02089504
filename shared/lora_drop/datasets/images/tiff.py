"""What a TIFF says of itself, by its first directory (TIFF 6.0, section 4 and on; BigTIFF)."""

from lora_drop.datasets.images.exif import ImageMetadata
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import Colour, ImageHeader, Metadata, damaged, too_much_work
from lora_drop.datasets.images.limits import check_not_too_large, check_unpacked
from lora_drop.datasets.images.reading import BeyondPrefixError, ImageBytes
from lora_drop.datasets.images.tags import Directory, Tag, open_tiff

COLOURS = {
    **dict.fromkeys((0, 1), Colour.GREY),
    **dict.fromkeys((2, 6), Colour.RGB),
    3: Colour.PALETTE,
    5: Colour.CMYK,
}
ALPHAS = frozenset({1, 2})  # associated and not
TEXTS = (
    *(Tag.DESCRIPTION, Tag.MAKE, Tag.MODEL, Tag.SOFTWARE, Tag.TIME, Tag.ARTIST, Tag.COPYRIGHT),
)  # fmt: skip
KINDS = {
    Tag.XMP: Metadata.XMP,
    Tag.IPTC: Metadata.IPTC,
    Tag.PHOTOSHOP: Metadata.IPTC,
    Tag.EXIF: Metadata.EXIF,
    **dict.fromkeys(TEXTS, Metadata.TEXT),
}


def describe_tiff(source: ImageBytes) -> ImageHeader:
    """The facts of a TIFF's first page; raises InvalidImageError and BeyondPrefixError.

    Its directory often lies at the file's end. What further pages hold is not told: a TIFF is always
    converted.
    """
    tiff = open_tiff(source)
    if tiff is None:
        raise damaged("it does not begin as a TIFF has to")
    first = tiff.directory(tiff.first)
    width, height = first.number(Tag.WIDTH, 0), first.number(Tag.HEIGHT, 0)
    if width <= 0 or height <= 0:
        raise damaged("its picture has no size")
    _check_tiles(first, width, height)
    notes = ImageMetadata({kind for tag, kind in KINDS.items() if tag in first})
    notes.tags(first)
    return ImageHeader(
        format=ImageFormat.TIFF,
        width=width,
        height=height,
        orientation=notes.orientation,
        animated=_has_more(source, first),
        metadata=frozenset(notes.found),
        has_alpha=bool(ALPHAS.intersection(first.numbers(Tag.EXTRA_SAMPLES))),
        has_profile=Tag.PROFILE in first,
        bit_depth=max(first.numbers(Tag.BITS), default=1),
        colour=COLOURS.get(first.number(Tag.PHOTOMETRIC, 0), Colour.OTHER),
    )


def _check_tiles(first: Directory, width: int, height: int) -> None:
    """Raise InvalidImageError where tiles (TIFF 6.0, section 15) are far larger than what they show.

    Strips need no such check: libtiff and Pillow cut them off at the picture's height.
    """
    if first.cut:
        raise too_much_work("its directory has far more entries than a photo's")
    across, down = first.number(Tag.TILE_WIDTH, 0), first.number(Tag.TILE_HEIGHT, 0)
    if across > 0 and down > 0:
        check_not_too_large(across, down)
        check_unpacked(-(-width // across) * across * -(-height // down) * down)


def _has_more(source: ImageBytes, first: Directory) -> bool:
    """Whether a second page follows; a directory behind what is at hand is one."""
    try:
        return first.next > 0 and bool(source.read(first.next, 1))
    except BeyondPrefixError:
        return True
