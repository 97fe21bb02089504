"""The LoRA is a real one, and the ledger knows the bytes that left."""

import hashlib
import struct
from pathlib import Path
from typing import Any

import pytest
import safetensors

from lora_drop.simulator.lora import tensors, write_lora
from lora_drop.simulator.running import ControlClient
from tests.simulator.conftest import CallTo, Simulate
from tests.simulator.fal_calls import Calls

WEIGHT = "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight"
FAL_JS_135 = 89_745_224  # bytes of the file that https://github.com/fal-ai/fal-js/issues/135 shows


def opened(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    """What the safetensors library finds."""
    found: list[tuple[str, dict[str, Any]]] = safetensors.deserialize(data)  # type: ignore[no-untyped-call]  # it ships no types
    return found


def shapes_of(data: bytes) -> dict[str, list[int]]:
    return {name: tensor["shape"] for name, tensor in opened(data)}


@pytest.mark.parametrize("rank", [1, 4])
def test_the_weights_open_in_safetensors_with_the_rank_that_was_asked_for(
    simulate: Simulate, call: CallTo, rank: int
) -> None:
    calls = call(simulate(lora_rank=rank))

    file = calls.trained()["diffusers_lora_file"]

    data = calls.http.get(file["url"]).content
    shapes = shapes_of(data)
    assert len(data) == file["file_size"]
    assert shapes[WEIGHT] == [rank, 3072]
    assert shapes["transformer.transformer_blocks.18.ff.net.0.proj.lora_B.weight"] == [12_288, rank]


def test_the_tensors_are_those_of_flux(calls: Calls) -> None:
    data = calls.http.get(calls.trained()["diffusers_lora_file"]["url"]).content

    names = shapes_of(data)
    blocks = {".".join(name.split(".")[1:3]) for name in names}
    assert blocks == {f"transformer_blocks.{n}" for n in range(19)} | {
        f"single_transformer_blocks.{n}" for n in range(38)
    }
    halves = [name.replace("lora_A", "lora_B") for name in names if "lora_A" in name]
    assert len(halves) == len(names) / 2 == 19 * 12 + 38 * 3
    assert set(halves) <= names.keys()


def test_with_fals_rank_the_file_has_the_size_that_fals_has() -> None:
    size = sum(2 * first * second for _, (first, second) in tensors(16))

    assert size == 89_653_248
    assert 0 < FAL_JS_135 - size < 100_000  # the header


def test_every_weight_is_a_small_number(tmp_path: Path) -> None:
    written = write_lora(tmp_path / "x", rank=1, seed="a", metadata={})

    tensor = dict(opened(written.path.read_bytes()))[WEIGHT]
    data = bytes(tensor["data"])
    values = [
        struct.unpack("<f", b"\x00\x00" + data[spot : spot + 2])[0]
        for spot in range(0, len(data), 2)
    ]

    assert tensor["dtype"] == "BF16"
    assert all(2**-11 <= abs(value) < 2**-7 for value in values)
    assert any(value < 0 for value in values)


def test_two_trainings_give_two_files_and_one_seed_always_the_same(tmp_path: Path) -> None:
    first, again, other = (
        write_lora(tmp_path / str(number), rank=1, seed=seed, metadata={"seed": seed})
        for number, seed in enumerate(("a", "a", "b"))
    )

    assert first.sha256 == again.sha256 != other.sha256
    assert first.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()


def test_the_ledger_has_the_hash_of_the_bytes_that_were_served(
    sim: ControlClient, calls: Calls
) -> None:
    file = calls.trained()["diffusers_lora_file"]

    whole = calls.http.get(file["url"]).content
    part = calls.http.get(file["url"], headers={"Range": "bytes=1000-2999"}).content

    rows = sim.ledger()["served"]
    assert [row["sha256"] for row in rows] == [
        hashlib.sha256(data).hexdigest() for data in (whole, part)
    ]
    assert [(row["bytes"], row["status"], row["complete"]) for row in rows] == [
        (file["file_size"], 200, True),
        (2000, 206, True),
    ]
    assert {row["request_id"] for row in rows} == {sim.requests()[0]["request_id"]}
    assert {row["file_name"] for row in rows} == {file["file_name"]}
