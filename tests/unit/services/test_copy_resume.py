"""No part is fetched twice or mixed with another file's, and never more than five are in memory."""

import hashlib
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from lora_drop.jobs.artifacts import Artifact, Upload
from lora_drop.jobs.errors import DownloadInterruptedError, UploadGoneError
from lora_drop.results.copies import Label, Part
from lora_drop.services.copy import Copier
from lora_drop.services.copy_attempt import CopyRequest
from lora_drop.services.prefetch import Arrivals, spans
from tests.support.copying import BIN, KEY, PART, PREFIX, Bench, MemoryNotes
from tests.support.memory_files import MemoryArtifact, MemoryResults, MemorySource

SOURCE = hashlib.sha256(BIN.url.encode()).hexdigest()


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("size", [4 * PART, 5 * PART + 7, 20 * PART])
def test_copy_goes_on_from_its_parts(bench: Bench, size: int) -> None:
    """A copy that broke leaves its parts, and the next one goes on from them."""
    data = bench.cut_at(size)
    [upload] = bench.results.uploads.values()
    there = set(upload.parts)
    assert there
    assert bench.left() == (1, 1)
    stored = bench.copy()
    missing = [offset for number, offset, _ in spans(size, PART) if number not in there]
    assert bench.offsets() == missing
    assert stored.sha256 == hashlib.sha256(data).hexdigest()
    assert bench.stored() == {KEY: data}


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("there", [set(range(1, 6)) - {n} for n in range(1, 6)] + [{2, 4}, {5}])
def test_copy_goes_on_from_parts_in_any_order(bench: Bench, there: set[int]) -> None:
    """Parts are stored at once, so a worker that dies may leave any of them; the others alone are fetched."""
    data = bench.serves(5 * PART)
    upload = Upload(
        name=BIN.name,
        upload_id=bench.results.begin(KEY, Label("x", SOURCE)),
        identity=f"{MemoryArtifact(bench.source, BIN.name, whole=False).identity} {SOURCE[:16]}",
        size=len(data),
    )
    bench.notes.add(upload)
    for number, offset, length in spans(len(data), PART):
        if number in there:
            piece = data[offset : offset + length]
            bench.results.upload(KEY, upload.upload_id, number, piece)
    stored = bench.copy()
    assert bench.offsets() == [(number - 1) * PART for number in range(1, 6) if number not in there]
    assert stored.sha256 == hashlib.sha256(data).hexdigest()
    assert bench.stored() == {KEY: data}


def test_bad_part_is_fetched_again(bench: Bench) -> None:
    bench.cut_at(20 * PART)
    [upload] = bench.results.uploads.values()
    upload.parts[2] = b"short"
    upload.parts[99] = bytes(PART)
    bench.results.unknown = {3}
    missing = [span for span in spans(20 * PART, PART) if span[0] not in upload.parts]
    expected = sorted([PART, 2 * PART, *(offset for _, offset, _ in missing)])
    del upload.parts[99]
    bench.copy()
    assert bench.offsets() == expected
    assert bench.results.files == {KEY: bench.source.files[BIN.name]}


@pytest.mark.parametrize("url", [BIN.url, "https://v3b.fal.media/other"], ids=["ended", "other"])
def test_copy_without_upload_starts_again(bench: Bench, url: str) -> None:
    """A copy whose upload is gone, or is of another address with the same ETag, starts again."""
    data = bench.cut_at(5 * PART)
    if url == BIN.url:
        bench.results.uploads.clear()
    bench.copy(BIN.model_copy(update={"url": url}))
    assert bench.offsets() == list(range(0, 5 * PART, PART))
    assert bench.stored() == {KEY: data}


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("size", [5 * PART, 5 * PART + 1], ids=["same size", "longer"])
def test_changed_file_is_never_mixed(bench: Bench, size: int) -> None:
    """Another file at the address is never mixed with what is there."""
    bench.cut_at(5 * PART)
    data = bench.source.files[BIN.name] = b"x" * size
    stored = bench.copy()
    assert stored.sha256 == hashlib.sha256(data).hexdigest()
    assert bench.stored() == {KEY: data}


def test_one_go_copy_begins_again(bench: Bench) -> None:
    bench.serves(5 * PART)
    bench.notes.uploads[BIN.name] = Upload(
        name=BIN.name,
        upload_id=bench.results.begin(KEY, Label("x", "y")),
        identity="",
        size=5 * PART,
    )
    bench.source.whole = {BIN.name}
    bench.copy()
    assert bench.stored() == {KEY: bench.source.files[BIN.name]}


class Discarding(MemoryResults):
    """A store that keeps nothing but the sizes."""

    def upload(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
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


def test_five_parts_in_memory_at_most() -> None:
    """Two on their way, and three being hashed or stored, whatever the file's size."""
    part = 1024**2
    copier = Copier(Discarding(), Zeros(30 * part + 7), part, now=lambda: 0)
    request = CopyRequest(BIN, PREFIX, MemoryNotes(), until=1)
    tracemalloc.start()
    copier.copy(request)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 2 * part <= peak < 5.3 * part


class WatchedSource(MemorySource):
    """A source that sets the event of each part that is read, and notes how many are read at once."""

    def __init__(self, files: dict[str, bytes], reading: dict[int, threading.Event]) -> None:
        super().__init__(files)
        self.reading, self.now, self.most = reading, 0, 0

    @contextmanager
    def open(
        self, artifact: Artifact, *, until: float, whole: bool = False
    ) -> Iterator[MemoryArtifact]:
        source = self

        class Watched(MemoryArtifact):
            def read(self, offset: int, into: memoryview) -> int:
                source.now += 1
                source.most = max(source.most, source.now)
                source.reading[offset // PART + 1].set()
                got = super().read(offset, into)
                source.now -= 1
                return got

        with MemorySource.open(self, artifact, until=until, whole=whole) as file:
            yield Watched(self, file.name, whole=not file.identity)


def test_three_parts_are_stored_at_once(bench: Bench) -> None:
    """Three parts are stored at a time while two are on their way, and no more."""
    bench.serves(9 * PART)
    reading = {number: threading.Event() for number in range(1, 10)}
    storing = threading.Barrier(3)
    ahead: list[bool] = []

    class WaitingStore(MemoryResults):
        def upload(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
            storing.wait(timeout=60)
            ahead.append(number > 4 or reading[number + 2].wait(timeout=60))
            return super().upload(key, upload_id, number, data)

    source = WatchedSource(bench.source.files, reading)
    bench.source, bench.results = source, WaitingStore()
    bench.copy()

    assert ahead == [True] * 9
    assert source.most <= 2


def test_file_in_one_go_is_read_in_order(bench: Bench) -> None:
    """A file without ranges is never read at two places at once."""
    bench.serves(9 * PART)
    source = WatchedSource(bench.source.files, {n: threading.Event() for n in range(1, 11)})
    source.whole = {BIN.name}
    bench.source = source
    bench.copy()
    assert bench.offsets() == list(range(0, 10 * PART, PART))[: len(source.reading) - 1]
    assert source.most == 1


@pytest.mark.promise("never lose a result")
def test_no_part_is_on_its_way_when_a_copy_is_ended(bench: Bench) -> None:
    """A copy is aborted only once none of its parts is being stored any more: S3 keeps and bills one that comes after."""
    bench.serves(5 * PART)
    ended: list[int] = []
    failed = threading.Event()

    class FailingStore(MemoryResults):
        def upload(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
            if number == 2 and not failed.is_set():
                failed.set()
                raise UploadGoneError(key)
            assert failed.wait(timeout=60)
            part = super().upload(key, upload_id, number, data)
            ended.append(number)
            return part

        def abort(self, key: str, upload_id: str) -> None:
            aborted.append(sorted(ended))
            super().abort(key, upload_id)

    aborted: list[list[int]] = []
    bench.results = FailingStore()
    bench.copy()

    assert len(aborted) == 1
    assert 1 in aborted[0]
    assert bench.stored() == {KEY: bench.source.files[BIN.name]}


@pytest.mark.parametrize(
    ("size", "lengths"),
    [(0, [0]), (1, [1]), (PART, [PART]), (PART + 1, [PART, 1]), (2 * PART + 5, [PART, PART, 5])],
)
def test_parts_cover_the_whole_file(size: int, lengths: list[int]) -> None:
    expected = [(at + 1, at * PART, length) for at, length in enumerate(lengths)]
    assert spans(size, PART) == expected


@pytest.mark.parametrize(
    ("size", "error"), [(PART, IndexError), (2 * PART, DownloadInterruptedError)]
)
def test_short_file_is_interrupted(size: int, error: type[Exception]) -> None:
    """A file that is shorter than it said is interrupted, and no part is left after the last."""

    class Short(Zeros):
        def read(self, offset: int, into: memoryview) -> int:
            return len(into) - 1 if offset else len(into)

    with ThreadPoolExecutor(1) as ahead:
        arrivals = Arrivals(Short(size), PART, (), ahead)
        arrivals.take()
        assert bool(arrivals.waiting) == (size > PART)
        with pytest.raises(error):
            arrivals.take()
