"""Parts arrive one ahead, and never more than two of them are in memory."""

import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.errors import DownloadInterruptedError
from lora_drop.results.copies import Label, Part
from lora_drop.services.copy import Copier, CopyRequest
from lora_drop.services.prefetch import Arrivals, spans
from tests.support.copying import BIN, PART, PREFIX, Bench, MemoryNotes
from tests.support.memory_files import MemoryArtifact, MemoryResults, MemorySource


@pytest.fixture
def bench() -> Bench:
    return Bench()


class Discarding(MemoryResults):
    """A store that keeps nothing but the sizes."""

    def upload(self, key: str, upload_id: str, number: int, data: bytes) -> Part:
        assert upload_id
        return Part(number, len(data), key, "")

    def complete(self, key: str, upload_id: str, parts: object) -> None:
        del self.uploads[upload_id]
        assert parts
        assert key


@dataclass
class Zeros:
    """A file that takes no memory."""

    size: int
    identity: str = '"zeros"'

    @contextmanager
    def open(self, artifact: Artifact, *, until: float, whole: bool = False) -> Iterator["Zeros"]:
        assert artifact.name, (until, whole)
        yield self

    def read(self, offset: int, into: memoryview) -> int:
        return min(len(into), self.size - offset)


def test_never_more_than_two_parts_are_in_memory() -> None:
    part = 1024**2
    copier = Copier(Discarding(), Zeros(30 * part + 7), part, now=lambda: 0)
    request = CopyRequest(BIN, PREFIX, MemoryNotes(), until=1)

    tracemalloc.start()
    copier.copy(request)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 2 * part <= peak < 2.2 * part


def test_a_part_is_on_its_way_while_the_one_before_is_stored_and_no_more_than_one(
    bench: Bench,
) -> None:
    bench.serves(5 * PART)
    reading = {number: threading.Event() for number in range(1, 7)}
    ahead: list[tuple[bool, bool]] = []

    class Watched(MemorySource):
        @contextmanager
        def open(
            self, artifact: Artifact, *, until: float, whole: bool = False
        ) -> Iterator[MemoryArtifact]:
            with MemorySource.open(self, artifact, until=until, whole=whole) as file:
                yield Telling(self, file.name, whole=False)

    class Telling(MemoryArtifact):
        def read(self, offset: int, into: memoryview) -> int:
            reading[offset // PART + 1].set()
            return super().read(offset, into)

    class Waiting(MemoryResults):
        def upload(self, key: str, upload_id: str, number: int, data: bytes) -> Part:
            next_one = number == 5 or reading[number + 1].wait(timeout=10)
            ahead.append((next_one, number < 4 and reading[number + 2].is_set()))
            return super().upload(key, upload_id, number, data)

    bench.source, bench.results = Watched(bench.source.files), Waiting()
    bench.copy()

    assert ahead == [(True, False)] * 5


def test_a_file_of_one_part_needs_no_thread(bench: Bench) -> None:
    bench.serves(PART)
    before = threading.active_count()
    counted: list[int] = []

    class Counting(MemoryResults):
        def put(self, key: str, data: bytes, label: Label) -> None:
            counted.append(threading.active_count())
            super().put(key, data, label)

    bench.results = Counting()
    bench.copy()

    assert counted == [before]


def test_an_empty_file_is_one_part_of_nothing() -> None:
    assert spans(0, PART) == [(1, 0, 0)]


@pytest.mark.parametrize("size", [1, PART - 1, PART, PART + 1, 3 * PART + 5])
def test_the_parts_of_a_file_are_all_of_it_without_a_gap(size: int) -> None:
    parts = spans(size, PART)

    assert [number for number, _, _ in parts] == list(range(1, len(parts) + 1))
    assert sum(length for _, _, length in parts) == size
    assert all(offset == (number - 1) * PART for number, offset, _ in parts)


def test_a_file_that_is_shorter_than_it_said_is_interrupted() -> None:
    class Short(Zeros):
        def read(self, offset: int, into: memoryview) -> int:
            return len(into) - 1 if offset else len(into)

    with ThreadPoolExecutor(1) as ahead:
        arrivals = Arrivals(Short(2 * PART), PART, (), ahead)
        arrivals.take()
        with pytest.raises(DownloadInterruptedError):
            arrivals.take()


def test_no_part_is_left_after_the_last() -> None:
    with ThreadPoolExecutor(1) as ahead:
        arrivals = Arrivals(Zeros(PART), PART, (), ahead)
        arrivals.take()

        assert not arrivals.waiting
        with pytest.raises(IndexError):
            arrivals.take()
