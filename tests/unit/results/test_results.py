"""A result file is judged by its first bytes, and weights are believed only where every byte is accounted for."""

import ctypes
import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.errors import ResultInvalidError
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
from lora_drop.results.validation import MAX_JSON, Check, check_for
from lora_drop.simulator.lora import tensors, write_lora
from tests.support.builders import make_archive, make_weights
from tests.support.flawed_weights import FLAWED, GOOD, PICKLE, file_of, tensor

WEIGHTS = make_weights(1000)
HEADER = 8 + int.from_bytes(WEIGHTS[:8], "little")
PIECES = [1, 3, 7, 8, 9, HEADER - 1, HEADER, HEADER + 1, len(WEIGHTS)]


def check(name: str, size: int | None, content_type: str | None = None) -> Check:
    return check_for(Artifact(name=name, url="u", content_type=content_type), size)


def judged(check: Check, data: bytes, piece: int | None = None) -> None:
    """Feed everything and announce the end, as the copier does."""
    step = piece or max(len(data), 1)
    for start in range(0, max(len(data), 1), step):
        check.feed(data[start : start + step])
    check.finish(len(data))


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("sized", [True, False], ids=["sized", "unsized"])
def test_sound_weights_pass_in_pieces(piece: int, *, sized: bool) -> None:
    judged(check("lora.safetensors", len(WEIGHTS) if sized else None), WEIGHTS, piece)


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("sized", [True, False], ids=["sized", "unsized"])
@pytest.mark.parametrize(
    ("data", "flaw"),
    [
        (WEIGHTS[:-1], "weights_tensors_cut"),
        (WEIGHTS + b"x", "weights_trailing_bytes"),
        (WEIGHTS[: HEADER - 1], "weights_header_cut"),
        (WEIGHTS[:7], "weights_too_short"),
        (b"", "weights_too_short"),
        (b"<html>not found</html>" * 50, "weights_other_file"),
        (b"PK\x03\x04" + bytes(2000), "weights_header_too_small"),
        (json.dumps({"detail": "x" * 2000}).encode(), "weights_other_file"),
    ],
    ids=["cut", "longer", "header cut", "7 bytes", "empty", "html", "zip", "json"],
)
def test_broken_weights_are_refused(data: bytes, flaw: str, piece: int, *, sized: bool) -> None:
    """Broken weights are refused by their flaw, in whatever pieces they come."""
    with pytest.raises(ResultInvalidError) as refused:
        judged(check("LORA.SafeTensors", len(data) if sized else None), data, piece)
    assert str(refused.value)
    assert refused.value.flaw in (flaw, "weights_other_file", "weights_header_too_large")


def test_weights_are_judged_by_their_header() -> None:
    """Weights are judged as soon as their header is there, and an absurd length before it."""
    judge, absurd = check("lora.safetensors", len(WEIGHTS) + 1), check("lora.safetensors", None)
    judge.feed(WEIGHTS[: HEADER - 1])
    assert judge.missing == 1
    with pytest.raises(ResultInvalidError):
        judge.feed(WEIGHTS[HEADER - 1 : HEADER])
    with pytest.raises(ResultInvalidError):
        absurd.feed(b"\xff" * 9)


def test_a_judged_file_misses_nothing() -> None:
    judge = check("lora.safetensors", len(WEIGHTS))
    before = judge.missing
    judge.feed(WEIGHTS[:HEADER])
    assert (before, judge.missing) == (8, 0)
    judge.feed(b"whatever comes then")
    judge.finish(len(WEIGHTS))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("config.json", None), ("CONFIG.JSON", "text/plain"), ("config", "application/json")),
        *(("config", "application/json; charset=utf-8"), ("config", "application/ld+json")),
        ("config", "TEXT/JSON"),
    ],
)
def test_a_configuration_is_recognised(name: str, kind: str | None) -> None:
    with pytest.raises(ResultInvalidError) as refused:
        judged(check(name, 8, kind), b"not JSON")
    assert refused.value.flaw == "json_unreadable"


@pytest.mark.parametrize("sized", [True, False], ids=["sized", "unsized"])
@pytest.mark.parametrize(
    "data",
    [
        *(b"{}", b"null", b'  {"rank": 16}\n', b'\xef\xbb\xbf{"rank": 16}'),
        *(b'{"seed": 17454220438242315174}', b"9" * 5000, b"[NaN, Infinity]"),
        b'"' + b"x" * (MAX_JSON - 2) + b'"',
    ],
    ids=["object", "null", "spaces", "bom", "large number", "5000 digits", "NaN", "1 MiB"],
)
def test_json_up_to_a_megabyte_passes(data: bytes, *, sized: bool) -> None:
    judged(check("config.json", len(data) if sized else None), data, 1000)


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("sized", [True, False], ids=["sized", "unsized"])
@pytest.mark.parametrize(
    ("data", "flaw"),
    [
        *((data, "json_unreadable") for data in (b"", b"{", b"<html></html>", b"\xff\xfe\xfd")),
        (b"[" * 100_000, "json_unreadable"),
        *((data, "json_is_yaml") for data in (b"rank: 16\n", b"# of fal\n---\nrank:\n  - 16\n")),
        *((data, "json_unreadable") for data in (b"no healthy upstream", b"see https://fal.ai")),
        *((b'"' + b"x" * size + b'"', "json_too_large") for size in (MAX_JSON - 1, 2 * MAX_JSON)),
    ],
    ids=[
        "empty",
        "cut",
        "html",
        "no text",
        "deep",
        "YAML",
        "document",
        "words",
        "address",
        "1 MiB + 1",
        "2 MiB",
    ],
)
def test_a_broken_configuration_is_refused(data: bytes, flaw: str, *, sized: bool) -> None:
    """A configuration that cannot be read is refused by its flaw."""
    with pytest.raises(ResultInvalidError) as refused:
        judged(check("config.json", len(data) if sized else None), data, 100_000)
    assert refused.value.flaw == flaw


@pytest.mark.parametrize("data", [b"", b"anything"])
@pytest.mark.parametrize("name", ["samples.zip", "lora.safetensors.invalid", "config.json.txt"])
def test_any_other_file_passes(name: str, data: bytes) -> None:
    other = check(name, len(data), "application/octet-stream")
    assert other.missing == 0
    judged(other, data)


def summary_of(data: bytes) -> WeightsSummary:
    return check_weights(data, file_size=len(data))


HOSTILE = [(flaw, number) for flaw, files in FLAWED.items() for number in range(len(files))]


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(("flaw", "number"), HOSTILE)
def test_every_flaw_has_its_code(flaw: Flaw, number: int) -> None:
    """Each way in which a weights file is broken is refused with its own code and a sentence."""
    with pytest.raises(InvalidWeightsError) as refused:
        summary_of(FLAWED[flaw][number])
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
        summary_of(file_of({"\x1b[31m\n" + "x" * 10_000: {}}))
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
    assert summary_of(data) == WeightsSummary(2, 2 * length, {"é": "☕"})


@pytest.mark.parametrize("dtype", BITS)
def test_every_dtype_has_its_size(dtype: str) -> None:
    data = file_of({"a": tensor(dtype=dtype, shape=[8], data_offsets=[0, BITS[dtype]])}, data=0)
    data += bytes(BITS[dtype])
    assert summary_of(data).tensor_bytes == len(opened(data)["a"]["data"])


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("length", range(len(GOOD)))
def test_a_cut_file_is_refused(length: int) -> None:
    """A file that ends anywhere before its end is refused."""
    with pytest.raises(InvalidWeightsError):
        summary_of(GOOD[:length])
    with pytest.raises(InvalidWeightsError):
        check_weights(GOOD, file_size=length)


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_changed_byte_is_never_missed(where: int, mask: int) -> None:
    """A changed byte is refused, or makes a file that the reference implementation opens as well."""
    changed = bytes(byte ^ mask if at == where else byte for at, byte in enumerate(GOOD))
    try:
        summary = summary_of(changed)
    except InvalidWeightsError:
        return
    assert summary.tensors == len(opened(changed))


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=64), st.binary(max_size=200))
def test_noise_is_refused(first: bytes, rest: bytes) -> None:
    for data in (first, file_of(rest), file_of(b"{" + rest), file_of(b'{"a":' + rest + b"}")):
        with pytest.raises(InvalidWeightsError):
            summary_of(data)
