"""What EXIF and XMP say that matters here: which way is up, and where a photo was taken."""

import re
from dataclasses import dataclass

from lora_drop.datasets.images.header import Metadata
from lora_drop.datasets.images.reading import ImageBytes, Part
from lora_drop.datasets.images.tags import EXIF_PREFIX, Directory, Tag, open_tiff

ORIENTATIONS = range(1, 9)
# XMP part 2, 3.3 (tiff:Orientation) and 3.4 (exif:GPSLatitude and its like).
XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
XMP_GPS = re.compile(rb"exif:GPS")
MAX_XMP = 256 * 1024
# A photo has one of each kind; a file that is made to take long has thousands.
MAX_BLOCKS = 16


@dataclass(slots=True)
class ImageMetadata:
    """What is gathered while an image's metadata goes by; the first word on a matter holds."""

    found: set[Metadata]
    exif_orientation: int | None = None
    xmp_orientation: int | None = None
    blocks: int = 0

    @property
    def open(self) -> bool:
        """Whether another block is looked into; its being there is noted in any case."""
        return self.blocks < MAX_BLOCKS

    @property
    def orientation(self) -> int:
        """What a viewer does: EXIF has the say, then XMP; whatever is not 1 to 8 is 1."""
        said = self.xmp_orientation if self.exif_orientation is None else self.exif_orientation
        return said if said is not None and said in ORIENTATIONS else 1

    def exif(self, source: ImageBytes, offset: int, length: int) -> None:
        """Take in a block of EXIF, with or without its “Exif” in front."""
        self.found.add(Metadata.EXIF)
        if not self.open:
            return
        self.blocks += 1
        prefix = EXIF_PREFIX.match(source.read(offset, min(length, 12)))
        skipped = prefix.end() if prefix else 0
        tiff = open_tiff(Part(source, offset + skipped, length - skipped))
        if tiff is not None:
            self.tags(tiff.directory(tiff.first))

    def tags(self, first: Directory) -> None:
        """Take in the first directory of EXIF or of a TIFF."""
        if Tag.GPS in first:
            self.found.add(Metadata.GPS)
        if self.exif_orientation is None and first.numbers(Tag.ORIENTATION):
            self.exif_orientation = first.number(Tag.ORIENTATION, 1)

    def xmp(self, text: bytes) -> None:
        """Take in an XMP packet."""
        self.found.add(Metadata.XMP)
        if not self.open:
            return
        self.blocks += 1
        if XMP_GPS.search(text):
            self.found.add(Metadata.GPS)
        match = XMP_ORIENTATION.search(text)
        if match and self.xmp_orientation is None:
            self.xmp_orientation = int(match[1])
