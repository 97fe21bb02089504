"""What a BMP says of itself (BITMAPFILEHEADER and BITMAPINFOHEADER to V5, as Microsoft documents)."""

from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import Colour, ImageHeader, damaged, exactly
from lora_drop.datasets.images.reading import ImageBytes

FILE_HEADER = 14
CORE = 12  # OS/2 1.x: 16 bits for a side
HEADERS = frozenset({40, 52, 56, 64, 108, 124})
WITH_ALPHA_MASK = frozenset({56, 108, 124})
ALPHA_MASK = 52  # its offset in a header that has one
PALETTE_BITS = 8


def describe_bmp(source: ImageBytes) -> ImageHeader:
    """The facts of a BMP; raises InvalidImageError. A negative height means that it is stored top down."""
    size = int.from_bytes(exactly(source, FILE_HEADER, 4), "little")
    if size != CORE and size not in HEADERS:
        raise damaged("it is a kind of BMP that does not exist")
    data = exactly(source, FILE_HEADER, size)
    if size == CORE:
        width, height, _, bits = (
            int.from_bytes(data[at : at + 2], "little") for at in (4, 6, 8, 10)
        )
    else:
        width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (4, 8))
        bits = int.from_bytes(data[14:16], "little")
    if width <= 0 or height == 0:
        raise damaged("its picture has no size")
    alpha = size in WITH_ALPHA_MASK and any(data[ALPHA_MASK : ALPHA_MASK + 4])
    return ImageHeader(
        format=ImageFormat.BMP,
        width=width,
        height=abs(height),
        has_alpha=alpha,
        colour=Colour.PALETTE if bits <= PALETTE_BITS else Colour.RGB,
    )
