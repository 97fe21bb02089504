"""A dataset as a phone and its owner make one: HEIC with a place, copies, folders, old captions."""

import io
import zipfile
from functools import cache

from tests.support.photos import encoded, exif, picture

PHOTOS = 12  # that are trained on
JPEGS = 4


@cache
def phone_dataset() -> bytes:
    """Twelve photos, two of them twice, in two folders, with captions in Windows-1252.

    Eight are HEIC that a phone held on its side has taken (orientation 6), four are JPEG; all of
    them say where.
    """
    photos = {f"IMG_{number:04}": _photo(number) for number in range(PHOTOS)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, (name, data) in enumerate(photos.items()):
            folder = "Camera" if number % 2 else "Camera/Garden"
            archive.writestr(f"{folder}/{name}.{_suffix(number)}", data)
        archive.writestr("Camera/IMG_0001 (1).HEIC", photos["IMG_0001"])
        archive.writestr("Camera/copy.HEIC", photos["IMG_0002"])
        for number in range(3):
            folder = "Camera" if number % 2 else "Camera/Garden"
            text = f"[trigger] f\u00fcr Zo\u00eb \u2013 {number}".encode("cp1252")
            archive.writestr(f"{folder}/IMG_{number:04}.txt", text)
        archive.writestr("__MACOSX/Camera/._IMG_0001.HEIC", b"\x00\x05\x16\x07")
    return buffer.getvalue()


def _suffix(number: int) -> str:
    return "JPG" if number >= PHOTOS - JPEGS else "HEIC"


def _photo(number: int) -> bytes:
    kind = "JPEG" if _suffix(number) == "JPG" else "HEIF"
    options = {"quality": 90, "exif": exif(6, place=True).tobytes()}
    return encoded(picture(640, 480, seed=number), kind, **options)
