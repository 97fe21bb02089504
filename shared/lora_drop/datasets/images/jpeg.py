"""What a JPEG says of itself, segment by segment.

Layout: ITU T.81 annex B; JFIF 1.02; EXIF 3.0 section 4.7; CIPA DC-007 (MPO); Adobe TN 5116 (APP14);
ICC.1 annex B.4.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lora_drop.datasets.images.colours import is_srgb
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import (
    Colour,
    ImageHeader,
    InvalidImageError,
    Metadata,
    damaged,
    exactly,
)
from lora_drop.datasets.images.jpeg_segments import (
    END,
    ENTROPY,
    SCAN,
    START,
    TRAILER,
    Segment,
    segments,
)
from lora_drop.datasets.images.metadata import MAX_PROFILE, MAX_XMP, ImageMetadata, is_standard
from lora_drop.datasets.images.reading import BeyondPrefixError, ImageBytes, WholeImage

COMMENT, HUFFMAN = 0xFE, 0xC4
# Huffman, arithmetic, quantization, restart interval.
TABLES = frozenset({HUFFMAN, 0xCC, 0xDB, 0xDD})
APP0, APP1, APP2, APP13, APP14, APP15 = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xEF
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
LOSSLESS = 0xC3
LOSSLESS_FRAME = bytes((0xFF, LOSSLESS))
# T.81, table B.1: what a frame's marker says of its coding, where it is not the usual one.
RARE = {
    LOSSLESS: "lossless JPEG",
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical JPEG"),
    **dict.fromkeys((0xC9, 0xCA, 0xCB), "arithmetic coding"),
}
PLAIN_DEPTH = 8
COLOURS = {1: Colour.GREY, 3: Colour.RGB, 4: Colour.CMYK}
JFIF = b"JFIF\x00"
EXIF = b"Exif\x00\x00"
ICC = b"ICC_PROFILE\x00"
ADOBE = b"Adobe"
ALONE = {COMMENT: Metadata.TEXT, TRAILER: Metadata.TRAILER}
# What makes up the picture (T.81 B.2.1 to B.2.4); a second frame or a marker of another process would
# be a picture that no decoder here shows.
PICTURE = FRAMES | TABLES | {START, SCAN, END, ENTROPY}
PICTURE_ONCE_SCANNED = TABLES | {SCAN, END, ENTROPY}
# Application segments by how they begin; what others say is not known.
NAMED: tuple[tuple[int, bytes, Metadata], ...] = (
    (APP0, b"JFXX\x00", Metadata.THUMBNAIL),
    (APP1, EXIF, Metadata.EXIF),
    (APP1, b"http://ns.adobe.com/xap/1.0/\x00", Metadata.XMP),
    (APP1, b"http://ns.adobe.com/xmp/extension/\x00", Metadata.XMP),
    (APP2, b"MPF\x00", Metadata.PICTURES),
    (APP13, b"", Metadata.IPTC),
)
NAMES = 40  # bytes: the longest name of an application segment, and then some
JFIF_BARE = 14  # bytes of a JFIF header without its thumbnail
ADOBE_BARE = 12  # bytes of Adobe's segment: its version, its flags and the colour transform


@dataclass(slots=True)
class Facts:
    """What is gathered on the way."""

    metadata: ImageMetadata = field(default_factory=lambda: ImageMetadata(set()))
    frame: tuple[int, int, int, int, int] | None = None  # marker, depth, height, width, components
    profile: dict[int, bytes] = field(default_factory=dict)  # its parts by their numbers
    scanned: bool = False


def describe_jpeg(source: ImageBytes) -> ImageHeader:
    """Return the facts of a JPEG; raises InvalidImageError, and BeyondPrefixError before the first scan."""
    facts, complete = Facts(), True
    try:
        for segment, kind in contents(source):
            _take(facts, source, segment, kind)
    except BeyondPrefixError:
        if not facts.scanned:
            raise
        complete = False
    profile = b"".join(part for _, part in sorted(facts.profile.items()))
    if profile and not is_standard(profile):
        facts.metadata.kinds.add(Metadata.PROFILE)
    if facts.frame is None:
        raise damaged("it holds no picture")
    marker, depth, height, width, components = facts.frame
    if not width or not height:
        raise damaged("its picture has no size")
    return ImageHeader(
        format=ImageFormat.JPEG,
        width=width,
        height=height,
        orientation=facts.metadata.orientation,
        metadata=frozenset(facts.metadata.kinds),
        has_profile=bool(facts.profile),
        wide=not is_srgb(profile),
        bit_depth=depth,
        colour=COLOURS.get(components, Colour.OTHER),
        progressive=marker in PROGRESSIVE,
        rare=RARE.get(marker, "" if depth == PLAIN_DEPTH else f"{depth} bits per colour"),
        complete=complete,
    )


def is_lossless_coding(header: ImageHeader) -> bool:
    """Return whether it is a lossless JPEG: libjpeg cannot make it smaller as it reads."""
    return header.rare == RARE[LOSSLESS]


def contents(source: ImageBytes) -> Iterator[tuple[Segment, Metadata | None]]:
    """Yield every segment, and what it carries beside the picture; None for what belongs to it.

    Where nothing is HIDDEN, whatever is not None can be cut out, and every decoder shows the same: a
    scan's data ends at whatever marker comes, and behind each segment between two scans another
    marker follows. Where data goes on behind such a segment, it was not between two scans but
    within one that is damaged; where the end of the image is missing, anything may lie behind its
    last pixel. Raises InvalidImageError as ``segments`` does.
    """
    scanned, before, ended = False, START, False
    segment = Segment(START, 0, 0, 0)
    for segment in segments(source):
        if segment.marker == ENTROPY and before != SCAN:
            yield segment, Metadata.HIDDEN
        else:
            yield segment, _kind(source, segment, scanned=scanned)
        scanned, before = scanned or segment.marker == SCAN, segment.marker
        ended = ended or segment.marker == END
    if not ended:
        yield Segment(TRAILER, segment.end, segment.end, segment.end), Metadata.HIDDEN


def _kind(source: ImageBytes, segment: Segment, *, scanned: bool) -> Metadata | None:
    """Return what a segment carries; only what is known to belong to the picture is let through.

    JFIF, a colour profile and Adobe's colour transform do before the first scan; behind it no reader
    looks for them.
    """
    marker = segment.marker
    if marker in (PICTURE_ONCE_SCANNED if scanned else PICTURE):
        return None
    if marker == APP0 and is_jfif(source, segment):
        return None if segment.length == JFIF_BARE and not scanned else Metadata.THUMBNAIL
    if is_adobe(source, segment):
        return None if segment.length == ADOBE_BARE and not scanned else Metadata.OTHER
    name = source.read(segment.data, min(segment.length, NAMES))
    if marker == APP2 and name.startswith(ICC) and not scanned:
        return None
    named = (kind for of, begin, kind in NAMED if of == marker and name.startswith(begin))
    return ALONE.get(marker) or next(named, Metadata.OTHER)


@dataclass(frozen=True, slots=True)
class CodedPicture:
    """What a decoder needs of a JPEG and no more; it has an end marker now.

    ``ended``: whether it had one.
    """

    data: bytes
    ended: bool


def coded_picture(source: WholeImage) -> CodedPicture:
    """Return the picture of a JPEG without what else is in the file; raises InvalidImageError as ``segments`` does."""
    picture = [part for part in source.once(segments) if _is_picture(part)]
    ended = any(part.marker == END for part in picture)
    parts = [source.view(part.at, part.end - part.at) for part in picture]
    return CodedPicture(b"".join((*parts, b"" if ended else bytes((0xFF, END)))), ended)


def has_lossless_frame(source: WholeImage) -> bool:
    """Return whether the marker of a lossless frame is anywhere in a picture; raises InvalidImageError as ``segments`` does.

    It cannot lie within coded data (T.81, B.1.1.5).
    """
    return any(
        LOSSLESS_FRAME in source.read(part.at, part.end - part.at)
        for part in source.once(segments)
        if _is_picture(part) and part.marker != ENTROPY
    )


def _is_picture(segment: Segment) -> bool:
    return segment.marker in PICTURE or segment.marker == APP14


def beside_coded_data(data: bytes) -> bytes:
    """Return what lies before a JPEG's first scan, a few kilobytes; all of it where it cannot be read.

    Behind it no reader looks for what a photo says of itself.
    """
    try:
        for part in segments(WholeImage(data)):
            if part.marker == SCAN:
                return data[: part.at]
    except InvalidImageError:
        pass
    return data


def first_codes(tables: bytes) -> Mapping[int, int]:
    """Return what the code of zeros alone stands for in each Huffman table of a segment, by class and number.

    Codes are given in the order in which the values are listed, so it is the first of them (T.81 C.2).
    """
    found: dict[int, int] = {}
    at = 0
    while at + 18 <= len(tables):
        found[tables[at]] = tables[at + 17]
        at += 17 + sum(tables[at + 1 : at + 17])
    return found


def is_jfif(source: ImageBytes, segment: Segment) -> bool:
    """Return whether this is a JFIF header, with a thumbnail or without."""
    return _begins(source, segment, APP0, JFIF, JFIF_BARE)


def is_adobe(source: ImageBytes, segment: Segment) -> bool:
    """Return whether this says how Adobe's programs have turned the colours, and whatever else."""
    return _begins(source, segment, APP14, ADOBE, ADOBE_BARE)


def _begins(source: ImageBytes, segment: Segment, marker: int, name: bytes, least: int) -> bool:
    return (
        segment.marker == marker
        and segment.length >= least
        and source.read(segment.data, len(name)) == name
    )


def _take(facts: Facts, source: ImageBytes, segment: Segment, kind: Metadata | None) -> None:
    if facts.scanned:  # readers no longer look at what it says
        facts.metadata.kinds |= {kind} if kind else set()
    elif kind is Metadata.EXIF:
        facts.metadata.exif(source, segment.data, segment.length)
    elif kind is Metadata.XMP:
        facts.metadata.xmp(source.read(segment.data, min(segment.length, MAX_XMP)))
    elif kind is not None:
        facts.metadata.kinds.add(kind)
    elif segment.marker in FRAMES:
        data = exactly(source, segment.data, 6)
        facts.frame = (
            segment.marker,
            data[0],
            int.from_bytes(data[1:3]),
            int.from_bytes(data[3:5]),
            data[5],
        )
    elif segment.marker == APP2 and sum(map(len, facts.profile.values())) <= MAX_PROFILE:
        part = source.read(segment.data + len(ICC), segment.length - len(ICC))
        facts.profile[int.from_bytes(part[:1])] = part[2:]
    facts.scanned = facts.scanned or segment.marker == SCAN
