"""What is kept of a LoRA's header is right, and bounded whatever the header says."""

import json
from pathlib import Path
from typing import Any

import pytest

from lora_drop.jobs.artifacts import LoraFacts
from lora_drop.results.lora_facts import MAX_KEY, MAX_KEYS, MAX_RANKS, MAX_VALUE, lora_facts
from lora_drop.simulator.lora import tensors, write_lora
from tests.support.flawed_weights import file_of

HOSTILE = [
    {f"key {number}": "value" for number in range(10_000)},
    {"k" * 100_000: "v" * 1_000_000},
    {"a\x1b[31m\u202e": "\x00\n\x1b]0;title\x07", "": "an empty name"},
    {"caption": "\U0001f600" * 10_000},
]


def facts_of(header: dict[str, Any], *, data: int) -> LoraFacts:
    file = file_of(header, data=data)
    return lora_facts(file, file_size=len(file))


def matrices(**shapes: list[int]) -> tuple[dict[str, Any], int]:
    """A header with these tensors of bytes, and how many bytes they have."""
    header, begin = {}, 0
    for name, shape in shapes.items():
        size = 1
        for dimension in shape:
            size *= dimension
        header[name] = {"dtype": "U8", "shape": shape, "data_offsets": [begin, begin + size]}
        begin += size
    return header, begin


def test_rank_of_real_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    said = {"format": "pt", "ss_steps": "1500"}
    written = write_lora(path, rank=4, seed="ada", metadata=said)
    facts = lora_facts(path.read_bytes(), file_size=written.size)
    assert facts == LoraFacts(
        size=written.size,
        tensors=len([*tensors(4)]),
        dtypes=("BF16",),
        ranks=(4,),
        metadata=said,
    )


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("transformer.x.lora_A.weight", (8,)),
        ("transformer.x.lora_A.default.weight", (8,)),
        ("lora_unet_x.lora_down.weight", (8,)),
        ("transformer.x.lora_B.weight", ()),
        ("lora_unet_x.lora_up.weight", ()),
        ("norm.weight", ()),
    ],
)
def test_rank_has_two_spellings(name: str, found: tuple[int, ...]) -> None:
    header, data = matrices(**{name: [8, 2]})
    assert facts_of(header, data=data).ranks == found


def test_several_ranks_are_sorted() -> None:
    header, data = matrices(
        **{"a.lora_A.weight": [32, 1], "b.lora_A.weight": [4, 2], "c.lora_A.weight": [4, 3]}
    )
    facts = facts_of(header, data=data)
    assert (facts.ranks, facts.tensors) == ((4, 32), 3)


def test_most_frequent_type_comes_first() -> None:
    header, data = matrices(a=[2], b=[2], c=[2])
    header["a"]["dtype"] = "I8"
    assert facts_of(header, data=data).dtypes == ("U8", "I8")


@pytest.mark.promise("nothing leaks", "A hostile LoRA's header leaves bounded, printable text.")
@pytest.mark.parametrize("said", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_metadata_is_bounded(said: dict[str, str]) -> None:
    facts = facts_of({"__metadata__": said, **matrices(a=[2])[0]}, data=2)
    assert 0 < len(facts.metadata) <= MAX_KEYS
    for name, value in facts.metadata.items():
        assert 0 < len(name) <= MAX_KEY
        assert len(value) <= MAX_VALUE
        assert (name + value).isprintable()
    assert len(facts.model_dump_json().encode()) < 64_000


def test_hostile_ranks_are_bounded() -> None:
    shapes = {f"{n}.lora_A.weight": [n, 1] for n in range(1, 100)}
    header, data = matrices(**shapes, **{"x.lora_A.weight": [2**40, 0], "y.lora_A.weight": [0, 9]})
    facts = facts_of(header, data=data)
    assert facts.ranks == tuple(range(1, MAX_RANKS + 1))
    assert json.loads(facts.model_dump_json())["tensors"] == 101
