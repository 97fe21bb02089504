"""Files that are no sound safetensors files, at least three for every way to be wrong."""

import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lora_drop.results.safetensors import MAX_HEADER, MAX_TENSORS, PREFIX, Flaw
from tests.support.builders import make_archive


def file_of(header: object, *, data: int = 16) -> bytes:
    """A file with this header, as it is or as JSON, and so many bytes of tensors."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(PREFIX, "little") + text + bytes(data)


def tensor(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16], **changes}


def at(begin: int, end: int) -> dict[str, Any]:
    return tensor(dtype="U8", shape=[end - begin], data_offsets=[begin, end])


def claims(length: int) -> bytes:
    return length.to_bytes(PREFIX, "little") + b"{}" + bytes(30)


TENSOR = json.dumps(tensor()).encode()
GOOD = file_of({"__metadata__": {"format": "pt"}, "a": tensor()})
MANY = json.dumps({f"{n}": at(0, 16) for n in range(100_000)}).encode()
PICKLE = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01u."
NO_TEXTS: Sequence[Any] = (
    *(None, [], "text", 1, True),
    *({"a": 1}, {"a": None}, {"a": {}}, {"a": ["b"]}),
)
NO_SHAPES: Sequence[Any] = (
    *(None, 4, "4", "22", {}, {"0": 2}, True, [True, True], [2, None], [2, "2"]),
    *([[2, 2]], [2, [2]], [{}], [1] * 65),
)
FLAWED: Mapping[Flaw, Sequence[bytes]] = {
    Flaw.TOO_SHORT: [b"", b"\x00", b"not yet", bytes(7), GOOD[:7]],
    Flaw.OTHER_FILE: [
        *(PICKLE, b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94.", b"\x80\x02."),
        *(make_archive(), b"PK\x05\x06" + bytes(18), b"PK"),
        *(
            b"<!DOCTYPE html><html></html>",
            b"\n <html></html>",
            b"<Error/>",
            b"<?xml version='1'?>",
        ),
        *(b'{"detail": "Not found"}', b'\xef\xbb\xbf{"detail": "no"}', b"{}", b'[{"a": 1}, {}]'),
        *(gzip.compress(GOOD), gzip.compress(GOOD, mtime=1_700_000_000), b"\x1f\x8b\x08"),
    ],
    Flaw.HEADER_TOO_LARGE: [
        *(claims(length) for length in (MAX_HEADER + 1, 2**32, 2**63, 2**64 - 1)),
        *(b"\x93NUMPY\x01\x00v\x00", b"GGUF\x03\x00\x00\x00", b"\x89PNG\r\n\x1a\n", b"\xff" * 8),
    ],
    Flaw.HEADER_TOO_SMALL: [claims(0), claims(1), bytes(8), bytes(1000)],
    Flaw.HEADER_CUT: [claims(33), claims(1000), claims(MAX_HEADER), GOOD[:8], GOOD[:60]],
    Flaw.HEADER_START: [
        *(file_of(b" " + TENSOR), file_of([1]), file_of("text"), file_of(b"\x80\x02}q\x00.")),
        *(file_of(b"\xef\xbb\xbf{}"), file_of(b"null"), file_of(bytes(100)), file_of(b"\n{}")),
    ],
    Flaw.NOT_UTF8: [
        file_of(b'{"' + text + b'":' + TENSOR + b"}")
        for text in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe9t\xe9")
    ]
    + [
        file_of(b'{"\\ud800":' + TENSOR + b"}"),
        file_of(b'{"__metadata__":{"a":"\\udfff"},"a":' + TENSOR + b"}"),
    ],
    Flaw.NOT_JSON: [
        file_of(text)
        for text in (
            *(b"{}{}", b"{ ", b"{]", b'{"a"', b'{"a":}', b"{'a':1}", b'{"a":tru}', b'{"a":01}'),
            *(b'{"a":+1}', b'{"a":0x10}', b'{"a":{},}', b'{"a\x01":{}}', b'{"a":"\\x"}', b"{} x"),
            *(b"{}\x00\x00", b'{"a": // b\n {}}', b'{"a":\xc2\xa0{}}', b'{"' + b'\\"' * 100_000),
        )
    ],
    Flaw.TOO_COMPLEX: [
        file_of(b'{"a":' + b"[" * 100_000),
        file_of(b'{"a":' * 100_000),
        file_of(b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
        file_of(b'{"a":[' + b"[]," * 400_000 + b"[]]}"),
        file_of(b'{"a":[' + b"1," * 400_000 + b"1]}"),
        file_of(b'{"__metadata__":{' + b'"a":"",' * 400_000 + b'"a":""}}'),
        file_of(MANY),  # attacks/safetensors_abuse_attempt_3.py of the reference implementation
    ],
    Flaw.DUPLICATE_KEY: [
        file_of(text)
        for text in (
            b'{"a":' + TENSOR + b',"a":' + TENSOR + b"}",
            b'{"a":' + TENSOR + b',"\\u0061":{}}',
            b'{"__metadata__":{},"__metadata__":{},"a":' + TENSOR + b"}",
            b'{"__metadata__":{"a":"1","a":"1"},"a":' + TENSOR + b"}",
            b'{"a":{"dtype":"U8","dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}',
            b'{"a":{"dtype":"F32","shape":[1],"shape":[2,2],"data_offsets":[0,16]}}',
        )
    ],
    Flaw.BAD_NUMBER: [
        file_of(b'{"a":{"dtype":"F32","shape":[2,' + number + b'],"data_offsets":[0,16]}}')
        for number in (
            *(b"-1", b"-0", b"2.0", b"2e0", b"1e400", b"NaN", b"Infinity", b"-Infinity"),
            *(b"18446744073709551616", b"9" * 5000, b"-" + b"9" * 5000, b"1E5", b"0.5"),
        )
    ]
    + [file_of(b'{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,-16]}}')],
    Flaw.BAD_METADATA: [file_of({"__metadata__": value, "a": tensor()}) for value in NO_TEXTS],
    Flaw.NO_TENSORS: [
        *(file_of({}), file_of({}, data=0), file_of({"__metadata__": {"format": "pt"}})),
        file_of(b"{}" + b" " * 100),
    ],
    Flaw.TOO_MANY_TENSORS: [
        file_of({f"{n}": value for n in range(MAX_TENSORS + 1)}) for value in (1, {}, at(0, 16))
    ],
    Flaw.BAD_ENTRY: [
        file_of({"a": value})
        for value in (
            *(None, True, 1, "F32", [], ["F32", [2, 2], [0, 16]], {}, tensor(strides=[2, 1])),
            *(tensor(byte_order="big"), tensor(Dtype="F32"), {"dtype": "F32", "shape": [4]}),
            {"dtype": "F32", "data_offsets": [0, 16]},
            {"shape": [2, 2], "data_offsets": [0, 16]},
        )
    ],
    Flaw.UNKNOWN_DTYPE: [
        file_of({"a": tensor(dtype=value)})
        for value in (
            *("f32", "F32 ", "", "float32", "F128", "F8", "U4", "I4", "O", "object"),
            *(None, 1, True, ["F32"], {"F32": "F32"}),
        )
    ],
    Flaw.BAD_SHAPE: [file_of({"a": tensor(shape=value)}) for value in NO_SHAPES],
    Flaw.BAD_OFFSETS: [
        file_of({"a": tensor(data_offsets=value)})
        for value in (
            *(None, 16, "0,16", {}, [], [0], [0, 16, 16], [False, 16], [0, "16"], [None, 16]),
            *([16, 0], [17, 16], [[0], [16]], {"begin": 0, "end": 16}),
        )
    ],
    Flaw.OVERFLOW: [
        file_of({"a": tensor(shape=value)})
        for value in (
            *([2**64 - 1, 2**64 - 1], [2**32] * 3, [2**63, 2], [2**62], [2**64 - 1], [2] * 64),
            *([2**63, 4, 0], [2**64 - 1] * 64),  # a 0 at the end mends nothing
        )
    ],
    Flaw.PART_OF_A_BYTE: [
        file_of({"a": tensor(dtype=dtype, shape=shape)})
        for dtype, shape in (
            *(("F4", [1]), ("F4", [3]), ("F4", [31]), ("F4", [])),
            *(("F6_E2M3", [1]), ("F6_E2M3", [2]), ("F6_E3M2", [3]), ("F6_E3M2", [5, 5])),
        )
    ],
    Flaw.WRONG_SIZE: [
        *(file_of({"a": tensor(shape=shape)}) for shape in ([], [0], [1], [3, 2], [4, 0], [16])),
        *(file_of({"a": tensor(dtype=dtype)}) for dtype in ("U8", "F16", "F64", "F4", "C64")),
        *(file_of({"a": tensor(data_offsets=span)}) for span in ([0, 15], [0, 17], [16, 16])),
        file_of({"a": tensor(shape=[2**57, 2])}),
    ],
    Flaw.HOLE: [
        *(file_of({"a": at(begin, 16)}) for begin in (1, 8, 16)),
        *(file_of({"a": at(0, 7), "b": at(8, 16)}), file_of({"b": at(8, 16), "a": at(0, 7)})),
        file_of({"a": at(2**63, 2**63 + 16)}),
    ],
    Flaw.OVERLAP: [
        *(file_of({"a": at(0, 9), "b": at(8, 16)}), file_of({"a": at(0, 16), "b": at(0, 16)})),
        *(file_of({"a": at(0, 16), "b": at(4, 8)}), file_of({"a": at(0, 16), "b": at(8, 8)})),
        file_of({f"{n}": at(0, 16) for n in range(1000)}),
    ],
    Flaw.TENSORS_CUT: [
        *(file_of({"a": at(0, 16)}, data=data) for data in (0, 1, 15)),
        *(file_of({"a": at(0, 2**40)}), GOOD[:-1], GOOD[:-16]),
    ],
    Flaw.TRAILING_BYTES: [
        *(GOOD + b"\x00", GOOD + b"\n", GOOD + make_archive(), GOOD + GOOD),
        *(file_of({"a": at(0, 0)}), file_of({"a": at(0, 15)})),
    ],
}
