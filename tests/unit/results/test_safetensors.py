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
from tests.unit.results.flawed_weights import FLAWED, GOOD, PICKLE, file_of, tensor


def check(data: bytes) -> WeightsSummary:
    return check_weights(data, file_size=len(data))


HOSTILE = [(flaw, number) for flaw, files in FLAWED.items() for number in range(len(files))]


@pytest.mark.parametrize(("flaw", "number"), HOSTILE)
def test_every_flaw_is_refused_under_its_own_code_with_a_sentence(flaw: Flaw, number: int) -> None:
    with pytest.raises(InvalidWeightsError) as refused:
        check(FLAWED[flaw][number])

    assert refused.value.flaw is flaw
    assert flaw.startswith("weights_")
    assert str(refused.value).endswith(".")
    assert len(str(refused.value)) < 400
    assert str(refused.value).isprintable()


def test_there_are_three_examples_of_every_flaw_and_two_hundred_in_all() -> None:
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
def test_a_length_that_looks_like_another_files_beginning_is_one(length: int) -> None:
    assert header_length(length.to_bytes(PREFIX, "little")) == length


def test_names_from_a_file_do_nothing_to_a_terminal_or_a_log() -> None:
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
def test_what_the_reference_implementation_writes_is_sound(
    name: str, size: int, shape: list[int]
) -> None:
    length = size * math.prod(shape)
    memory = (ctypes.c_uint8 * max(1, length))()
    spec = safetensors.TensorSpec(
        dtype=name, shape=shape, data_ptr=ctypes.addressof(memory), data_len=length
    )
    data = bytes(safetensors.serialize({"a": spec, "b": spec}, metadata={"é": "☕"}))

    assert check(data) == WeightsSummary(2, 2 * length, {"é": "☕"})


@pytest.mark.parametrize("dtype", BITS)
def test_every_dtype_has_the_size_that_the_reference_implementation_gives_it(dtype: str) -> None:
    data = file_of({"a": tensor(dtype=dtype, shape=[8], data_offsets=[0, BITS[dtype]])}, data=0)
    data += bytes(BITS[dtype])

    assert check(data).tensor_bytes == len(opened(data)["a"]["data"])


@pytest.mark.parametrize("length", range(len(GOOD)))
def test_a_file_that_ends_anywhere_before_its_end_is_refused(length: int) -> None:
    with pytest.raises(InvalidWeightsError):
        check(GOOD[:length])
    with pytest.raises(InvalidWeightsError):
        check_weights(GOOD, file_size=length)


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_makes_a_file_that_others_open_as_well(
    where: int, mask: int
) -> None:
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
