"""The facts of an image, from its bytes or from as few of them as it takes."""

from collections.abc import Callable, Iterable, Mapping

from lora_drop.datasets.images.converted import describe_bmp, describe_gif, describe_tiff
from lora_drop.datasets.images.formats import (
    CONVERTED,
    SNIFFED,
    TRAINED,
    ImageFormat,
    is_raw,
    sniff,
)
from lora_drop.datasets.images.header import Flaw, ImageHeader, InvalidImageError
from lora_drop.datasets.images.heif import describe_heif
from lora_drop.datasets.images.jpeg import describe_jpeg
from lora_drop.datasets.images.png import describe_png
from lora_drop.datasets.images.reading import MOST, BeyondPrefixError, ImageBytes, Prefix
from lora_drop.datasets.images.webp import describe_webp

READERS: Mapping[ImageFormat, Callable[[ImageBytes], ImageHeader]] = {
    ImageFormat.JPEG: describe_jpeg,
    ImageFormat.PNG: describe_png,
    ImageFormat.WEBP: describe_webp,
    ImageFormat.HEIF: describe_heif,
    ImageFormat.AVIF: describe_heif,
    ImageFormat.GIF: describe_gif,
    ImageFormat.TIFF: describe_tiff,
    ImageFormat.BMP: describe_bmp,
}

EXPORT = {
    ImageFormat.RAW: "Export the photo as JPEG in sRGB and put that in instead: the camera's program, "
    "Lightroom, darktable and your computer's photo program can do it."
}


def describe(source: ImageBytes) -> ImageHeader:
    """Return what an image says of itself; raises InvalidImageError when it is none that can be trained on.

    The format is read from the bytes. Whether the picture is whole is the decoder's to say, and
    whether it is too large or too small is said in ``limits``. Over a Prefix: BeyondPrefixError when
    what is needed lies behind it; where the size is known, the header is incomplete instead.
    """
    head = source.read(0, SNIFFED)
    if not head:
        raise InvalidImageError(Flaw.EMPTY, "is empty. Copy it again from the camera or phone.")
    kind = sniff(head)
    if kind is None:
        raise InvalidImageError(
            Flaw.NO_IMAGE,
            "is not a photo in any known format, whatever its name says. Open it in an image program "
            "and save it as JPEG, or leave it out.",
        )
    if kind is ImageFormat.TIFF and is_raw(source):
        kind = ImageFormat.RAW
    if kind not in TRAINED and kind not in CONVERTED:
        how = EXPORT.get(kind, "Export the photo as JPEG and put that in instead.")
        raise InvalidImageError(Flaw.UNSUPPORTED, f"is {kind.label}. {how}")
    return READERS[kind](source)


def describe_beginning(pieces: Iterable[bytes], *, most: int = MOST) -> ImageHeader:
    """Return what an image says of itself, from as few of its first bytes as it takes.

    No more than 64 KiB are taken, in whole pieces, but where the header goes on: then 64 KiB more at
    a time. Raises InvalidImageError, and BeyondPrefixError when it goes on behind ``most`` bytes, as the
    directory at the end of many TIFFs does: only the whole file tells then.
    """
    prefix = Prefix(pieces)
    while True:
        try:
            return describe(prefix)
        except BeyondPrefixError as beyond:
            if beyond.end > most:
                raise
            prefix.grow(beyond.end)
