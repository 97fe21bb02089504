"""Datasets by the hundred: small, sound, and no two of them the same."""

import io
import random
import zipfile

from PIL import Image

IMAGES = 10
SIDE = 64  # pixels


def archive_of_photos(name: str, *, images: int = IMAGES) -> bytes:
    """A ZIP of JPEGs and a caption whose content follows from the name alone."""
    source = random.Random(name)  # noqa: S311  # noise, no secret
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(images):
            archive.writestr(f"photo-{number:02}.jpg", _photo(source))
        archive.writestr("photo-00.txt", f"a portrait of [trigger], {name}")
    return buffer.getvalue()


def _photo(source: random.Random) -> bytes:
    small = Image.frombytes("RGB", (8, 8), source.randbytes(8 * 8 * 3))
    buffer = io.BytesIO()
    small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
