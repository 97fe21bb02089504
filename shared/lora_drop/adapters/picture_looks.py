"""How a decoded picture looks, measured on a small copy."""

import io

from PIL import Image, ImageChops, ImageFilter, ImageStat

from lora_drop.adapters.flat_remainder import flat_part
from lora_drop.adapters.picture_colours import OPAQUE, flat, is_transparent, screen_colours, turned
from lora_drop.datasets.images.header import ImageHeader
from lora_drop.datasets.images.pictures import SIDE, ImageInspection, fingerprint

MEASURED, THUMBNAIL = 512, 320  # pixels along the longest side
# Pixels along the shorter side, at least, of what faces are looked for in: of a face of 20 pixels in a photo
# of 12 megapixels 10 are left, the fewest that the detector finds.
FACES_MEASURED = 1024
# How much larger than asked for an image is when its pixels are weighed one by one: Pillow calls 2.0 "fast".
REDUCING_GAP = 1.5
THUMBNAIL_QUALITY = 80
# Modes whose numbers have no mean.
UNMIXED = frozenset({"1", "P", "I;16", "I;16L", "I;16B", "I;16N"})
# Of a mask: parts of its pixels, and grey values. Soft edges take a tenth of a small one.
NEARLY_ALL, TWO_TONES, TRACE, APART = 0.995, 0.9, 12, 96
BRIGHTEST_TWENTIETH = 0.95
# The sum of a pixel's four neighbours less four times itself, a quarter of it around 128: all but the
# hardest edges fit into a byte.
LAPLACIAN_SCALE = 4
LAPLACIAN = ImageFilter.Kernel(
    (3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=LAPLACIAN_SCALE, offset=128
)


def looked_at(image: Image.Image, header: ImageHeader) -> ImageInspection:
    """Return how a decoded image looks; the image stays as it is."""
    transparent = is_transparent(image)
    larger = screen_colours(smaller(image), coded=header.coded)
    larger = flat(larger)
    part = flat_part(larger)
    # Grey values and thumbnail come from one copy, which costs less than weighing all pixels for each.
    larger = _reduced(larger, int(max(larger.size) / MEASURED / REDUCING_GAP))
    grey = turned(shrunk(larger.convert("L"), MEASURED), header)
    thumbnail = turned(shrunk(larger, THUMBNAIL), header)
    two_tones = _has_two_tones(grey)
    return ImageInspection(
        fingerprint=fingerprint(grey.resize((SIDE, SIDE), Image.Resampling.BOX).tobytes()),
        brightness=ImageStat.Stat(grey).mean[0],
        highlights=_percentile(grey, BRIGHTEST_TWENTIETH),
        sharpness=_sharpness(grey),
        transparent=transparent,
        thumbnail=small_jpeg(thumbnail, optimize=True),
        grey=_is_grey(thumbnail),
        two_tones=two_tones,
        flat_part=None if two_tones else part,
    )


def smaller(image: Image.Image, side: int = MEASURED) -> Image.Image:
    """Return a copy that is at least twice as large as what is looked at, made before anything else costs memory."""
    return _reduced(image, max(image.size) // (2 * side))


def made_smaller(image: Image.Image, side: int) -> Image.Image:
    """Return the image smaller by the factor that a JPEG is decoded with: at least so many pixels across and down."""
    return _reduced(image, min(image.size) // side)


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    """Return the image smaller by a whole factor, where that makes it smaller and its numbers have a mean."""
    if factor < 2 or image.mode in UNMIXED:  # noqa: PLR2004
        return image
    return image.reduce(factor)


def shrunk(image: Image.Image, side: int, *, gap: float = REDUCING_GAP) -> Image.Image:
    """Return the image with so many pixels along its longest side, if it has more; ``gap`` as REDUCING_GAP is."""
    size = size_within(image.size, side)
    return image if size == image.size else image.resize(size, reducing_gap=gap)


def size_within(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return a size in proportion, with so many pixels along its longest side, if it has more."""
    factor = min(1.0, side / max(size))
    return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)


def shown_to_faces(image: Image.Image, header: ImageHeader) -> Image.Image:
    """Return what faces are looked for in: the decoded image upright, in RGB, with white behind it.

    A profile of an image that is RGB already is passed over: it moves colours by less than the light does.
    """
    small = made_smaller(image, FACES_MEASURED)
    by_profile = small.mode != "RGB" or header.coded is not None
    shown = flat(screen_colours(small, by_profile=by_profile, coded=header.coded))
    return turned(made_smaller(shown.convert("RGB"), FACES_MEASURED), header)


def _is_grey(image: Image.Image) -> bool:
    """Return whether an image has no colours but for a trace of them, as JPEG leaves it."""
    if image.mode == "L":
        return True
    red, green, blue = image.convert("RGB").split()
    pairs = ((red, green), (green, blue))
    return all(_percentile(ImageChops.difference(*pair), NEARLY_ALL) <= TRACE for pair in pairs)


def _has_two_tones(grey: Image.Image) -> bool:
    histogram = grey.histogram()
    dark = max(range(128), key=histogram.__getitem__)
    bright = max(range(128, 256), key=histogram.__getitem__)
    near = sum(histogram[max(dark - TRACE, 0) : dark + TRACE + 1])
    near += sum(histogram[max(bright - TRACE, dark + TRACE + 1) : bright + TRACE + 1])
    return bright - dark >= APART and near >= TWO_TONES * sum(histogram)


def small_jpeg(image: Image.Image, *, optimize: bool = False) -> bytes:
    """Return a picture that people look at as a JPEG without metadata; optimized, it is smaller and takes longer."""
    image = image.copy()
    image.info = {}  # Pillow would write some of it
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=THUMBNAIL_QUALITY, optimize=optimize)
    return buffer.getvalue()


def _sharpness(grey: Image.Image) -> float:
    """Return the variance of the Laplacian; the outermost pixels have none."""
    width, height = grey.size
    if min(width, height) < len("abc"):
        return 0.0
    edges = grey.filter(LAPLACIAN).crop((1, 1, width - 1, height - 1))
    return ImageStat.Stat(edges).var[0] * LAPLACIAN_SCALE**2


def _percentile(grey: Image.Image, part: float) -> int:
    """Return the grey value that this part of the pixels does not exceed."""
    histogram = grey.histogram()
    left = part * sum(histogram)
    for value, count in enumerate(histogram):
        left -= count
        if left <= 0:
            return value
    return OPAQUE
