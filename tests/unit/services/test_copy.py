"""A file is copied whole and put there once, whatever lies there and whoever else is at it."""

import hashlib

import pytest

from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.errors import (
    ConflictError,
    DownloadInterruptedError,
    HostNotAllowedError,
    ResultGoneError,
)
from lora_drop.results.copies import Label, Part
from lora_drop.services.copy import TRIES
from tests.support.copying import BIN, KEY, PART, PREFIX, Bench
from tests.support.memory_files import MemoryResults
from tests.support.outcome import Killed


@pytest.fixture
def bench() -> Bench:
    return Bench()


SIZES = [0, 1, PART - 1, PART, PART + 1, 2 * PART - 1, 2 * PART, 2 * PART + 1, 5 * PART + 7]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", ["ranges", "whole", "unsized"])
def test_a_file_of_any_size_arrives_whole_with_its_hash(bench: Bench, size: int, how: str) -> None:
    data = bench.serves(size)
    bench.source.whole = {BIN.name} if how != "ranges" else set()
    bench.source.unsized = {BIN.name} if how == "unsized" else set()

    stored = bench.copy()

    assert stored == StoredFile(
        name=BIN.name,
        bucket="models",
        key=KEY,
        size=size,
        sha256=hashlib.sha256(data).hexdigest(),
    )
    assert bench.results.files == {KEY: data}
    assert bench.left() == (0, 0)


@pytest.mark.parametrize("size", SIZES)
def test_every_byte_is_asked_for_once(bench: Bench, size: int) -> None:
    bench.serves(size)

    bench.copy()

    assert bench.offsets() == (list(range(0, size, PART)))


def test_a_file_keeps_its_kind_and_says_where_it_is_from(bench: Bench) -> None:
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


@pytest.mark.parametrize("size", [5, 5 * PART], ids=["small", "in parts"])
def test_the_very_same_bytes_of_somebody_else_are_as_good(bench: Bench, size: int) -> None:
    data = bench.serves(size)
    bench.results.files[KEY] = data

    stored = bench.copy()

    assert (stored.key, stored.sha256) == (KEY, hashlib.sha256(data).hexdigest())
    assert bench.results.files == {KEY: data}
    assert bench.left() == (0, 0)


@pytest.mark.parametrize("size", [5, 5 * PART], ids=["small", "in parts"])
@pytest.mark.parametrize("same_size", [True, False], ids=["same size", "another size"])
@pytest.mark.parametrize("how", ["ranges", "unsized"])
def test_a_persons_file_stays_and_ours_lies_beside_it(
    bench: Bench,
    size: int,
    same_size: bool,  # noqa: FBT001  # a table's column
    how: str,
) -> None:
    data = bench.serves(size)
    theirs = bytes(size if same_size else size + 1)
    bench.results.files = {KEY: theirs, f"{PREFIX}2-{BIN.name}": b"theirs as well"}
    bench.source.whole = bench.source.unsized = {BIN.name} if how == "unsized" else set()

    stored = bench.copy()

    assert (stored.name, stored.key) == (f"3-{BIN.name}", f"{PREFIX}3-{BIN.name}")
    assert bench.results.files[KEY] == theirs
    assert bench.results.files[f"{PREFIX}2-{BIN.name}"] == b"theirs as well"
    assert bench.results.files[stored.key] == data
    assert bench.left() == (0, 0)


def test_a_file_of_another_size_is_known_to_be_another_before_a_byte_is_fetched(
    bench: Bench,
) -> None:
    bench.serves(5 * PART)
    bench.results.files[KEY] = b"theirs"

    bench.copy()

    assert bench.offsets() == list(range(0, 5 * PART, PART))


def test_our_copy_under_another_name_is_found_again(bench: Bench) -> None:
    bench.serves(5 * PART)
    bench.results.files[KEY] = bytes(5 * PART)
    first = bench.copy()
    bench.source.gone = {BIN.url}

    assert bench.copy() == first
    assert first.name == f"2-{BIN.name}"


@pytest.mark.parametrize("size", [5, 5 * PART], ids=["small", "in parts"])
def test_a_copy_that_meets_another_at_the_same_moment_is_made_anew(bench: Bench, size: int) -> None:
    data = bench.serves(size)
    bench.results.contended = 2

    bench.copy()

    assert bench.results.files == {KEY: data}
    assert bench.left() == (0, 0)


@pytest.mark.parametrize("size", [5, 5 * PART], ids=["small", "in parts"])
def test_what_is_never_taken_is_given_up_for_now(bench: Bench, size: int) -> None:
    bench.serves(size)
    bench.results.contended = 1000

    with pytest.raises(DownloadInterruptedError):
        bench.copy()

    assert len(bench.source.opened) == TRIES
    assert (bench.results.files, bench.left()) == ({}, (0, 0))


def test_an_upload_that_somebody_ends_in_the_middle_is_begun_again(bench: Bench) -> None:
    data = bench.serves(5 * PART)

    class Ended(MemoryResults):
        ended = False

        def upload(self, key: str, upload_id: str, number: int, data: bytes) -> Part:
            if number == 3 and not self.ended:
                self.ended = True
                self.uploads.clear()
            return super().upload(key, upload_id, number, data)

    bench.results = Ended()
    bench.copy()

    assert bench.results.files == {KEY: data}
    assert bench.left() == (0, 0)


def test_who_loses_the_job_while_beginning_leaves_no_upload_behind(bench: Bench) -> None:
    bench.serves(5 * PART)
    bench.notes.lost = ConflictError("ada")

    with pytest.raises(ConflictError):
        bench.copy()

    assert bench.left() == (0, 0)


def test_who_dies_while_beginning_leaves_an_upload_for_the_sweep_alone(bench: Bench) -> None:
    bench.serves(5 * PART)
    bench.notes.lost = Killed()

    with pytest.raises(Killed):
        bench.copy()

    assert bench.left() == (1, 0)


def test_an_upload_is_noted_before_its_first_part(bench: Bench) -> None:
    bench.serves(5 * PART)
    noted: list[bool] = []

    class Noting(MemoryResults):
        def upload(self, key: str, upload_id: str, number: int, data: bytes) -> Part:
            upload = bench.notes.find(BIN.name)
            noted.append(upload is not None and upload.upload_id == upload_id)
            return super().upload(key, upload_id, number, data)

    bench.results = Noting()
    bench.copy()

    assert noted == [True] * 5


def test_a_file_that_changes_between_two_ranges_is_read_anew_in_one_go(bench: Bench) -> None:
    bench.serves(5 * PART)
    changed = bytes(6 * PART)

    class Changing(MemoryResults):
        def upload(self, key: str, upload_id: str, number: int, data: bytes) -> Part:
            bench.source.files[BIN.name] = changed
            return super().upload(key, upload_id, number, data)

    bench.results = Changing()
    stored = bench.copy()

    assert stored.sha256 == hashlib.sha256(changed).hexdigest()
    assert bench.results.files == {KEY: changed}
    assert bench.left() == (0, 0)


@pytest.mark.parametrize(
    "error", [ResultGoneError("404"), HostNotAllowedError("x"), DownloadInterruptedError("503")]
)
def test_a_source_that_cannot_be_opened_says_so(bench: Bench, error: Exception) -> None:
    bench.source.failing = {BIN.name: error}

    with pytest.raises(type(error)):
        bench.copy()

    assert (bench.results.files, bench.left()) == ({}, (0, 0))


def test_who_runs_out_of_time_says_so_and_goes_on_later(bench: Bench) -> None:
    data = bench.serves(5 * PART)

    class Slow(MemoryResults):
        def upload(self, key: str, upload_id: str, number: int, data: bytes) -> Part:
            bench.now += 40
            return super().upload(key, upload_id, number, data)

    bench.results = Slow()
    with pytest.raises(DownloadInterruptedError, match="time"):
        bench.copy()
    assert bench.left() == (1, 1)
    [upload] = bench.results.uploads.values()
    assert sorted(upload.parts) == [1, 2, 3]

    bench.now = 0
    bench.copy()
    assert bench.results.files == {KEY: data}
