"""Photos with a face in them: views of the sample's portrait, and what can be done to a photo."""

import io
import zipfile

from PIL import Image, ImageDraw

from lora_drop.local.stack import SAMPLE

# Head and shoulders; the face is 268 pixels wide.
PORTRAIT = "astronaut-03.jpg"


def sample_photos() -> dict[str, Image.Image]:
    """Return the sample's photos by name."""
    with zipfile.ZipFile(SAMPLE) as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")]
        return {name: Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names}


def portrait() -> Image.Image:
    """Return a photo of a head and shoulders."""
    return sample_photos()[PORTRAIT]


def in_large_photo(pixels: int, *, size: tuple[int, int] = (4000, 3000)) -> Image.Image:
    """Return a photo of 12 megapixels in which the portrait is so small that its face has so many pixels."""
    whole = portrait()
    part = (whole.width * pixels // 268, whole.height * pixels // 268)
    small = whole.resize(part, Image.Resampling.LANCZOS)
    photo = Image.new("RGB", size, (96, 112, 104))
    photo.paste(small, (size[0] * 3 // 5, size[1] // 3))
    return photo


def masked(photo: Image.Image) -> Image.Image:
    """Return the portrait with a cloth over mouth and nose."""
    covered = photo.copy()
    ImageDraw.Draw(covered).polygon(
        [(240, 390), (380, 345), (510, 390), (490, 520), (380, 560), (260, 520)],
        fill=(150, 190, 215),
    )
    return covered
