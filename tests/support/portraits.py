"""Photos of one person in a folder, as many as a photographer has, three of them with a problem."""

import io
import zipfile
from pathlib import Path
from random import Random

from PIL import Image, ImageEnhance, ImageFilter

from lora_drop.local.stack import SAMPLE

COUNT = 30
DAMAGED, LIKE, ALIKE, BLURRED = "IMG_0007.jpg", "IMG_0011.jpg", "IMG_0012.jpg", "IMG_0020.jpg"
CAPTIONED = "IMG_0003.jpg"


def portrait_folder(folder: Path, *, long_side: int = 1024) -> Path:
    """Write 30 views of the sample's portrait: one cut off, one twice in another size, one out of focus."""
    folder.mkdir(parents=True)
    with zipfile.ZipFile(SAMPLE) as archive:
        views = [archive.read(name) for name in archive.namelist() if name.endswith(".jpg")]
    random = Random(4)  # noqa: S311  # the same folder each time
    for number in range(COUNT):
        view = _view(views[number % len(views)], random, long_side, upright=number % 3 > 0)
        view.save(folder / f"IMG_{number + 1:04}.jpg", quality=88)
    with Image.open(folder / LIKE) as like:
        like.resize((long_side * 2 // 3, long_side // 2)).save(folder / ALIKE, quality=70)
    with Image.open(folder / BLURRED) as sharp:
        sharp.filter(ImageFilter.GaussianBlur(14)).save(folder / BLURRED)
    whole = (folder / DAMAGED).read_bytes()
    (folder / DAMAGED).write_bytes(whole[: len(whole) // 2])
    (folder / CAPTIONED).with_suffix(".txt").write_text("[trigger] in a space suit")
    return folder


def _view(data: bytes, random: Random, long_side: int, *, upright: bool) -> Image.Image:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    width, height = image.size
    left, top = random.random() * 0.25 * width, random.random() * 0.25 * height
    image = image.crop((int(left), int(top), int(left + 0.7 * width), int(top + 0.7 * height)))
    image = image.rotate(random.uniform(-25, 25))
    image = ImageEnhance.Color(image).enhance(random.uniform(0.4, 1.6))
    image = ImageEnhance.Brightness(image).enhance(random.uniform(0.75, 1.25))
    short = long_side * 3 // 4
    return image.resize((short, long_side) if upright else (long_side, short))
