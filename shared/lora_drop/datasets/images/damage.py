"""Damage of coded data that decoders pass over: a stretch of zero bytes, as bad sectors and broken copies leave it.

What a coder writes has no long run of zeros, but for pictures of one colour. HEVC cannot have three zero
bytes in a row (ITU-T H.265, 7.4.2.1: a 3 is put between them). The arithmetic coders of AV1 and VP8 make
nearly even bits, VP8's but for large flat areas. In a JPEG a run of zeros is the first code of its Huffman tables over and over (ITU T.81
annex C), which is a flat picture only where that code ends a block.
"""

from collections.abc import Iterator

from lora_drop.datasets.images import jpeg, jpeg_segments, webp
from lora_drop.datasets.images.boxes import IN_FILE, boxes, read_meta
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import ImageHeader, broken
from lora_drop.datasets.images.reading import ImageBytes, WholeImage

# Bytes. The longest run in the sound images of the foreign corpora has 39; a block of a JPEG made of the
# tables' first codes alone takes 24 bytes at least, and no photo has three of those.
ZEROS, ZEROS_OF_HEVC = 96, 16
# A lossy WEBP has one zero byte for 3,500 pixels of a flat area at the most (a photo on a large plain
# background, qualities 75 and 95); a photo of which a part was overwritten has far more.
PIXELS_OF_A_ZERO = 3000
TABLES_OF_AC = 0x10  # the class of a Huffman table, in its first four bits (T.81 B.2.4.2)
END_OF_BLOCK = 0


def check_no_zeros(source: WholeImage, header: ImageHeader) -> None:
    """Raise InvalidImageError where a long run of zero bytes lies amid a picture's coded data."""
    kind = header.format
    if kind is ImageFormat.JPEG:
        stretches = _of_jpeg(source)
    elif kind in (ImageFormat.HEIF, ImageFormat.AVIF):
        stretches = _of_heif(source)
    elif kind is ImageFormat.WEBP:
        stretches = (
            (chunk.data, chunk.length)
            for chunk in webp.chunks(source)
            if chunk.type in (webp.LOSSY, webp.LOSSLESS)
        )
    else:
        return
    least = ZEROS_OF_HEVC if kind is ImageFormat.HEIF else ZEROS
    if kind is ImageFormat.WEBP:
        least = max(least, header.pixels // PIXELS_OF_A_ZERO)
    run = bytes(least)
    if any(source.has(run, at, length) for at, length in stretches):
        raise broken()


def _of_jpeg(source: WholeImage) -> Iterator[tuple[int, int]]:
    """Yield the coded data of the scans in which zeros are no flat picture."""
    found = False
    first_codes: dict[int, int] = {}
    for segment in source.once(jpeg_segments.segments):
        if segment.marker == jpeg.HUFFMAN:
            first_codes |= jpeg.first_codes(source.read(segment.data, segment.length))
        elif segment.marker == jpeg_segments.SCAN:
            found = _tells(source.read(segment.data, segment.length), first_codes)
        elif segment.marker == jpeg_segments.ENTROPY and found:
            yield segment.at, segment.end - segment.at


def _tells(scan: bytes, first_codes: dict[int, int]) -> bool:
    """Return whether a run of zeros in this scan is damage: it is a first scan of AC coefficients.

    Of each of its components the table's first code must not be the end of a block; with one that is,
    zeros are what a flat picture is coded as (T.81 B.2.3, F.1.2.2).
    """
    count = scan[0] if scan else 0
    tables = [TABLES_OF_AC | (chosen & 0x0F) for chosen in scan[2 : 1 + 2 * count : 2]]
    spectrum = scan[1 + 2 * count : 4 + 2 * count]
    if len(spectrum) < len("sea") or spectrum[1] == 0 or spectrum[2] >> 4:
        return False
    return any(first_codes.get(table, END_OF_BLOCK) != END_OF_BLOCK for table in tables)


def _of_heif(source: ImageBytes) -> Iterator[tuple[int, int]]:
    """Yield where the primary picture and the tiles that it is made of lie."""
    meta = next((read_meta(source, box) for box in boxes(source, 0) if box.type == b"meta"), None)
    if meta is None:
        return
    for item in (meta.primary, *meta.parts.get(meta.primary, ())):
        method, offset, length = meta.extents.get(item, (None, 0, 0))
        coded = meta.items.get(item)
        if method == IN_FILE and coded is not None and coded.type in (b"hvc1", b"av01"):
            yield offset, length
