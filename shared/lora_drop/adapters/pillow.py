"""Pictures over Pillow and pillow-heif, which this module imports, with a bound on their memory."""

import io
import struct
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import pillow_heif
from PIL import AvifImagePlugin, Image

from lora_drop.adapters.decoding_threads import without_warnings
from lora_drop.adapters.flat_remainder import as_filled
from lora_drop.adapters.jpeg_warnings import check_coded_data, sound_pixels
from lora_drop.adapters.memory_limit import at_most, not_limited
from lora_drop.adapters.picture_colours import flat, screen_colours, turned
from lora_drop.adapters.picture_looks import (
    FACES_MEASURED,
    MEASURED,
    looked_at,
    made_smaller,
    shown_to_faces,
    shrunk,
    size_within,
)
from lora_drop.adapters.tiff_messages import tiff_errors
from lora_drop.datasets.images.cleaning import without_metadata
from lora_drop.datasets.images.damage import check_no_zeros
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.formats import PLAIN_BRANDS, ImageFormat, is_bare_dib
from lora_drop.datasets.images.header import (
    Flaw,
    ImageHeader,
    InvalidImageError,
    broken,
    check_not_too_large,
    too_much_work,
    unsupported_pixels,
)
from lora_drop.datasets.images.jpeg import is_lossless_coding
from lora_drop.datasets.images.pictures import (
    LARGE_SIDE,
    Change,
    ImageInspection,
    Mended,
    Prepared,
    changes_for,
    format_after,
    is_lossless,
)
from lora_drop.datasets.images.reading import WholeImage
from lora_drop.jobs.errors import FacesBrokenError

if TYPE_CHECKING:
    from lora_drop.adapters.faces import OnnxFaces

QUALITY = 95
SAVED_GAP = 2.0  # of what is saved for training: more pixels are weighed one by one
LONGEST_STRIP = 4  # times as long as it is wide
PLAIN_MODES = frozenset({"L", "LA", "RGB", "RGBA", "CMYK"})
FULL_COLOUR = 0  # 4:4:4: a portrait's edges keep their colours, for a fifth more bytes
WHOLE_DEPTHS = frozenset({8, 16})
PNG_LEVEL = 4  # half the time of the usual 6, for a photo that is 7 % larger
# The largest image that is let in takes 800 MB; a file may say that it is small, and unpack to anything.
# A function has 2,048 MB.
MOST_MEMORY = 1024**3
# What Pillow and the libraries below it raise for bytes that are no image, or not all of one.
DECODER_ERRORS = (
    *(OSError, ValueError, RuntimeError, SyntaxError, EOFError, LookupError, TypeError),
    *(ArithmeticError, AttributeError, AssertionError, struct.error, zlib.error),
    Image.DecompressionBombError,
)


class PillowPictures:
    """Pictures by Pillow, with pillow-heif for HEIC; starts no threads. With ``faces``, a look finds the faces too.

    Memory at its peak, beside the file itself: 12 bytes for each pixel, 17 for a WEBP, so 800 MB and
    1.1 GB for the largest that is let in. Looking at a JPEG takes a few MB, whatever its size, unless
    it seems to have been cut off. On Linux no decoder gets more than 1 GiB, whatever is in the file.
    """

    def __init__(self, faces: "OnnxFaces | None" = None) -> None:
        self._faces = faces
        # Thumbnails off: a whole preview says nothing of the picture that is trained on.
        pillow_heif.register_heif_opener(
            thumbnails=False, depth_images=False, aux_images=False, decode_threads=1
        )
        AvifImagePlugin.DEFAULT_MAX_THREADS = 1

    def look(self, data: bytes, header: ImageHeader) -> ImageInspection:
        """Decode all of an image, and say how it looks; raises InvalidImageError when it cannot be."""
        image = self._sound(data, header)
        return self._inspected(data, header, image)

    def look_and_mend(
        self, data: bytes, header: ImageHeader, *, keep_metadata: bool
    ) -> tuple[ImageInspection, Prepared | None]:
        """Return the same as ``look``, and the mended image where it costs no second decoding to make it."""
        image = self._sound(data, header)
        look = self._inspected(data, header, image)
        changes = changes_for(header, transparent=look.transparent, keep_metadata=keep_metadata)
        if header.format is ImageFormat.JPEG or not changes or is_lossless(header, changes):
            return look, None
        return look, Prepared(_checked(_changed(image, header, changes)).data, changes)

    def _inspected(self, data: bytes, header: ImageHeader, image: Image.Image) -> ImageInspection:
        """Return how a decoded image looks, with its faces where they are looked for."""
        small = (
            made_smaller(image, MEASURED)
            if self._faces and header.format is ImageFormat.JPEG
            else image
        )
        look = _whole(looked_at(small, header), data, header, small)
        is_mask = look.two_tones and look.grey
        if self._faces is None or is_mask:
            return look
        shown = shown_to_faces(image, header)
        with not_limited():  # a decoder's bound on this process's memory is not for the models
            try:
                return replace(look, faces=self._faces.seen(shown, header.upright))
            except Exception as mistake:  # onnxruntime's derive from it alone
                raise FacesBrokenError from mistake

    def _sound(self, data: bytes, header: ImageHeader) -> Image.Image:
        """Return the decoded image, a JPEG at least as large as what is measured; raises InvalidImageError for damage."""
        strip = max(header.width, header.height) > LONGEST_STRIP * min(header.width, header.height)
        # The shorter side decides: of a panorama nearly all of it would be decoded.
        side = FACES_MEASURED if self._faces and not strip else MEASURED
        source = WholeImage(data)
        sound = _decoded_soundly(source, header, at_least=(side, side))
        image = sound or decoded(data, header, at_least=(side, side))
        check_no_zeros(source, header)
        if header.format is ImageFormat.JPEG and sound is None:
            try:
                check_coded_data(source)
            except InvalidImageError as error:
                if header.rare:
                    raise unsupported_pixels(header.rare) from error
                raise
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
            least = size_within(size, LARGE_SIDE) if Change.SHRUNK in changes else None
            image = decoded(data, header, at_least=least)
            mended = _changed(image, header, changes, lossless=lossless)
        return _checked(mended)


def _whole(
    look: ImageInspection, data: bytes, header: ImageHeader, image: Image.Image
) -> ImageInspection:
    """Return the same, its flat part looked at in all of the picture's pixels, which few photos need.

    Raises InvalidImageError where it is what libjpeg fills in for what is missing.
    """
    if look.flat_part is None:
        return look
    if image.size != (header.width, header.height):
        image = decoded(data, header)
    part = as_filled(flat(screen_colours(image, coded=header.coded)), look.flat_part)
    if part is not None and part.sure:
        raise broken()
    return replace(look, flat_part=part)


def _changed(
    image: Image.Image,
    header: ImageHeader,
    changes: Collection[Change],
    *,
    lossless: bool = False,
) -> bytes:
    """Return a decoded image with changed pixels, as a file."""
    shrinks = Change.SHRUNK in changes
    if shrinks and image.mode in PLAIN_MODES:
        image = shrunk(image, LARGE_SIDE, gap=SAVED_GAP)
    image = screen_colours(image, by_profile=not lossless, coded=header.coded)
    upright = turned(image if lossless else flat(image), header)
    if shrinks:
        upright = shrunk(upright, LARGE_SIDE, gap=SAVED_GAP)
    return _encoded(upright, format_after(header, changes, lossless=lossless))


def _checked(mended: bytes) -> Mended:
    """Return a mended image, looked at once more; raises InvalidImageError where something is left to change."""
    after = describe(WholeImage(mended))
    if changes_for(after, transparent=False):
        raise InvalidImageError(
            Flaw.NOT_MENDED,
            "could not be put right. Open it in an image program and save it as JPEG.",
        )
    return Mended(mended, after)


def decoded(
    data: bytes, header: ImageHeader, *, at_least: tuple[int, int] | None = None
) -> Image.Image:
    """Return all of the first picture, decoded as what its header says and as nothing else.

    ``at_least``: a JPEG may come smaller, with at least so many pixels across and down; all of its
    bytes are read nevertheless. Whatever a decoder raises is raised as InvalidImageError.
    """
    with _opened(data, header, at_least) as image:
        image.load()
    if header.rare and image.mode.startswith("I;16") and header.bit_depth not in WHOLE_DEPTHS:
        raise unsupported_pixels(header.rare)  # its numbers do not reach to 65,535
    return image


def _decoded_soundly(
    source: WholeImage, header: ImageHeader, *, at_least: tuple[int, int]
) -> Image.Image | None:
    """Return what ``decoded`` returns of a JPEG that needs no ``check_coded_data`` any more; None of any other image.

    Its coded data is read once for both, which halves the time of a photo.
    """
    if header.format is not ImageFormat.JPEG or header.rare:
        return None
    with _opened(source.data, header, at_least) as image:
        pixels = sound_pixels(source, image.size, image.mode)
    if pixels is None:
        return None
    sound = Image.frombytes(image.mode, image.size, pixels)
    sound.info = image.info
    return sound


@contextmanager
def _opened(
    data: bytes, header: ImageHeader, at_least: tuple[int, int] | None
) -> Iterator[Image.Image]:
    """Yield an image that is to be decoded within this block; raises what ``decoded`` does."""
    check_not_too_large(header.width, header.height, header.format)
    errors: list[str] = []
    messages = tiff_errors() if header.format is ImageFormat.TIFF else nullcontext(errors)
    try:
        with without_warnings(), at_most(MOST_MEMORY), messages as errors:
            source, kinds = _as_known(data, header)
            image = Image.open(source, formats=kinds)
            # A decoder may see another size than we do.
            check_not_too_large(*image.size, header.format)
            if at_least is not None and not is_lossless_coding(header):
                image.draft(None, at_least)
            yield image
    except InvalidImageError:
        raise
    except MemoryError as error:
        raise too_much_work("it unpacks to far more than it shows") from error
    except DECODER_ERRORS as error:
        if header.rare:
            raise unsupported_pixels(header.rare) from error
        raise InvalidImageError(
            Flaw.DAMAGED,
            "cannot be opened to its end: it is damaged or was cut off. Copy it again from the "
            "camera or phone, or leave it out.",
        ) from error
    if errors:
        raise broken()


def _as_known(data: bytes, header: ImageHeader) -> tuple[io.BytesIO, list[str]]:
    """Return the bytes and the name of their format as the decoders know them."""
    kind = header.format.name
    if header.format is ImageFormat.BMP and is_bare_dib(data[:64]):
        kind = "DIB"
    elif header.format is ImageFormat.HEIF and data[8:12] not in PLAIN_BRANDS:
        data = data[:8] + b"mif1" + data[12:]  # pillow-heif looks at the first brand alone
    return io.BytesIO(data), [kind]


def _encoded(image: Image.Image, kind: ImageFormat) -> bytes:
    image.info = {}  # Pillow would write some of it
    buffer = io.BytesIO()
    if kind is ImageFormat.PNG:
        image.save(buffer, "PNG", compress_level=PNG_LEVEL)
    else:
        image.save(buffer, "JPEG", quality=QUALITY, subsampling=FULL_COLOUR)
    return buffer.getvalue()
