"""An image is measured on all of it, upright and in the colours of a screen."""

import io
import itertools
import subprocess
import sys

import pytest
from PIL import Image, ImageEnhance, ImageFilter

from lora_drop.adapters.picture_looks import MEASURED, THUMBNAIL
from lora_drop.adapters.pillow import PillowPictures
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.header import Flaw, InvalidImageError
from lora_drop.datasets.images.hints import BLURRED, DARK_HIGHLIGHTS, DARK_MEAN
from lora_drop.datasets.images.pictures import NEAR, ImageInspection, Pictures, distance
from lora_drop.datasets.images.reading import WholeImage
from tests.support import photos
from tests.support.photos import encoded, picture
from tests.support.sweeps import sweep

PICTURES: Pictures = PillowPictures()
TURNED = list(itertools.product(["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF"], "12345678"))


def looked(data: bytes) -> ImageInspection:
    return PICTURES.look(data, describe(WholeImage(data)))


@pytest.mark.parametrize("kind", photos.KINDS)
def test_formats_look_the_same(kind: str) -> None:
    one, other = looked(encoded(picture(640, 480), "PNG")), looked(encoded(picture(640, 480), kind))
    assert distance(one.fingerprint, other.fingerprint) <= NEAR
    assert other.brightness == pytest.approx(one.brightness, abs=4)
    assert other.sharpness == pytest.approx(one.sharpness, rel=0.5)
    assert not other.transparent


@pytest.mark.parametrize("turned", sweep(TURNED, sample=16, ids=" ".join))
def test_photo_is_inspected_upright(turned: tuple[str, str]) -> None:
    kind, orientation = turned[0], int(turned[1])
    data = photos.with_exif(picture(1024, 640), kind, orientation)
    header = describe(WholeImage(data))
    look = PICTURES.look(data, header)
    with Image.open(io.BytesIO(look.thumbnail)) as thumbnail:
        upright = header.upright
        assert (thumbnail.width > thumbnail.height) == (upright[0] > upright[1])
        assert max(thumbnail.size) == THUMBNAIL
        assert corners(thumbnail) == corners(shown(orientation))


def shown(orientation: int) -> Image.Image:
    tagged = photos.with_exif(picture(1024, 640), "PNG", orientation)
    with Image.open(io.BytesIO(tagged)) as image:
        turn = {6: 270, 3: 180, 8: 90}.get(orientation)
        if turn:
            return image.convert("RGB").rotate(turn, expand=True)
        mirror = {
            2: Image.Transpose.FLIP_LEFT_RIGHT,
            4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE,
            7: Image.Transpose.TRANSVERSE,
        }.get(orientation)
        return image.convert("RGB") if mirror is None else image.convert("RGB").transpose(mirror)


def corners(image: Image.Image) -> list[tuple[bool, bool]]:
    """For each corner, whether it is reddish and whether it is bluish."""
    small = image.convert("RGB").resize((8, 8), Image.Resampling.BOX)
    values = [small.getpixel(at) for at in ((0, 0), (7, 0), (0, 7), (7, 7), (2, 0), (0, 2))]
    return [(value[0] > 160, value[2] > 160) for value in values if isinstance(value, tuple)]


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("kind", photos.TRAINED)
def test_thumbnail_has_no_metadata(kind: str) -> None:
    """A thumbnail has no metadata."""
    data = photos.with_exif(picture(900, 700), kind, 6, place=True)
    thumbnail = looked(data).thumbnail
    header = describe(WholeImage(thumbnail))
    assert (header.format, header.orientation, header.metadata) == ("jpeg", 1, frozenset())
    assert photos.PLACE not in thumbnail
    assert len(thumbnail) < 40_000


def test_small_image_is_not_enlarged() -> None:
    assert describe(WholeImage(looked(encoded(picture(100, 80), "PNG")).thumbnail)).upright == (
        100,
        80,
    )


def test_dark_photo_differs_from_black_background() -> None:
    night = ImageEnhance.Brightness(picture(640, 480)).enhance(0.1)
    studio = Image.new("RGB", (640, 480))
    studio.paste(picture(200, 200), (220, 140))
    dark, lit = looked(encoded(night, "JPEG")), looked(encoded(studio, "JPEG"))
    assert (dark.brightness < DARK_MEAN, dark.highlights < DARK_HIGHLIGHTS) == (True, True)
    assert (lit.brightness < DARK_MEAN, lit.highlights < DARK_HIGHLIGHTS) == (True, False)


@pytest.mark.parametrize(
    "size", [(600, 450), (2400, 1800), pytest.param((5000, 3750), marks=pytest.mark.proof)]
)
def test_blur_is_found_at_any_size(size: tuple[int, int]) -> None:
    sharp = picture(*size)
    blurred = sharp.filter(ImageFilter.GaussianBlur(4 * size[0] / MEASURED))
    assert looked(encoded(sharp, "JPEG")).sharpness > 4 * BLURRED
    assert looked(encoded(blurred, "JPEG")).sharpness < BLURRED


def test_variants_of_a_photo_are_near() -> None:
    """The same photo in another size, light and quality is near, and other photos are not."""
    photo = picture(1600, 1200)
    first = looked(encoded(photo, "JPEG", quality=95)).fingerprint
    same = [
        encoded(photo.resize((400, 300)), "JPEG", quality=40),
        encoded(ImageEnhance.Brightness(photo).enhance(0.7), "JPEG"),
        encoded(photo.convert("L"), "PNG"),
        encoded(photo.crop((16, 12, 1584, 1188)), "WEBP"),
        photos.with_exif(photo.transpose(Image.Transpose.ROTATE_90), "JPEG", 6),
    ]
    assert [distance(first, looked(data).fingerprint) > NEAR for data in same] == [False] * 5
    for seed in range(1, 6):
        other = looked(encoded(picture(1600, 1200, seed=seed), "JPEG")).fingerprint
        assert distance(first, other) > NEAR


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "AVIF", "HEIF", "TIFF"])
def test_transparency_is_found(kind: str) -> None:
    opaque = Image.merge("RGBA", (*picture().split(), Image.new("L", (96, 72), 255)))
    assert looked(encoded(picture(mode="RGBA"), kind)).transparent
    assert not looked(encoded(opaque, kind)).transparent


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_png_mode_is_inspected(mode: str) -> None:
    grey = looked(encoded(picture(640, 480, "L"), "PNG"))
    if mode == "I;16":
        image = picture(640, 480, "L").convert("I").point(lambda value: value * 257).convert("I;16")
    else:
        image = picture(640, 480, mode)
    look = looked(encoded(image, "PNG"))
    assert look.brightness == pytest.approx(grey.brightness, abs=60 if "A" in mode else 5)


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF", "BMP"])
def test_truncated_image_is_found(kind: str) -> None:
    """An image that was cut off is found before a training is paid for."""
    data = encoded(picture(640, 480), kind)
    header = describe(WholeImage(data))
    for part in (0.5, 0.9, 0.99):
        with pytest.raises(InvalidImageError) as refused:
            PICTURES.look(data[: int(len(data) * part)], header)
        assert refused.value.flaw is Flaw.DAMAGED


@pytest.mark.parametrize("kind", sweep(photos.KINDS, sample=4))
def test_any_cut_is_inspected_or_refused(kind: str) -> None:
    data = photos.encoded(picture(24, 16), kind)
    refused = 0
    for length in range(len(data)):
        try:
            looked(data[:length])
        except InvalidImageError:
            refused += 1

    assert refused >= len(data) - 40  # what ends after the last pixel may lack its last words


@pytest.mark.parametrize(
    ("data", "header", "flaw"),
    [
        (encoded(picture(), "PNG"), encoded(picture(), "JPEG"), Flaw.DAMAGED),
        (photos.png_header(10_000, 8_000), encoded(picture(), "PNG"), Flaw.TOO_MANY_PIXELS),
        (photos.png_header(50_000, 50_000), None, Flaw.TOO_MANY_PIXELS),
        (encoded(picture(mode="F"), "TIFF"), None, Flaw.UNSUPPORTED_PIXELS),
    ],
    ids=["another format", "an understated size", "too large", "32 bits"],
)
def test_unsuitable_image_is_refused(data: bytes, header: bytes | None, flaw: Flaw) -> None:
    """An image is decoded as what its header says, and refused before that if it is too large."""
    with pytest.raises(InvalidImageError) as refused:
        PICTURES.look(data, describe(WholeImage(header or data)))
    assert refused.value.flaw is flaw


def test_bootstrap_does_not_import_pillow() -> None:
    code = "import sys, lora_drop.bootstrap\n"
    code += "from lora_drop.datasets.images import describe, hints\n"
    code += "sys.exit('PIL' in sys.modules or 'pillow_heif' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False)  # noqa: S603  # our own
    assert done.returncode == 0
