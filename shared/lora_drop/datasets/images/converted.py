"""What a BMP, a GIF and a TIFF say of themselves: the formats that are always converted.

Layout: BITMAPFILEHEADER and BITMAPINFOHEADER to V5, as Microsoft documents them; GIF89a specification,
sections 18 (screen), 20 (image), 23 to 26 (extensions); TIFF 6.0, section 4 and on, and BigTIFF.
"""

from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import (
    Colour,
    ImageHeader,
    Metadata,
    check_not_too_large,
    check_unpacked,
    damaged,
    exactly,
    too_much_work,
)
from lora_drop.datasets.images.metadata import ImageMetadata
from lora_drop.datasets.images.reading import BeyondPrefixError, ImageBytes
from lora_drop.datasets.images.tags import Directory, Tag, open_tiff

BMP_FILE_HEADER = 14
BMP_CORE = 12  # OS/2 1.x: 16 bits for a side
BMP_HEADERS = frozenset({40, 52, 56, 64, 108, 124})
WITH_ALPHA_MASK = frozenset({56, 108, 124})
ALPHA_MASK = 52  # its offset in a header that has one
PALETTE_BITS = 8
BMP_RARE = {3: "bit fields", 4: "a JPEG in a BMP", 5: "a PNG in a BMP", 6: "bit fields"}
GIF_SCREEN = 13
GIF_TABLE, GIF_TABLE_SIZE, GIF_TRANSPARENT = 0x80, 0x07, 0x01
EXTENSION, IMAGE, END = 0x21, 0x2C, 0x3B
CONTROL, COMMENT, APPLICATION = 0xF9, 0xFE, 0xFF
MAX_BLOCKS = 300_000  # of 255 bytes: more than 50 megapixels take
MAX_EXTENSIONS = 10_000
TIFF_COLOURS = {
    **dict.fromkeys((0, 1), Colour.GREY),
    **dict.fromkeys((2, 6), Colour.RGB),
    3: Colour.PALETTE,
    5: Colour.CMYK,
}
TIFF_CMYK, TIFF_LAB = 5, frozenset({8, 9, 10})
FLOATS = frozenset({3, 5, 6})  # SampleFormat: IEEE floating point, and complex numbers
PLAIN_BITS, PLAIN_DEPTH = frozenset({1, 2, 4, 8, 16}), 8
# None, the fax codes, LZW, JPEG (old and new), Deflate, PackBits.
PLAIN_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946})
TIFF_COMPRESSIONS = {
    50000: "Zstandard",
    50001: "WebP in a TIFF",
    34925: "LZMA",
    34712: "JPEG 2000 in a TIFF",
}
TIFF_ALPHAS = frozenset({1, 2})  # associated and not
TIFF_TEXTS = (
    *(Tag.DESCRIPTION, Tag.MAKE, Tag.MODEL, Tag.SOFTWARE, Tag.TIME, Tag.ARTIST, Tag.COPYRIGHT),
)  # fmt: skip
TIFF_METADATA = {
    Tag.XMP: Metadata.XMP,
    Tag.IPTC: Metadata.IPTC,
    Tag.PHOTOSHOP: Metadata.IPTC,
    Tag.EXIF: Metadata.EXIF,
    **dict.fromkeys(TIFF_TEXTS, Metadata.TEXT),
}


def describe_bmp(source: ImageBytes) -> ImageHeader:
    """Return the facts of a BMP; raises InvalidImageError. A negative height means that it is stored top down."""
    begin = BMP_FILE_HEADER if source.read(0, 2) == b"BM" else 0  # 0: a bare .dib
    size = int.from_bytes(exactly(source, begin, 4), "little")
    if size != BMP_CORE and size not in BMP_HEADERS:
        raise damaged("it is a kind of BMP that does not exist")
    data = exactly(source, begin, size)
    if size == BMP_CORE:
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
        rare=BMP_RARE.get(int.from_bytes(data[16:20], "little"), "") if size != BMP_CORE else "",
    )


def describe_gif(source: ImageBytes) -> ImageHeader:
    """Return the facts of a GIF; raises InvalidImageError, and BeyondPrefixError before its first frame.

    Its size is that of the screen, or of a first frame that reaches out of it, as Pillow has it.
    """
    screen = exactly(source, 0, GIF_SCREEN)
    width, height = int.from_bytes(screen[6:8], "little"), int.from_bytes(screen[8:10], "little")
    at = GIF_SCREEN + _gif_table_size(screen[10])
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
                    transparent = bool(exactly(source, at + 3, 1)[0] & GIF_TRANSPARENT)
                at = _gif_blocks_end(source, at + 2)
            elif label[0] == IMAGE:
                left, top, wide, high = _gif_box(place := exactly(source, at + 1, 9))
                if not frames:
                    width, height = max(width, left + wide), max(height, top + high)
                frames += 1
                at = _gif_blocks_end(source, at + 11 + _gif_table_size(place[8]))
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


def _gif_box(place: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(place[at : at + 2], "little") for at in (0, 2, 4, 6))


def _gif_table_size(flags: int) -> int:
    """Return how many bytes the colour table that follows has."""
    return 3 << ((flags & GIF_TABLE_SIZE) + 1) if flags & GIF_TABLE else 0


def _gif_blocks_end(source: ImageBytes, at: int) -> int:
    """Return where a sequence of sub-blocks ends; a file may end in the middle of one."""
    for _ in range(MAX_BLOCKS):
        length = source.read(at, 1)
        at += 1 + int.from_bytes(length)
        if not int.from_bytes(length):
            return at
    raise damaged("it has too many parts")


def describe_tiff(source: ImageBytes) -> ImageHeader:
    """Return the facts of a TIFF's first page; raises InvalidImageError and BeyondPrefixError.

    Its directory often lies at the file's end. What further pages hold is not read: a TIFF is always
    converted.
    """
    tiff = open_tiff(source)
    if tiff is None:
        raise damaged("it does not begin as a TIFF has to")
    first = tiff.directory(tiff.first)
    width, height = first.number(Tag.WIDTH, 0), first.number(Tag.HEIGHT, 0)
    if width <= 0 or height <= 0:
        raise damaged("its picture has no size")
    _check_tiff_tiles(first, width, height)
    metadata = ImageMetadata({kind for tag, kind in TIFF_METADATA.items() if tag in first})
    metadata.tags(first)
    return ImageHeader(
        format=ImageFormat.TIFF,
        width=width,
        height=height,
        orientation=metadata.orientation,
        animated=_has_second_page(source, first),
        metadata=frozenset(metadata.kinds),
        has_alpha=bool(TIFF_ALPHAS.intersection(first.numbers(Tag.EXTRA_SAMPLES))),
        has_profile=Tag.PROFILE in first,
        bit_depth=max(first.numbers(Tag.BITS), default=1),
        colour=TIFF_COLOURS.get(first.number(Tag.PHOTOMETRIC, 0), Colour.OTHER),
        rare=_rare_tiff(first),
    )


def _rare_tiff(first: Directory) -> str:
    """Return what of a TIFF's pixels few programs read, in words; empty for what all of them do."""
    bits, formats = first.numbers(Tag.BITS) or (1,), {*first.numbers(Tag.SAMPLE_FORMAT)}
    compression, colour = first.number(Tag.COMPRESSION, 1), first.number(Tag.PHOTOMETRIC, 0)
    if formats & FLOATS:
        return f"numbers with a point (float) of {max(bits)} bits"
    if not PLAIN_BITS.issuperset(bits) or len({*bits}) > 1:
        return f"{max(bits)} bits per colour"
    if colour in TIFF_LAB:
        return f"L*a*b* colours of {max(bits)} bits"
    if colour == TIFF_CMYK and first.number(Tag.SAMPLES, 4) > len("CMYK"):
        return "colours for printing with a channel more than CMYK"
    if compression not in PLAIN_COMPRESSIONS:
        return TIFF_COMPRESSIONS.get(compression, f"compression {compression}")
    return f"{max(bits)} bits per colour" if max(bits) > PLAIN_DEPTH else ""


def _check_tiff_tiles(first: Directory, width: int, height: int) -> None:
    """Raise InvalidImageError where tiles (TIFF 6.0, section 15) are far larger than what they show.

    Strips need no such check: libtiff and Pillow cut them off at the picture's height.
    """
    if first.cut:
        raise too_much_work("its directory has far more entries than a photo's")
    across, down = first.number(Tag.TILE_WIDTH, 0), first.number(Tag.TILE_HEIGHT, 0)
    if across > 0 and down > 0:
        check_not_too_large(across, down)
        check_unpacked(-(-width // across) * across * -(-height // down) * down)


def _has_second_page(source: ImageBytes, first: Directory) -> bool:
    """Return whether a second page follows; a directory behind what is at hand is one."""
    try:
        return first.next > 0 and bool(source.read(first.next, 1))
    except BeyondPrefixError:
        return True
