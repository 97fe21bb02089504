"""Datasets of any size for the topic ``check``: a few photos with a sensor's noise, each written often, never twice the same.

A dataset's copies of one photo differ by a comment, so no two files are the same and each has to be decoded. They have the
EXIF of a phone, and are compressed in the ZIP, as file managers do it.
"""

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pillow_heif
from PIL import Image
from PIL.ExifTags import Base

from lora_drop.local.stack import SAMPLE

MB = 1_000_000
LARGE, SMALLER = (4000, 3000), (2000, 1500)  # pixels of a phone's photo, and of an edited one
VIEWS, NOISE, NOISY = 3, 30.0, 0.18
QUALITY, HEIC_QUALITY = 92, 60
SUFFIXES = {"jpeg": "JPG", "heic": "HEIC", "png": "PNG"}


def photos(kind: str) -> list[bytes]:
    """Return a few photos of about 3 MB, as phones write them."""
    return [ENCODERS[kind](image) for image in _views(SMALLER if kind == "png" else LARGE)]


def _views(size: tuple[int, int]) -> Iterator[Image.Image]:
    """Yield parts of the sample's portrait, with noise."""
    with zipfile.ZipFile(SAMPLE) as archive, archive.open("astronaut-01.jpg") as member:
        portrait = Image.open(member).convert("RGB")
    for number in range(VIEWS):
        left = number * portrait.width // 20
        box = (left, left, portrait.width - left, portrait.height - left)
        image = portrait.resize(size, Image.Resampling.BICUBIC, box)
        noise = Image.effect_noise(size, NOISE).convert("RGB")
        yield Image.blend(image, noise, NOISY)


def _exif() -> bytes:
    exif = Image.Exif()
    exif.update(
        {Base.Make: "Apple", Base.Model: "iPhone 15 Pro", Base.DateTime: "2026:05:01 12:00:00"}
    )
    exif.get_ifd(Base.ExifOffset).update(
        {Base.LensModel: "iPhone 15 Pro back triple camera 6.765mm f/1.78"}
    )
    return exif.tobytes()


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY, exif=_exif())
    return file.getvalue()


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _heic(image: Image.Image) -> bytes:
    file = io.BytesIO()
    heif = pillow_heif.from_pillow(image)
    heif.save(file, quality=HEIC_QUALITY, exif=_exif(), enc_params={"preset": "ultrafast"})
    return file.getvalue()


ENCODERS: dict[str, Callable[[Image.Image], bytes]] = {"jpeg": _jpeg, "heic": _heic, "png": _png}


def _numbered(kind: str, photo: bytes, number: int) -> bytes:
    """Return the same picture in a file of its own."""
    text = f"{number:08}".encode()
    if kind == "jpeg":  # a comment before the end's marker
        return photo[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2) + text + photo[2:]
    if kind == "heic":  # a box that is free for anything
        return photo + (len(text) + 8).to_bytes(4) + b"free" + text
    return photo + text


def write_archive(file: Path, kind: str, originals: list[bytes], size: int) -> int:
    """Write photos into a ZIP until it has so many bytes, and return how many there are."""
    number = 0
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        while archive.fp is not None and archive.fp.tell() < size:
            photo = _numbered(kind, originals[number % len(originals)], number)
            archive.writestr(f"IMG_{number:04}.{SUFFIXES[kind]}", photo)
            number += 1
    return number


def write_hopeless(file: Path, originals: list[bytes], size: int) -> None:
    """Write three photos and videos, so many bytes together: nothing can be trained on it."""
    with zipfile.ZipFile(file, "w") as archive:
        for number, photo in enumerate(originals[:3]):
            archive.writestr(f"IMG_{number:04}.JPG", photo)
        clip, number = b"\x00\x00\x00\x18ftypmp42" + bytes(8 * MB), 0
        while archive.fp is not None and archive.fp.tell() < size:
            archive.writestr(f"IMG_{number:04}.MOV", clip)
            number += 1
