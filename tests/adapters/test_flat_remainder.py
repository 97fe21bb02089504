"""A photo that was cut off, opened and saved again by another program: its flat remainder is seen."""

import csv
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import simplejpeg
from PIL import Image, ImageChops, ImageDraw, ImageOps

from lora_drop.adapters.flat_remainder import as_filled
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.header import InvalidImageError
from lora_drop.datasets.images.pictures import FlatPart
from lora_drop.datasets.images.reading import WholeImage
from tests.support.builders import make_archive
from tests.support.field_photos import PICTURES, SET, field, files_of, report
from tests.support.photos import encoded, picture

NOISE = Image.frombytes("L", (1024, 768), random.Random(13).randbytes(1024 * 768)).convert("RGB")  # noqa: S311  # no secret
PHOTO = Image.blend(picture(1024, 768), NOISE, 0.3)
LARGE = PHOTO.resize((3000, 2250)).crop((0, 0, 2999, 2243))
PORTRAIT = ImageOps.invert(PHOTO.transpose(Image.Transpose.ROTATE_90))
GREY = (128, 128, 128)


def saved_again(data: bytes, part: float) -> Image.Image:
    """What a program shows of a JPEG of which only a part arrived."""
    cut = data[: round(len(data) * part)] + b"\xff\xd9"
    return Image.fromarray(simplejpeg.decode_jpeg(cut, "RGB", strict=False))


def found(data: bytes) -> str | None:
    """The code that a photo is refused or warned with for its flat part; None for neither."""
    try:
        look = PICTURES.look(data, describe(WholeImage(data)))
    except InvalidImageError as refused:
        return refused.flaw
    return "image_flat_part" if look.flat_part else None


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("part", [0.4, 0.6])
@pytest.mark.parametrize(
    ("image", "again", "kind"),
    [(PHOTO, ImageOps.exif_transpose, "JPEG"), (PORTRAIT, ImageOps.exif_transpose, "PNG"), (LARGE, ImageOps.exif_transpose, "JPEG"), (PORTRAIT, ImageOps.flip, "WEBP"),
     (PHOTO, lambda image: image.transpose(Image.Transpose.ROTATE_90), "JPEG")],
)  # fmt: skip
def test_cut_photo_that_was_saved_again(
    image: Image.Image, again: Callable[[Image.Image], Image.Image], kind: str, part: float
) -> None:
    """A photo whose remainder is the grey that a decoder fills in is refused."""
    cut = saved_again(encoded(image, "JPEG", quality=90), part)
    assert found(encoded(again(cut), kind)) == "image_damaged"


def filled(colour: tuple[int, int, int], rows: int) -> Image.Image:
    image = PHOTO.copy()
    ImageDraw.Draw(image).rectangle((0, image.height - rows, *image.size), fill=colour)
    return image


def drawn(step: int) -> Image.Image:
    """A flat graphic of tiles on the same grey, whose edges lie where a decoder's blocks do."""
    image = Image.new("RGB", (1024, 768), GREY)
    for at in range(0, 1024, 64):
        ImageDraw.Draw(image).rectangle(
            (at, 0, at + 63, 399 + 16 * (at < step)), fill=(at // 5, 200, 90)
        )
    return image


@pytest.mark.parametrize("rows", [384, 96, 24])
def test_grey_bar_at_one_side_is_a_warning(rows: int) -> None:
    assert found(encoded(filled(GREY, rows), "JPEG")) == "image_flat_part"


def test_warning_says_what_to_do() -> None:
    bar = encoded(filled(GREY, 384), "JPEG")
    [hint] = [each for each in report(make_archive(images=0, members=SET | {"bar.jpg": bar})).warnings
              if each.code == "image_flat_part"]  # fmt: skip
    assert hint.member == "bar.jpg"
    assert "50%" in hint.message


def night() -> Image.Image:
    """A photo that fades into black at its foot."""
    fade = Image.linear_gradient("L").rotate(180).resize(PHOTO.size).point(lambda v: max(v - 60, 0))
    return ImageChops.multiply(PHOTO, fade.convert("RGB"))


def studio(background: tuple[int, int, int]) -> Image.Image:
    """A person before a plain background, cut at the waist or standing free."""
    image = Image.new("RGB", (900, 1100), background)
    image.paste(PHOTO.resize((400, 700)), (250, 200), Image.radial_gradient("L").resize((400, 700)).point(lambda v: 255 * (v < 180)))  # fmt: skip
    return image


@pytest.mark.parametrize(
    "image",
    [ImageOps.expand(PHOTO, (0, 120), (0, 0, 0)), ImageOps.expand(PHOTO, 60, (255, 255, 255)), night(),
     *(studio(colour) for colour in ((255, 255, 255), (0, 0, 0), GREY)), Image.new("RGB", (800, 800), GREY), filled(GREY, 8), filled(GREY, 203),
     *(filled(colour, 384) for colour in ((0, 0, 0), (255, 255, 255), (0, 135, 0), (120, 120, 120)))],
    ids=["letterbox", "frame", "night", "white studio", "black studio", "grey studio", "one colour", "a line", "a grey bar of no blocks",
         "black", "white", "green", "another grey"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_plain_areas_make_no_alarm(image: Image.Image, kind: str) -> None:
    assert found(encoded(image, kind)) is None


@pytest.mark.parametrize("step", [0, 512])
def test_flat_graphics_are_not_refused(step: int) -> None:
    assert found(encoded(drawn(step), "PNG")) in {None, "image_flat_part"}


def test_no_image_of_the_corpora_has_a_flat_part(
    corpora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the foreign photos of cameras, test patterns of decoders and the field's sound sets none is warned of, or refused for it."""
    parts = []

    def kept(image: Image.Image, part: FlatPart) -> FlatPart | None:
        parts.append(as_filled(image, part))
        return parts[-1]

    monkeypatch.setattr("lora_drop.adapters.pillow.as_filled", kept)
    with (corpora / "img.csv").open(newline="") as rows:
        paths = [row["file"] for row in csv.DictReader(rows) if row["pillow13"].startswith("ok:")]
    assert len(paths) > 300
    sets = [files_of(field(corpora, case)) for case in ("ok-upper-case", "icc-prophoto")]
    photos = [data for each in sets for name, data in each.items() if name.endswith(("jpg", "jpeg"))]  # fmt: skip
    assert "image_flat_part" not in {found((corpora / path).read_bytes()) for path in paths}
    assert {found(data) for data in photos} == {None}
    assert set(parts) <= {None}
