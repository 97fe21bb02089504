"""What a HEIF or an AVIF says of its primary picture.

Layout: ISO/IEC 23008-12 (6.5: ispe, pixi, clap, irot, imir, auxC; annex A: EXIF and XMP items); AV1 Image
File Format 1.1; ISO/IEC 14496-12, 8.3 (tracks of an image sequence).
"""

from dataclasses import dataclass

from lora_drop.datasets.images.boxes import IN_FILE, IN_META, Box, Meta, boxes, read_meta
from lora_drop.datasets.images.colours import Coded, is_srgb
from lora_drop.datasets.images.formats import ImageFormat, sniff
from lora_drop.datasets.images.header import (
    Colour,
    Flaw,
    ImageHeader,
    InvalidImageError,
    Metadata,
    check_unpacked,
    damaged,
    exactly,
    too_much_work,
)
from lora_drop.datasets.images.metadata import MAX_XMP, ImageMetadata
from lora_drop.datasets.images.reading import BeyondPrefixError, ImageBytes, Part

MAX_EXIF = 16 * 1024**2
# Auxiliary pictures that are an alpha channel (ISO 23008-12, 6.5.8.1, and 14496-12's own).
ALPHA = (b"urn:mpeg:hevc:2015:auxid:1\x00", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\x00")
# What becomes of an orientation when the picture is turned by a quarter anticlockwise, and when it
# is mirrored. Turned and mirrored in the order in which the file lists them (6.5.10, 6.5.12).
QUARTER = {1: 8, 8: 3, 3: 6, 6: 1, 2: 5, 5: 4, 4: 7, 7: 2}
LEFT_RIGHT = {1: 2, 2: 1, 3: 4, 4: 3, 8: 7, 7: 8, 6: 5, 5: 6}
TOP_BOTTOM = {1: 4, 4: 1, 3: 2, 2: 3, 8: 5, 5: 8, 6: 7, 7: 6}
# A track's header: times, id and duration take 20 or 32 bytes, then up to the size 52 more.
TRACK_SIZE = {0: 4 + 20 + 52, 1: 4 + 32 + 52}


@dataclass(slots=True)
class Picture:
    """What an item's properties say of it."""

    width: int = 0
    height: int = 0
    orientation: int = 1
    depth: int = 8
    channels: int = 3
    profile: bool = False
    wide: bool = False
    coded: Coded | None = None


def describe_heif(source: ImageBytes) -> ImageHeader:
    """Return the facts of a HEIF or an AVIF; raises InvalidImageError, and BeyondPrefixError before its meta box.

    Where EXIF and XMP lie behind what is at hand they are named and not looked into.
    """
    kind = sniff(source.read(0, 256)) or ImageFormat.HEIF
    meta: Meta | None = None
    track: tuple[int, int] | None = None
    complete = True
    try:
        for box in boxes(source, 0):
            if box.type == b"meta" and meta is None:
                meta = read_meta(source, box)
            elif box.type == b"moov":
                track = _track(source, box)
    except BeyondPrefixError:
        if meta is None:
            raise
        complete = False
    if meta is None and track is None:
        raise _without_meta(source, kind)
    meta = meta or Meta()
    picture = _picture(meta, kind)
    for each in (meta.primary, *meta.auxiliaries.get(meta.primary, ())):
        _check_parts(meta, each)
    if track and not picture.width:
        picture.width, picture.height = track
    if not picture.width or not picture.height:
        raise damaged("its picture has no size")
    metadata, all_read = _read_metadata(source, meta)
    return ImageHeader(
        format=kind,
        width=picture.width,
        height=picture.height,
        orientation=picture.orientation,
        animated=track is not None,
        metadata=frozenset(metadata.kinds),
        has_alpha=_has_alpha(meta),
        has_profile=picture.profile,
        wide=picture.wide if picture.profile else bool(picture.coded and picture.coded.wide),
        coded=picture.coded,
        bit_depth=picture.depth,
        colour=Colour.GREY if picture.channels == 1 else Colour.RGB,
        complete=complete and all_read,
    )


def _without_meta(source: ImageBytes, kind: ImageFormat) -> InvalidImageError:
    if source.read(8, 4) != b"mif3":
        return damaged("it holds no picture")
    # ISO 23008-12:2025: a box “mini” in place of “meta”.
    return InvalidImageError(
        Flaw.UNSUPPORTED,
        f"is {kind.label} in a short form (mif3) that few programs read. Export the photo as JPEG and put that in "
        "instead.",
    )


def _picture(meta: Meta, kind: ImageFormat) -> Picture:
    picture = Picture()
    for name, data in meta.properties_of(meta.primary):
        first = data[0] if data else 0
        if name == b"ispe" and len(data) >= 12:  # noqa: PLR2004
            picture.width = int.from_bytes(data[4:8])
            picture.height = int.from_bytes(data[8:12])
        elif name == b"clap" and kind is ImageFormat.HEIF:  # AVIF readers show all of the picture
            _crop(picture, data)
        elif name == b"irot":
            for _ in range(first & 3):
                picture.orientation = QUARTER[picture.orientation]
        elif name == b"imir":
            mirrored = LEFT_RIGHT if first & 1 else TOP_BOTTOM
            picture.orientation = mirrored[picture.orientation]
        elif name == b"pixi" and len(data) > 5:  # noqa: PLR2004
            picture.channels, picture.depth = data[4], data[5]
        elif name == b"colr":
            _take_colours(picture, data)
    return picture


def _take_colours(picture: Picture, data: bytes) -> None:
    """Take in a colour property (ISO 14496-12, 12.1.5): a profile, or primaries and transfer as numbers."""
    if data[:4] in (b"prof", b"rICC"):
        picture.profile, picture.wide = True, not is_srgb(data[4:])
    elif data[:4] == b"nclx" and len(data) >= 8:  # noqa: PLR2004
        picture.coded = Coded(int.from_bytes(data[4:6]), int.from_bytes(data[6:8]))


def _check_parts(meta: Meta, item: int) -> None:
    """Raise InvalidImageError where a picture is put together from far more than it shows.

    A phone's grid has 48 tiles, each of which is a picture of its own; one that is put together
    again could be of any depth.
    """
    pixels = 0
    for part in meta.parts.get(item, ()):
        if meta.parts.get(part):
            raise too_much_work("it is put together from pictures that are put together themselves")
        sizes = [data for name, data in meta.properties_of(part) if name == b"ispe"]
        pixels += sum(int.from_bytes(size[4:8]) * int.from_bytes(size[8:12]) for size in sizes)
        check_unpacked(pixels)


def _crop(picture: Picture, data: bytes) -> None:
    """Cut out the clean aperture (ISO 14496-12, 12.1.4): width and height as fractions."""
    wide, wide_of, high, high_of = (int.from_bytes(data[at : at + 4]) for at in (0, 4, 8, 12))
    if wide_of and high_of and wide >= wide_of and high >= high_of:
        picture.width = min(picture.width, wide // wide_of)
        picture.height = min(picture.height, high // high_of)


def _has_alpha(meta: Meta) -> bool:
    return any(
        name == b"auxC" and any(urn in data for urn in ALPHA)
        for item in meta.auxiliaries.get(meta.primary, ())
        for name, data in meta.properties_of(item)
    )


def _read_metadata(source: ImageBytes, meta: Meta) -> tuple[ImageMetadata, bool]:
    """Return what EXIF and XMP items say, and whether all of them could be read."""
    metadata, complete = ImageMetadata(set()), True
    for number, item in meta.items.items():
        exif = item.type == b"Exif"
        xmp = item.type == b"mime" and b"rdf+xml" in item.content_type
        if not exif and not xmp:
            continue
        metadata.kinds.add(Metadata.EXIF if exif else Metadata.XMP)
        method, offset, length = meta.extents.get(number, (IN_FILE, 0, 0))
        if method not in (IN_FILE, IN_META) or not length:
            continue
        offset += meta.data if method == IN_META else 0
        try:
            if exif:  # four bytes say how many more lie before the TIFF header
                skipped = 4 + int.from_bytes(source.read(offset, 4))
                metadata.exif(Part(source, offset, length), min(skipped, length), MAX_EXIF)
            else:
                metadata.xmp(source.read(offset, min(length, MAX_XMP)))
        except BeyondPrefixError:
            complete = False
    return metadata, complete


def _track(source: ImageBytes, moov: Box) -> tuple[int, int]:
    """Return width and height of the first track that shows something; (0, 0) without one."""
    for trak in boxes(source, moov.data, moov.end):
        if trak.type != b"trak":
            continue
        for box in boxes(source, trak.data, trak.end):
            if box.type == b"tkhd":
                version = exactly(source, box.data, 1)[0]
                size = exactly(source, box.data + TRACK_SIZE[version & 1], 8)
                width, height = int.from_bytes(size[:4]) >> 16, int.from_bytes(size[4:]) >> 16
                if width and height:
                    return width, height
    return 0, 0
