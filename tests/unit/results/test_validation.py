"""A result file is judged by its first bytes, and no file that is no LoRA becomes a result."""

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_drop.fal.status import Finished
from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.errors import ResultInvalidError
from lora_drop.jobs.job_problems import RESULT_INVALID
from lora_drop.jobs.status import Status
from lora_drop.results.safetensors import PREFIX
from lora_drop.results.validation import MAX_JSON, Check, check_for
from lora_drop.simulator.lora import write_lora
from tests.support.builders import ARTIFACTS, REQUEST_ID, make_archive, make_job, make_weights
from tests.support.flawed_weights import FLAWED, GOOD, file_of, tensor
from tests.support.sweeps import sweep
from tests.support.world import World

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
def test_broken_weights_are_refused_in_pieces(
    data: bytes, flaw: str, piece: int, *, sized: bool
) -> None:
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
        *((b'"' + b"x" * size + b'"', "json_too_large") for size in (MAX_JSON - 1, 2 * MAX_JSON)),
    ],
    ids=["empty", "cut", "html", "no text", "deep", "1 MiB + 1", "2 MiB"],
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


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("name", sweep(HOSTILE, sample=60, ids=str))
def test_no_broken_file_becomes_a_result(world: World, name: str) -> None:
    """A file that is no LoRA fails the job, and its bytes are kept under another name."""
    world.source.files["lora.safetensors"] = HOSTILE[name]
    job = world.holds(make_job(Status.STORING))
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
    stored = world.result_storer.store_result(job.job_id)

    assert stored.status is Status.FAILED
    assert stored.weights is None
    assert [problem.code for problem in stored.problems] == [RESULT_INVALID]
    # Its bytes are kept for people to look at, under a name that nothing loads.
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


@pytest.mark.promise("never lose a result")
def test_real_weights_are_stored_bitwise(tmp_path: Path) -> None:
    """Real weights are stored bit by bit."""
    for data in real(tmp_path):
        world = World()
        world.source.files["lora.safetensors"] = data
        job = world.holds(make_job(Status.STORING))
        world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
        stored = world.result_storer.store_result(job.job_id)
        assert stored.status is Status.SUCCEEDED
        assert stored.weights is not None
        assert world.results.files[stored.weights.key] == data
