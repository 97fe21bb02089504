"""Where a job's files lie: texts are written over, copies never are, and nothing is left half done."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from shared.adapters.s3_copies import S3Copies
from shared.domain.artifacts import StoredFile
from shared.domain.copies import Label, Lying, Part
from shared.domain.errors import Occupied, UploadGone
from shared.ports import CopyStore
from tests.aws import Aws
from tests.memory import MemoryResults

PREFIX = "portrait/a b+c \u5199\u771f/ada-0123456789/"
KEY = PREFIX + "lora.safetensors"
LABEL = Label("model/x", "5ca1ab1e")
LEAST = 5 * 1024**2  # S3 takes no smaller part but the last
FIRST, LAST = os.urandom(LEAST), b"the last bytes"


@dataclass
class Place:
    """A store, and what a person sees of it."""

    store: CopyStore
    bucket: str
    aws: Aws | None

    def files(self) -> dict[str, bytes]:
        if self.aws is None:
            assert isinstance(self.store, MemoryResults)
            return dict(self.store.files)
        listed = self.aws.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {item["Key"]: self._read(item["Key"]) for item in listed}

    def unfinished(self) -> int:
        if self.aws is None:
            assert isinstance(self.store, MemoryResults)
            return len(self.store.uploads)
        return len(self.aws.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", []))

    def uploaded(self, *datas: bytes, key: str = KEY) -> tuple[str, Sequence[Part]]:
        """A new unfinished copy of these parts."""
        upload_id = self.store.begin(key, LABEL)
        parts = [
            self.store.upload(key, upload_id, number, data)
            for number, data in enumerate(datas, start=1)
        ]
        return upload_id, parts

    def _read(self, key: str) -> bytes:
        assert self.aws
        return self.aws.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()


@pytest.fixture
def place(backend: Aws | None) -> Place:
    if backend is None:
        return Place(MemoryResults(), "models", None)
    bucket = backend.bucket("models")
    return Place(S3Copies(backend.s3, bucket), bucket, backend)


def forgets_uploads(place: Place) -> bool:
    """moto keeps no part's checksum, and breaks (KeyError) over an upload that is no more."""
    return place.aws is not None and place.aws.endpoint_url is None


def test_a_text_is_put_and_described(place: Place) -> None:
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


def test_a_text_goes_over_an_earlier_one(place: Place) -> None:
    place.store.write(PREFIX + "status.json", "a longer text", "application/json")

    place.store.write(PREFIX + "status.json", "short", "application/json")

    assert place.files() == {PREFIX + "status.json": b"short"}


def test_a_text_is_removed(place: Place) -> None:
    place.store.write(PREFIX + "ERROR.txt", "x", "text/plain")
    place.store.write(PREFIX + "status.json", "{}", "application/json")

    place.store.remove(PREFIX + "ERROR.txt")

    assert place.files() == {PREFIX + "status.json": b"{}"}


def test_removing_what_is_not_there_is_fine(place: Place) -> None:
    place.store.remove(PREFIX + "ERROR.txt")

    assert place.files() == {}


def test_a_store_says_its_buckets_name(place: Place) -> None:
    assert place.store.bucket == place.bucket


def test_nothing_is_found_where_nothing_lies(place: Place) -> None:
    place.store.begin(KEY, LABEL)

    assert place.store.find(KEY) is None


@pytest.mark.parametrize("data", [b"", b"x", bytes(1000)], ids=["0", "1", "1000"])
def test_a_small_file_is_put_at_once_and_known_again_by_its_source(
    place: Place, data: bytes
) -> None:
    place.store.put(KEY, data, LABEL)

    assert place.files() == {KEY: data}
    assert place.store.find(KEY) == Lying(len(data), "5ca1ab1e")


def test_what_somebody_else_put_has_no_source(place: Place) -> None:
    place.store.write(KEY, "mine", "text/plain")

    assert place.store.find(KEY) == Lying(4, "")


def test_the_very_same_bytes_may_be_put_again(place: Place) -> None:
    place.store.put(KEY, b"weights", LABEL)

    place.store.put(KEY, b"weights", Label("model/x", "another"))

    assert place.files() == {KEY: b"weights"}


@pytest.mark.parametrize("there", ["weightz", "longer than that"], ids=["same size", "longer"])
def test_other_bytes_are_never_written_over(place: Place, there: str) -> None:
    place.store.write(KEY, there, "text/plain")

    with pytest.raises(Occupied):
        place.store.put(KEY, b"weights", LABEL)

    assert place.files() == {KEY: there.encode()}


def test_a_copy_in_parts_lies_there_once_it_is_complete_and_not_before(place: Place) -> None:
    upload_id, parts = place.uploaded(FIRST, LAST)
    before = place.files()

    place.store.complete(KEY, upload_id, parts)

    assert before == {}
    assert place.files() == {KEY: FIRST + LAST}
    assert place.store.find(KEY) == Lying(len(FIRST + LAST), "5ca1ab1e")
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
    except UploadGone:
        told = True
    else:
        told = place.aws is not None  # S3 answers a completion that is sent again as the first

    assert told
    assert place.files() == {KEY: FIRST + LAST}


def test_a_copy_in_parts_never_goes_over_other_bytes(place: Place) -> None:
    place.store.put(KEY, b"a person's own", Label("model/x", ""))
    upload_id, parts = place.uploaded(FIRST, LAST)

    with pytest.raises(Occupied):
        place.store.complete(KEY, upload_id, parts)

    assert place.files() == {KEY: b"a person's own"}
    place.store.abort(KEY, upload_id)
    assert place.unfinished() == 0


def test_parts_that_are_not_those_in_the_store_make_no_file(place: Place) -> None:
    upload_id, parts = place.uploaded(FIRST, LAST)
    place.store.upload(KEY, upload_id, 2, b"from another")

    with pytest.raises(UploadGone):
        place.store.complete(KEY, upload_id, parts)

    assert place.files() == {}


def test_an_ended_copy_is_gone_whatever_is_done_with_it(place: Place) -> None:
    upload_id, parts = place.uploaded(LAST)
    place.store.abort(KEY, upload_id)

    place.store.abort(KEY, upload_id)

    with pytest.raises(UploadGone):
        place.store.parts(KEY, upload_id)
    if not forgets_uploads(place):
        with pytest.raises(UploadGone):
            place.store.upload(KEY, upload_id, 1, LAST)
        with pytest.raises(UploadGone):
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


def test_a_store_has_a_file_while_it_lies_there_in_its_size(place: Place) -> None:
    stored = place.store.write(KEY, "weights", "text/plain")
    had = place.store.has(stored)
    place.store.write(KEY, "other", "text/plain")
    changed = place.store.has(stored)
    place.store.remove(KEY)

    assert (had, changed, place.store.has(stored)) == (True, False, False)


def test_an_empty_file_is_had_only_where_it_lies(place: Place) -> None:
    stored = place.store.write(KEY, "", "text/plain")
    had = place.store.has(stored)
    place.store.remove(KEY)

    assert (had, place.store.has(stored)) == (True, False)


def test_a_file_has_an_address_that_anybody_can_read_it_from(place: Place) -> None:
    stored = place.store.write(KEY, "weights", "text/plain")

    url = place.store.url(stored, 60)

    assert url.startswith("http")
    if place.aws and place.aws.endpoint_url:
        assert httpx.get(url).content == b"weights"


def test_a_sweep_ends_old_copies_that_nobody_goes_on_with(place: Place) -> None:
    kept, _ = place.uploaded(LAST)
    place.uploaded(LAST, key=PREFIX + "a/2")
    place.uploaded(LAST, key=PREFIX + "b/3")
    later = datetime.now(UTC) + timedelta(days=1000)

    swept = place.store.sweep(older_than=later, keep={kept})

    assert (swept, place.unfinished()) == (2, 1)
    assert place.store.sweep(older_than=later, keep=[]) == 1
    assert place.store.sweep(older_than=later, keep=[]) == 0


def test_a_sweep_leaves_young_copies_alone(place: Place) -> None:
    place.uploaded(LAST)
    before_s3 = datetime(2000, 1, 1, tzinfo=UTC)

    assert place.store.sweep(older_than=before_s3, keep=[]) == 0
    assert place.unfinished() == 1
