"""Copies are put together where nothing lies, and nothing is left half done."""

import hashlib

import pytest

from lora_drop.adapters.s3_copies import S3Copies
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.errors import KeyOccupiedError, UploadGoneError
from lora_drop.ports import CopyStore
from lora_drop.results.copies import ExistingFile, Label
from tests.support.aws import Aws
from tests.support.bucket import FIRST, KEY, LABEL, LAST, LEAST, Place
from tests.support.memory_files import MemoryResults


@pytest.fixture
def place(backend: Aws | None) -> Place:
    return Place.of(backend)


def forgets_uploads(place: Place) -> bool:
    """moto keeps no part's checksum, and breaks (KeyError) over an upload that is no more."""
    return place.aws is not None and place.aws.endpoint_url is None


def test_nothing_is_found_where_nothing_lies(place: Place) -> None:
    place.store.begin(KEY, LABEL)

    assert place.store.find(KEY) is None


@pytest.mark.parametrize("data", [b"", b"x", bytes(1000)], ids=["0", "1", "1000"])
def test_a_small_file_is_put_at_once_and_known_again_by_its_source(
    place: Place, data: bytes
) -> None:
    place.store.put(KEY, data, LABEL)

    assert place.files() == {KEY: data}
    assert place.store.find(KEY) == ExistingFile(len(data), "5ca1ab1e")


def test_what_somebody_else_put_has_no_source(place: Place) -> None:
    place.store.write(KEY, "mine", "text/plain")

    assert place.store.find(KEY) == ExistingFile(4, "")


def test_the_very_same_bytes_may_be_put_again(place: Place) -> None:
    place.store.put(KEY, b"weights", LABEL)

    place.store.put(KEY, b"weights", Label("model/x", "another"))

    assert place.files() == {KEY: b"weights"}


@pytest.mark.parametrize("there", ["weightz", "longer than that"], ids=["same size", "longer"])
def test_other_bytes_are_never_written_over(place: Place, there: str) -> None:
    place.store.write(KEY, there, "text/plain")

    with pytest.raises(KeyOccupiedError):
        place.store.put(KEY, b"weights", LABEL)

    assert place.files() == {KEY: there.encode()}


def test_a_copy_in_parts_lies_there_once_it_is_complete_and_not_before(place: Place) -> None:
    upload_id, parts = place.uploaded(FIRST, LAST)
    before = place.files()

    place.store.complete(KEY, upload_id, parts)

    assert before == {}
    assert place.files() == {KEY: FIRST + LAST}
    assert place.store.find(KEY) == ExistingFile(len(FIRST + LAST), "5ca1ab1e")
    assert place.unfinished() == 0


def test_a_part_may_be_uploaded_again_and_in_any_order(place: Place) -> None:
    upload_id = place.store.begin(KEY, LABEL)
    last = place.store.upload(KEY, upload_id, 2, LAST)
    place.store.upload(KEY, upload_id, 1, bytes(LEAST))
    first = place.store.upload(KEY, upload_id, 1, FIRST)

    place.store.complete(KEY, upload_id, [first, last])

    assert place.files() == {KEY: FIRST + LAST}


def test_the_parts_that_are_there_are_told_as_they_were_when_they_were_uploaded(
    place: Place,
) -> None:
    if forgets_uploads(place):
        pytest.skip("moto lists no checksums")
    upload_id, parts = place.uploaded(FIRST, LAST)

    assert place.store.parts(KEY, upload_id) == {part.number: part for part in parts}


def test_a_part_without_a_checksum_counts_as_missing(place: Place) -> None:
    upload_id, parts = place.uploaded(FIRST, LAST)
    if isinstance(place.store, MemoryResults):
        place.store.unknown = {1, 2}
    elif not forgets_uploads(place):
        pytest.skip("only an old S3 forgets them")

    assert place.store.parts(KEY, upload_id) == {}
    place.store.complete(KEY, upload_id, parts)


def test_a_listed_part_completes_a_copy_as_well_as_one_that_was_just_uploaded(
    place: Place,
) -> None:
    if forgets_uploads(place):
        pytest.skip("moto lists no checksums")
    upload_id, [_, last] = place.uploaded(FIRST, LAST)
    store: CopyStore = place.store
    if place.aws:
        store = S3Copies(place.aws.s3, place.bucket)  # another process, which has seen nothing

    store.complete(KEY, upload_id, [store.parts(KEY, upload_id)[1], last])

    assert place.files() == {KEY: FIRST + LAST}


def test_a_copy_of_the_very_same_bytes_is_as_good_and_leaves_nothing_behind(place: Place) -> None:
    place.store.complete(KEY, *place.uploaded(FIRST, LAST))

    place.store.complete(KEY, *place.uploaded(FIRST + LAST))

    assert place.files() == {KEY: FIRST + LAST}
    assert place.unfinished() == 0


def test_completing_the_same_copy_twice_is_no_loss(place: Place) -> None:
    upload_id, parts = place.uploaded(FIRST, LAST)
    place.store.complete(KEY, upload_id, parts)

    try:
        place.store.complete(KEY, upload_id, parts)
    except UploadGoneError:
        told = True
    else:
        told = place.aws is not None  # S3 answers a completion that is sent again as the first

    assert told
    assert place.files() == {KEY: FIRST + LAST}


def test_a_copy_in_parts_never_goes_over_other_bytes(place: Place) -> None:
    place.store.put(KEY, b"a person's own", Label("model/x", ""))
    upload_id, parts = place.uploaded(FIRST, LAST)

    with pytest.raises(KeyOccupiedError):
        place.store.complete(KEY, upload_id, parts)

    assert place.files() == {KEY: b"a person's own"}
    place.store.abort(KEY, upload_id)
    assert place.unfinished() == 0


def test_parts_that_are_not_those_in_the_store_make_no_file(place: Place) -> None:
    upload_id, parts = place.uploaded(FIRST, LAST)
    place.store.upload(KEY, upload_id, 2, b"from another")

    with pytest.raises(UploadGoneError):
        place.store.complete(KEY, upload_id, parts)

    assert place.files() == {}


def test_an_ended_copy_is_gone_whatever_is_done_with_it(place: Place) -> None:
    upload_id, parts = place.uploaded(LAST)
    place.store.abort(KEY, upload_id)

    place.store.abort(KEY, upload_id)

    with pytest.raises(UploadGoneError):
        place.store.parts(KEY, upload_id)
    if not forgets_uploads(place):
        with pytest.raises(UploadGoneError):
            place.store.upload(KEY, upload_id, 1, LAST)
        with pytest.raises(UploadGoneError):
            place.store.complete(KEY, upload_id, parts)
    assert (place.files(), place.unfinished()) == ({}, 0)


def test_a_file_is_read_back_as_it_lies_there(place: Place) -> None:
    place.store.complete(KEY, *place.uploaded(FIRST, LAST))

    assert place.store.reread(KEY) == StoredFile(
        name="lora.safetensors",
        bucket=place.bucket,
        key=KEY,
        size=len(FIRST + LAST),
        sha256=hashlib.sha256(FIRST + LAST).hexdigest(),
    )
