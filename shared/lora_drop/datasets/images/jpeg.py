"""What a JPEG says of itself, segment by segment.

Layout: ITU T.81 annex B; JFIF 1.02; EXIF 3.0 section 4.7; CIPA DC-007 (MPO); Adobe TN 5116 (APP14);
ICC.1 annex B.4. As lenient as libjpeg: what lies between two segments is passed over.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lora_drop.datasets.images.colours import is_srgb
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import (
    Colour,
    ImageHeader,
    Metadata,
    cut_off,
    damaged,
    exactly,
    too_much_work,
)
from lora_drop.datasets.images.metadata import MAX_PROFILE, MAX_XMP, ImageMetadata, is_standard
from lora_drop.datasets.images.reading import BeyondPrefixError, ImageBytes

START, END, SCAN, COMMENT = 0xD8, 0xD9, 0xDA, 0xFE
HUFFMAN = 0xC4
# Huffman, arithmetic, quantization, restart interval.
TABLES = frozenset({HUFFMAN, 0xCC, 0xDB, 0xDD})
APP0, APP1, APP2, APP13, APP14, APP15 = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xEF
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
LOSSLESS = 0xC3
# T.81, table B.1: what a frame's marker says of its coding, where it is not the usual one.
RARE = {
    LOSSLESS: "lossless JPEG",
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical JPEG"),
    **dict.fromkeys((0xC9, 0xCA, 0xCB), "arithmetic coding"),
}
PLAIN_DEPTH = 8
BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
# Not markers, but what lies between and behind them.
ENTROPY, JUNK, TRAILER = -1, -2, -3
MAX_SEGMENTS = 20_000
# Each scan goes over all of the picture, however few its bytes are: 49 megapixels take 0.05 s for one
# of 75 bytes. Cameras write 1, progressive photos 10 or 11; libtiff ends at 100 as well (tif_jpeg.c).
MAX_SCANS = 100
# Bytes that are searched at once: before the first scan a marker follows at once, in a sound file.
SMALL_WINDOW, WINDOW = 4096, 256 * 1024
NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # B.1.1.2: neither stuffing nor restarts
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


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the file, from ``at`` to ``end``; what follows the marker's length is at ``data``."""

    marker: int
    at: int
    data: int
    end: int

    @property
    def length(self) -> int:
        """Bytes after the marker and its length."""
        return self.end - self.data


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


def segments(source: ImageBytes) -> Iterator[Segment]:
    """Yield all of the file from its first byte to its last, each byte in one segment.

    Raises InvalidImageError where it is cut or makes no sense before the first scan, and for more than
    100 scans; after the first one it may end anywhere.
    """
    yield Segment(START, 0, 2, 2)
    at, scans = 2, 0
    for _ in range(MAX_SEGMENTS):
        start, code_at = _find(source, at, WINDOW if scans else SMALL_WINDOW)
        marker = int.from_bytes(source.read(code_at, 1)) if code_at else END
        end = _end_of(source, marker, code_at) if code_at else None
        if end is None and not scans:
            raise cut_off()
        if end is None:
            start = end_of_file(source, start)
        if start > at:
            yield Segment(ENTROPY if scans else JUNK, at, at, start)
        if end is None:
            return
        yield Segment(marker, start, min(code_at + 3, end), end)
        at, scans = end, scans + (marker == SCAN)
        if scans > MAX_SCANS:
            raise too_much_work(f"it is drawn more than {MAX_SCANS} times over")
        if marker == END:
            break
    else:
        raise damaged("it has too many parts")
    if source.read(at, 1):
        yield Segment(TRAILER, at, at, end_of_file(source, at))


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


def coded_picture(source: ImageBytes) -> tuple[bytes, bool]:
    """Return what a decoder needs of a JPEG and no more, and whether it had an end marker; it has one now."""
    parts, ended = [], False
    for segment in segments(source):
        if segment.marker in PICTURE or segment.marker == APP14:
            parts.append(source.read(segment.at, segment.end - segment.at))
            ended = ended or segment.marker == END
    return b"".join(parts) + (b"" if ended else bytes((0xFF, END))), ended


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


def end_of_file(source: ImageBytes, at: int) -> int:
    """Return where the file ends, sought from a place in it."""
    while got := source.read(at, WINDOW):
        at += len(got)
    return at


def _end_of(source: ImageBytes, marker: int, code_at: int) -> int | None:
    """Return where the segment ends whose marker's code is there; None when the file ends before it."""
    if marker == END or marker in BARE:
        return code_at + 1
    length = source.read(code_at + 1, 2)
    if len(length) < len("nn"):
        return None
    if int.from_bytes(length) < len(length):
        raise damaged("one of its parts has an impossible length")
    end = code_at + 1 + int.from_bytes(length)
    return end if source.read(end - 1, 1) else None


def _find(source: ImageBytes, at: int, window: int) -> tuple[int, int]:
    """Return where the next marker begins, and where its code is.

    Fill bytes right before it belong to it where nothing else lies between. At the end of the file:
    the place that it was sought from, and 0.
    """
    begin, only_fill = at, True
    while read := source.read(at, window):
        match = NEXT_MARKER.search(read)
        before = read[: match.start()] if match else read
        only_fill = only_fill and not before.strip(b"\xff")
        if match:
            return begin if only_fill else at + match.start(), at + match.end() - 1
        if len(read) < window:
            break
        at += len(read) - read.endswith(b"\xff")
    return begin, 0
