"""Pictures over Pillow and pillow-heif, which this module imports, with a bound on their memory."""

import io
import struct
import sys
import warnings
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pillow_heif
from PIL import AvifImagePlugin, Image, ImageChops, ImageCms, ImageFilter, ImageStat

from lora_drop.adapters.jpeg_warnings import check_coded_data
from lora_drop.datasets.images.cleaning import without_metadata
from lora_drop.datasets.images.colours import Coded, profile_of
from lora_drop.datasets.images.damage import check_no_zeros
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import (
    Flaw,
    ImageHeader,
    InvalidImageError,
    check_not_too_large,
    too_much_work,
)
from lora_drop.datasets.images.pictures import (
    LARGE_SIDE,
    SIDE,
    Change,
    ImageInspection,
    Mended,
    Prepared,
    changes_for,
    fingerprint,
    format_after,
    is_lossless,
)
from lora_drop.datasets.images.reading import WholeImage

if sys.platform == "linux":
    import resource

STATM = Path("/proc/self/statm")  # its first number: pages of this process (proc(5))
PLAIN_MODES = frozenset({"L", "LA", "RGB", "RGBA", "CMYK"})
MEASURED, THUMBNAIL = 512, 320  # pixels along the longest side
QUALITY, THUMBNAIL_QUALITY = 95, 80
FULL_COLOUR = 0  # 4:4:4: a portrait's edges keep their colours, for a fifth more bytes
PNG_LEVEL = 4  # half the time of the usual 6, for a photo that is 7 % larger
# The largest image that is let in takes 800 MB; a file may say that it is small, and unpack to anything.
# A function has 2,048 MB.
MOST_MEMORY = 1024**3
OPAQUE, WHITE = 255, (255, 255, 255)
# Of a mask: parts of its pixels, and grey values. Soft edges take a tenth of a small one.
NEARLY_ALL, TWO_TONES, TRACE, APART = 0.995, 0.9, 12, 96
BRIGHTEST_TWENTIETH = 0.95
# The sum of a pixel's four neighbours less four times itself, a quarter of it around 128: all but the
# hardest edges fit into a byte.
LAPLACIAN_SCALE = 4
LAPLACIAN = ImageFilter.Kernel(
    (3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=LAPLACIAN_SCALE, offset=128
)
# What Pillow and the libraries below it raise for bytes that are no image, or not all of one.
DECODER_ERRORS = (
    *(OSError, ValueError, RuntimeError, SyntaxError, EOFError, LookupError, TypeError),
    *(ArithmeticError, AttributeError, AssertionError, struct.error, zlib.error),
    Image.DecompressionBombError,
)
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


@contextmanager
def at_most(more: int) -> Iterator[None]:
    """Let this process take no more than so many bytes beside what it has, while the block lasts.

    Code that asks for more gets MemoryError, or a library's own error. On Linux alone, as in the
    functions; elsewhere nothing is bounded.
    """
    if sys.platform != "linux":
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = int(STATM.read_text().split()[0]) * resource.getpagesize() + more
    bounds = [limit for limit in (soft, hard, bound) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class PillowPictures:
    """Pictures by Pillow, with pillow-heif for HEIC. No threads.

    Memory at its peak, beside the file itself: 12 bytes for each pixel, 17 for a WEBP, so 800 MB and
    1.1 GB for the largest that is let in. Looking at a JPEG takes a few MB, whatever its size. On
    Linux no decoder gets more than 1 GiB, whatever is in the file.
    """

    def __init__(self) -> None:
        # Thumbnails off: a whole preview says nothing of the picture that is trained on.
        pillow_heif.register_heif_opener(
            thumbnails=False, depth_images=False, aux_images=False, decode_threads=1
        )
        AvifImagePlugin.DEFAULT_MAX_THREADS = 1

    def look(self, data: bytes, header: ImageHeader) -> ImageInspection:
        """Decode all of an image, and say how it looks; raises InvalidImageError when it cannot be."""
        return _looked_at(self._sound(data, header), header)

    def look_and_mend(
        self, data: bytes, header: ImageHeader, *, keep_metadata: bool
    ) -> tuple[ImageInspection, Prepared | None]:
        """Return the same as ``look``, and the mended image where it costs no second decoding to make it."""
        image = self._sound(data, header)
        look = _looked_at(image, header)
        changes = changes_for(header, transparent=look.transparent, keep_metadata=keep_metadata)
        if header.format is ImageFormat.JPEG or not changes or is_lossless(header, changes):
            return look, None
        return look, Prepared(_checked(_changed(image, header, changes)).data, changes)

    def _sound(self, data: bytes, header: ImageHeader) -> Image.Image:
        """Return the decoded image, a JPEG at least as large as what is measured; raises InvalidImageError for damage."""
        image = _decoded(data, header, at_least=(MEASURED, MEASURED))
        check_no_zeros(WholeImage(data), header)
        if header.format is ImageFormat.JPEG:
            check_coded_data(WholeImage(data))
        return image

    def mend(
        self,
        data: bytes,
        header: ImageHeader,
        changes: Collection[Change],
        *,
        lossless: bool = False,
    ) -> Mended:
        """Return the image with these changes made, and no metadata; raises InvalidImageError when it cannot be.

        Colours become sRGB where pixels change: trainers do not look at a profile. A profile that
        makes no sense is passed over. Without a change of pixels, profile and pixels stay as they are.
        ``lossless``: a PNG with the same numbers, whatever a profile says, and not flattened.
        """
        if is_lossless(header, changes):
            mended = b"".join(without_metadata(WholeImage(data), header.format))
        else:
            size = (header.width, header.height)
            least = _size_after(size) if Change.SHRUNK in changes else None
            image = _decoded(data, header, at_least=least)
            mended = _changed(image, header, changes, lossless=lossless)
        return _checked(mended)


def _looked_at(image: Image.Image, header: ImageHeader) -> ImageInspection:
    """Return how a decoded image looks; the image stays as it is."""
    transparent = _is_transparent(image)
    small = _screen_colours(_smaller(image), coded=header.coded).copy()
    small.thumbnail((MEASURED, MEASURED))
    small = _turned(_flat(small), header)
    grey = small.convert("L")
    return ImageInspection(
        fingerprint=fingerprint(grey.resize((SIDE, SIDE), Image.Resampling.BOX).tobytes()),
        brightness=ImageStat.Stat(grey).mean[0],
        highlights=_percentile(grey, BRIGHTEST_TWENTIETH),
        sharpness=_sharpness(grey),
        transparent=transparent,
        thumbnail=_thumbnail(small),
        grey=_is_grey(small),
        two_tones=_has_two_tones(grey),
    )


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


def _changed(
    image: Image.Image,
    header: ImageHeader,
    changes: Collection[Change],
    *,
    lossless: bool = False,
) -> bytes:
    """Return a decoded image with changed pixels, as a file."""
    shrunk = Change.SHRUNK in changes
    if shrunk and image.mode in PLAIN_MODES:
        image = _shrunk(image)
    image = _screen_colours(image, by_profile=not lossless, coded=header.coded)
    upright = _turned(image if lossless else _flat(image), header)
    if shrunk:
        upright = _shrunk(upright)
    return _encoded(upright, format_after(header, changes, lossless=lossless))


def _shrunk(image: Image.Image) -> Image.Image:
    """Return the image with no more pixels along its longest side than trainers use."""
    size = _size_after(image.size)
    return image if size == image.size else image.resize(size, reducing_gap=2.0)


def _size_after(size: tuple[int, int]) -> tuple[int, int]:
    factor = min(1.0, LARGE_SIDE / max(size))
    return round(size[0] * factor), round(size[1] * factor)


def _checked(mended: bytes) -> Mended:
    """Return a mended image, looked at once more; raises InvalidImageError where something is left to change."""
    after = describe(WholeImage(mended))
    if changes_for(after, transparent=False):
        raise InvalidImageError(
            Flaw.NOT_MENDED,
            "could not be put right. Open it in an image program and save it as JPEG.",
        )
    return Mended(mended, after)


def _decoded(
    data: bytes, header: ImageHeader, *, at_least: tuple[int, int] | None = None
) -> Image.Image:
    """Return all of the first picture, decoded as what its header says and as nothing else.

    ``at_least``: a JPEG may come smaller, with at least so many pixels across and down; all of its
    bytes are read nevertheless. Whatever a decoder raises is raised as InvalidImageError.
    """
    check_not_too_large(header.width, header.height, header.format)
    try:
        with warnings.catch_warnings(), at_most(MOST_MEMORY):
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=[header.format.name])
            check_not_too_large(
                *image.size, header.format
            )  # a decoder may see another size than we do
            if at_least is not None:
                image.draft(None, at_least)
            image.load()
    except InvalidImageError:
        raise
    except MemoryError as error:
        raise too_much_work("it unpacks to far more than it shows") from error
    except DECODER_ERRORS as error:
        raise InvalidImageError(
            Flaw.DAMAGED,
            "cannot be opened to its end: it is damaged or was cut off. Copy it again from the "
            "camera or phone, or leave it out.",
        ) from error
    return image


def _smaller(image: Image.Image) -> Image.Image:
    """Return a copy that is at least as large as what is measured, made before anything else costs memory."""
    factor = max(image.size) // (2 * MEASURED)
    if factor < 2 or image.mode in ("1", "P") or image.mode.startswith("I;16"):  # noqa: PLR2004
        return image
    return image.reduce(factor)


def _screen_colours(
    image: Image.Image, *, by_profile: bool = True, coded: Coded | None = None
) -> Image.Image:
    """Return the image in grey or sRGB of 8 bits, with its transparency; an HDR one is tone-mapped.

    HDR counts before a profile, which cannot say it; other ``coded`` colours where there is none.
    """
    if image.mode in ("I", "F", "LAB"):
        raise InvalidImageError(
            Flaw.UNSUPPORTED_PIXELS,
            "stores its colours in a way that only special programs read. Save it as JPEG.",
        )
    if image.mode.startswith("I;16"):  # of 65,535; a plain conversion would cut off above 255
        grey = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
        if image.has_transparency_data:
            opaque = ImageChops.invert(_seen_through(image))
            grey = Image.merge("RGBA", (grey, grey, grey, opaque))
        return grey
    profile = image.info.get("icc_profile")
    if coded is not None and (coded.hdr or (coded.wide and not profile)):
        profile = profile_of(coded)
    profile = profile if by_profile else None
    if image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    converted = _by_profile(image, profile) if profile else None
    if converted is None:
        converted = image.convert("RGB") if image.mode == "CMYK" else image
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


def _is_transparent(image: Image.Image) -> bool:
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


def _flat(image: Image.Image) -> Image.Image:
    """Return the image with white behind it."""
    if image.mode != "RGBA":
        return image
    flat = Image.new("RGB", image.size, WHITE)
    flat.paste(image, mask=image.getchannel("A"))
    return flat


def _turned(image: Image.Image, header: ImageHeader) -> Image.Image:
    turn = None if header.format in TURNED_WHEN_READ else TURNS.get(header.orientation)
    return image if turn is None else image.transpose(turn)


def _encoded(image: Image.Image, kind: ImageFormat) -> bytes:
    image.info = {}  # Pillow would write some of it
    buffer = io.BytesIO()
    if kind is ImageFormat.PNG:
        image.save(buffer, "PNG", compress_level=PNG_LEVEL)
    else:
        image.save(buffer, "JPEG", quality=QUALITY, subsampling=FULL_COLOUR)
    return buffer.getvalue()


def _thumbnail(image: Image.Image) -> bytes:
    image = image.copy()
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    image.info = {}
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=THUMBNAIL_QUALITY, optimize=True)
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
