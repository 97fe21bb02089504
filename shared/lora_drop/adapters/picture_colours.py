"""A decoded picture as a screen shows it: in sRGB of 8 bits, upright, with white behind it."""

import io

from PIL import Image, ImageChops, ImageCms

from lora_drop.datasets.images.colours import Coded, profile_of
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import ImageHeader, unsupported_pixels

OPAQUE, WHITE = 255, (255, 255, 255)
# EXIF 3.0, 4.6.5.1.6: what a viewer does for each orientation.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


TURNED_WHEN_READ = frozenset({ImageFormat.HEIF, ImageFormat.TIFF})


def screen_colours(
    image: Image.Image, *, by_profile: bool = True, coded: Coded | None = None
) -> Image.Image:
    """Return the image in grey or sRGB of 8 bits, with its transparency; an HDR one is tone-mapped.

    HDR counts before a profile, which cannot say it; other ``coded`` colours where there is none.
    """
    if image.mode in ("I", "F"):
        raise unsupported_pixels("numbers of 32 bits")
    if image.mode == "LAB":
        return _of_lab(image)
    if image.mode.startswith("I;16"):  # of 65,535; a plain conversion would cut off above 255
        grey = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
        if image.has_transparency_data:
            opaque = ImageChops.invert(_seen_through(image))
            grey = Image.merge("RGBA", (grey, grey, grey, opaque))
        return grey
    profile = image.info.get("icc_profile")
    if coded is not None and (coded.hdr or coded.over_profile or (coded.wide and not profile)):
        profile = profile_of(coded) if coded.wide else None
        image = image.convert("RGB") if profile and image.mode == "L" else image
    profile = profile if by_profile else None
    if image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    converted = _by_profile(image, profile) if profile else None
    if converted is None:
        converted = image.convert("RGB") if image.mode == "CMYK" else image
    return converted


def _of_lab(image: Image.Image) -> Image.Image:
    """Return a picture in CIE L*a*b* (TIFF 6.0, section 23) in sRGB."""
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    if converted is None:
        raise unsupported_pixels("L*a*b* colours")
    return converted


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Return the image in sRGB; None when the profile is none, or one for other colours."""
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    try:
        converted = ImageCms.profileToProfile(
            image.convert("RGB") if alpha else image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    if converted is not None and alpha is not None:
        converted.putalpha(alpha)
    return converted


def is_transparent(image: Image.Image) -> bool:
    """Return whether one can see through any of an image's pixels."""
    if not image.has_transparency_data:
        return False
    if image.mode.startswith("I;16"):
        return _seen_through(image).getbbox() is not None
    with_alpha = image if image.mode in ("LA", "RGBA") else image.convert("RGBA")
    lowest, _ = with_alpha.getchannel("A").getextrema()
    return isinstance(lowest, int | float) and lowest < OPAQUE


def _seen_through(image: Image.Image) -> Image.Image:
    """Return white where a grey of 16 bits is the one that a PNG calls transparent (11.3.1.1, tRNS)."""
    key = int(image.info["transparency"])
    bytes_of = Image.frombytes("LA", image.size, image.tobytes("raw", "I;16"))  # low and high
    same = [
        channel.point([OPAQUE * (value == wanted) for value in range(256)])
        for channel, wanted in zip(bytes_of.split(), (key & 255, key >> 8), strict=True)
    ]
    return ImageChops.darker(*same)


def flat(image: Image.Image) -> Image.Image:
    """Return the image with white behind it."""
    if image.mode != "RGBA":
        return image
    behind = Image.new("RGB", image.size, WHITE)
    behind.paste(image, mask=image.getchannel("A"))
    return behind


def turned(image: Image.Image, header: ImageHeader) -> Image.Image:
    """Return the image upright; some decoders have turned it already."""
    turn = None if header.format in TURNED_WHEN_READ else TURNS.get(header.orientation)
    return image if turn is None else image.transpose(turn)
