"""How astronaut.zip was made: ``python -m lora_drop.dev.sample ASTRONAUT.PNG``.

The photograph is NASA's portrait of Eileen Collins (https://flic.kr/p/r9qvLn), in the public
domain, as the Python package scikit-image 0.26.0 ships it in ``skimage/data/astronaut.png``.
"""

import io
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps

from lora_drop.local.tools import ROOT

TARGET = ROOT / "shared" / "lora_drop" / "local" / "samples" / "astronaut.zip"
QUALITY = 88
WHEN = (2026, 1, 1, 0, 0, 0)  # the same input makes the same archive


@dataclass(frozen=True, slots=True)
class View:
    """One photo of the set: a crop (left, top, right, bottom) in some light, and what it shows."""

    crop: tuple[int, int, int, int]
    size: tuple[int, int]
    caption: str
    brightness: float = 1.0
    contrast: float = 1.0
    colour: float = 1.0
    mirrored: bool = False


VIEWS = (
    View((0, 0, 512, 512), (768, 768), "an official portrait, orange flight suit, shuttle model"),
    View((130, 0, 330, 200), (768, 768), "a close-up of the face, smiling"),
    View((100, 0, 360, 325), (768, 960), "a head and shoulders portrait, orange suit"),
    View((60, 0, 400, 425), (768, 960), "a half-length portrait in front of a flag"),
    View((90, 0, 410, 320), (768, 768), "a portrait in soft light", brightness=1.15, contrast=0.85),
    View((120, 0, 340, 275), (768, 960), "a portrait in dim light", brightness=0.7),
    View((110, 0, 350, 240), (768, 768), "a portrait in strong light", brightness=1.3),
    View((140, 10, 320, 190), (768, 768), "a close-up in high contrast", contrast=1.35),
    View((100, 0, 360, 325), (768, 960), "a black and white portrait", colour=0.0),
    View((130, 0, 330, 250), (768, 960), "a close-up in muted colours", colour=0.5),
    View((0, 0, 400, 500), (768, 960), "a portrait beside a shuttle model", colour=1.3),
    View((80, 0, 400, 400), (768, 768), "a portrait seen mirrored", mirrored=True),
    View((150, 20, 300, 170), (768, 768), "a close-up of the smile, warm light", colour=1.4),
    View((60, 0, 420, 450), (768, 960), "a portrait in evening light, mirrored", 0.85, mirrored=True),
)  # fmt: skip


def photo(portrait: Image.Image, view: View) -> bytes:
    """The view as a JPEG."""
    image = portrait.crop(view.crop).resize(view.size, Image.Resampling.LANCZOS)
    image = ImageEnhance.Brightness(image).enhance(view.brightness)
    image = ImageEnhance.Contrast(image).enhance(view.contrast)
    image = ImageEnhance.Color(image).enhance(view.colour)
    if view.mirrored:
        image = ImageOps.mirror(image)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def make(source: Path, target: Path = TARGET) -> None:
    """Write the archive: photos, a caption beside each, and its parameters."""
    with Image.open(source) as opened, zipfile.ZipFile(target, "w") as archive:
        portrait = opened.convert("RGB")
        for number, view in enumerate(VIEWS, start=1):
            stem = f"astronaut-{number:02}"
            archive.writestr(zipfile.ZipInfo(f"{stem}.jpg", WHEN), photo(portrait, view))
            caption = f"a photo of [trigger], {view.caption}\n"
            archive.writestr(zipfile.ZipInfo(f"{stem}.txt", WHEN), caption)
        parameters = '{"trigger_phrase": "ecollins", "preset": "portrait"}\n'
        archive.writestr(zipfile.ZipInfo("training.json", WHEN), parameters)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
