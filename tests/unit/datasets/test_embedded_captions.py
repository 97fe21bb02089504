"""The caption in a photo's own metadata is used where nothing else has one, and never a camera's default."""

import time

import pytest
from PIL import Image

from lora_drop.datasets.images.embedded_captions import embedded_caption
from tests.support.builders import make_archive
from tests.support.checking import checked
from tests.support.photos import chunk, encoded, jpeg_with, picture, png_with, segment

TEXT = "Anna in a café, smiling"
XMP_NAME = b"http://ns.adobe.com/xap/1.0/\x00"


def xmp(description: str) -> bytes:
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description {description}</rdf:RDF></x:xmpmeta>'.encode()


def element(text: str) -> bytes:
    item = f'<rdf:li xml:lang="x-default">{text}</rdf:li>'
    return xmp(f'about="">\n <dc:description>\n <rdf:Alt>\n {item}</rdf:Alt></dc:description>')


def in_xmp(packet: bytes) -> bytes:
    return jpeg_with(segment(0xE1, XMP_NAME + packet))


def iptc(text: bytes, *, name: bytes = b"\0\0") -> bytes:
    """A JPEG with Photoshop's resources, of which one is IPTC's, as Lightroom writes them."""
    record = b"\x1c\x01\x5a\x00\x03\x1b%G\x1c\x02\x19\x00\x04Anna\x1c\x02\x78" + len(text).to_bytes(
        2
    )
    head = b"Photoshop 3.0\x008BIM\x04\x25\0\0\0\0\0\x10" + bytes(16) + b"8BIM\x04\x04" + name
    return jpeg_with(segment(0xED, head + len(record + text).to_bytes(4) + record + text))


def described(text: str, kind: str = "JPEG") -> bytes:
    """An image with ImageDescription, as cameras and older programs have it."""
    tags = {270: text}
    if kind == "TIFF":
        return encoded(picture(), kind, tiffinfo=tags)
    exif = Image.Exif()
    exif.update(tags)
    return encoded(picture(), kind, exif=exif.tobytes())


FOUND = [
    (in_xmp(element(TEXT)), "XMP", TEXT), (in_xmp(xmp(f'dc:description="{TEXT}"/>')), "XMP", TEXT),
    (in_xmp(element("Tom &amp; Anna &lt;3 &#233;&#x2665;")), "XMP", "Tom & Anna <3 é♥"),
    (encoded(picture(), "WEBP", xmp=element(TEXT)), "XMP", TEXT), (png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + element(TEXT))), "XMP", TEXT),
    (iptc(TEXT.encode()), "IPTC", TEXT), (iptc(TEXT.encode("cp1252")), "IPTC", TEXT), (iptc(TEXT.encode(), name=b"\x03abc"), "IPTC", TEXT),
    (encoded(picture(), "TIFF", tiffinfo={33723: b"\x1c\x02\x78\x00\x04Anna"}), "IPTC", "Anna"),
    *((described("Anna in a garden", kind), "EXIF", "Anna in a garden") for kind in ("JPEG", "WEBP", "PNG", "TIFF", "AVIF")),
]  # fmt: skip
DEFAULTS = ["OLYMPUS DIGITAL CAMERA         ", "SONY DSC", "Exif_JPEG_PICTURE", "My beautiful picture of it", "cof", "Screenshot of a page",
            "Created with GIMP 2.10", "   ", "charset=Ascii a b c", "<Digimax i50 MP3, Samsung #1 MP3>", "Samsung Digital Still Camera"]  # fmt: skip


@pytest.mark.parametrize(("data", "kind", "text"), FOUND)
def test_embedded_caption_is_read(data: bytes, kind: str, text: str) -> None:
    found = embedded_caption(data)
    assert found is not None
    assert (found.kind, found.text) == (kind, text)


def test_caption_behind_the_picture_is_of_another_one() -> None:
    """A phone writes a second picture behind the first: what that says of itself is no caption of the photo."""
    photo = encoded(picture(), "JPEG")
    assert embedded_caption(photo + in_xmp(element(TEXT))) is None
    assert (
        embedded_caption(photo[:-2] + segment(0xE1, XMP_NAME + element(TEXT)) + photo[-2:]) is None
    )


@pytest.mark.parametrize("text", DEFAULTS)
def test_default_of_a_camera_is_no_caption(text: str) -> None:
    assert embedded_caption(described(text)) is None
    if text[0] not in "c<":
        assert embedded_caption(in_xmp(element(text))) is None


LAUGHS = b'<!DOCTYPE l [<!ENTITY a "ha">' + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9)) + b"]>"  # fmt: skip
HOSTILE = [
    in_xmp(LAUGHS + element("&j;&j;")), in_xmp(element("x" * 30_000)), in_xmp(b"<rdf:RDF" + b"<dc:description>" * 3_000),
    in_xmp(b"<rdf:RDF " + b"dc:description=" * 3_000), jpeg_with(segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04")),
    iptc(b"")[:200], jpeg_with(segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")), jpeg_with(segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(9))),
    in_xmp(element("&#0;&#1114112;")),
]  # fmt: skip


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("data", HOSTILE)
def test_hostile_metadata_takes_no_time(data: bytes) -> None:
    """Metadata that is made to take long, or to grow, is read in no time: no entity is looked up, nothing is followed."""
    began = time.process_time()
    found = embedded_caption(data)
    assert found is None or found.text == "&j;&j;"
    assert time.process_time() - began < 0.5


def test_embedded_caption_counts_where_there_is_no_other() -> None:
    members = {
        f"{n:02}.jpg": iptc(f"[trigger] at place {n}".encode()) + bytes([n]) for n in range(12)
    }
    members["01.txt"], members["02.txt"] = b"[trigger] by hand", b" "
    lines = b'{"file_name": "03.jpg", "text": "[trigger] in a table"}\n'
    report = checked(make_archive(images=0, members=members | {"metadata.jsonl": lines})).report
    texts = {photo.member: photo.caption_text for photo in report.photos}
    assert (texts["00.jpg"], texts["01.jpg"], texts["03.jpg"]) == ("[trigger] at place 0", "[trigger] by hand", "[trigger] in a table")  # fmt: skip
    said = {
        each.member: each.message for each in report.changes if each.code == "caption_collected"
    }
    assert said["00.jpg"] == "00.jpg has a caption in its own IPTC data: 00.txt has it now."
    assert {"01.jpg", "03.jpg"}.isdisjoint(said)
    assert [photo.member for photo in report.photos] == sorted(f"{n:02}.jpg" for n in range(12))
