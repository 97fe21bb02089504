"""The caption that a photo carries in itself, as photo programs write it: XMP, IPTC, EXIF, in this order.

Sources: XMP part 1, 8.4 (dc:description) and part 3, 1.1.2 (packets are found by scanning); IPTC-IIM 4.2, 2:120
(Caption/Abstract) and 1:90 (character set); Photoshop file formats, image resource 0x0404; EXIF 3.0, 4.6.5.4.1
(ImageDescription). Nothing is parsed as XML: no entity is looked up but the five of XML itself and numbers.
"""

import re
from dataclasses import dataclass

from lora_drop.datasets.caption_text import MAX_CAPTION, certain_text
from lora_drop.datasets.images.jpeg import beside_coded_data
from lora_drop.datasets.images.metadata import MAX_XMP
from lora_drop.datasets.images.png import beside_pixels
from lora_drop.datasets.images.reading import Part, WholeImage
from lora_drop.datasets.images.tags import Tag, Tiff, open_tiff

JPEG, PNG = b"\xff\xd8", b"\x89PNG"
PACKET, PACKET_END = b"<rdf:RDF", b"</rdf:RDF>"
ELEMENT = re.compile(
    r"<dc:description>\s*<rdf:Alt>\s*<rdf:li[^>]{0,200}>([^<]+)</rdf:li>|<dc:description>([^<]+)<"
)
ATTRIBUTE = re.compile(r"""\sdc:description=(?:"([^"<]+)"|'([^'<]+)')""")
ENTITY = re.compile(r"&(amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});")
NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
LAST_LETTER = 0x10FFFF
RESOURCE = b"8BIM\x04\x04"
CAPTION = b"\x1c\x02\x78"  # record 2, dataset 120
EXTENDED_LENGTH = 0x8000
MAX_IPTC = 64 * 1024
# What stands before a directory: in JPEG, HEIF, AVIF and some WEBP; in PNG; in WEBP, with four bytes of length.
EXIF = ((b"Exif\x00\x00", 0), (b"eXIf", 0), (b"EXIF", 4))
MOST_NAMED = 4
ORDERS = (b"II*\x00", b"MM\x00*")
CONTROL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
LONG = 4
# What cameras, phones and programs write into it by themselves.
DEFAULTS = re.compile(
    r"digital (still )?camera|^<|^(sony )?dsc\b|exif.jpeg|screenshot|my beautiful picture|(created|processed|made|edited) "
    r"(with|by)|copyright|\(c\)|^untitled|^default|^charset=|https?://|^[\w-]+\.\w{2,4}$",
    re.IGNORECASE,
)
WORDS = 3  # a shorter description in EXIF is a scene mode (“cof”, “hdrpl”) or a name


@dataclass(frozen=True, slots=True)
class EmbeddedCaption:
    """A caption's text, and the kind of metadata that holds it."""

    text: str
    kind: str


def embedded_caption(data: bytes) -> EmbeddedCaption | None:
    """Return the caption that an image carries; None where it has none, or a camera's default."""
    if data.startswith(JPEG):
        data = beside_coded_data(data)
    elif data.startswith(PNG):
        data = beside_pixels(data)
    for kind, find in (("XMP", _xmp), ("IPTC", _iptc), ("EXIF", _exif)):
        text = find(data).replace("\x00", " ").strip()
        if CONTROL.search(text):
            continue
        enough = len(text.split()) >= WORDS if kind == "EXIF" else any(map(str.isalpha, text))
        if enough and len(text.encode(errors="replace")) <= MAX_CAPTION and not DEFAULTS.search(text):  # fmt: skip
            return EmbeddedCaption(text, kind)
    return None


def _xmp(data: bytes) -> str:
    begin = data.find(PACKET)
    end = data.find(PACKET_END, begin, begin + MAX_XMP) if begin >= 0 else -1
    text = data[begin:end].decode(errors="ignore") if end >= 0 else ""
    found = ELEMENT.search(text) or ATTRIBUTE.search(text)
    return ENTITY.sub(_letter, found[1] or found[2]) if found else ""


def _letter(entity: re.Match[str]) -> str:
    name = entity[1]
    if name in NAMED:
        return NAMED[name]
    number = int(f"0{name[1:]}", base=0) if "x" in name else int(name[1:])
    return chr(number) if 0 < number <= LAST_LETTER else ""


def _iptc(data: bytes) -> str:
    """Return the caption in an image resource of a JPEG, or in the tag of a TIFF."""
    resource = data.find(RESOURCE) + len(RESOURCE)
    if resource >= len(RESOURCE):
        name = int.from_bytes(data[resource : resource + 1])  # a text, padded to an even length
        at = resource + name + 1 + (name + 1) % 2
        length = min(int.from_bytes(data[at : at + 4]), MAX_IPTC)
        block = data[at + 4 : at + 4 + length]
    else:
        block = _value(data, Tag.IPTC)
    at = block.find(CAPTION)
    length = int.from_bytes(block[at + 3 : at + 5]) if at >= 0 else EXTENDED_LENGTH
    return _text(block[at + 5 : at + 5 + length]) if length < EXTENDED_LENGTH else ""


def _exif(data: bytes) -> str:
    return _text(_value(data, Tag.DESCRIPTION).partition(b"\x00")[0])


def _text(data: bytes) -> str:
    """Return a text that is UTF-8, or in a Western code page, as older programs wrote it."""
    sure = certain_text(data)
    return data.decode("cp1252", errors="replace") if sure is None else sure


def _value(data: bytes, tag: Tag) -> bytes:
    """Return the bytes under a tag of the first directory of an image's EXIF, or of a TIFF."""
    at = 0 if data.startswith(ORDERS) else _directory_at(data)
    tiff = None if at is None else open_tiff(Part(WholeImage(data), at, len(data)))
    return b"" if tiff is None or tiff.big else _bytes_of(tiff, tag)


def _directory_at(data: bytes) -> int | None:
    """Return where the directory of an image's EXIF begins; HEIF names it before it lies there."""
    for name, more in EXIF:
        at = -1
        for _ in range(MOST_NAMED):
            at = data.find(name, at + 1)
            if at >= 0 and data.startswith(ORDERS, at + len(name) + more):
                return at + len(name) + more
            if at < 0:
                break
    return None


def _bytes_of(tiff: Tiff, tag: Tag) -> bytes:
    """Return an entry's bytes, whatever its type: a text, or the numbers that IPTC is declared as."""

    def number(data: bytes) -> int:
        return int.from_bytes(data, tiff.order)

    count = min(number(tiff.source.read(tiff.first, 2)), 512)
    for entry in range(count):
        raw = tiff.source.read(tiff.first + 2 + 12 * entry, 12)
        if number(raw[:2]) == tag:
            width = 4 if number(raw[2:4]) == LONG else 1
            length = min(number(raw[4:8]) * width, MAX_IPTC)
            if length <= len(raw[8:]):
                return raw[8 : 8 + length]
            return tiff.source.read(number(raw[8:]), length)
    return b""
