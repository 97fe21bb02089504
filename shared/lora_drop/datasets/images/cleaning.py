"""The same image without its metadata: nothing is decoded, and every pixel stays as it is.

What is known to belong to the picture is kept, and all else is left out, known or not: EXIF, GPS,
XMP, IPTC, comments, embedded thumbnails, content credentials, makers' own blocks, further pictures
(MPO, depth and gain maps) and whatever lies behind the image's end. Colour profiles stay.
"""

from collections.abc import Callable, Iterator, Mapping

from lora_drop.datasets.images import jpeg, png, webp
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import Metadata, hidden
from lora_drop.datasets.images.jpeg_segments import SCAN
from lora_drop.datasets.images.reading import ImageBytes

PIECE = 256 * 1024
JFIF_HEAD = b"\xff\xe0\x00\x10"  # APP0, 16 bytes
JFIF_WITHOUT_THUMBNAIL = 12  # bytes of it before the thumbnail's width and height
ADOBE_HEAD = b"\xff\xee\x00\x0e"  # APP14, 14 bytes


def without_metadata(source: ImageBytes, kind: ImageFormat) -> Iterator[bytes]:
    """Return the bytes of a JPEG, PNG or WEBP without its metadata, 256 KiB at a time.

    The EXIF orientation goes as well: an image that has another one than 1 has to be turned
    instead. One without metadata comes out as it is. Raises InvalidImageError, also on the way, and for one
    with HIDDEN metadata, which cannot be cut out.
    """
    return CLEANERS[kind](source)


def _jpeg(source: ImageBytes) -> Iterator[bytes]:
    scanned = False
    for segment, kind in jpeg.contents(source):
        if kind is Metadata.HIDDEN:
            raise hidden()
        if kind is None:
            yield from _copied(source, segment.at, segment.end)
        elif jpeg.is_jfif(source, segment) and not scanned:
            yield JFIF_HEAD + source.read(segment.data, JFIF_WITHOUT_THUMBNAIL) + bytes(2)
        elif jpeg.is_adobe(source, segment) and not scanned:
            yield ADOBE_HEAD + source.read(segment.data, jpeg.ADOBE_BARE)
        scanned = scanned or segment.marker == SCAN


def _png(source: ImageBytes) -> Iterator[bytes]:
    yield source.read(0, png.SIGNATURE)
    for chunk in png.chunks(source):
        kind = png.kind_of(source, chunk)
        if kind is Metadata.HIDDEN:
            raise hidden()
        if kind is None:
            yield from _copied(source, chunk.at, chunk.end)


def _webp(source: ImageBytes) -> Iterator[bytes]:
    kept = [chunk for chunk in webp.chunks(source) if webp.kind_of(chunk) is None]
    size = sum(webp.FRAME + chunk.length + chunk.length % 2 for chunk in kept)
    yield b"RIFF" + (len(b"WEBP") + size).to_bytes(4, "little") + b"WEBP"
    for chunk in kept:
        if chunk.type == webp.EXTENDED and chunk.length:
            flags = source.read(chunk.data, 1)[0] & ~(webp.EXIF_FLAG | webp.XMP_FLAG)
            yield source.read(chunk.at, webp.FRAME) + bytes([flags])
            yield from _copied(source, chunk.data + 1, chunk.data + chunk.length)
        else:
            yield from _copied(source, chunk.at, chunk.data + chunk.length)
        yield bytes(chunk.length % 2)


def _copied(source: ImageBytes, at: int, end: int) -> Iterator[bytes]:
    while at < end:
        yield source.read(at, min(PIECE, end - at))
        at += PIECE


CLEANERS: Mapping[ImageFormat, Callable[[ImageBytes], Iterator[bytes]]] = {
    ImageFormat.JPEG: _jpeg,
    ImageFormat.PNG: _png,
    ImageFormat.WEBP: _webp,
}
