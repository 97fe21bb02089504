"""Copies are put together where nothing lies, and nothing is left half done."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import pytest

from lora_drop.adapters.s3_copies import S3Copies
from lora_drop.datasets.owner_metadata import FETCHED_FROM
from lora_drop.jobs.artifacts import Artifact, StoredFile
from lora_drop.jobs.errors import KeyOccupiedError, UploadGoneError
from lora_drop.jobs.job import DatasetVersion
from lora_drop.ports import CopyStore
from lora_drop.results.copies import ExistingFile, Label, Part
from lora_drop.services.copy import Copier
from lora_drop.services.copy_attempt import CopyRequest
from tests.contracts.builders import FetchedDatasets
from tests.support.aws import Aws
from tests.support.bucket import FIRST, KEY, LABEL, LAST, LEAST, Place
from tests.support.builders import make_weights
from tests.support.copying import MemoryNotes
from tests.support.memory_files import MemoryResults, MemorySource
from tests.support.outcome import Killed


def forgets_uploads(place: Place) -> bool:
    """Tell moto: it keeps no checksums of parts and raises KeyError for an ended upload."""
    return place.aws is not None and place.aws.endpoint_url is None


@pytest.mark.parametrize("data", [b"", b"x", bytes(1000)], ids=["0", "1", "1000"])
def test_small_file_is_put_with_source(place: Place, data: bytes) -> None:
    """A small file is put at once, and its source is known again."""
    place.store.put(KEY, data, LABEL)
    assert place.files() == {KEY: data}
    assert place.store.find(KEY) == ExistingFile(len(data), "5ca1ab1e")


def test_foreign_file_has_no_source(place: Place) -> None:
    place.store.write(KEY, "mine", "text/plain")
    assert place.store.find(KEY) == ExistingFile(4, "")


def test_same_bytes_may_be_put_again(place: Place) -> None:
    place.store.put(KEY, b"weights", LABEL)
    place.store.put(KEY, b"weights", Label("model/x", "another"))
    assert place.files() == {KEY: b"weights"}


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("there", ["weightz", "longer than that"], ids=["same size", "longer"])
def test_other_bytes_are_never_overwritten(place: Place, there: str) -> None:
    """A file with other bytes is never overwritten."""
    place.store.write(KEY, there, "text/plain")
    with pytest.raises(KeyOccupiedError):
        place.store.put(KEY, b"weights", LABEL)
    assert place.files() == {KEY: there.encode()}


def test_copy_appears_once_it_is_complete(place: Place) -> None:
    """A copy in parts appears when it is complete and not before."""
    upload_id, parts = place.uploaded(FIRST, LAST)
    before = place.files()
    assert place.store.find(KEY) is None
    place.store.complete(KEY, upload_id, parts)
    assert before == {}
    assert place.files() == {KEY: FIRST + LAST}
    assert place.store.find(KEY) == ExistingFile(len(FIRST + LAST), "5ca1ab1e")
    assert place.unfinished() == 0


def test_parts_upload_in_any_order(place: Place) -> None:
    """A part may be uploaded again, and in any order."""
    upload_id = place.store.begin(KEY, LABEL)
    last = place.store.upload(KEY, upload_id, 2, LAST)
    place.store.upload(KEY, upload_id, 1, bytes(LEAST))
    first = place.store.upload(KEY, upload_id, 1, FIRST)
    place.store.complete(KEY, upload_id, [first, last])
    assert place.files() == {KEY: FIRST + LAST}


def test_uploaded_parts_are_listed(place: Place) -> None:
    """The parts are listed as they were when they were uploaded."""
    if forgets_uploads(place):
        pytest.skip("moto lists no checksums")
    upload_id, parts = place.uploaded(FIRST, LAST)
    assert place.store.parts(KEY, upload_id) == {part.number: part for part in parts}


def test_part_without_checksum_counts_as_missing(place: Place) -> None:
    upload_id, parts = place.uploaded(FIRST, LAST)
    if isinstance(place.store, MemoryResults):
        place.store.unknown = {1, 2}
    elif not forgets_uploads(place):
        pytest.skip("only an old S3 forgets them")
    assert place.store.parts(KEY, upload_id) == {}
    place.store.complete(KEY, upload_id, parts)


def test_listed_part_completes_a_copy(place: Place) -> None:
    """A part that is listed completes a copy as one that was just uploaded."""
    if forgets_uploads(place):
        pytest.skip("moto lists no checksums")
    upload_id, [_, last] = place.uploaded(FIRST, LAST)
    store: CopyStore = place.store
    if place.aws:
        store = S3Copies(place.aws.s3, place.bucket)  # another process, which has seen nothing
    store.complete(KEY, upload_id, [store.parts(KEY, upload_id)[1], last])
    assert place.files() == {KEY: FIRST + LAST}


def test_copy_of_same_bytes_succeeds(place: Place) -> None:
    """A copy of the same bytes succeeds and leaves no upload."""
    place.store.complete(KEY, *place.uploaded(FIRST, LAST))
    place.store.complete(KEY, *place.uploaded(FIRST + LAST))
    assert place.files() == {KEY: FIRST + LAST}
    assert place.unfinished() == 0


def test_completing_twice_loses_nothing(place: Place) -> None:
    upload_id, parts = place.uploaded(FIRST, LAST)
    place.store.complete(KEY, upload_id, parts)
    try:
        place.store.complete(KEY, upload_id, parts)
    except UploadGoneError:
        ok = True
    else:
        ok = place.aws is not None  # S3 answers a completion that is sent again as the first
    assert ok
    assert place.files() == {KEY: FIRST + LAST}


def test_copy_never_overwrites_other_bytes(place: Place) -> None:
    place.store.put(KEY, b"a person's own", Label("model/x", ""))
    upload_id, parts = place.uploaded(FIRST, LAST)
    with pytest.raises(KeyOccupiedError):
        place.store.complete(KEY, upload_id, parts)
    assert place.files() == {KEY: b"a person's own"}
    place.store.abort(KEY, upload_id)
    assert place.unfinished() == 0


def test_wrong_parts_make_no_file(place: Place) -> None:
    upload_id, parts = place.uploaded(FIRST, LAST)
    place.store.upload(KEY, upload_id, 2, b"from another")
    with pytest.raises(UploadGoneError):
        place.store.complete(KEY, upload_id, parts)
    assert place.files() == {}


def test_aborted_copy_stays_gone(place: Place) -> None:
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


def test_stored_file_is_read_back(place: Place) -> None:
    place.store.complete(KEY, *place.uploaded(FIRST, LAST))
    assert place.store.reread(KEY) == StoredFile(
        name="lora.safetensors",
        bucket=place.bucket,
        key=KEY,
        size=len(FIRST + LAST),
        sha256=hashlib.sha256(FIRST + LAST).hexdigest(),
    )


PART = 5 * 1024**2  # the least that S3 takes
LORA = make_weights(2 * PART + 1)
ARTIFACT = Artifact(name="lora.safetensors", url="https://v3.fal.media/files/a/lora.safetensors")
PREFIX = "ada/ada-0123456789/"


class Dying(S3Copies):
    """A store whose process dies at the second part, or right before or after the completion."""

    def __init__(self, aws: Aws, bucket: str, at: str) -> None:
        super().__init__(aws.s3, bucket)
        self._at = at

    def upload(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
        if self._at == "part" and number > 1:
            raise Killed
        return super().upload(key, upload_id, number, data)

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        if self._at == "after":
            super().complete(key, upload_id, parts)
        raise Killed


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("at", ["never", "part", "before", "after"])
def test_copy_resumes_after_any_crash(aws: Aws, at: str) -> None:
    """A copy is whole wherever the first attempt ended."""
    bucket = aws.bucket("models")
    source = MemorySource({ARTIFACT.name: LORA})
    request = CopyRequest(ARTIFACT, PREFIX, MemoryNotes(), until=1e12)
    if at != "never":
        with pytest.raises(Killed):
            Copier(Dying(aws, bucket, at), source, PART).copy(request)
    moto = aws.endpoint_url is None  # it lists no checksums, so its parts are not believed
    source.gone = set() if moto or at in ("never", "part") else {ARTIFACT.url}
    source.reads.clear()
    stored = Copier(S3Copies(aws.s3, bucket), source, PART).copy(request)
    body = aws.s3.get_object(Bucket=bucket, Key=stored.key)["Body"].read()
    assert body == LORA
    assert stored == S3Copies(aws.s3, bucket).reread(stored.key)
    assert aws.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    if not moto and at == "part":
        assert sorted(offset for _, offset in source.reads) == [PART, 2 * PART]


@pytest.mark.promise("never lose a result")
def test_copy_never_replaces_a_persons_file(aws: Aws) -> None:
    """A file that a person put at our key stays, and ours lies beside it."""
    bucket = aws.bucket("models")
    aws.s3.put_object(Bucket=bucket, Key=PREFIX + ARTIFACT.name, Body=bytes(len(LORA)))
    request = CopyRequest(ARTIFACT, PREFIX, MemoryNotes(), until=1e12)
    copier = Copier(S3Copies(aws.s3, bucket), MemorySource({ARTIFACT.name: LORA}), PART)
    stored = copier.copy(request)
    theirs = aws.s3.get_object(Bucket=bucket, Key=PREFIX + ARTIFACT.name)["Body"].read()
    assert theirs == bytes(len(LORA))
    assert stored.name == "2-lora.safetensors"
    assert copier.copy(replace(request, notes=MemoryNotes())) == stored
    assert aws.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


FETCHED = f"fetched/{'0' * 32}/ada.zip"
OWNERS = {"steps": "1200", "reference": "user-42"}
ZIPPED = Label("application/zip", "5ca1ab1e", OWNERS)


@pytest.mark.parametrize("datas", [(LAST,), (FIRST, LAST)], ids=["at once", "in parts"])
def test_fetched_dataset_has_its_owners_metadata(
    fetched: FetchedDatasets, datas: tuple[bytes, ...]
) -> None:
    """A dataset that was fetched is read like one that was uploaded, and is known again by its source."""
    copies = fetched.copies
    if len(datas) == 1:
        copies.put(FETCHED, *datas, ZIPPED)
    else:
        upload_id = copies.begin(FETCHED, ZIPPED)
        parts = [
            copies.upload(FETCHED, upload_id, number, data)
            for number, data in enumerate(datas, start=1)
        ]
        copies.complete(FETCHED, upload_id, parts)

    size = len(b"".join(datas))
    lies = fetched.store.open(DatasetVersion(bucket=copies.bucket, key=FETCHED, version_id=""))
    assert copies.find(FETCHED) == ExistingFile(size, ZIPPED.source)
    assert dict(lies.metadata) == {**OWNERS, FETCHED_FROM: ZIPPED.source}
    assert (bool(lies.version.version_id), lies.version.size) == (True, size)
    with pytest.raises(KeyOccupiedError):
        copies.put(FETCHED, b"another file", ZIPPED)
