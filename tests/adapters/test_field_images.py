"""Photos as people really have them: damaged ones are refused, wide and HDR colours become those of a screen."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_drop.adapters.pillow import PillowPictures
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.header import Flaw, InvalidImageError
from lora_drop.datasets.images.reading import WholeImage
from tests.support.checking import checked
from tests.support.photos import encoded, picture

PICTURES = PillowPictures()
PHOTO = Image.blend(picture(1024, 768), Image.effect_noise((1024, 768), 40).convert("RGB"), 0.3)


def flaw(data: bytes) -> str | None:
    """What is wrong with an image; None for a sound one."""
    try:
        PICTURES.look(data, describe(WholeImage(data)))
    except InvalidImageError as refused:
        return refused.flaw
    return None


def field(corpora: Path, case: str) -> bytes:
    path = corpora / "field" / case / "dataset.zip"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return path.read_bytes()


def report(data: bytes, **how: Any) -> Any:
    return checked(data, pictures=PICTURES, **how).report


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
    """A photo with a bad sector, a missing half or foreign bytes in it is refused."""
    data = encoded(PHOTO, kind, **options)
    assert flaw(data) is None
    damages = [zeros, half_zeros, cut, *([swapped] if options == {} and kind == "JPEG" else [])]
    assert [flaw(damage(data)) for damage in damages] == [Flaw.DAMAGED] * len(damages)


def flat(background: str) -> Image.Image:
    image = Image.new("RGB", (2600, 1900), background)
    image.paste(PHOTO, (700, 500))
    return image


@pytest.mark.parametrize("background", ["white", "black"])
@pytest.mark.parametrize(("kind", "options"), CODERS)
def test_plain_background_is_no_damage(kind: str, options: dict[str, Any], background: str) -> None:
    assert flaw(encoded(flat(background), kind, **options)) is None
    assert flaw(encoded(Image.new("RGB", (1600, 1200), background), kind, **options)) is None


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
