"""Four hundred files that are no LoRA, each offered as the result of a job: none makes it a success."""

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_drop.fal.status import Finished
from lora_drop.jobs.job_problems import RESULT_INVALID
from lora_drop.jobs.status import Status
from lora_drop.results.safetensors import PREFIX
from lora_drop.simulator.lora import write_lora
from tests.support.builders import ARTIFACTS, REQUEST_ID, make_archive, make_job, make_weights
from tests.support.world import World
from tests.unit.results.flawed_weights import FLAWED, GOOD, file_of, tensor

OTHERS = {
    "an error page": b"<!DOCTYPE html><html><body>Access denied</body></html>" * 20,
    "S3's error": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "fal's error": b'{"detail": "Request not found"}',
    "a pickle": b"\x80\x02cos\nsystem\nq\x00X\x02\x00\x00\x00idq\x01\x85q\x02Rq\x03.",
    "a checkpoint": make_archive(members={"archive/data.pkl": b"\x80\x02}q\x00."}, images=0),
    "weights, packed": gzip.compress(make_weights()),
    "weights in a ZIP": make_archive(members={"lora.safetensors": make_weights()}, images=0),
    "weights as text": make_weights().hex().encode(),
    "weights after a line end": b"\n" + make_weights(),
    "an ELF": b"\x7fELF\x02\x01\x01" + bytes(57),
    "a script": b"#!/bin/sh\nid\n",
    "a PNG": b"\x89PNG\r\n\x1a\n" + bytes(64),
    "GGUF": b"GGUF\x03\x00\x00\x00" + bytes(64),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(64),
    "NumPy": b"\x93NUMPY\x01\x00v\x00{'descr': '<f4'}" + bytes(64),
    "a tar": b"data.pkl".ljust(257, b"\x00") + b"ustar\x0000" + bytes(247),
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
}


def hostile() -> Iterator[tuple[str, bytes]]:
    """Every flaw there is, every place to end in, and what else is called a LoRA."""
    yield from (
        (f"{flaw} {n}", file) for flaw, files in FLAWED.items() for n, file in enumerate(files)
    )
    yield from ((f"{length} bytes of it", GOOD[:length]) for length in range(len(GOOD)))
    yield from OTHERS.items()
    chance = random.Random(20261125)  # noqa: S311  # the same ones every time
    for number in range(20):
        yield f"noise {number}", chance.randbytes(chance.randrange(1, 500))
        header = chance.randbytes(chance.randrange(1, 100))
        yield f"noise for a header {number}", file_of(b"{" + header)
        begin = chance.randrange(1, 2**63)
        span = [begin, begin + 16]
        yield f"far out {number}", file_of({"a": tensor(data_offsets=span)})


HOSTILE = dict(hostile())


def test_there_are_as_many_as_are_promised() -> None:
    assert len(HOSTILE) >= 400


@pytest.mark.parametrize("name", HOSTILE)
def test_no_file_that_is_none_becomes_a_result(world: World, name: str) -> None:
    world.source.files["lora.safetensors"] = HOSTILE[name]
    job = world.holds(make_job(Status.STORING))
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)

    stored = world.result_storer.store_result(job.job_id)

    assert stored.status is Status.FAILED
    assert stored.weights is None
    assert [problem.code for problem in stored.problems] == [RESULT_INVALID]
    # Its bytes are kept for whoever wants to look, under a name that nothing loads.
    assert world.results.files[f"{job.prefix}lora.safetensors.invalid"] == HOSTILE[name]
    assert f"{job.prefix}lora.safetensors" not in world.results.files


def real(folder: Path) -> Iterator[bytes]:
    """What trainers write: of FLUX's size, with metadata, of one tensor, of half a byte's elements."""
    for rank in (1, 2):
        metadata = {"format": "pt", "rank": str(rank)}
        lora = write_lora(folder / f"{rank}.safetensors", rank=rank, seed="ada", metadata=metadata)
        yield lora.path.read_bytes()
    yield from (make_weights(size) for size in (1, 64, 5000))
    yield GOOD
    yield file_of({"a": {"dtype": "F4", "shape": [2, 16], "data_offsets": [0, 16]}})
    header = json.dumps({"a": tensor()}).encode()
    yield file_of(header + b" " * (-len(header) % PREFIX))


def test_real_weights_are_stored_bit_by_bit(tmp_path: Path) -> None:
    for data in real(tmp_path):
        world = World()
        world.source.files["lora.safetensors"] = data
        job = world.holds(make_job(Status.STORING))
        world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)

        stored = world.result_storer.store_result(job.job_id)

        assert stored.status is Status.SUCCEEDED
        assert stored.weights is not None
        assert world.results.files[stored.weights.key] == data
