"""What a safetensors file says of itself, believed only where all of it holds together.

Format: 8 bytes with the header's length, the header as JSON, then the tensors' bytes
(https://github.com/huggingface/safetensors#format). The reference reader lets duplicate and unknown
keys pass; here a header means one thing to every reader, or it is refused.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NoReturn

from lora_drop.jobs.problems import shortened

PREFIX = 8
MAX_HEADER = 16 * 1024**2
MAX_TENSORS = 20_000
MAX_DIMENSIONS = 64  # NumPy's and PyTorch's own limit
# Objects, lists and commas outside of texts. A header of MAX_TENSORS matrices has 200,000, and one
# of 16 MiB could make Python hold a gigabyte of empty lists.
MAX_PARTS = 300_000
MAX_U64 = 2**64 - 1
METADATA = "__metadata__"
ENTRY = frozenset({"dtype", "shape", "data_offsets"})
# Bits of an element: every Dtype of the reference implementation (crate safetensors 0.8).
BITS: Mapping[str, int] = {
    "F4": 4,
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("C64", "F64", "I64", "U64"), 64),
}
GZIP = b"\x1f\x8b\x08"
# What comes in place of weights: an older checkpoint, or an error that was saved under their name.
OTHER_FILES: Mapping[bytes, str] = {
    b"\x80": "a Python pickle, which could run code when it is opened",
    b"PK": "a ZIP, as older PyTorch checkpoints are, which could run code when it is opened",
    GZIP: "a gzip file",
    b"<": "an HTML or XML page",
    b"{": "JSON text",
    b"[": "JSON text",
}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Possessive and with an end that may be missing: linear in whatever is thrown at it.
TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


class Flaw(StrEnum):
    """The ways to be wrong, each with a stable code."""

    TOO_SHORT = "weights_too_short"
    OTHER_FILE = "weights_other_file"
    HEADER_TOO_LARGE = "weights_header_too_large"
    HEADER_TOO_SMALL = "weights_header_too_small"
    HEADER_CUT = "weights_header_cut"
    HEADER_START = "weights_header_start"
    NOT_UTF8 = "weights_header_not_utf8"
    NOT_JSON = "weights_header_not_json"
    TOO_COMPLEX = "weights_header_too_complex"
    DUPLICATE_KEY = "weights_duplicate_key"
    BAD_NUMBER = "weights_bad_number"
    BAD_METADATA = "weights_bad_metadata"
    NO_TENSORS = "weights_no_tensors"
    TOO_MANY_TENSORS = "weights_too_many_tensors"
    BAD_ENTRY = "weights_bad_entry"
    UNKNOWN_DTYPE = "weights_unknown_dtype"
    BAD_SHAPE = "weights_bad_shape"
    BAD_OFFSETS = "weights_bad_offsets"
    OVERFLOW = "weights_overflow"
    PART_OF_A_BYTE = "weights_part_of_a_byte"
    WRONG_SIZE = "weights_wrong_size"
    HOLE = "weights_hole"
    OVERLAP = "weights_overlap"
    TENSORS_CUT = "weights_tensors_cut"
    TRAILING_BYTES = "weights_trailing_bytes"


class InvalidWeightsError(ValueError):
    """Raised when a file is no sound safetensors file; ``flaw`` says in which way."""

    def __init__(self, flaw: Flaw, message: str) -> None:
        super().__init__(message)
        self.flaw = flaw


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a sound file: the type of its numbers, and its shape."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WeightsSummary:
    """What a sound file holds: how many tensors, their bytes in all, its metadata, and each tensor by its name."""

    tensors: int
    tensor_bytes: int
    metadata: Mapping[str, str]
    entries: Mapping[str, Tensor] = field(default_factory=dict, compare=False, repr=False)


def header_length(first: bytes) -> int:
    """Return the bytes of the header that follows the first 8 bytes; raises InvalidWeightsError."""
    length = int.from_bytes(first[:PREFIX], "little")
    # A length may look like the start of another file, so only what is none is looked at. But for
    # gzip: without a timestamp it is 559,903, which no writer that aligns its header comes to.
    if len(first) < PREFIX or length > MAX_HEADER or first.startswith(GZIP):
        _refuse_other_files(first)
    if len(first) < PREFIX:
        raise InvalidWeightsError(
            Flaw.TOO_SHORT,
            f"The file has {len(first)} bytes; the length of its header alone has 8.",
        )
    if length > MAX_HEADER:
        raise InvalidWeightsError(
            Flaw.HEADER_TOO_LARGE,
            f"The header would have {length:,} bytes; {MAX_HEADER:,} at most.",
        )
    if length < len("{}"):
        raise InvalidWeightsError(
            Flaw.HEADER_TOO_SMALL, f"The header would have {length} bytes, too few for any tensor."
        )
    return length


def check_weights(head: bytes, *, file_size: int) -> WeightsSummary:
    """Return what the file holds, from its first 8 bytes and its header; raises InvalidWeightsError.

    More bytes than that may be given and are not looked at. ``file_size`` in bytes: the tensors
    have to fill the file from the header to its end, each byte once.
    """
    length = header_length(head)
    start = PREFIX + length
    here = min(len(head), file_size)
    if here < start:
        raise InvalidWeightsError(
            Flaw.HEADER_CUT,
            f"The header would have {length:,} bytes, and the file ends after {here - PREFIX:,}.",
        )
    entries = _parsed(head[PREFIX:start])
    metadata = _metadata(entries.pop(METADATA, {}))
    if not entries:
        raise InvalidWeightsError(Flaw.NO_TENSORS, "The file holds no tensor.")
    if len(entries) > MAX_TENSORS:
        raise InvalidWeightsError(
            Flaw.TOO_MANY_TENSORS,
            f"The file says it holds {len(entries):,} tensors; {MAX_TENSORS:,} at most.",
        )
    end = _end_of(_span(name, entry) for name, entry in entries.items())
    if start + end > file_size:
        raise InvalidWeightsError(
            Flaw.TENSORS_CUT,
            f"The tensors end at byte {start + end:,}, and the file already at {file_size:,}.",
        )
    if start + end < file_size:
        raise InvalidWeightsError(
            Flaw.TRAILING_BYTES,
            f"{file_size - start - end:,} bytes after the last tensor belong to none.",
        )
    sound = {name: Tensor(each["dtype"], tuple(each["shape"])) for name, each in entries.items()}
    return WeightsSummary(len(entries), end, metadata, sound)


def _refuse_other_files(first: bytes) -> None:
    text = first.removeprefix(BYTE_ORDER_MARK).lstrip()
    for magic, kind in OTHER_FILES.items():
        if first.startswith(magic) or text.startswith(magic):
            raise InvalidWeightsError(Flaw.OTHER_FILE, f"This is {kind}, not a safetensors file.")


def _parsed(header: bytes) -> dict[str, Any]:
    if not header.startswith(b"{"):
        raise InvalidWeightsError(Flaw.HEADER_START, "The header is no JSON object.")
    bare = TEXTS.sub(b"", header)
    if sum(bare.count(mark) for mark in (b"{", b"[", b",")) > MAX_PARTS:
        raise InvalidWeightsError(
            Flaw.TOO_COMPLEX, f"The header has more than {MAX_PARTS:,} parts."
        )
    try:
        parsed: dict[str, Any] = json.loads(
            header.decode(),
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_float=_no_number,
            parse_constant=_no_number,
        )
    except InvalidWeightsError:
        raise
    except UnicodeError as error:  # half a surrogate pair as well, from _object
        raise InvalidWeightsError(Flaw.NOT_UTF8, "The header is not UTF-8.") from error
    except RecursionError as error:
        raise InvalidWeightsError(Flaw.TOO_COMPLEX, "The header is nested without end.") from error
    except ValueError as error:
        raise InvalidWeightsError(Flaw.NOT_JSON, f"The header is no JSON: {error}.") from error
    return parsed


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object whose every key is there once and whose every text can be written down."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise InvalidWeightsError(Flaw.DUPLICATE_KEY, f"The header names {_quoted(key)} twice.")
        for text in (key, value):
            if isinstance(text, str):
                text.encode()
        found[key] = value
    return found


def _whole(digits: str) -> int:
    """Return a number from 0 to 2**64 - 1; int() itself gives up on more than 4,300 digits."""
    if len(digits) > len(str(MAX_U64)) or digits.startswith("-") or int(digits) > MAX_U64:
        _no_number(digits)
    return int(digits)


def _no_number(text: str) -> NoReturn:
    raise InvalidWeightsError(
        Flaw.BAD_NUMBER,
        f"The header has {shortened(text, 40)} where only whole numbers of 64 bits make sense.",
    )


def _metadata(value: object) -> dict[str, str]:
    if isinstance(value, dict) and all(isinstance(each, str) for each in value.values()):
        return value
    raise InvalidWeightsError(Flaw.BAD_METADATA, f"{METADATA} is not an object of texts.")


def _span(name: str, entry: object) -> tuple[int, int, str]:
    """Return where a tensor begins and ends among the tensors' bytes, and its name."""
    if not isinstance(entry, dict) or entry.keys() != ENTRY:
        raise _flawed(Flaw.BAD_ENTRY, name, f"is not described by {', '.join(sorted(ENTRY))} alone")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise _flawed(Flaw.UNKNOWN_DTYPE, name, "has a dtype that the format does not know")
    if not _whole_numbers(shape) or len(shape) > MAX_DIMENSIONS:
        raise _flawed(
            Flaw.BAD_SHAPE, name, f"has a shape that is not {MAX_DIMENSIONS} whole numbers or fewer"
        )
    if not _whole_numbers(offsets) or len(offsets) != len(("begin", "end")):
        raise _flawed(Flaw.BAD_OFFSETS, name, "has data_offsets that are not two whole numbers")
    begin, end = offsets
    if begin > end:
        raise _flawed(Flaw.BAD_OFFSETS, name, "ends before it begins")
    size = _size(name, shape, BITS[dtype])
    if size != end - begin:
        raise _flawed(
            Flaw.WRONG_SIZE, name, f"has {end - begin:,} bytes, and needs {size:,} for its shape"
        )
    return begin, end, name


def _whole_numbers(value: object) -> bool:
    return isinstance(value, list) and all(type(each) is int for each in value)  # True is an int


def _size(name: str, shape: list[int], bits: int) -> int:
    """Return bytes of a tensor, multiplied as 64 bits would: a 0 at the end mends no overflow before it."""
    elements = 1
    for dimension in shape:
        elements *= dimension
        if elements > MAX_U64:
            break
    if elements * bits > MAX_U64:
        raise _flawed(Flaw.OVERFLOW, name, "has more elements than 64 bits can count")
    if elements * bits % 8:
        raise _flawed(Flaw.PART_OF_A_BYTE, name, "ends in the middle of a byte")
    return elements * bits // 8


def _end_of(spans: Iterable[tuple[int, int, str]]) -> int:
    """Return where the last tensor ends, after seeing that each begins where the one before it ends."""
    last = 0
    for begin, end, name in sorted(spans):
        if begin > last:
            raise _flawed(Flaw.HOLE, name, f"begins {begin - last:,} bytes after the one before it")
        if begin < last:
            raise _flawed(Flaw.OVERLAP, name, "lies over the one before it")
        last = end
    return last


def _flawed(flaw: Flaw, name: str, says: str) -> InvalidWeightsError:
    return InvalidWeightsError(flaw, f"Tensor {_quoted(name)} {says}.")


def _quoted(name: str) -> str:
    """Return a name from outside, short and with nothing in it that a terminal or a log would obey."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in shortened(name, 120))
    return f"“{shown}”"
