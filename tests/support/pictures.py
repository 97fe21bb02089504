"""Pictures for tests that are about everything but pictures."""

import hashlib
from collections.abc import Collection
from dataclasses import replace

from lora_drop.datasets.images.header import ImageHeader
from lora_drop.datasets.images.pictures import (
    Change,
    ImageInspection,
    Mended,
    Prepared,
    format_after,
)


class BlindPictures:
    """Pictures that takes every image for a good photo of its own, and mends by a label in front."""

    def look(self, data: bytes, header: ImageHeader) -> ImageInspection:
        assert header.width
        return ImageInspection(
            fingerprint=int.from_bytes(hashlib.sha256(data).digest()[:8]),
            brightness=128.0,
            highlights=220,
            sharpness=500.0,
            transparent=False,
            thumbnail=b"thumbnail",
        )

    def look_and_mend(
        self, data: bytes, header: ImageHeader, *, keep_metadata: bool
    ) -> tuple[ImageInspection, Prepared | None]:
        del keep_metadata
        return self.look(data, header), None

    def mend(
        self,
        data: bytes,
        header: ImageHeader,
        changes: Collection[Change],
        *,
        lossless: bool = False,
    ) -> Mended:
        after = replace(
            header, format=format_after(header, changes, lossless=lossless), metadata=frozenset()
        )
        return Mended(b"mended " + data, after)
