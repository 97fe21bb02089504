"""Nothing is fetched twice that has arrived, and nothing is mixed that is not of one file."""

import hashlib
from collections.abc import Sequence

import pytest

from lora_drop.jobs.artifacts import Upload
from lora_drop.results.copies import Label, Part
from lora_drop.services.prefetch import spans
from tests.support.copying import BIN, KEY, PART, Bench
from tests.support.memory_files import MemoryResults
from tests.support.outcome import Killed


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("size", [4 * PART, 5 * PART + 7, 20 * PART])
def test_a_copy_goes_on_from_the_parts_that_are_there(bench: Bench, size: int) -> None:
    bench.cut_at(size)
    data = bench.source.files[BIN.name]
    [upload] = bench.results.uploads.values()
    there = set(upload.parts)

    stored = bench.copy()

    assert there
    assert bench.offsets() == [
        offset for number, offset, _ in spans(size, PART) if number not in there
    ]
    assert stored.sha256 == hashlib.sha256(data).hexdigest()
    assert bench.results.files == {KEY: data}
    assert bench.left() == (0, 0)


def test_a_part_of_another_size_or_without_a_checksum_is_fetched_again(bench: Bench) -> None:
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


def test_a_copy_whose_upload_is_gone_is_made_anew(bench: Bench) -> None:
    bench.cut_at(5 * PART)
    bench.results.uploads.clear()

    bench.copy()

    assert bench.offsets() == list(range(0, 5 * PART, PART))
    assert bench.results.files == {KEY: bench.source.files[BIN.name]}
    assert bench.left() == (0, 0)


@pytest.mark.parametrize("size", [5 * PART, 5 * PART + 1], ids=["same size", "longer"])
def test_another_file_at_the_address_is_never_mixed_with_what_is_there(
    bench: Bench, size: int
) -> None:
    bench.cut_at(5 * PART)
    bench.source.files[BIN.name] = data = b"x" * size

    stored = bench.copy()

    assert stored.sha256 == hashlib.sha256(data).hexdigest()
    assert bench.results.files == {KEY: data}
    assert bench.left() == (0, 0)


def test_the_same_etag_at_another_address_is_another_file(bench: Bench) -> None:
    bench.cut_at(5 * PART)

    bench.copy(BIN.model_copy(update={"url": "https://v3b.fal.media/other"}))

    assert bench.offsets() == list(range(0, 5 * PART, PART))
    assert bench.left() == (0, 0)


def test_a_copy_that_was_read_in_one_go_begins_again_and_ends_the_old_one(bench: Bench) -> None:
    bench.serves(5 * PART)
    bench.notes.uploads[BIN.name] = Upload(
        name=BIN.name,
        upload_id=bench.results.begin(KEY, Label("x", "y")),
        identity="",
        size=5 * PART,
    )
    bench.source.whole = {BIN.name}

    bench.copy()

    assert bench.results.files == {KEY: bench.source.files[BIN.name]}
    assert bench.left() == (0, 0)


def test_a_broken_stream_that_cannot_be_gone_on_with_leaves_nothing_behind(bench: Bench) -> None:
    bench.source.whole = {BIN.name}
    bench.cut_at(5 * PART)

    assert bench.left() == (0, 0)


def test_a_broken_download_leaves_its_parts_for_the_next_try(bench: Bench) -> None:
    bench.cut_at(5 * PART)

    assert bench.left() == (1, 1)


class Breaking(MemoryResults):
    """A store that dies at one call, or right after it."""

    def __init__(self, call: str, *, after: bool) -> None:
        super().__init__()
        self.call, self.after = call, after

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        self._do("complete", lambda: MemoryResults.complete(self, key, upload_id, parts))

    def put(self, key: str, data: bytes, label: Label) -> None:
        self._do("put", lambda: MemoryResults.put(self, key, data, label))

    def _do(self, call: str, effect: object) -> None:
        assert callable(effect)
        dies = call == self.call
        self.call = "" if dies else self.call
        if dies and not self.after:
            raise Killed
        effect()
        if dies:
            raise Killed


def test_a_copy_whose_every_part_is_there_needs_no_source(bench: Bench) -> None:
    bench.results = Breaking("complete", after=False)
    data = bench.serves(5 * PART)
    with pytest.raises(Killed):
        bench.copy()
    bench.source.gone = {BIN.url}

    stored = bench.copy()

    assert stored.sha256 == hashlib.sha256(data).hexdigest()
    assert bench.results.files == {KEY: data}
    assert bench.left() == (0, 0)


@pytest.mark.parametrize(("size", "call"), [(5 * PART, "complete"), (5, "put")])
def test_a_copy_that_was_complete_before_it_could_be_told_needs_no_source(
    bench: Bench, size: int, call: str
) -> None:
    bench.results = Breaking(call, after=True)
    data = bench.serves(size)
    with pytest.raises(Killed):
        bench.copy()
    bench.source.gone = {BIN.url}

    stored = bench.copy()

    assert stored.sha256 == hashlib.sha256(data).hexdigest()
    assert bench.left() == (0, 0)
