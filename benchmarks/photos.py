"""A ZIP of different HEICs, as large as a phone's: ``python -m benchmarks.photos ZIP [COUNT [MEGAPIXELS]]``.

Each photo is another part of one large picture with noise of its own, so no two files, and no two pictures, are the
same. The size of a file follows the noise: 12 megapixels are about 3.4 MB, as an iPhone writes them. x265 encodes them
in its fastest way, which takes about a second each; how long decoding takes depends on the bytes, not on that.
"""

import io
import math
import random
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pillow_heif
from PIL import Image, ImageChops, ImageDraw

COUNT, MEGAPIXELS = 100, 12.2
ROOM = 1.25  # of a side: what the parts are cut out of
NOISE, QUALITY = 9.0, 50
SEED = 13


def pictures(count: int, megapixels: float) -> Iterator[Image.Image]:
    """Yield so many different pictures, four to three."""
    height = round(math.sqrt(megapixels * 1e6 * 3 / 4))
    width = height * 4 // 3
    large = _large(round(width * ROOM), round(height * ROOM))
    source = random.Random(SEED)  # noqa: S311  # noise, no secret
    for _ in range(count):
        left = source.randrange(large.width - width)
        top = source.randrange(large.height - height)
        part = large.crop((left, top, left + width, top + height))
        _shapes(part, source, 20, width // 3)
        noise = Image.effect_noise((width // 4, height // 4), NOISE * 2).resize(part.size)
        yield ImageChops.add(part, noise.convert("RGB"), 1, -128)


def _large(width: int, height: int) -> Image.Image:
    """Return small shapes of many colours, with grain."""
    image = Image.new("RGB", (width, height), (120, 130, 140))
    _shapes(image, random.Random(SEED), 3000, 200)  # noqa: S311  # as above
    grain = Image.effect_noise((width, height), NOISE).convert("RGB")
    return ImageChops.add(image, grain, 1, -128)


def _shapes(image: Image.Image, source: random.Random, count: int, most: int) -> None:
    """Draw ellipses anywhere, of ``most`` pixels at the largest."""
    draw = ImageDraw.Draw(image)
    for _ in range(count):
        left, top = source.randrange(image.width), source.randrange(image.height)
        right, bottom = left + source.randrange(most), top + source.randrange(most)
        red, green, blue = source.randbytes(3)
        draw.ellipse((left, top, right, bottom), fill=(red, green, blue))


def heic(image: Image.Image) -> bytes:
    """Return the picture as a HEIC."""
    file = io.BytesIO()
    made = pillow_heif.from_pillow(image)
    made.save(file, quality=QUALITY, enc_params={"preset": "ultrafast"})
    return file.getvalue()


def main(archive: Path, count: int = COUNT, megapixels: float = MEGAPIXELS) -> None:
    """Write the ZIP, and say how large it is."""
    with zipfile.ZipFile(archive, "w") as members:
        for number, image in enumerate(pictures(count, megapixels)):
            members.writestr(f"IMG_{number:04}.HEIC", heic(image))
    sys.stdout.write(f"{archive}: {count} photos, {archive.stat().st_size / 1e6:.0f} MB\n")


if __name__ == "__main__":
    if not sys.argv[1:] or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), *(int(each) for each in sys.argv[2:3]), *map(float, sys.argv[3:4]))
