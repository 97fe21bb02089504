"""An image is changed where a trainer would stumble over it; what would teach more is a hint."""

import struct
from dataclasses import replace

import pytest
from PIL import ImageCms

from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.formats import CONVERTED, TRAINED, ImageFormat
from lora_drop.datasets.images.header import LOW_SIDE, Colour, ImageHeader, Metadata
from lora_drop.datasets.images.hints import (
    BLURRED,
    DARK_HIGHLIGHTS,
    DARK_MEAN,
    Photo,
    exact_duplicates,
    hints_for,
    hints_for_set,
    photos_alike,
)
from lora_drop.datasets.images.metadata import is_standard
from lora_drop.datasets.images.pictures import (
    NEAR,
    SIDE,
    Change,
    FlatPart,
    ImageInspection,
    change_sentence,
    changes_for,
    distance,
    fingerprint,
    format_after,
    is_lossless,
    near_duplicates,
)
from lora_drop.datasets.images.reading import WholeImage
from tests.support.photos import encoded, picture

PLAIN = {kind: ImageHeader(kind, 800, 600) for kind in ImageFormat}


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("kind", sorted(CONVERTED))
def test_other_formats_are_converted(kind: ImageFormat) -> None:
    """A photo in a format that no trainer names is converted to JPEG."""
    changes = changes_for(PLAIN[kind], transparent=False)
    assert changes == (Change.CONVERTED,)
    assert not is_lossless(PLAIN[kind], changes)
    assert format_after(PLAIN[kind], changes) is ImageFormat.JPEG


def jpeg(**facts: object) -> ImageHeader:
    return ImageHeader(ImageFormat.JPEG, 800, 600, **facts)  # type: ignore[arg-type]


PNG_WITH_ALPHA = ImageHeader(ImageFormat.PNG, 8, 8, has_alpha=True)
PLACED = frozenset({Metadata.EXIF, Metadata.GPS})


@pytest.mark.parametrize(
    ("header", "transparent", "changes"),
    [
        (jpeg(orientation=6), False, [Change.TURNED]),
        (jpeg(colour=Colour.CMYK), False, [Change.COLOURS_CONVERTED]),
        (jpeg(metadata=frozenset({Metadata.TEXT})), False, [Change.METADATA_REMOVED]),
        (ImageHeader(ImageFormat.PNG, 8, 8, bit_depth=16), False, [Change.DEPTH_REDUCED]),
        (ImageHeader(ImageFormat.PNG, 8, 8, bit_depth=1, colour=Colour.PALETTE), False, []),
        (ImageHeader(ImageFormat.WEBP, 8, 8, animated=True), False, [Change.FIRST_FRAME]),
        *((PLAIN[kind], False, []) for kind in sorted(TRAINED)),
        *((PNG_WITH_ALPHA, False, []), (PNG_WITH_ALPHA, True, [Change.FLATTENED])),
        (
            ImageHeader(ImageFormat.HEIF, 8, 8, 6, metadata=frozenset({Metadata.GPS})),
            False,
            [Change.CONVERTED, Change.TURNED, Change.METADATA_REMOVED],
        ),
    ],
)
def test_each_need_is_one_change(
    header: ImageHeader, changes: list[Change], *, transparent: bool
) -> None:
    assert list(changes_for(header, transparent=transparent)) == changes


def test_only_metadata_goes_without_loss() -> None:
    header = jpeg(metadata=PLACED)
    assert is_lossless(header, [Change.METADATA_REMOVED])
    assert not is_lossless(header, [Change.TURNED, Change.METADATA_REMOVED])
    assert not is_lossless(PLAIN[ImageFormat.HEIF], [Change.METADATA_REMOVED])
    assert changes_for(header, transparent=False, keep_metadata=True) == ()


@pytest.mark.parametrize(
    ("kind", "changes", "after"),
    [
        (ImageFormat.WEBP, [Change.METADATA_REMOVED], ImageFormat.WEBP),
        (ImageFormat.WEBP, [Change.TURNED], ImageFormat.JPEG),
        (ImageFormat.WEBP, [Change.FLATTENED], ImageFormat.PNG),
        (ImageFormat.PNG, [Change.TURNED], ImageFormat.PNG),
        (ImageFormat.GIF, [Change.CONVERTED, Change.FLATTENED], ImageFormat.PNG),
        (ImageFormat.TIFF, [Change.CONVERTED, Change.DEPTH_REDUCED], ImageFormat.JPEG),
        (ImageFormat.JPEG, [Change.COLOURS_CONVERTED], ImageFormat.JPEG),
    ],
)
def test_lossless_formats_stay_lossless(
    kind: ImageFormat, changes: list[Change], after: ImageFormat
) -> None:
    """What loses nothing stays so, and the rest becomes JPEG."""
    assert format_after(PLAIN[kind], changes) is after


def test_every_change_has_a_sentence() -> None:
    """Each change has a code and a sentence, which says that a place was removed."""
    for change in Change:
        assert change.startswith("image_")
        assert change_sentence(change, PLAIN[ImageFormat.HEIF]).endswith(".")
    removed = Change.METADATA_REMOVED
    assert "where it was taken" in change_sentence(removed, jpeg(metadata=PLACED))
    assert "where" not in change_sentence(removed, jpeg())


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
def test_a_standard_profile_is_known(name: bytes, *, long: bool) -> None:
    assert is_standard(profile(name, (b"cprt", b"text"), long=long))


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize(
    "data",
    [
        *(profile(b"Color LCD"), profile(b"DELL U2720Q"), profile(b"Anna's screen"), profile(b"")),
        *(profile(b"Display"), profile(b"c2 of Anna"), profile(b"Display P3", (b"mmod", SERIAL))),
        profile(b"sRGB", (b"meta", b"dict" + SERIAL)),
        profile(b"sRGB " + b"Anna Example, Hauptstrasse 1, 80331 Munich"),
        *(profile(b"sRGB")[:-9], profile(b"sRGB") + SERIAL),
        *(b"", b"nonsense", SRGB[:200], bytes(300)),
    ],
)
def test_a_personal_profile_is_no_standard(data: bytes) -> None:
    """A colour profile that may name a screen or a person is no standard one."""
    assert not is_standard(data)


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_personal_profile_is_removed(kind: str) -> None:
    """A photo with a personal colour profile is encoded again without it; a standard profile stays."""
    standard = describe(WholeImage(encoded(picture(), kind, icc_profile=SRGB)))
    own = describe(WholeImage(encoded(picture(), kind, icc_profile=profile(b"Color LCD"))))
    changes = changes_for(own, transparent=False)
    assert standard.has_profile == own.has_profile is True
    assert standard.metadata == frozenset()
    assert own.metadata == {Metadata.PROFILE}
    assert changes == ("image_metadata_removed",)
    assert not is_lossless(own, changes)
    assert changes_for(own, transparent=False, keep_metadata=True) == ()


def test_a_long_profile_is_joined() -> None:
    """A profile longer than a JPEG's segment of 64 KiB is put together from its parts."""
    long = profile(b"Display P3", (b"A2B0", bytes(100_000)))
    header = describe(WholeImage(encoded(picture(), "JPEG", icc_profile=long)))
    assert header.metadata == frozenset()


LOOK = ImageInspection(
    0, brightness=120, highlights=220, sharpness=300, transparent=False, thumbnail=b""
)
GOOD = Photo("anna.jpg", "a1", ImageHeader(ImageFormat.JPEG, 1200, 1600), LOOK)
MISNAMED = "image_wrong_extension"


def photo(member: str, digest: str, bits: int, size: tuple[int, int] = (1200, 1600)) -> Photo:
    header = ImageHeader(ImageFormat.JPEG, *size)
    return Photo(member, digest, header, replace(LOOK, fingerprint=bits))


def looking(**facts: float) -> Photo:
    return replace(GOOD, look=replace(LOOK, **facts))  # type: ignore[arg-type]  # its own


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        (GOOD, None),
        (replace(GOOD, header=replace(GOOD.header, width=LOW_SIDE - 1)), "image_low_resolution"),
        (replace(GOOD, header=replace(GOOD.header, width=LOW_SIDE)), None),
        (looking(brightness=10, highlights=30), "image_very_dark"),
        (looking(brightness=DARK_MEAN, highlights=30), None),
        (looking(brightness=10, highlights=DARK_HIGHLIGHTS), None),
        *((looking(sharpness=BLURRED - 1), "image_blurred"), (looking(sharpness=BLURRED), None)),
        (replace(GOOD, look=replace(LOOK, flat_part=FlatPart(0.5, turns=0))), "image_flat_part"),
        *((replace(GOOD, member=name), MISNAMED) for name in ("anna.png", "anna", "anna.jfif")),
        (replace(GOOD, member="holiday/anna.JPEG"), None),
        (replace(GOOD, header=replace(GOOD.header, format=ImageFormat.HEIF)), MISNAMED),
    ],
)
def test_each_hint_says_what_to_do(changed: Photo, code: str | None) -> None:
    """Each hint about a photo has its code and says what to do."""
    hints = hints_for(changed)
    assert [(hint.code, hint.member) for hint in hints] == (
        [(code, changed.member)] if code else []
    )
    assert all(hint.message.startswith(f"{changed.member} ") for hint in hints)
    assert all(hint.message.endswith(".") for hint in hints)


def test_a_photo_is_judged_upright() -> None:
    lying = replace(GOOD, header=replace(GOOD.header, width=1600, height=400, orientation=6))
    assert "400 by 1600" in hints_for(lying)[0].message


def test_an_exact_duplicate_is_reported() -> None:
    photos = [photo("a.jpg", "x", 1), photo("b.jpg", "y", 2**40 - 1), photo("c.jpg", "x", 1)]
    assert exact_duplicates(photos) == {"c.jpg": "a.jpg"}
    assert exact_duplicates(photos, {"c.jpg"}) == {"a.jpg": "c.jpg"}
    hints = hints_for_set(photos, {"c.jpg": "a.jpg"}, {})
    assert [(hint.code, hint.member) for hint in hints] == [("image_exact_duplicate", "c.jpg")]
    assert "a.jpg" in hints[0].message


def test_a_near_duplicate_is_reported() -> None:
    near, far = (1 << NEAR) - 1, (1 << NEAR + 1) - 1
    photos = [photo("a.jpg", "1", 0), photo("b.jpg", "2", near), photo("c.jpg", "3", far << 20)]
    assert photos_alike(photos) == {"b.jpg": "a.jpg"}
    hints = hints_for_set(photos, {}, {"b.jpg": "a.jpg"})
    assert [(hint.code, hint.member) for hint in hints] == [("image_near_duplicate", "b.jpg")]
    assert "a.jpg" in hints[0].message


def test_a_near_duplicate_is_the_poorer_photo() -> None:
    """Of two photos that look alike the blurred, small or grey one is reported, whichever name comes first."""
    small = photo("a.jpg", "1", 0, (300, 300))
    blurred = replace(
        small, header=photo("b.jpg", "2", 0).header, look=replace(small.look, sharpness=1.0)
    )
    grey = replace(photo("a.jpg", "3", 0), look=replace(small.look, grey=True))
    for poor in (small, blurred, grey):
        assert photos_alike([poor, photo("z.jpg", "9", 0)]) == {"a.jpg": "z.jpg"}


def test_sizes_far_apart_are_reported() -> None:
    apart = hints_for_set([photo("a", "1", 0), photo("b", "2", 2**40 - 1, (600, 800))], {}, {})
    turned = hints_for_set([photo("a", "1", 0), photo("b", "2", 2**40 - 1, (1600, 1200))], {}, {})
    assert [hint.code for hint in apart] == ["dataset_several_sizes"]
    assert "600 by 800" in apart[0].message
    assert turned == ()
    assert hints_for_set([], {}, {}) == ()


def gradient(step: int, *, turn: bool = False) -> bytes:
    """Grey values with waves in them."""
    rows = [[(x * y * step + x * 7) % 256 for x in range(SIDE)] for y in range(SIDE)]
    return bytes(value for row in (zip(*rows, strict=True) if turn else rows) for value in row)


def test_a_fingerprint_follows_the_shapes() -> None:
    """A fingerprint follows the shapes and not the light; half of its 64 bits are set."""
    picture = gradient(1)
    darker = bytes(value * 3 // 4 for value in picture)
    noisy = bytes(min(255, value + at % 3) for at, value in enumerate(picture))
    bits = fingerprint(picture)
    assert distance(bits, fingerprint(darker)) <= 2
    assert distance(bits, fingerprint(noisy)) <= 2
    assert distance(bits, fingerprint(gradient(3, turn=True))) > 2 * NEAR
    assert (bits < 2**64, bits.bit_count()) == (True, 32)


def test_fingerprints_are_compared() -> None:
    """A thousand fingerprints have no false match, and flat pictures of any grey have one."""
    many = {
        str(n): (n * 0x9E3779B97F4A7C15) % 2**64 ^ (n * 0xC2B2AE3D27D4EB4F >> 7) % 2**64
        for n in range(1000)
    }
    assert near_duplicates(many) == {}
    assert len({fingerprint(bytes([grey]) * SIDE * SIDE) for grey in (0, 1, 77, 255)}) == 1
