"""How an archive is spoilt: blindly, field by field, and by putting one together that is odd."""

import random
import struct
from collections.abc import Callable, Sequence

from tests.support.zips import (
    END_FIELDS,
    ENTRY_FIELDS,
    LOCAL_FIELDS,
    Part,
    assembled,
    streamed,
    unicode_path,
    zip64_field,
)

type Mutation = Callable[[random.Random, bytes, Sequence[bytes]], bytes]

# Each record's fields behind its signature: their format, and the record's length.
RECORDS = {
    b"PK\x03\x04": "<HHHHHLLLHH",
    b"PK\x01\x02": "<HHHHHHLLLHHHHHLL",
    b"PK\x05\x06": "<HHHHLLH",
    b"PK\x06\x06": "<QHHLLQQQQ",
    b"PK\x06\x07": "<LQL",
    b"PK\x07\x08": "<LLL",
}
NUMBERS = (
    *(0, 1, 2, 4, 8, 9, 12, 22, 30, 46, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF),
    *(0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 2**32, 2**63, 2**64 - 1),
)


def records(data: bytes, signs: Sequence[bytes] = tuple(RECORDS)) -> list[tuple[int, bytes]]:
    """Where a whole record seems to lie, and its signature."""
    places = []
    for sign in signs:
        at = -1
        while (at := data.find(sign, at + 1)) >= 0:
            if at + 4 + struct.calcsize(RECORDS[sign]) <= len(data):
                places.append((at, sign))
    return places


def _number(chance: random.Random, old: int, size: int) -> int:
    new = chance.choice([*NUMBERS, old + 1, old - 1, old ^ (1 << chance.randrange(8 * size))])
    return new % (1 << (8 * size))


def _width(sign: bytes, field: int) -> int:
    return struct.calcsize("<" + RECORDS[sign][field + 1])


def _set(data: bytes, at: int, sign: bytes, field: int, new: int) -> bytes:
    fields = list(RECORDS[sign][1:])
    start = at + 4 + struct.calcsize("<" + "".join(fields[:field]))
    raw = struct.pack("<" + fields[field], new)
    return data[:start] + raw + data[start + len(raw) :]


def _field(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """One field of one record."""
    places = records(data)
    if not places:
        return data[1:]
    at, sign = chance.choice(places)
    field = chance.randrange(len(RECORDS[sign]) - 1)
    old = struct.unpack_from(RECORDS[sign], data, at + 4)[field]
    return _set(data, at, sign, field, _number(chance, old, _width(sign, field)))


def _lie(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """The same field of a file in both of its headers, to the same."""
    entries = records(data, [b"PK\x01\x02"])
    if not entries:
        return data[:-1]
    at, sign = chance.choice(entries)
    name = chance.choice(LOCAL_FIELDS[:-2])
    field = ENTRY_FIELDS.index(name)
    values = struct.unpack_from(RECORDS[sign], data, at + 4)
    new = _number(chance, values[field], _width(sign, field))
    data = _set(data, at, sign, field, new)
    local = values[-1]
    if data[local : local + 4] == b"PK\x03\x04" and local + 30 <= len(data):
        data = _set(data, local, b"PK\x03\x04", LOCAL_FIELDS.index(name), new)
    return data


def _bits(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """A few bits anywhere."""
    changed = bytearray(data or b"\0")
    for _bit in range(chance.randint(1, 4)):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _header_bits(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """A bit of a record, its name or its extra field."""
    places = records(data)
    if not places:
        return data[::-1]
    at, sign = chance.choice(places)
    at += chance.randrange(4 + struct.calcsize(RECORDS[sign]) + 40)
    changed = bytearray(data)
    changed[min(at, len(data) - 1)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Cut off at the end, or at the beginning."""
    at = chance.randrange(len(data) + 1)
    return data[:at] if chance.random() < 0.8 else data[at:]


def _slice(chance: random.Random, data: bytes) -> tuple[int, int]:
    start = chance.randrange(len(data) + 1)
    return start, min(len(data), start + chance.choice([1, 2, 4, 12, 16, 30, 46, 100]))


def _remove(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Some bytes taken out."""
    start, end = _slice(chance, data)
    return data[:start] + data[end:]


def _insert(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Some bytes put in: noise, noughts or the archive's own."""
    start, end = _slice(chance, data)
    size = end - start
    new = chance.choice([chance.randbytes(size), bytes(size), data[start:end]])
    at = chance.choice([0, start, len(data)])
    return data[:at] + new + data[at:]


def _splice(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The beginning of one archive and the end of another."""
    other = chance.choice(others)
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


def _directory(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Entries of the directory dropped, doubled or turned around, and the end changed accordingly."""
    end = data.rfind(b"PK\x05\x06")
    if end < 0 or end + 22 > len(data):
        return data + b"PK\x05\x06"
    tell = dict(zip(END_FIELDS, struct.unpack_from("<4H2LH", data, end + 4), strict=True))
    begin = tell["offset"]
    places = [at for at, _ in records(data, [b"PK\x01\x02"]) if begin <= at < end]
    if not places:
        return data + bytes(1)
    pieces = [data[at:to] for at, to in zip(places, [*places[1:], end], strict=True)]
    picked = chance.choice([
        chance.sample(pieces, len(pieces)),
        [*pieces, chance.choice(pieces)],
        [piece for piece in pieces if chance.random() < 0.7],
    ])  # fmt: skip
    directory = b"".join(picked)
    count = struct.pack("<2HLL", len(picked), len(picked), len(directory), begin)
    return data[:begin] + directory + data[end : end + 8] + count + data[end + 20 :]


NAMES = (
    *(b"a.jpg", b"A.jpg", b"b/a.jpg", b"b\\a.jpg", b"b/", b"b", b"\x81.jpg", b"..", b"", b"c.txt"),
    *("é.jpg".encode(), "e\u0301.jpg".encode(), b"__MACOSX/._a.jpg", b"training.json", b"x\0.jpg"),
)


def _odd_part(chance: random.Random) -> Part:
    name = chance.choice(NAMES)
    content = b"" if name.endswith(b"/") else chance.randbytes(chance.choice([0, 1, 20, 300]))
    extra = chance.choice(
        [b"", b"\0\0\0", zip64_field(), zip64_field(len(content)), b"UT\x05\x00\x01\0\0\0\0"]
    )
    extra += chance.choice([b"", unicode_path(name, b"d.jpg"), unicode_path(b"?", b"d.jpg")])
    part = Part(
        name=name,
        content=content,
        method=chance.choice([0, 8, 8]),
        flags=chance.choice([0, 0, 0x800, 2, 1]),
        extra=extra,
        local_extra=chance.choice([b"", extra, bytes(8)]),
        mode=chance.choice([0, 0o100644, 0o120777]),
    )
    if chance.random() < 0.4:
        part = streamed(part, signed=chance.random() < 0.6, wide=chance.random() < 0.3)
    return part


def _odd(chance: random.Random, _: bytes, others: Sequence[bytes]) -> bytes:
    """An archive put together from odd parts, and now and then spoilt as well."""
    parts = [_odd_part(chance) for _ in range(chance.randint(0, 5))]
    data = assembled(
        parts,
        comment=chance.choice([b"", b"", b"hello", b"PK\x05\x06" + bytes(18)]),
        zip64=chance.random() < 0.3,
        prefix=chance.choice([b"", b"", b"", b"MZ"]),
    )
    return (
        chance.choice([_field, _lie, _header_bits])(chance, data, others)
        if chance.random() < 0.6
        else data
    )


MUTATIONS: dict[str, Mutation] = {
    "bits": _bits,
    "bits of a record": _header_bits,
    "a field": _field,
    "a field, both headers": _lie,
    "cut": _cut,
    "bytes removed": _remove,
    "bytes inserted": _insert,
    "two archives spliced": _splice,
    "directory rearranged": _directory,
    "odd parts": _odd,
}


def mutated(chance: random.Random, bases: Sequence[bytes]) -> tuple[str, bytes]:
    """One spoilt archive, and what was done to it."""
    kind = chance.choice(list(MUTATIONS))
    return kind, MUTATIONS[kind](chance, chance.choice(bases), bases)
