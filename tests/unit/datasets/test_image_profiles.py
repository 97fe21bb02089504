"""A colour profile that everybody has stays; one of somebody's own screen is made use of and left out."""

import struct

import pytest
from PIL import ImageCms

from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.header import Metadata
from lora_drop.datasets.images.metadata import is_standard
from lora_drop.datasets.images.pictures import changes_for, is_lossless
from lora_drop.datasets.images.reading import WholeImage
from tests.support.photos import encoded, picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SERIAL = b"\x00\x00\x06\x10\x00\x00\xa0\x3fC02XJ0AA"


def profile(name: bytes, *tags: tuple[bytes, bytes], long: bool = False) -> bytes:
    """A profile of this name with these tags, its name in ASCII or as it is written since 2001."""
    if long:
        wide = name.decode().encode("utf-16-be")
        text = b"mluc" + bytes(4) + struct.pack(">II4sII", 1, 12, b"enUS", len(wide), 28) + wide
    else:
        text = b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + bytes(79)
    contents = [(b"desc", text), *tags]
    table, data, at = b"", b"", 128 + 4 + 12 * len(contents)
    for tag, content in contents:
        table += tag + struct.pack(">II", at + len(data), len(content))
        data += content
    rest = bytes(32) + b"acsp" + bytes(88) + struct.pack(">I", len(contents)) + table + data
    return (len(rest) + 4).to_bytes(4) + rest


@pytest.mark.parametrize(
    "name",
    [
        *(b"sRGB IEC61966-2.1", b"sRGB built-in", b"Display P3", b"Adobe RGB (1998)", b"c2"),
        *(b"ProPhoto RGB", b"Generic RGB Profile", b"Dot Gain 20%", b"Gray Gamma 2.2", b"uRGB"),
        *(b"Nikon sRGB 4.0.0.3002", b"Google/Skia/E3CADAB7BD3DE5E3436874D2A9DEE126", b"Rec. 709"),
    ],
)
@pytest.mark.parametrize("long", [True, False])
def test_a_standard_is_known_by_its_name(name: bytes, *, long: bool) -> None:
    assert is_standard(profile(name, (b"cprt", b"text"), long=long))


@pytest.mark.parametrize(
    "data",
    [
        *(profile(b"Color LCD"), profile(b"DELL U2720Q"), profile(b"Anna's screen"), profile(b"")),
        profile(b"Display"),
        profile(b"c2 of Anna"),
        profile(b"Display P3", (b"mmod", SERIAL)),
        profile(b"sRGB", (b"meta", b"dict" + SERIAL)),
        profile(b"sRGB " + b"Anna Example, Hauptstrasse 1, 80331 Munich"),
        profile(b"sRGB")[:-9],
        profile(b"sRGB") + SERIAL,
        *(b"", b"nonsense", SRGB[:200], bytes(300)),
    ],
)
def test_whatever_may_name_a_screen_or_a_person_is_no_standard(data: bytes) -> None:
    assert not is_standard(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_only_a_profile_of_ones_own_makes_a_photo_be_saved_anew(kind: str) -> None:
    everybodys = describe(WholeImage(encoded(picture(), kind, icc_profile=SRGB)))
    own = describe(WholeImage(encoded(picture(), kind, icc_profile=profile(b"Color LCD"))))

    assert everybodys.has_profile
    assert own.has_profile
    assert everybodys.metadata == frozenset()
    assert own.metadata == {Metadata.PROFILE}
    changes = changes_for(own, transparent=False)
    assert changes == ("image_metadata_removed",)
    assert not is_lossless(own, changes)
    assert changes_for(own, transparent=False, keep_metadata=True) == ()


def test_a_long_profile_is_put_together_from_its_parts() -> None:
    """A JPEG's segments hold 64 KiB each."""
    long = profile(b"Display P3", (b"A2B0", bytes(100_000)))

    assert (
        describe(WholeImage(encoded(picture(), "JPEG", icc_profile=long))).metadata == frozenset()
    )
