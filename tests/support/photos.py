"""Images of every kind, made when asked for: the same arguments make the same bytes."""

import io
import random
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import pillow_heif
from PIL import Image, ImageDraw

pillow_heif.register_heif_opener(thumbnails=False)

ORIENTATION, MAKE, GPS = 0x0112, 0x010F, 0x8825
PLACE = b"GPS-CANARY"  # which is never to be found again
TRAINED = ("JPEG", "PNG", "WEBP")
KINDS = (*TRAINED, "HEIF", "AVIF", "GIF", "TIFF", "BMP")


def picture(width: int = 96, height: int = 72, mode: str = "RGB", *, seed: int = 0) -> Image.Image:
    """A picture that looks different from each side and in each mirror, and different per seed."""
    image = Image.new("RGB", (width, height), (90, 120, 150))
    draw = ImageDraw.Draw(image)
    source = random.Random(seed)  # noqa: S311  # noise, no secret
    for _ in range(12):
        left, top = source.randrange(width), source.randrange(height)
        colour = tuple(source.randrange(256) for _ in range(3))
        draw.ellipse((left, top, left + width // 3, top + height // 4), fill=colour)
    draw.rectangle((0, 0, width // 2, height // 4), fill=(250, 40, 30))
    draw.rectangle((0, 0, width // 5, height // 2), fill=(20, 30, 200))
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.new("L", image.size, 255))
        image.paste((0, 0, 0, 0), (width // 2, height // 2, width, height))
    return image if mode == "RGB" else image.convert(mode)


def noise(width: int, height: int, spread: float, *, seed: int = 0) -> Image.Image:
    """Grey noise around 128 with this standard deviation; Pillow's own differs at each call."""
    even = random.Random(seed).randbytes(width * height)  # noqa: S311  # noise, no secret
    scale = spread * 12**0.5 / 256
    return Image.frombytes("L", (width, height), even).point(
        [round(min(max(128 + (each - 128) * scale, 0), 255)) for each in range(256)]
    )


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The image as a file of this kind, as Pillow and pillow-heif write it."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int | None = None, *, place: bool = False) -> Image.Exif:
    """EXIF as a camera writes it."""
    tags = Image.Exif()
    tags[MAKE] = "Camera"
    if orientation is not None:
        tags[ORIENTATION] = orientation
    if place:
        tags[GPS] = {1: "N", 2: (48.0, 8.0, 0.0), 3: "E", 4: (11.0, 34.0, 0.0), 27: PLACE}
    return tags


def with_exif(image: Image.Image, kind: str, orientation: int, *, place: bool = False) -> bytes:
    """The image with an orientation, as its format keeps one; BMP and GIF keep none."""
    return encoded(image, kind, exif=exif(orientation, place=place).tobytes())


def segment(marker: int, data: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes((0xFF, marker)) + (len(data) + 2).to_bytes(2) + data


def jpeg_with(*segments: bytes, behind: bytes = b"", image: bytes | None = None) -> bytes:
    """A JPEG with these segments right at its beginning, and these bytes behind its end."""
    jpeg = image or encoded(picture(), "JPEG")
    return jpeg[:2] + b"".join(segments) + jpeg[2:] + behind


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG, with its checksum."""
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


def png_with(
    *chunks: bytes, after: Iterable[bytes] = (), behind: bytes = b"", image: bytes | None = None
) -> bytes:
    """A PNG with these chunks before its pixels, those after them, and bytes behind its end."""
    png = image or encoded(picture(), "PNG")
    start, end = png.index(b"IDAT") - 4, png.index(b"IEND") - 4
    return b"".join((png[:start], *chunks, png[start:end], *after, png[end:], behind))


def png_header(width: int, height: int, *, depth: int = 8, colour: int = 2) -> bytes:
    """The first bytes of a PNG of any size, and the beginning of its pixels."""
    data = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", data) + chunk(b"IDAT", bytes(16))


def riff(*chunks: tuple[bytes, bytes], behind: bytes = b"") -> bytes:
    """A WEBP of these chunks."""
    body = b"".join(
        name + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)
        for name, data in chunks
    )
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body + behind


def box(kind: bytes, *content: bytes) -> bytes:
    """A box of a HEIF."""
    data = b"".join(content)
    return (len(data) + 8).to_bytes(4) + kind + data


def heif(
    *lists: bytes, before: bytes = b"", cropped: bytes = b"", sizes: Sequence[int] = (0,)
) -> bytes:
    """A HEIF whose meta box names item 0 as its picture, gives these items 96 by 72, and has these too."""
    size = box(b"ispe", bytes(4), (96).to_bytes(4), (72).to_bytes(4))
    indices = b"\x02\x01\x02" if cropped else b"\x01\x01"
    each = [item.to_bytes(2) + indices for item in sizes]
    assigned = box(b"ipma", bytes(4), len(sizes).to_bytes(4), *each)
    properties = box(b"iprp", box(b"ipco", size, cropped), assigned)
    return box(b"ftyp", b"heic") + before + box(b"meta", bytes(4), *lists, properties)


def tiff(*entries: tuple[int, int, int, int], order: str = "<") -> bytes:
    """A TIFF of one directory; an entry is its tag, type, count and value."""
    fields = b"".join(
        struct.pack(f"{order}HHI", tag, kind, count)
        + struct.pack(
            f"{order}{'HH' if kind == 3 else 'I'}", *((value, 0) if kind == 3 else (value,))
        )
        for tag, kind, count, value in entries
    )
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(f"{order}HI", 42, 8)
    return head + struct.pack(f"{order}H", len(entries)) + fields + bytes(4)


def mpo(*images: Image.Image) -> bytes:
    """A multi-picture JPEG, as a stereo camera writes it."""
    return encoded(images[0], "MPO", save_all=True, append_images=list(images[1:]))


def animated(kind: str, *, frames: int = 3) -> bytes:
    """An animation: GIF, APNG, WEBP or an AVIF sequence."""
    images = [picture(seed=number) for number in range(frames)]
    return encoded(images[0], kind, save_all=True, append_images=images[1:], duration=100)


def pixels(data: bytes) -> tuple[Sequence[int], bytes]:
    """Size and all pixels of a file's first picture, as Pillow decodes it."""
    with Image.open(io.BytesIO(data)) as image:
        return image.size, image.convert("RGBA").tobytes()
