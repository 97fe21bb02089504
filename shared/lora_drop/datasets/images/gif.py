"""What a GIF says of itself, up to its second frame.

Layout: GIF89a specification, sections 18 (screen), 20 (image), 23 to 26 (extensions).
"""

from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import Colour, ImageHeader, Metadata, damaged, exactly
from lora_drop.datasets.images.reading import BeyondPrefixError, ImageBytes

SCREEN = 13
TABLE, TABLE_SIZE, TRANSPARENT = 0x80, 0x07, 0x01
EXTENSION, IMAGE, END = 0x21, 0x2C, 0x3B
CONTROL, COMMENT, APPLICATION = 0xF9, 0xFE, 0xFF
MAX_BLOCKS = 300_000  # of 255 bytes: more than 50 megapixels take
MAX_EXTENSIONS = 10_000


def describe_gif(source: ImageBytes) -> ImageHeader:
    """The facts of a GIF; raises InvalidImageError, and BeyondPrefixError before its first frame.

    Its size is that of the screen, or of a first frame that reaches out of it, as Pillow has it.
    """
    screen = exactly(source, 0, SCREEN)
    width, height = int.from_bytes(screen[6:8], "little"), int.from_bytes(screen[8:10], "little")
    at = SCREEN + _table(screen[10])
    frames, complete, transparent = 0, True, False
    found: set[Metadata] = set()
    try:
        for _ in range(MAX_EXTENSIONS):
            label = source.read(at, 1)
            if frames > 1 or not label or label[0] == END:
                break
            if label[0] == EXTENSION:
                kind = int.from_bytes(exactly(source, at + 1, 1))
                found |= {Metadata.TEXT} if kind == COMMENT else set()
                found |= {Metadata.XMP} if source.read(at + 3, 8) == b"XMP Data" else set()
                if kind == CONTROL and not frames:
                    transparent = bool(exactly(source, at + 3, 1)[0] & TRANSPARENT)
                at = _blocks(source, at + 2)
            elif label[0] == IMAGE:
                left, top, wide, high = _box(place := exactly(source, at + 1, 9))
                if not frames:
                    width, height = max(width, left + wide), max(height, top + high)
                frames += 1
                at = _blocks(source, at + 11 + _table(place[8]))
            else:
                at += 1  # readers look on until they find a block
    except BeyondPrefixError:
        if not frames:
            raise
        complete = False
    if not frames or not width or not height:
        raise damaged("it holds no picture")
    return ImageHeader(
        format=ImageFormat.GIF,
        width=width,
        height=height,
        animated=frames > 1,
        metadata=frozenset(found),
        has_alpha=transparent,
        colour=Colour.PALETTE,
        complete=complete and frames == 1,
    )


def _box(place: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(place[at : at + 2], "little") for at in (0, 2, 4, 6))


def _table(flags: int) -> int:
    """Bytes of the colour table that follows."""
    return 3 << ((flags & TABLE_SIZE) + 1) if flags & TABLE else 0


def _blocks(source: ImageBytes, at: int) -> int:
    """Where a row of sub-blocks ends; a file may end in the middle of one."""
    for _ in range(MAX_BLOCKS):
        length = source.read(at, 1)
        at += 1 + int.from_bytes(length)
        if not int.from_bytes(length):
            return at
    raise damaged("it has too many parts")
