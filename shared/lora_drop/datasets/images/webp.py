"""What a WEBP says of itself, chunk by chunk.

Layout: RFC 9649, section 2 (container), 2.7.1.1 (EXIF and XMP); RFC 6386 9.1 (VP8 frame header);
RFC 9649 3.4 (VP8L header).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from lora_drop.datasets.images.colours import is_srgb
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import ImageHeader, Metadata, damaged, exactly
from lora_drop.datasets.images.metadata import MAX_PROFILE, MAX_XMP, ImageMetadata, is_standard
from lora_drop.datasets.images.reading import BeyondPrefixError, ImageBytes

RIFF = 12
FRAME = 8  # bytes before a chunk's data: its type and its length
MAX_CHUNKS = 50_000
EXTENDED, LOSSY, LOSSLESS = b"VP8X", b"VP8 ", b"VP8L"
ANIMATED, XMP_FLAG, EXIF_FLAG, ALPHA, PROFILE = 0x02, 0x04, 0x08, 0x10, 0x20
LOSSLESS_START = 0x2F
SIDE = 0x3FFF  # VP8 and VP8L have 14 bits for a side
PICTURE = frozenset({EXTENDED, LOSSY, LOSSLESS, b"ALPH", b"ANIM", b"ANMF", b"ICCP"})
TRAILER = b""


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

    flags: int
    metadata: ImageMetadata = field(default_factory=lambda: ImageMetadata(set()))
    frames: int = 0
    pictures: int = 0
    wide: bool = False


def describe_webp(source: ImageBytes) -> ImageHeader:
    """Return the facts of a WEBP; raises InvalidImageError, and BeyondPrefixError before its first 30 bytes."""
    width, height, flags = _size(source)
    facts, complete = Facts(flags), True
    try:
        for chunk in chunks(source):
            _take(facts, source, chunk)
    except BeyondPrefixError:
        complete = False
    if facts.frames == 1 or facts.pictures > 1 or (facts.pictures and facts.frames):
        # 2.7: a still picture is one chunk, not a frame, which may hold chunks of its own.
        facts.metadata.kinds.add(Metadata.HIDDEN)
    return ImageHeader(
        format=ImageFormat.WEBP,
        width=width,
        height=height,
        orientation=facts.metadata.orientation,
        animated=facts.frames > 1 or (not complete and bool(flags & ANIMATED)),
        metadata=frozenset(facts.metadata.kinds),
        has_alpha=bool(flags & ALPHA),
        has_profile=bool(flags & PROFILE),
        wide=facts.wide,
        complete=complete,
    )


def chunks(source: ImageBytes) -> Iterator[Chunk]:
    """Yield every chunk in the RIFF, and what follows the last whole one as a TRAILER."""
    at = RIFF
    limit = int.from_bytes(exactly(source, 4, 4), "little") + 8
    for _ in range(MAX_CHUNKS):
        head = source.read(at, FRAME) if at < limit else b""
        if len(head) < FRAME:
            break
        length = int.from_bytes(head[4:], "little")
        end = at + FRAME + length
        if not source.read(end - 1, 1):
            break
        end += length & 1 if source.read(end, 1) else 0  # some writers forget the last padding
        yield Chunk(head[:4], at, at + FRAME, length, end)
        at = end
    else:
        raise damaged("it has too many parts")
    if source.read(at, 1):
        yield Chunk(TRAILER, at, at, 0, at)


def kind_of(chunk: Chunk) -> Metadata | None:
    """Return what a chunk carries beside the picture; None for what belongs to it."""
    if chunk.type in PICTURE:
        return None
    return {b"EXIF": Metadata.EXIF, b"XMP ": Metadata.XMP, TRAILER: Metadata.TRAILER}.get(
        chunk.type, Metadata.OTHER
    )


def _size(source: ImageBytes) -> tuple[int, int, int]:
    """Return width, height and flags, those of VP8X also where there is none."""
    first = exactly(source, RIFF, 4)
    if first == EXTENDED:
        data = exactly(source, RIFF + FRAME, 10)
        width, height = int.from_bytes(data[4:7], "little"), int.from_bytes(data[7:10], "little")
        return width + 1, height + 1, data[0]
    if first == LOSSLESS:
        data = exactly(source, RIFF + FRAME, 5)
        bits = int.from_bytes(data[1:], "little")
        if data[0] != LOSSLESS_START or bits >> 29:
            raise damaged("its picture does not begin as it has to")
        alpha = ALPHA if bits >> 28 & 1 else 0
        return (bits & SIDE) + 1, (bits >> 14 & SIDE) + 1, alpha
    if first != LOSSY:
        raise damaged("it holds no picture")
    data = exactly(source, RIFF + FRAME, 10)
    width, height = int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:], "little")
    if data[3:6] != b"\x9d\x01\x2a" or not width & SIDE or not height & SIDE:
        raise damaged("its picture does not begin as it has to")
    return width & SIDE, height & SIDE, 0


def _take(facts: Facts, source: ImageBytes, chunk: Chunk) -> None:
    kind = kind_of(chunk)
    facts.metadata.kinds |= {kind} if kind else set()
    facts.frames += chunk.type == b"ANMF"
    facts.pictures += chunk.type in (LOSSY, LOSSLESS)
    if chunk.type == b"ICCP":
        profile = source.read(chunk.data, min(chunk.length, MAX_PROFILE + 1))
        facts.metadata.kinds |= set() if is_standard(profile) else {Metadata.PROFILE}
        facts.wide = not is_srgb(profile)
    # A reader looks for these where the flags say that they are there.
    if kind is Metadata.EXIF and facts.flags & EXIF_FLAG:
        facts.metadata.exif(source, chunk.data, chunk.length)
    elif kind is Metadata.XMP and facts.flags & XMP_FLAG:
        facts.metadata.xmp(source.read(chunk.data, min(chunk.length, MAX_XMP)))
