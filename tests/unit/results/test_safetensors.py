"""Weights are believed only where every byte of the file is accounted for, once."""

import ctypes
import gzip
import math
from pathlib import Path
from typing import Any

import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_drop.results.safetensors import (
    BITS,
    MAX_HEADER,
    PREFIX,
    Flaw,
    InvalidWeightsError,
    WeightsSummary,
    check_weights,
    header_length,
)
from lora_drop.simulator.lora import tensors, write_lora
from tests.support.builders import make_archive
from tests.support.flawed_weights import FLAWED, GOOD, PICKLE, file_of, tensor


def check(data: bytes) -> WeightsSummary:
    return check_weights(data, file_size=len(data))


HOSTILE = [(flaw, number) for flaw, files in FLAWED.items() for number in range(len(files))]


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(("flaw", "number"), HOSTILE)
def test_every_flaw_has_its_code(flaw: Flaw, number: int) -> None:
    """Each way in which a weights file is broken is refused with its own code and a sentence."""
    with pytest.raises(InvalidWeightsError) as refused:
        check(FLAWED[flaw][number])
    assert refused.value.flaw is flaw
    assert flaw.startswith("weights_")
    assert str(refused.value).endswith(".")
    assert len(str(refused.value)) < 400
    assert str(refused.value).isprintable()


def test_every_flaw_has_three_examples() -> None:
    assert {flaw for flaw in Flaw if len(FLAWED[flaw]) < 3} == set()
    assert len(HOSTILE) > 200


@pytest.mark.parametrize(
    ("first", "said"),
    [
        *((PICKLE, "pickle"), (make_archive(), "ZIP"), (b"<!DOCTYPE html>", "HTML")),
        *((b'{"detail": 1}', "JSON"), (gzip.compress(b"x"), "gzip")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_kind_of_file_is_named(first: bytes, said: str) -> None:
    with pytest.raises(InvalidWeightsError, match=said):
        header_length(first[:PREFIX])


@pytest.mark.parametrize("length", [2, 0x80, 0x4B50, ord("{"), ord("<"), MAX_HEADER])
def test_an_odd_length_is_a_length(length: int) -> None:
    """A length that looks like another file's beginning is a length."""
    assert header_length(length.to_bytes(PREFIX, "little")) == length


@pytest.mark.promise("nothing leaks")
def test_a_files_names_are_harmless() -> None:
    """Names from a weights file do nothing to a terminal or a log."""
    with pytest.raises(InvalidWeightsError) as refused:
        check(file_of({"\x1b[31m\n" + "x" * 10_000: {}}))
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("rank", [1, 2])
def test_a_trainers_lora_is_sound(tmp_path: Path, rank: int) -> None:
    lora = write_lora(
        tmp_path / "lora.safetensors", rank=rank, seed="ada", metadata={"format": "pt"}
    )
    with lora.path.open("rb") as file:
        first = file.read(PREFIX)
        head = first + file.read(header_length(first))
    summary = check_weights(head, file_size=lora.size)

    assert summary.tensors == len(list(tensors(rank)))
    assert summary.tensor_bytes == lora.size - len(head)
    assert summary.metadata == {"format": "pt"}
    with pytest.raises(InvalidWeightsError):
        check_weights(head, file_size=lora.size - 1)


def opened(data: bytes) -> dict[str, dict[str, Any]]:
    """What the reference implementation finds."""
    return dict(safetensors.deserialize(data))  # type: ignore[no-untyped-call]  # it ships no types


@pytest.mark.parametrize(
    ("name", "size", "shape"),
    [
        *((name, 1, [3, 5]) for name in ("bool", "uint8", "float8_e4m3fn", "float4_e2m1fn_x2")),
        *((name, 2, [2, 2, 2, 2]) for name in ("float16", "bfloat16", "int16")),
        *(("float32", 4, shape) for shape in ([], [0], [1], [7], [3, 0, 5])),
        *((name, 8, [1, 9]) for name in ("int64", "float64", "complex64")),
    ],
    ids=str,
)
def test_reference_files_are_sound(name: str, size: int, shape: list[int]) -> None:
    length = size * math.prod(shape)
    memory = (ctypes.c_uint8 * max(1, length))()
    spec = safetensors.TensorSpec(
        dtype=name, shape=shape, data_ptr=ctypes.addressof(memory), data_len=length
    )
    data = bytes(safetensors.serialize({"a": spec, "b": spec}, metadata={"é": "☕"}))
    assert check(data) == WeightsSummary(2, 2 * length, {"é": "☕"})


@pytest.mark.parametrize("dtype", BITS)
def test_every_dtype_has_its_size(dtype: str) -> None:
    data = file_of({"a": tensor(dtype=dtype, shape=[8], data_offsets=[0, BITS[dtype]])}, data=0)
    data += bytes(BITS[dtype])
    assert check(data).tensor_bytes == len(opened(data)["a"]["data"])


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("length", range(len(GOOD)))
def test_a_cut_file_is_refused(length: int) -> None:
    """A file that ends anywhere before its end is refused."""
    with pytest.raises(InvalidWeightsError):
        check(GOOD[:length])
    with pytest.raises(InvalidWeightsError):
        check_weights(GOOD, file_size=length)


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_changed_byte_is_never_missed(where: int, mask: int) -> None:
    """A changed byte is refused, or makes a file that the reference implementation opens as well."""
    changed = bytes(byte ^ mask if at == where else byte for at, byte in enumerate(GOOD))
    try:
        summary = check(changed)
    except InvalidWeightsError:
        return
    assert summary.tensors == len(opened(changed))


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=64), st.binary(max_size=200))
def test_noise_is_refused(first: bytes, rest: bytes) -> None:
    for data in (first, file_of(rest), file_of(b"{" + rest), file_of(b'{"a":' + rest + b"}")):
        with pytest.raises(InvalidWeightsError):
            check(data)
