"""Photos as people really have them: damaged ones are refused, wide and HDR colours become those of a screen."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageStat

from lora_drop.adapters.pillow import PillowPictures
from lora_drop.datasets.images.colours import Coded, profile_of
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.header import Flaw, InvalidImageError
from lora_drop.datasets.images.pictures import Change, changes_for
from lora_drop.datasets.images.reading import WholeImage
from tests.support import photos
from tests.support.builders import make_archive
from tests.support.field_photos import PICTURES, SET, field, files_of, report
from tests.support.photos import encoded, noise, picture

PHOTO = Image.blend(picture(1024, 768), noise(1024, 768, 40, seed=1).convert("RGB"), 0.3)


def flaw(data: bytes) -> str | None:
    """What is wrong with an image; None for a sound one."""
    try:
        PICTURES.look(data, describe(WholeImage(data)))
    except InvalidImageError as refused:
        return refused.flaw
    return None


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    ("case", "member"), [("jpeg-bad-sector", "sector.jpg"), ("jpeg-half-grey", "half.jpg")]
)
def test_damaged_field_photo_is_refused(corpora: Path, case: str, member: str) -> None:
    """A photo of which a part is missing is refused, though programs open it."""
    found = report(field(corpora, case))
    assert [(each.code, each.member) for each in found.errors] == [("image_damaged", member)]
    assert found.images == 12


def zeros(data: bytes, length: int = 512) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(length) + data[middle + length :]


def half_zeros(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(len(data) - middle - 2) + data[-2:]


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2] + b"\xff\xd9"


def swapped(data: bytes) -> bytes:
    """A JPEG whose coded data has its middle from another place."""
    middle = len(data) // 2
    return data[:middle] + data[middle - 4000 : middle - 2000] + data[middle + 2000 :]


CODERS: list[tuple[str, dict[str, Any]]] = [
    ("JPEG", {}), ("JPEG", {"optimize": True}), ("JPEG", {"progressive": True}), ("JPEG", {"restart_marker_rows": 1}),
    ("WEBP", {}), ("HEIF", {}), ("AVIF", {}),
]  # fmt: skip


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(("kind", "options"), CODERS)
def test_damage_that_opens_is_refused(kind: str, options: dict[str, Any]) -> None:
    """A photo with a bad sector, a missing half or foreign bytes in it is refused.

    In a progressive JPEG that is so where the decoder loses its place, as with this noise. Where it finds the place again,
    it warns of nothing, and a band of 16 lines differs by about 7 of 255.
    """
    data = encoded(PHOTO, kind, **options)
    assert flaw(data) is None
    damages = [zeros, half_zeros, cut, *([swapped] if options == {} and kind == "JPEG" else [])]
    assert [flaw(damage(data)) for damage in damages] == [Flaw.DAMAGED] * len(damages)


def flat(background: str) -> Image.Image:
    image = Image.new("RGB", (1300, 950), background)
    image.paste(PHOTO.resize((512, 384)), (350, 250))
    return image


@pytest.mark.parametrize("background", ["white", "black"])
@pytest.mark.parametrize(("kind", "options"), CODERS)
def test_plain_background_is_no_damage(kind: str, options: dict[str, Any], background: str) -> None:
    assert flaw(encoded(flat(background), kind, **options)) is None
    assert flaw(encoded(Image.new("RGB", (800, 600), background), kind, **options)) is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encoded(picture(), "JPEG").replace(b"\xff\xdb", b"stray\xff\xdb", 1), None),
        (encoded(picture(), "JPEG")[:-2] + bytes(3) + b"\xff\xd9", None),
        (encoded(picture(), "JPEG")[:-2] + b"a foreign tail", None),
        (encoded(picture(), "JPEG")[:-2] + b"foreign" + b"\xff\xd9", Flaw.DAMAGED),
    ],
    ids=["bytes before a marker of the header", "padding behind the picture", "no end marker and a tail", "foreign bytes"],
)  # fmt: skip
def test_warning_of_a_decoder(data: bytes, expected: Flaw | None) -> None:
    assert flaw(data) == expected


def shown(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image


def test_50_megapixel_photo_is_shrunk(corpora: Path) -> None:
    data = field(corpora, "pixel-50mp")
    found = report(data)
    assert (found.errors, found.images) == ((), 13)
    assert "image_shrunk" in [each.code for each in found.changes]
    assert shown(files_of(data)["PXL_20240501_101112131.jpg"]).size == (4096, 3084)


@pytest.mark.parametrize(
    ("size", "kind", "expected"),
    [
        pytest.param((9504, 6336), "JPEG", (4096, 2731), marks=pytest.mark.proof),  # Sony A7R
        ((12000, 9000), "JPEG", (4096, 3072)),  # 108 megapixels, phones
        ((5200, 5000), "PNG", (4096, 3938)),
        ((5712, 4284), "JPEG", (5712, 4284)),  # 24 megapixels, iPhone
    ],
)
def test_large_photo_is_shrunk(size: tuple[int, int], kind: str, expected: tuple[int, int]) -> None:
    large = encoded(picture(600, 400).resize(size, Image.Resampling.NEAREST), kind)
    name = f"large.{kind.lower()}"
    copy = files_of(make_archive(images=0, members=SET | {name: large}))
    assert shown(copy.get("large.jpg") or copy.get("large.png") or copy[name]).size == expected


class CountingPictures(PillowPictures):
    """Counts how often an image is mended apart from its inspection."""

    mended = 0

    def mend(self, *given: Any, **how: Any) -> Any:
        self.mended += 1
        return super().mend(*given, **how)


def test_photo_is_decoded_once() -> None:
    """A photo that is converted is mended while the check has it decoded, and comes out as otherwise."""
    members = {f"h{n}.heic": encoded(picture(640, 512, seed=n), "HEIF") for n in range(9)}
    members["turned.png"] = photos.with_exif(picture(600, 520), "PNG", 6)
    data, counting = make_archive(images=0, members=members), CountingPictures()
    once = files_of(data, pictures=counting, prepares=True)
    assert counting.mended == 0
    assert once == files_of(data)


@pytest.mark.parametrize("name", ["SDIM0001.DNG", "scan.tif", "IMG_1.tiff"])
def test_raw_with_its_directory_at_the_end_is_named(corpora: Path, name: str) -> None:
    with zipfile.ZipFile(io.BytesIO(field(corpora, "dng-directory-at-end"))) as archive:
        raw = archive.read("SDIM0001.DNG")
    [error] = report(make_archive(images=0, members=SET | {name: raw})).errors
    assert (error.code, error.member) == ("image_unsupported_format", name)
    assert "Export the photo as JPEG" in error.message


def test_endings_are_in_lower_case(corpora: Path) -> None:
    names = files_of(field(corpora, "ok-upper-case"), metadata={"trigger_phrase": "anya"})
    assert {name.rsplit(".", 1)[-1] for name in names} == {"jpg", "jpeg", "txt"}
    odd = {
        "a.PNG": encoded(picture(600, 520), "PNG"),
        "b.Webp": encoded(picture(600, 520, seed=77), "WEBP"),
    }
    more = files_of(
        make_archive(images=0, members={f"x{name}": data for name, data in SET.items()} | odd)
    )
    assert {"a.png", "b.webp"} <= set(more)
    assert all(name == name.lower() for name in more)


def mean(data: bytes) -> tuple[float, ...]:
    return tuple(ImageStat.Stat(shown(data).convert("RGB")).mean)


@pytest.mark.parametrize(
    ("case", "name", "code"),
    [
        ("icc-prophoto", "wide.jpg", "image_srgb"),
        ("heic-hdr-pq", "IMG_0001.HIF", "image_tone_mapped"),
    ],
)
def test_wide_field_photo_becomes_srgb(corpora: Path, case: str, name: str, code: str) -> None:
    data = field(corpora, case)
    assert (name, code) in [(each.member, each.code) for each in report(data).changes]
    [photo] = [each for own, each in files_of(data).items() if own.startswith(name[:-4])]
    assert mean(photo) == pytest.approx((153, 111, 130), abs=4)
    assert "icc_profile" not in shown(photo).info


P3 = profile_of(Coded(12, 13))
PLAIN = profile_of(Coded(1, 13))
RED_OF_P3 = (234, 51, 35)  # which is (255, 0, 0) in sRGB: CSS Color 4, 10.3


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("JPEG", {"icc_profile": P3, "quality": 98, "subsampling": 0}, (255, 0, 0)),
        ("PNG", {"icc_profile": P3}, (255, 0, 0)),
        ("WEBP", {"icc_profile": P3, "lossless": True}, (255, 0, 0)),
        ("TIFF", {"icc_profile": P3}, (255, 0, 0)),
        ("HEIF", {"icc_profile": P3, "quality": 98}, (255, 0, 0)),
        ("HEIF", {"color_primaries": 12, "transfer_characteristics": 13, "quality": 98}, (255, 0, 0)),
        ("JPEG", {"icc_profile": PLAIN, "quality": 98, "subsampling": 0}, RED_OF_P3),
        ("PNG", {"icc_profile": b"no profile"}, RED_OF_P3),
        ("HEIF", {"color_primaries": 1, "transfer_characteristics": 13, "quality": 98}, RED_OF_P3),
    ],
)  # fmt: skip
def test_colours_are_those_of_srgb(
    kind: str, options: dict[str, Any], expected: tuple[int, ...]
) -> None:
    data = encoded(Image.new("RGB", (96, 96), RED_OF_P3), kind, **options)
    header = describe(WholeImage(data))
    changes = changes_for(header, transparent=False)
    mended = PICTURES.mend(data, header, changes).data if changes else data
    assert mean(mended) == pytest.approx(expected, abs=8)
    said = Change.CONVERTED if kind == "TIFF" else Change.SRGB  # a TIFF is converted in any case
    assert (said in changes) == (expected != RED_OF_P3)


# The signal of 203 cd/m2, the white of BT.2408: 58 % of PQ, 75 % of HLG; that of 26 cd/m2: 38 % of both.
@pytest.mark.parametrize(
    ("transfer", "signal", "expected"),
    [(16, 148, 244), (18, 191, 244), (16, 97, 101), (18, 97, 101)],
)
def test_hdr_is_tone_mapped(transfer: int, signal: int, expected: int) -> None:
    grey = Image.new("RGB", (96, 96), (signal,) * 3)
    data = encoded(grey, "HEIF", color_primaries=9, transfer_characteristics=transfer, quality=98)
    header = describe(WholeImage(data))
    changes = changes_for(header, transparent=False)
    assert Change.TONE_MAPPED in changes
    assert mean(PICTURES.mend(data, header, changes).data) == pytest.approx((expected,) * 3, abs=8)
