"""What a picture's numbers mean: whether a profile is sRGB, and profiles for what HEIF and AVIF say in numbers.

Sources: ICC.1:2022, 7.3 (tags), 10.6 (curv), 10.18 (para), 10.31 (XYZ); ITU-T H.273, tables 2 and 3 (primaries and
transfer); ITU-R BT.2100-2, tables 4 and 5 (PQ, HLG); ITU-R BT.2408-7, 2.1 (white of 203 cd/m2); IEC 61966-2-1.
"""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

HEADER, ENTRY = 128, 12
# Columns of sRGB towards D50, as its profile has them.
SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
BT2020 = ((0.6734, 0.2790, -0.0019), (0.1657, 0.6753, 0.0299), (0.1251, 0.0456, 0.7970))
NEAR, NEAR_CURVE = 0.01, 0.03
MIDDLE = 0.2140  # what sRGB makes of one half
WHITE = 203.0  # cd/m2 of a white sheet in HDR, which becomes the white of a screen
HLG_PEAK, HLG_GAMMA = 1000.0, 1.2
KNEE = 0.75  # what is brighter is pressed together below 1
POINTS = 1024


class Transfer(IntEnum):
    """Transfer characteristics that are HDR (H.273, table 3)."""

    PQ = 16
    HLG = 18


PRIMARIES: Mapping[int, tuple[tuple[float, float, float], ...]] = {
    1: SRGB,
    9: BT2020,
    11: P3,
    12: P3,
}


@dataclass(frozen=True, slots=True)
class Coded:
    """Colours that are said in numbers (H.273), not by a profile.

    ``over_profile``: they count before a profile, as in a PNG (third edition, 11.3.2.6, cICP).
    """

    primaries: int
    transfer: int
    over_profile: bool = False

    @property
    def hdr(self) -> bool:
        """Whether brightness goes far beyond a screen's white."""
        return self.transfer in (Transfer.PQ, Transfer.HLG)

    @property
    def wide(self) -> bool:
        """Whether the numbers mean other colours than those of sRGB."""
        return self.hdr or (self.primaries != 1 and self.primaries in PRIMARIES)


def is_srgb(profile: bytes) -> bool:
    """Return whether numbers with this profile are shown right without it; so is a profile that makes no sense.

    Grey and printing profiles count as well: they are not about the colours of RGB.
    """
    if len(profile) < HEADER + 4 or profile[36:40] != b"acsp" or profile[16:20] != b"RGB ":
        return True
    tags = _tags(profile)
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    if not all(name in tags for name in (*names, b"gTRC")):
        return b"sRGB" in profile or b"s\x00R\x00G\x00B" in profile
    columns = [_xyz(tags[name]) for name in names]
    alike = all(
        abs(own - its) <= NEAR
        for column, of_srgb in zip(columns, SRGB, strict=True)
        for own, its in zip(column, of_srgb, strict=True)
    )
    return alike and abs(_middle(tags[b"gTRC"]) - MIDDLE) <= NEAR_CURVE


def _tags(profile: bytes) -> Mapping[bytes, bytes]:
    count = min(int.from_bytes(profile[HEADER : HEADER + 4]), 64)
    table = profile[HEADER + 4 : HEADER + 4 + count * ENTRY]
    found: dict[bytes, bytes] = {}
    for at in range(0, len(table) - ENTRY + 1, ENTRY):
        name, offset, length = struct.unpack(">4sII", table[at : at + ENTRY])
        found[name] = profile[offset : offset + min(length, 65_536)]
    return found


def _fixed(data: bytes) -> float:
    return int.from_bytes(data, signed=True) / 65_536


def _xyz(data: bytes) -> tuple[float, ...]:
    return tuple(_fixed(data[at : at + 4]) for at in (8, 12, 16))


def _middle(curve: bytes) -> float:
    """Return what a curve makes of one half."""
    if curve[:4] == b"para":
        kind, values = (
            int.from_bytes(curve[8:10]),
            [_fixed(curve[at : at + 4]) for at in (12, 16, 20)],
        )
        base = (values[1] * 0.5 + values[2]) if kind else 0.5
        return math.pow(max(base, 0.0), values[0])
    count = int.from_bytes(curve[8:12])
    if count == 0:
        return 0.5
    if count == 1:
        return math.pow(0.5, int.from_bytes(curve[12:14]) / 256)
    at = 12 + 2 * (count // 2)
    return int.from_bytes(curve[at : at + 2]) / 65_535


def profile_of(coded: Coded) -> bytes:
    """Return a profile (ICC, version 2: a matrix and curves) for colours that are said in numbers.

    Of HDR the curves hold the tone mapping as well: white (203 cd/m2) becomes the screen's white, and
    what is brighter is pressed together. Each channel is mapped for itself, as cameras do it.
    """
    transfer = (
        {Transfer.PQ: _pq, Transfer.HLG: _hlg}.get(Transfer(coded.transfer)) if coded.hdr else None
    )
    curve = [round(65_535 * _of(transfer, at / (POINTS - 1))) for at in range(POINTS)]
    packed = b"curv" + bytes(4) + struct.pack(f">I{POINTS}H", POINTS, *curve)
    columns = PRIMARIES.get(coded.primaries, SRGB)
    tags = {
        name: _packed_xyz(column)
        for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)
    }
    tags[b"wtpt"] = _packed_xyz((0.9642, 1.0, 0.8249))
    at = HEADER + 4 + ENTRY * (len(tags) + 3)
    entries, body = [], b""
    for name, data in tags.items():
        entries.append(struct.pack(">4sII", name, at + len(body), len(data)))
        body += data
    entries += [
        struct.pack(">4sII", name, at + len(body), len(packed))
        for name in (b"rTRC", b"gTRC", b"bTRC")
    ]
    size = at + len(body) + len(packed)
    head = struct.pack(
        ">I4sI4s4s4s12x4s24xI", size, bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"acsp", 0
    )
    head += struct.pack(">3i", *(round(65_536 * value) for value in (0.9642, 1.0, 0.8249)))
    return head.ljust(HEADER, b"\0") + len(entries).to_bytes(4) + b"".join(entries) + body + packed


def _packed_xyz(column: Sequence[float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65_536 * value) for value in column))


def _of(hdr: Callable[[float], float] | None, signal: float) -> float:
    return _pressed(hdr(signal) / WHITE) if hdr else _srgb(signal)


def _pressed(value: float) -> float:
    room = 1 - KNEE
    return value if value <= KNEE else KNEE + room * (1 - math.exp(-(value - KNEE) / room))


def _srgb(signal: float) -> float:
    return signal / 12.92 if signal <= 0.04045 else ((signal + 0.055) / 1.055) ** 2.4  # noqa: PLR2004


def _pq(signal: float) -> float:
    """Return cd/m2 (BT.2100, table 4)."""
    root = signal ** (32 / 2523)
    above = max(root - 3424 / 4096, 0.0)
    return 10_000 * float((above / (2413 / 128 - 2392 / 128 * root)) ** (16_384 / 2610))


def _hlg(signal: float) -> float:
    """Return cd/m2 on a display of 1,000 (BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = signal**2 / 3 if signal <= 0.5 else (math.exp((signal - c) / a) + b) / 12  # noqa: PLR2004
    return HLG_PEAK * float(scene**HLG_GAMMA)
