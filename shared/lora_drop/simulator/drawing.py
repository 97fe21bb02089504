"""The pictures of the simulated image model: drawn, taken from a folder of photos, or blackened."""

import hashlib
import io
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

QUALITY = 90
FORMATS = {"jpeg": ("JPEG", "image/jpeg", "jpg"), "png": ("PNG", "image/png", "png")}
DRAWN = "fal simulator: drawn, not made with the LoRA"
CENTRE = (0.5, 0.4)  # where a photo is cropped to: faces are above the middle
type Size = tuple[int, int]
type Colour = tuple[int, int, int]


def photo(path: Path, size: Size) -> Image.Image:
    """Return a photo in this size: turned upright, then cropped and scaled."""
    with Image.open(path) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    return ImageOps.fit(upright, size, Image.Resampling.LANCZOS, centering=CENTRE)


def blackened(size: Size) -> Image.Image:
    """Return what the safety checker leaves of a picture."""
    return Image.new("RGB", size)


def drawn(size: Size, *, prompt: str, seed: int, number: int) -> Image.Image:
    """Return a drawing of a person without a face, with the prompt under it; the same for the same arguments.

    It says that it is drawn: a face in it would be compared with those in the photos.
    """
    chance = hashlib.sha256(f"{seed}/{number}/{prompt}".encode()).digest()
    image = _background(size, chance)
    draw = ImageDraw.Draw(image)
    _person(draw, size, chance[6:])
    width, _ = size
    _caption(draw, size, DRAWN, points=max(8, width // 14), top=True)
    told = f"{prompt}\nseed {seed}, picture {number}"
    _caption(draw, size, told, points=max(8, width // 22), top=False)
    return image


def encoded(image: Image.Image, output_format: str) -> bytes:
    """Return the picture's file."""
    buffer = io.BytesIO()
    kind, _, _ = FORMATS[output_format]
    options = {"quality": QUALITY} if kind == "JPEG" else {}
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _background(size: Size, chance: bytes) -> Image.Image:
    gradient = Image.linear_gradient("L").resize(size)
    dark, light = (each // 3 for each in chance[:3]), (160 + each // 3 for each in chance[3:6])
    return ImageOps.colorize(gradient, tuple(light), tuple(dark))


def _person(draw: ImageDraw.ImageDraw, size: Size, chance: bytes) -> None:
    """Draw head and shoulders from behind; the colours come from ``chance``."""
    width, height = size
    unit = min(size) / 100
    x, y = width / 2, height * 0.4

    def ellipse(dx: float, dy: float, rx: float, ry: float, colour: Colour) -> None:
        left, top = x + (dx - rx) * unit, y + (dy - ry) * unit
        draw.ellipse((left, top, left + 2 * rx * unit, top + 2 * ry * unit), fill=colour)

    skin = (150 + chance[0] % 90, 100 + chance[1] % 70, 70 + chance[2] % 60)
    hair = (chance[3] % 110, chance[4] % 70, chance[5] % 50)
    clothes = (chance[6], chance[7], chance[8])
    ellipse(0, 62, 42, 30, clothes)
    ellipse(0, 30, 9, 14, skin)
    ellipse(0, -1, 24, 30, hair)


def _caption(draw: ImageDraw.ImageDraw, size: Size, text: str, *, points: int, top: bool) -> None:
    """Write white words on a black bar at the top or the bottom, large enough for a picture that is shown small."""
    width, height = size
    font = ImageFont.load_default(points)
    columns = max(1, int(width * 0.94 / (points * 0.55)))
    wrapped = "\n".join(textwrap.fill(line, columns) for line in text.splitlines())
    margin = width * 0.03
    anchor, y = ("la", margin) if top else ("ld", height - margin)
    _, upper, _, lower = draw.multiline_textbbox((margin, y), wrapped, font=font, anchor=anchor)
    bar = (0, 0, width, lower + margin) if top else (0, upper - margin, width, height)
    draw.rectangle(bar, fill="black")
    draw.multiline_text((margin, y), wrapped, fill="white", font=font, anchor=anchor)
