"""A dataset full of canaries: real photos, with everything that a camera and a person put into one."""

import io
import zipfile
from functools import cache

from PIL import Image, TiffImagePlugin

from tests.security.canary.canary_values import CAMERA, CAPTION, FOLDER, LATITUDE, OWNER, PHOTO
from tests.support import photos

KEY = f"{FOLDER}/holiday.zip"
MAKE, ARTIST, GPS, LATITUDE_REF, LATITUDE_TAG = 0x010F, 0x013B, 0x8825, 1, 2


@cache
def photo(number: int, *, side: int = 640) -> bytes:
    """A JPEG with its camera, its owner and its place in it, as text and as numbers."""
    tags = Image.Exif()
    tags[MAKE], tags[ARTIST] = CAMERA, OWNER
    degrees = TiffImagePlugin.IFDRational(52), TiffImagePlugin.IFDRational(30)
    seconds = TiffImagePlugin.IFDRational(58587, 1000)
    tags[GPS] = {LATITUDE_REF: "N", LATITUDE_TAG: (*degrees, seconds), 27: LATITUDE.encode()}
    image = photos.picture(side, side, seed=number)
    return photos.encoded(
        image, "JPEG", exif=tags.tobytes(), comment=f"{OWNER} {LATITUDE}".encode()
    )


@cache
def dataset(*, count: int = 12, broken: int = 0, training: str | None = None) -> bytes:
    """A ZIP of such photos with a caption each; so many of them end in the middle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(count):
            data = photo(number)
            archive.writestr(f"{PHOTO} {number}.jpg", data[:900] if number < broken else data)
            archive.writestr(f"{PHOTO} {number}.txt", f"[trigger] {CAPTION} {number}")
        if training is not None:
            archive.writestr("training.json", training)
    return buffer.getvalue()
