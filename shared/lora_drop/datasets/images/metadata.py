"""What an image's metadata says that matters here: orientation, place, and whose colour profile it has.

A colour profile is one of the standards, or says whose screen it was made for: a Mac writes the profile
of its display into every screenshot, with the display's maker, model and serial number. Layout:
ICC.1:2022, 7.2 (header), 7.3 (tags), 10.15 (mluc); ICC.1:2001-04, 6.5.17 (desc).
"""

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
MAX_PROFILE = 1024**2  # bytes; the standard profiles are far smaller
PROFILE_HEADER, PROFILE_ENTRY = 128, 12
MAX_PROFILE_TAGS = 64
# What a standard profile is made of: names, rights, white and black, primaries, curves, tables, and
# how it was measured. What Apple adds for one display (mmod, vcgt, ndin) and colord (meta) is not here.
PROFILE_TAGS = frozenset(
    {
        *(b"desc", b"dscm", b"cprt", b"dmnd", b"dmdd", b"vued", b"tech", b"view", b"meas", b"lumi"),
        *(b"wtpt", b"bkpt", b"chad", b"chrm", b"cicp", b"ciis", b"rig0", b"rig2", b"gamt"),
        *(b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC", b"kTRC"),
        *(b"A2B0", b"A2B1", b"A2B2", b"B2A0", b"B2A1", b"B2A2"),
    }
)
# The names that operating systems, Adobe, cameras and phones give to the colour spaces that are standards.
STANDARD_PROFILES = re.compile(
    r"(?:Compatible with |Generic |Nikon |Canon |Artifex |GIMP built-in )?"
    r"(?:e?sRGB|s?Gr[ae]y|RGB Profile|RGB built-in|Display P3|DCI[- (]?P3|Adobe ?RGB|ProPhoto|ROMM|Apple RGB"
    r"|ColorMatch RGB|Wide Gamut RGB|Camera RGB Profile|Dot Gain|(?:ITU-R )?(?:BT|Rec)\.? ?\d"
    r"|uRGB$|c2$|c2ci$|Google/Skia/).{0,40}",
    re.ASCII,
)


@dataclass(slots=True)
class ImageMetadata:
    """What is gathered while an image's metadata is read; of two values the first one counts."""

    kinds: set[Metadata]
    exif_orientation: int | None = None
    xmp_orientation: int | None = None
    blocks: int = 0

    @property
    def open(self) -> bool:
        """Whether another block is looked into; that it is there is recorded in any case."""
        return self.blocks < MAX_BLOCKS

    @property
    def orientation(self) -> int:
        """The orientation that a viewer applies: EXIF counts, then XMP; a number other than 1 to 8 is 1."""
        orientation = (
            self.xmp_orientation if self.exif_orientation is None else self.exif_orientation
        )
        return orientation if orientation is not None and orientation in ORIENTATIONS else 1

    def exif(self, source: ImageBytes, offset: int, length: int) -> None:
        """Take in a block of EXIF, with or without its “Exif” in front."""
        self.kinds.add(Metadata.EXIF)
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
            self.kinds.add(Metadata.GPS)
        if self.exif_orientation is None and first.numbers(Tag.ORIENTATION):
            self.exif_orientation = first.number(Tag.ORIENTATION, 1)

    def xmp(self, text: bytes) -> None:
        """Take in an XMP packet."""
        self.kinds.add(Metadata.XMP)
        if not self.open:
            return
        self.blocks += 1
        if XMP_GPS.search(text):
            self.kinds.add(Metadata.GPS)
        match = XMP_ORIENTATION.search(text)
        if match and self.xmp_orientation is None:
            self.xmp_orientation = int(match[1])


def is_standard(profile: bytes) -> bool:
    """Return whether a profile has a standard's name, and only tags that say nothing of a device or a person."""
    if not PROFILE_HEADER + 4 <= len(profile) <= MAX_PROFILE or profile[36:40] != b"acsp":
        return False
    if int.from_bytes(profile[:4]) != len(profile):
        return False
    count = int.from_bytes(profile[PROFILE_HEADER : PROFILE_HEADER + 4])
    table = profile[
        PROFILE_HEADER + 4 : PROFILE_HEADER + 4 + min(count, MAX_PROFILE_TAGS + 1) * PROFILE_ENTRY
    ]
    entries = [table[at : at + PROFILE_ENTRY] for at in range(0, len(table), PROFILE_ENTRY)]
    if not 0 < len(entries) <= MAX_PROFILE_TAGS or any(
        entry[:4] not in PROFILE_TAGS for entry in entries
    ):
        return False
    names = [
        _profile_text(_profile_content(profile, entry)) for entry in entries if entry[:4] == b"desc"
    ]
    return len(names) == 1 and STANDARD_PROFILES.fullmatch(names[0]) is not None


def _profile_content(profile: bytes, entry: bytes) -> bytes:
    at = int.from_bytes(entry[4:8])
    return profile[at : at + int.from_bytes(entry[8:12])]


def _profile_text(content: bytes) -> str:
    """Return what a name says, in the first of its languages; empty for what is none."""
    if content[:4] == b"desc":
        text = content[12 : 12 + int.from_bytes(content[8:12])].decode("latin-1")
    elif content[:4] == b"mluc":
        length, at = int.from_bytes(content[20:24]), int.from_bytes(content[24:28])
        text = content[at : at + length].decode("utf-16-be", errors="replace")
    else:
        text = ""
    return text.rstrip("\x00").strip()
