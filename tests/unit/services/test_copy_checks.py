"""What is not what its name says is never stored under that name."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.errors import DownloadInterruptedError, ResultInvalidError
from tests.support.builders import make_weights
from tests.support.copying import LORA, PART, Bench
from tests.support.memory_files import MemoryArtifact, MemorySource


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("how", ["ranges", "whole", "unsized"])
@pytest.mark.parametrize("size", [10, 5 * PART], ids=["small", "in parts"])
def test_weights_that_are_none_are_never_stored(bench: Bench, size: int, how: str) -> None:
    bench.serves(size, LORA)
    bench.source.whole = {LORA.name} if how != "ranges" else set()
    bench.source.unsized = {LORA.name} if how == "unsized" else set()

    with pytest.raises(ResultInvalidError):
        bench.copy(LORA)

    assert (bench.results.files, bench.left()) == ({}, (0, 0))


def test_small_weights_of_a_size_nobody_says_are_judged_at_their_end(bench: Bench) -> None:
    bench.source.files[LORA.name] = make_weights(10)[:-1]
    bench.source.whole = bench.source.unsized = {LORA.name}

    with pytest.raises(ResultInvalidError):
        bench.copy(LORA)

    assert (bench.results.files, bench.left()) == ({}, (0, 0))


@pytest.mark.parametrize("how", ["ranges", "whole"])
def test_where_the_size_is_known_nothing_is_begun_for_weights_that_are_cut(
    bench: Bench, how: str
) -> None:
    bench.source.files[LORA.name] = make_weights(5 * PART)[:-1]
    bench.source.whole = {LORA.name} if how == "whole" else set()

    with pytest.raises(ResultInvalidError):
        bench.copy(LORA)

    assert next(bench.results.numbers) == 1


def test_weights_that_turn_out_to_be_cut_at_their_end_are_taken_back(bench: Bench) -> None:
    bench.source.files[LORA.name] = make_weights(5 * PART)[:-1]
    bench.source.whole = bench.source.unsized = {LORA.name}

    with pytest.raises(ResultInvalidError):
        bench.copy(LORA)

    assert next(bench.results.numbers) > 1
    assert (bench.results.files, bench.left()) == ({}, (0, 0))


def long_header(size: int) -> bytes:
    """Weights whose header is longer than two parts, and cut by a byte at their end."""
    sound = make_weights(PART)
    length = int.from_bytes(sound[:8], "little")
    padding = b" " * (2 * PART)
    header = (length + len(padding)).to_bytes(8, "little") + sound[8 : 8 + length] + padding
    return (header + sound[8 + length :])[:size]


@pytest.mark.parametrize("how", ["ranges", "whole", "unsized"])
def test_a_header_that_is_longer_than_a_part_is_judged_as_well(bench: Bench, how: str) -> None:
    bench.source.files[LORA.name] = data = long_header(10 * PART)
    bench.source.whole = {LORA.name} if how != "ranges" else set()
    bench.source.unsized = {LORA.name} if how == "unsized" else set()

    stored = bench.copy(LORA)

    assert stored.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("how", ["ranges", "whole", "unsized"])
def test_nothing_is_begun_by_ranges_before_all_of_a_long_header_is_judged(
    bench: Bench, how: str
) -> None:
    whole = long_header(10 * PART)
    bench.source.files[LORA.name] = whole[:-1]
    bench.source.whole = {LORA.name} if how != "ranges" else set()
    bench.source.unsized = {LORA.name} if how == "unsized" else set()

    with pytest.raises(ResultInvalidError):
        bench.copy(LORA)

    assert (next(bench.results.numbers) == 1) == (how == "ranges")
    assert (bench.results.files, bench.left()) == ({}, (0, 0))


@pytest.mark.parametrize("size", [10, 5 * PART], ids=["small", "in parts"])
def test_unchecked_a_file_is_taken_as_it_is(bench: Bench, size: int) -> None:
    data = bench.serves(size, LORA)

    stored = bench.copy(LORA, checked=False)

    assert stored.sha256 == hashlib.sha256(data).hexdigest()


def test_sound_weights_that_are_gone_on_with_were_judged_when_they_were_begun(
    bench: Bench,
) -> None:
    bench.source.files[LORA.name] = data = make_weights(20 * PART)
    bench.source.cut = {LORA.name}
    with pytest.raises(DownloadInterruptedError):
        bench.copy(LORA)
    bench.source.cut = set()

    assert bench.copy(LORA).sha256 == hashlib.sha256(data).hexdigest()


def test_a_header_that_becomes_shorter_while_it_is_read_is_another_file(bench: Bench) -> None:
    bench.source.files[LORA.name] = long_header(10 * PART)

    class Shrinking(MemorySource):
        @contextmanager
        def open(
            self, artifact: Artifact, *, until: float, whole: bool = False
        ) -> Iterator[MemoryArtifact]:
            with MemorySource.open(self, artifact, until=until, whole=whole) as file:
                yield (file if whole else Shrunk(self, file.name, whole=False))

    class Shrunk(MemoryArtifact):
        def read(self, offset: int, into: memoryview) -> int:
            got = super().read(offset, into)
            return got - 1 if len(into) > PART else got

    bench.source = Shrinking(bench.source.files)
    stored = bench.copy(LORA)

    assert stored.size == len(bench.source.files[LORA.name])
