"""What takes a decoder: how an image looks, and a mended copy of it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from lora_drop.datasets.images.header import ImageHeader
from lora_drop.datasets.images.mending import Change


@dataclass(frozen=True, slots=True)
class ImageInspection:
    """How an image looks, upright and in sRGB, measured on a copy of at most 512 pixels a side.

    ``fingerprint``: 64 bits, see ``similarity``. ``brightness``: the mean of its grey values, 0 to
    255. ``highlights``: the grey value that only a twentieth of its pixels are brighter than.
    ``sharpness``: the variance of its Laplacian, in squared grey values; blur makes it small.
    ``transparent``: whether one can see through any of its pixels. ``thumbnail``: a JPEG of at most
    320 pixels a side, without metadata.
    """

    fingerprint: int
    brightness: float
    highlights: int
    sharpness: float
    transparent: bool
    thumbnail: bytes


@dataclass(frozen=True, slots=True)
class Mended:
    """A mended image, and what it says of itself now."""

    data: bytes
    header: ImageHeader


class Pictures(Protocol):
    """A decoder and encoder of images."""

    def look(self, data: bytes, header: ImageHeader) -> ImageInspection:
        """Decode all of an image, and say how it looks; raises InvalidImageError when it cannot be."""

    def mend(
        self,
        data: bytes,
        header: ImageHeader,
        changes: Collection[Change],
        *,
        lossless: bool = False,
    ) -> Mended:
        """The image with these changes made, and no metadata; raises InvalidImageError when it cannot be.

        The same input makes the same bytes. Where pixels change, all metadata goes, asked for or
        not, and the colours become sRGB. ``lossless``: as for ``changes_for`` and ``format_after``; an
        image of 8 bits keeps all of its numbers, those of its alpha channel as well.
        """
