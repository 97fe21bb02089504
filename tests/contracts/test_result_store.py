"""Texts are replaced, files are known by their size, abandoned uploads are swept."""

import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.errors import DatasetUnreadableError
from tests.support.bucket import KEY, LAST, PREFIX, Place

MIB = 1024**2


def test_text_is_put_and_described(place: Place) -> None:
    text = "\u5199\u771f: it worked.\n"
    stored = place.store.write(PREFIX + "ERROR.txt", text, "text/plain")
    assert stored == StoredFile(
        name="ERROR.txt",
        bucket=place.bucket,
        key=PREFIX + "ERROR.txt",
        size=len(text.encode()),
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )
    assert place.files() == {PREFIX + "ERROR.txt": text.encode()}
    assert place.store.bucket == place.bucket


def test_text_replaces_an_earlier_one(place: Place) -> None:
    """A text or a file of pieces replaces an earlier one, whichever is longer."""
    for text in ("a longer text", "short"):
        place.store.write(PREFIX + "status.json", text, "application/json")
        place.store.write_pieces(KEY, [text.encode()], "application/zip")
    assert place.files() == {PREFIX + "status.json": b"short", KEY: b"short"}


def test_text_is_removed(place: Place) -> None:
    place.store.write(PREFIX + "ERROR.txt", "x", "text/plain")
    place.store.write(PREFIX + "status.json", "{}", "application/json")
    for _ in range(2):  # a missing file is removed without an error
        place.store.remove(PREFIX + "ERROR.txt")
        assert place.files() == {PREFIX + "status.json": b"{}"}


def test_file_is_read_by_ranges(place: Place) -> None:
    stored = place.store.write(PREFIX + "dataset.zip", "0123456789", "application/zip")
    reader = place.store.reader(stored)
    assert (reader.size, reader.read(2, 3), reader.read(8, 9)) == (10, b"234", b"89")


def test_first_bytes_are_read(place: Place) -> None:
    stored = place.store.write(PREFIX + "status.json", "0123456789", "application/json")
    empty = place.store.write(PREFIX + "ERROR.txt", "", "text/plain")
    assert [place.store.read(stored, most) for most in (4, 10, 99)] == [
        b"0123",
        *[b"0123456789"] * 2,
    ]
    assert place.store.read(empty, 4) == b""
    place.store.remove(stored.key)
    with pytest.raises(DatasetUnreadableError):
        place.store.read(stored, 4)


def test_missing_file_is_not_read(place: Place) -> None:
    stored = place.store.write(PREFIX + "dataset.zip", "0123456789", "application/zip")
    place.store.remove(stored.key)
    with pytest.raises(DatasetUnreadableError):
        place.store.reader(stored)


@pytest.mark.parametrize("data", ["weights", ""])
def test_file_counts_with_its_size(place: Place, data: str) -> None:
    """A store has a file only while it lies there in its recorded size."""
    stored = place.store.write(KEY, data, "text/plain")
    had = place.store.has(stored)
    place.store.write(KEY, "other", "text/plain")
    changed = place.store.has(stored)
    place.store.remove(KEY)
    assert (had, changed, place.store.has(stored)) == (True, False, False)


def test_file_url_is_readable(place: Place) -> None:
    stored = place.store.write(KEY, "weights", "text/plain")
    url = place.store.url(stored, 60)
    assert url.startswith("http")
    if place.aws and place.aws.endpoint_url:
        assert httpx.get(url).content == b"weights"


@pytest.mark.promise("it can be operated")
def test_sweep_ends_abandoned_copies(place: Place) -> None:
    """A sweep ends old copies that no job goes on with."""
    kept, _ = place.uploaded(LAST)
    place.uploaded(LAST, key=PREFIX + "a/2")
    place.uploaded(LAST, key=PREFIX + "b/3")
    later = datetime.now(UTC) + timedelta(days=1000)
    swept = place.store.sweep(older_than=later, keep={kept})
    assert (swept, place.unfinished()) == (2, 1)
    assert place.store.sweep(older_than=later, keep=[]) == 1
    assert place.store.sweep(older_than=later, keep=[]) == 0


@pytest.mark.promise("never lose a result")
def test_sweep_leaves_young_copies(place: Place) -> None:
    """A sweep leaves young copies alone."""
    place.uploaded(LAST)
    before_s3 = datetime(2000, 1, 1, tzinfo=UTC)
    assert place.store.sweep(older_than=before_s3, keep=[]) == 0
    assert place.unfinished() == 1


def test_pieces_are_put_and_described(place: Place) -> None:
    pieces = [b"one", b"", b"two"]
    stored = place.store.write_pieces(KEY, pieces, "application/zip")
    assert place.files() == {KEY: b"onetwo"}
    assert (stored.key, stored.bucket, stored.size) == (KEY, place.bucket, 6)
    assert stored.sha256 == hashlib.sha256(b"onetwo").hexdigest()
    assert place.store.has(stored)


def test_several_parts_make_one_file(place: Place) -> None:
    pieces = [os.urandom(3 * MIB) for _ in range(7)]
    stored = place.store.write_pieces(KEY, pieces, "application/zip")
    assert place.files() == {KEY: b"".join(pieces)}
    assert stored.size == 21 * MIB
    assert place.unfinished() == 0


@pytest.mark.parametrize("size", [8 * MIB, 16 * MIB, 8 * MIB + 1])
def test_full_parts_add_no_bytes(place: Place, size: int) -> None:
    data = os.urandom(size)
    place.store.write_pieces(KEY, [data], "application/zip")
    assert place.files() == {KEY: data}


@pytest.mark.parametrize("before", [1, 20 * MIB])
def test_interrupted_file_leaves_nothing(place: Place, before: int) -> None:
    def pieces() -> Iterator[bytes]:
        yield bytes(before)
        raise ConnectionError("on purpose")

    with pytest.raises(ConnectionError):
        place.store.write_pieces(KEY, pieces(), "application/zip")
    assert (place.files(), place.unfinished()) == ({}, 0)


@pytest.mark.promise("never lose a result")
def test_interrupted_file_keeps_earlier_one(place: Place) -> None:
    """A file that is interrupted leaves the earlier one as it was."""
    place.store.write_pieces(KEY, [b"the earlier one"], "application/zip")

    def pieces() -> Iterator[bytes]:
        yield bytes(9 * MIB)
        raise ConnectionError("on purpose")

    with pytest.raises(ConnectionError):
        place.store.write_pieces(KEY, pieces(), "application/zip")
    assert place.files() == {KEY: b"the earlier one"}


@pytest.mark.promise("nothing leaks")
def test_only_files_with_photos_expire(place: Place) -> None:
    """Files that show photos expire with the datasets, and no other file does."""
    place.store.write_pieces(PREFIX + "dataset.zip", [b"PK"], "application/zip", expires=True)
    place.store.write(PREFIX + "report.html", "<img>", "text/html", expires=True)
    place.store.write(PREFIX + "status.json", "{}", "application/json")
    place.store.write_pieces(KEY, [b"weights"], "application/octet-stream")
    lying = {key.rsplit("/", 1)[-1]: place.expires(key) for key in place.files()}
    assert lying == {
        "dataset.zip": True,
        "report.html": True,
        "status.json": False,
        "lora.safetensors": False,
    }
