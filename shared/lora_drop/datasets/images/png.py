"""What a PNG says of itself, chunk by chunk, and whether its compressed pixels hold more than pixels.

Layout: ISO/IEC 15948 (PNG), third edition: 5.3 chunks, 11.2.2 IHDR, 11.3 ancillary chunks (eXIf,
tEXt, zTXt, iTXt, tIME) and APNG (acTL); 7.2, 8.1 and 10 for the pixels. ImageMagick and ExifTool keep
EXIF and IPTC as hexadecimal text under “Raw profile type …”.
"""

import re
import zlib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field

from lora_drop.datasets.images.colours import Coded, is_srgb
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import (
    MAX_PIXELS,
    Colour,
    ImageHeader,
    Metadata,
    damaged,
    exactly,
)
from lora_drop.datasets.images.metadata import ImageMetadata, is_standard
from lora_drop.datasets.images.reading import BeyondPrefixError, ImageBytes, WholeImage

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
# Adam7: where each pass begins, across and down, and its steps.
PASSES = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)),
    (0, 1, 1, 2),
)
WHOLE = ((0, 0, 1, 1),)
WINDOW = 256 * 1024
SIGNATURE = 8
FRAME = 12  # bytes around a chunk's data: length, type, CRC-32
HEADER = 13
MAX_CHUNKS = 100_000
MAX_TEXT = 1024**2
TYPE = re.compile(rb"[A-Za-z]{4}")
COLOURS = {0: Colour.GREY, 2: Colour.RGB, 3: Colour.PALETTE, 4: Colour.GREY, 6: Colour.RGB}
DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
WITH_ALPHA = frozenset({4, 6})
TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
TRAILER = b""
# What makes up the picture: critical chunks, transparency, colour and physical size, each with the
# lengths that it can have. Everything else is an application's own, and may hold anything.
ANY = range(2**31)
PICTURE: Mapping[bytes, Container[int]] = {
    b"IHDR": (HEADER,), b"PLTE": range(3, 769, 3), b"tRNS": range(1, 257), b"IEND": (0,),
    b"IDAT": ANY, b"iCCP": ANY, b"gAMA": (4,), b"cHRM": (32,), b"sRGB": (1,), b"cICP": (4,),
    b"mDCV": (24,), b"cLLI": (8,), b"sBIT": (1, 2, 3, 4), b"bKGD": (1, 2, 6), b"pHYs": (9,),
}  # fmt: skip
# What else is known. Without the four that may not be cut out there is no picture; an animation's frames
# can be: what is left is what readers show who know no animations.
KINDS = {
    **dict.fromkeys((b"IHDR", b"PLTE", b"tRNS", b"IEND"), Metadata.HIDDEN),
    **dict.fromkeys((b"acTL", b"fcTL", b"fdAT"), Metadata.PICTURES),
    b"eXIf": Metadata.EXIF,
    b"tIME": Metadata.TIME,
    TRAILER: Metadata.TRAILER,
}
XMP = b"XML:com.adobe.xmp"
RAW_EXIF, RAW_IPTC = re.compile(rb"Raw profile type (?:exif|APP1)"), b"Raw profile type iptc"


def length_of(size: tuple[int, int], depth: int, colour: int, *, interlaced: bool) -> int:
    """Return bytes of all rows, each with the byte that says its filter."""
    bits = CHANNELS[colour] * depth
    length = 0
    for left, top, across, down in PASSES if interlaced else WHOLE:
        width, height = -(-(size[0] - left) // across), -(-(size[1] - top) // down)
        if width > 0 and height > 0:
            length += height * (1 + -(-width * bits // 8))
    return length


def holds_more(pieces: Iterator[bytes], length: int) -> bool:
    """Return whether a zlib stream is longer than this once unpacked, or anything follows on its end.

    No more than 256 KiB are unpacked at once, and nothing behind the first byte that is too many. A
    stream that is damaged is the decoder's to tell.
    """
    inflater, made = zlib.decompressobj(), 0
    try:
        for piece in pieces:
            rest, out = piece, b""
            while rest or len(out) == WINDOW:
                out = inflater.decompress(rest, WINDOW)
                rest, made = inflater.unconsumed_tail, made + len(out)
                if made > length:
                    return True
                if inflater.eof:
                    return bool(inflater.unused_data) or any(pieces)
    except zlib.error:
        return False
    return False


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of the file, from ``at`` to ``end``, with its type and where its data begins."""

    type: bytes
    at: int
    data: int
    length: int
    end: int


@dataclass(slots=True)
class Facts:
    """What is gathered on the way."""

    metadata: ImageMetadata = field(default_factory=lambda: ImageMetadata(set()))
    transparency: bool = False
    profile: bool = False
    wide: bool = False
    coded: Coded | None = None
    frames: int = 1
    pixels: bool = False
    last: bytes = b""  # the type of the chunk before


def describe_png(source: ImageBytes) -> ImageHeader:
    """Return the facts of a PNG; raises InvalidImageError, and BeyondPrefixError before the first pixels."""
    width, height, depth, colour, interlaced = _header(source)
    facts, complete = Facts(), True
    try:
        for chunk in chunks(source):
            _take(facts, source, chunk)
        length = length_of((width, height), depth, colour, interlaced=interlaced)
        if width * height <= MAX_PIXELS and holds_more(_pixels(source), length):
            facts.metadata.kinds.add(Metadata.HIDDEN)
    except BeyondPrefixError:
        if not facts.pixels:
            raise
        complete = False
    return ImageHeader(
        format=ImageFormat.PNG,
        width=width,
        height=height,
        orientation=facts.metadata.orientation,
        animated=facts.frames > 1,
        metadata=frozenset(facts.metadata.kinds),
        has_alpha=colour in WITH_ALPHA or facts.transparency,
        has_profile=facts.profile,
        wide=facts.coded.wide if facts.coded else facts.wide,
        coded=facts.coded,
        bit_depth=depth,
        colour=COLOURS[colour],
        complete=complete,
    )


def chunks(source: ImageBytes) -> Iterator[Chunk]:
    """Yield every chunk after the signature, and what follows the last sound one as a TRAILER.

    Raises InvalidImageError for a file of endless chunks.
    """
    at = SIGNATURE
    for _ in range(MAX_CHUNKS):
        head = source.read(at, 8)
        if len(head) < len("lengthid") or not TYPE.fullmatch(head[4:]):
            break
        length = int.from_bytes(head[:4])
        end = at + FRAME + length
        if not source.read(end - 1, 1):
            break
        yield Chunk(head[4:], at, at + 8, length, end)
        at = end
        if head[4:] == b"IEND":
            break
    else:
        raise damaged("it has too many parts")
    if source.read(at, 1):
        yield Chunk(TRAILER, at, at, 0, at)


def beside_pixels(data: bytes) -> bytes:
    """Return all chunks of a PNG but those of its pixels; raises InvalidImageError as ``chunks`` does."""
    found = chunks(WholeImage(data))
    return b"".join(data[each.at : each.end] for each in found if each.type != b"IDAT")


def kind_of(source: ImageBytes, chunk: Chunk) -> Metadata | None:
    """Return what a chunk carries beside the picture; None for what belongs to it."""
    if chunk.length in PICTURE.get(chunk.type, ()):
        return None
    if chunk.type in TEXTS:
        return _kind_of_text(source, chunk)
    return KINDS.get(chunk.type, Metadata.OTHER)


def _kind_of_text(source: ImageBytes, chunk: Chunk) -> Metadata:
    keyword = source.read(chunk.data, min(chunk.length, 80)).partition(b"\x00")[0]
    if keyword == XMP:
        return Metadata.XMP
    if RAW_EXIF.fullmatch(keyword):
        return Metadata.EXIF
    return Metadata.IPTC if keyword == RAW_IPTC else Metadata.TEXT


def _header(source: ImageBytes) -> tuple[int, int, int, int, bool]:
    """Return width, height, bit depth, colour type, and whether it comes in seven passes."""
    head = exactly(source, SIGNATURE, FRAME + HEADER)
    if head[:8] != HEADER.to_bytes(4) + b"IHDR":
        raise damaged("it does not begin as a PNG has to")
    if zlib.crc32(head[4:-4]) != int.from_bytes(head[-4:]):
        raise damaged("its first bytes were changed")
    data = head[8:-4]
    width, height = int.from_bytes(data[:4]), int.from_bytes(data[4:8])
    depth, colour, compression, filters, interlace = data[8:]
    if not width or not height:
        raise damaged("its picture has no size")
    if depth not in DEPTHS.get(colour, ()) or compression or filters or interlace > 1:
        raise damaged("it is a kind of PNG that does not exist")
    return width, height, depth, colour, bool(interlace)


def _take(facts: Facts, source: ImageBytes, chunk: Chunk) -> None:
    kind = kind_of(source, chunk)
    facts.metadata.kinds |= {kind} if kind else set()
    if chunk.type == b"eXIf":
        facts.metadata.exif(source, chunk.data, chunk.length)
    elif kind is Metadata.XMP and facts.metadata.open:
        facts.metadata.xmp(_text(source, chunk))
    elif kind is Metadata.EXIF and facts.metadata.open:
        lines = _text(source, chunk).split(b"\n")[3:]  # after an empty line, the name, the length
        try:
            block = bytes.fromhex(b"".join(lines).decode("ascii"))
        except ValueError:
            return  # no EXIF after all; it is taken out as such
        facts.metadata.exif(WholeImage(block), 0, len(block))
    elif chunk.type == b"acTL":
        facts.frames = int.from_bytes(source.read(chunk.data, 4))
    if chunk.type == b"IDAT" and facts.pixels and facts.last != b"IDAT":
        # 5.6: they follow on each other. Some readers stop at the first gap, and would go on without.
        facts.metadata.kinds.add(Metadata.HIDDEN)
    facts.last = chunk.type
    facts.transparency |= chunk.type == b"tRNS"
    if chunk.type == b"iCCP":
        facts.profile = True
        profile = _text(source, chunk)
        facts.wide = not is_srgb(profile)
        if not is_standard(profile):
            facts.metadata.kinds.add(Metadata.PROFILE)
    elif chunk.type == b"cICP" and chunk.length == 4 and not facts.pixels:  # noqa: PLR2004
        primaries, transfer = source.read(chunk.data, 2)
        facts.coded = Coded(primaries, transfer, over_profile=True)
    facts.pixels |= chunk.type == b"IDAT"


def _pixels(source: ImageBytes) -> Iterator[bytes]:
    """Yield the compressed pixels in pieces."""
    for chunk in chunks(source):
        end = chunk.data + chunk.length if chunk.type == b"IDAT" else chunk.data
        for at in range(chunk.data, end, WINDOW):
            yield source.read(at, min(WINDOW, end - at))


def _text(source: ImageBytes, chunk: Chunk) -> bytes:
    """Return what a text chunk or a profile says, at most 1 MiB of it; empty when it cannot be unpacked."""
    data = source.read(chunk.data, min(chunk.length, MAX_TEXT))
    _, _, rest = data.partition(b"\x00")
    packed = chunk.type in (b"zTXt", b"iCCP")
    if packed:
        rest = rest[1:]
    elif chunk.type == b"iTXt":
        packed = rest[:1] == b"\x01"
        rest = rest[2:].split(b"\x00", 2)[-1]
    if not packed:
        return rest
    try:
        return zlib.decompressobj().decompress(rest, MAX_TEXT)
    except zlib.error:
        return b""
