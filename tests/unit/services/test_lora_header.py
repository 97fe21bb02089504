"""A stored LoRA's header is read from the bucket, and nothing in it keeps a paid LoRA from its end."""

import json
from dataclasses import replace
from typing import Any

import pytest

from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.status import Status
from lora_drop.results.safetensors import Flaw
from lora_drop.services.lora_header import read_lora_facts
from lora_drop.services.store import ResultStorer
from tests.support.builders import ARTIFACTS, make_job
from tests.support.flawed_weights import FLAWED, file_of, tensor
from tests.support.memory_files import MemoryRange, MemoryResults
from tests.support.world import World

HOSTILE = {"k\x1b" * 1000: "\u202e" * 5000, "caption": "x" * 1_000_000}


def stored_as(world: World, data: bytes) -> Any:
    world.source.files[ARTIFACTS[0].name] = data
    job = world.holds(make_job(Status.STORING))
    return world.result_storer.store_result(job.job_id)


def test_job_says_what_its_lora_is(world: World) -> None:
    header = {"__metadata__": {"format": "pt"}, "a.lora_A.weight": tensor()}
    job = stored_as(world, file_of(header))
    assert job.lora
    assert (job.lora.ranks, job.lora.dtypes, job.lora.tensors) == ((2,), ("F32",), 1)
    written = json.loads(world.results.text(job, "job.json") or "")
    assert written["lora"] == job.lora.model_dump(mode="json")
    assert written["lora"]["metadata"] == {"format": "pt"}
    assert (written["earlier"], written["charges"]) == ([], [job.charge.model_dump(mode="json")])


@pytest.mark.promise("never lose a result", "A hostile header keeps no LoRA from its end.")
def test_hostile_header_changes_nothing(world: World) -> None:
    job = stored_as(world, file_of({"__metadata__": HOSTILE, "a": tensor()}))
    assert (job.status, job.problems) == (Status.SUCCEEDED, ())
    assert len(json.dumps(job.lora.model_dump(mode="json"))) < 1000


class Unreadable(MemoryResults):
    """A bucket whose reader breaks, by a mistake of ours."""

    def reader(self, stored: StoredFile) -> MemoryRange:
        if stored.name == "lora.safetensors":
            raise LookupError(stored.key)
        return super().reader(stored)


def test_our_mistake_keeps_no_lora(world: World) -> None:
    world.results = Unreadable()
    job = stored_as(world, file_of({"a": tensor()}))
    assert (job.status, job.lora) == (Status.SUCCEEDED, None)


def test_s3_trouble_is_tried_again(world: World) -> None:
    class Down(MemoryResults):
        def reader(self, stored: StoredFile) -> MemoryRange:
            raise OSError(stored.key)

    good, job = world.results, world.holds(make_job(Status.STORING))
    world.results = Down()
    with pytest.raises(OSError, match="lora"):
        world.result_storer.store_result(job.job_id)
    assert world.job(job.job_id).status is Status.STORING
    storer: ResultStorer = replace(world.result_storer, results=good)
    assert storer.store_result(job.job_id).lora


@pytest.mark.parametrize("flaw", list(FLAWED))
def test_flawed_file_says_nothing(flaw: Flaw) -> None:
    results = MemoryResults()
    for data in FLAWED[flaw]:
        results.files["x"] = data
        weights = StoredFile(name="x", bucket="models", key="x", size=len(data), sha256="")
        assert read_lora_facts(results, weights) is None


def test_missing_file_says_nothing() -> None:
    weights = StoredFile(name="x", bucket="models", key="x", size=1, sha256="")
    assert read_lora_facts(MemoryResults(), weights) is None
    assert read_lora_facts(MemoryResults(), None) is None
