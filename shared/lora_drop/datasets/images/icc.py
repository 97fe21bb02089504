"""Whether a colour profile is one that everybody has, or says whose screen it was made for.

Layout: ICC.1:2022, 7.2 (header), 7.3 (tags), 10.15 (mluc); ICC.1:2001-04, 6.5.17 (desc). A Mac writes the
profile of its display into every screenshot, with the display's maker, model and serial number.
"""

import re

MOST = 1024**2  # bytes; what everybody has is far smaller
HEADER, ENTRY = 128, 12
MAX_TAGS = 64
# What a profile for everybody is made of: names, rights, white and black, primaries, curves, tables, and
# how it was measured. What Apple adds for one display (mmod, vcgt, ndin) and colord (meta) is not here.
TAGS = frozenset(
    {
        *(b"desc", b"dscm", b"cprt", b"dmnd", b"dmdd", b"vued", b"tech", b"view", b"meas", b"lumi"),
        *(b"wtpt", b"bkpt", b"chad", b"chrm", b"cicp", b"ciis", b"rig0", b"rig2", b"gamt"),
        *(b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC", b"kTRC"),
        *(b"A2B0", b"A2B1", b"A2B2", b"B2A0", b"B2A1", b"B2A2"),
    }
)
# The names that operating systems, Adobe, cameras and phones give to the colour spaces that are standards.
STANDARD = re.compile(
    r"(?:Compatible with |Generic |Nikon |Canon |Artifex |GIMP built-in )?"
    r"(?:e?sRGB|s?Gr[ae]y|RGB Profile|RGB built-in|Display P3|DCI[- (]?P3|Adobe ?RGB|ProPhoto|ROMM|Apple RGB"
    r"|ColorMatch RGB|Wide Gamut RGB|Camera RGB Profile|Dot Gain|(?:ITU-R )?(?:BT|Rec)\.? ?\d"
    r"|uRGB$|c2$|c2ci$|Google/Skia/).{0,40}",
    re.ASCII,
)


def is_standard(profile: bytes) -> bool:
    """Whether a profile has a standard's name, and only tags that say nothing of a device or a person."""
    if not HEADER + 4 <= len(profile) <= MOST or profile[36:40] != b"acsp":
        return False
    if int.from_bytes(profile[:4]) != len(profile):
        return False
    count = int.from_bytes(profile[HEADER : HEADER + 4])
    table = profile[HEADER + 4 : HEADER + 4 + min(count, MAX_TAGS + 1) * ENTRY]
    entries = [table[at : at + ENTRY] for at in range(0, len(table), ENTRY)]
    if not 0 < len(entries) <= MAX_TAGS or any(entry[:4] not in TAGS for entry in entries):
        return False
    names = [_text(_content(profile, entry)) for entry in entries if entry[:4] == b"desc"]
    return len(names) == 1 and STANDARD.fullmatch(names[0]) is not None


def _content(profile: bytes, entry: bytes) -> bytes:
    at = int.from_bytes(entry[4:8])
    return profile[at : at + int.from_bytes(entry[8:12])]


def _text(content: bytes) -> str:
    """What a name says, in the first of its languages; empty for what is none."""
    if content[:4] == b"desc":
        text = content[12 : 12 + int.from_bytes(content[8:12])].decode("latin-1")
    elif content[:4] == b"mluc":
        length, at = int.from_bytes(content[20:24]), int.from_bytes(content[24:28])
        text = content[at : at + length].decode("utf-16-be", errors="replace")
    else:
        text = ""
    return text.rstrip("\x00").strip()
