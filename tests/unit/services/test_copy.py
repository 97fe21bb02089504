"""A file is copied whole and put there once, and a file that is invalid is never stored under its name."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

from lora_drop.jobs import errors
from lora_drop.jobs.artifacts import Artifact, StoredFile
from lora_drop.results.copies import Label
from lora_drop.services.copy import TRIES, Copier
from lora_drop.services.copy_attempt import CopyRequest
from tests.support.builders import make_weights
from tests.support.copying import BIN, KEY, LORA, PART, PREFIX, Bench, HookedResults
from tests.support.memory_files import MemoryArtifact, MemoryResults, MemorySource
from tests.support.outcome import Killed


@pytest.fixture
def bench() -> Bench:
    return Bench()


SIZES = [0, 1, PART - 1, PART, PART + 1, 2 * PART - 1, 2 * PART, 2 * PART + 1, 5 * PART + 7]
SMALL_AND_LARGE = pytest.mark.parametrize("size", [5, 5 * PART], ids=["small", "in parts"])


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def long_header(size: int) -> bytes:
    """Weights whose header is longer than two parts, cut at this size."""
    valid = make_weights(PART)
    length = int.from_bytes(valid[:8], "little")
    padding = b" " * (2 * PART)
    header = (length + len(padding)).to_bytes(8, "little") + valid[8 : 8 + length] + padding
    return (header + valid[8 + length :])[:size]


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", ["ranges", "whole", "unsized"])
def test_file_of_any_size_arrives_whole(bench: Bench, size: int, how: str) -> None:
    """A file of any size arrives whole, with its hash; by ranges each byte is requested once."""
    data = bench.serves(size)
    bench.serves_in(how)
    assert bench.copy() == StoredFile(
        name=BIN.name, bucket="models", key=KEY, size=size, sha256=sha256(data)
    )
    assert bench.stored() == {KEY: data}
    if how == "ranges":
        assert bench.offsets() == list(range(0, size, PART))


def test_file_keeps_type_and_source(bench: Bench) -> None:
    bench.serves(10)
    seen: list[Label] = []

    class Noting(MemoryResults):
        def put(self, key: str, data: bytes, label: Label) -> None:
            seen.append(label)
            super().put(key, data, label)

    bench.results = Noting()
    bench.copy()
    bench.copy(BIN.model_copy(update={"name": "b.bin", "content_type": "model/x"}))
    source = hashlib.sha256(BIN.url.encode()).hexdigest()
    assert seen == [Label("application/octet-stream", source), Label("model/x", source)]


@SMALL_AND_LARGE
def test_identical_existing_file_is_accepted(bench: Bench, size: int) -> None:
    data = bench.results.files[KEY] = bench.serves(size)
    stored = bench.copy()
    assert (stored.key, stored.sha256) == (KEY, sha256(data))
    assert bench.stored() == {KEY: data}


@pytest.mark.promise("never lose a result")
@SMALL_AND_LARGE
@pytest.mark.parametrize("more", [0, 1], ids=["same size", "another size"])
@pytest.mark.parametrize("how", ["ranges", "unsized"])
def test_persons_file_stays_untouched(bench: Bench, size: int, more: int, how: str) -> None:
    """A person's file under our name stays, and our file lies beside it."""
    data = bench.serves(size)
    theirs = {KEY: bytes(size + more), f"{PREFIX}2-{BIN.name}": b"theirs as well"}
    bench.results.files = dict(theirs)
    bench.serves_in(how)
    stored = bench.copy()
    assert (stored.name, stored.key) == (f"3-{BIN.name}", f"{PREFIX}3-{BIN.name}")
    assert bench.stored() == theirs | {stored.key: data}


def test_our_renamed_copy_is_found_again(bench: Bench) -> None:
    """A file of another size is known before a byte is fetched; our copy beside it is found."""
    bench.serves(5 * PART)
    bench.results.files[KEY] = b"theirs"
    first = bench.copy()
    assert bench.offsets() == list(range(0, 5 * PART, PART))
    bench.source.gone = {BIN.url}
    assert bench.copy() == first
    assert first.name == f"2-{BIN.name}"


@SMALL_AND_LARGE
def test_simultaneous_copy_is_made_again(bench: Bench, size: int) -> None:
    """A copy that meets another is made again; one that is never taken is given up for now."""
    data = bench.serves(size)
    bench.results.contended = 1000
    with pytest.raises(errors.DownloadInterruptedError):
        bench.copy()
    assert len(bench.source.opened) == TRIES
    assert bench.stored() == {}
    bench.results.contended = 2
    bench.copy()
    assert bench.stored() == {KEY: data}


@pytest.mark.parametrize(
    ("error", "left"),
    [(errors.ConflictError("ada"), (0, 0)), (Killed(), (1, 0))],
    ids=["lost", "killed"],
)
def test_lost_job_has_no_upload(bench: Bench, error: BaseException, left: tuple[int, int]) -> None:
    """A worker that loses the job ends its upload; one that is killed leaves it for the sweep."""
    bench.serves(5 * PART)
    bench.notes.lost = error
    with pytest.raises(type(error)):
        bench.copy()
    assert bench.left() == left


@pytest.mark.promise("never lose a result")
def test_upload_is_noted_before_first_part(bench: Bench) -> None:
    """An upload is noted before its first part."""
    bench.serves(5 * PART)
    noted: list[bool] = []

    def note(_: int, upload_id: str) -> None:
        upload = bench.notes.find(BIN.name)
        noted.append(upload is not None and upload.upload_id == upload_id)

    bench.results = HookedResults(note)
    bench.copy()
    assert noted == [True] * 5


def test_copy_out_of_time_goes_on(bench: Bench) -> None:
    data = bench.serves(5 * PART)

    def take_long(*_: object) -> None:
        bench.now += 60  # the second makes it too late, and no more than three go up at once

    bench.results = HookedResults(take_long)
    with pytest.raises(errors.DownloadInterruptedError, match="time"):
        bench.copy()
    assert bench.left() == (1, 1)
    [upload] = bench.results.uploads.values()
    assert sorted(upload.parts) in ([1, 2], [1, 2, 3], [1, 2, 3, 4]), (
        "whichever had arrived by then"
    )
    bench.now = 0
    bench.copy()
    assert bench.results.files == {KEY: data}


INVALID = {
    "none": hashlib.shake_128(b"none").digest(10),
    "none in parts": hashlib.shake_128(b"none").digest(5 * PART),
    "cut": make_weights(10)[:-1],
    "cut in parts": make_weights(5 * PART)[:-1],
    "long header": long_header(10 * PART)[:-1],
}
# Only here an upload is begun before the weights are judged, and taken back.
BEGUN = {("cut in parts", "unsized"), ("long header", "whole"), ("long header", "unsized")}


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("how", ["ranges", "whole", "unsized"])
@pytest.mark.parametrize("case", INVALID)
def test_invalid_weights_are_never_stored(bench: Bench, case: str, how: str) -> None:
    """Weights that are none or are cut are never stored; where it can be, no upload is begun."""
    bench.source.files[LORA.name] = INVALID[case]
    bench.serves_in(how)
    with pytest.raises(errors.ResultInvalidError):
        bench.copy(LORA)
    assert bench.stored() == {}
    assert (next(bench.results.numbers) > 1) == ((case, how) in BEGUN)


@pytest.mark.parametrize("how", ["ranges", "whole", "unsized"])
def test_long_header_is_judged(bench: Bench, how: str) -> None:
    bench.source.files[LORA.name] = data = long_header(10 * PART)
    bench.serves_in(how)
    assert bench.copy(LORA).sha256 == sha256(data)


@pytest.mark.parametrize("size", [10, 5 * PART], ids=["small", "in parts"])
def test_unchecked_file_is_stored_as_is(bench: Bench, size: int) -> None:
    data = bench.serves(size, LORA)
    assert bench.copy(LORA, checked=False).sha256 == sha256(data)


def test_resumed_weights_were_judged_before(bench: Bench) -> None:
    bench.source.files[LORA.name] = data = make_weights(20 * PART)
    bench.source.cut = {LORA.name}
    with pytest.raises(errors.DownloadInterruptedError):
        bench.copy(LORA)
    bench.source.cut = set()
    assert bench.copy(LORA).sha256 == hashlib.sha256(data).hexdigest()


def test_shrinking_header_is_another_file(bench: Bench) -> None:
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


def test_ended_upload_is_begun_again(bench: Bench) -> None:
    data = bench.serves(5 * PART)
    ended: list[str] = []

    def end_once(number: int, upload_id: str) -> None:
        if number == 3 and not ended:
            ended.append(upload_id)
            bench.results.uploads.clear()

    bench.results = HookedResults(end_once)
    bench.copy()
    assert ended
    assert bench.stored() == {KEY: data}


def test_changed_file_is_read_again(bench: Bench) -> None:
    bench.serves(5 * PART)
    changed = bytes(6 * PART)
    bench.results = HookedResults(lambda *_: bench.source.files.update({BIN.name: changed}))
    assert bench.copy().sha256 == sha256(changed)
    assert bench.stored() == {KEY: changed}


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(
    ("how", "seconds", "stored"),
    [("ranges", 99.0, 3), ("ranges", 101.0, 0), ("whole", 799.0, 3), ("whole", 801.0, 0)],
)
def test_slow_file_without_ranges_has_a_longer_run(
    bench: Bench, how: str, seconds: float, stored: int
) -> None:
    """A file that can only be read in one go may take longer than one that the next run goes on with."""
    bench.serves(3 * PART)
    bench.serves_in(how)
    copier = Copier(
        *(bench.results, bench.source, PART), now=lambda: seconds if bench.source.reads else 0.0
    )
    request = CopyRequest(BIN, PREFIX, bench.notes, until=100.0, until_whole=800.0)
    with nullcontext() if stored else pytest.raises(errors.DownloadInterruptedError):
        copier.copy(request)
    assert bench.notes.renewed == stored  # the lease, with every part
