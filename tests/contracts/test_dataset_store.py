from dataclasses import dataclass

import httpx
import pytest

from lora_drop.adapters.s3_datasets import S3Datasets
from lora_drop.datasets.archives import RangedReader, members_of
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.job import DatasetVersion
from lora_drop.ports import DatasetStore
from tests.contracts.drops import Drops, S3Drops
from tests.support.aws import Aws
from tests.support.builders import make_archive
from tests.support.memory import MemoryDatasets

KEY = "portrait/a b+c%20\u5199\u771f.zip"
DATA = bytes(range(256)) * 40


@dataclass
class Place:
    """A store, and the bucket it reads."""

    store: DatasetStore
    drops: Drops


@pytest.fixture
def place(backend: Aws | None) -> Place:
    if backend is None:
        memory = MemoryDatasets()
        return Place(memory, memory)
    drops = S3Drops(backend, backend.bucket("datasets"))
    return Place(S3Datasets(backend.s3, url_seconds=900), drops)


def all_of(archive: RangedReader) -> bytes:
    return archive.read(0, archive.size)


def newest(dataset: DatasetVersion) -> DatasetVersion:
    """The same object as an event without a version names it."""
    return DatasetVersion(bucket=dataset.bucket, key=dataset.key, version_id="")


def test_a_dataset_is_found_with_its_version_size_and_bytes(place: Place) -> None:
    dropped = place.drops.put(KEY, DATA)

    found = place.store.open(dropped)

    assert found.version == dropped
    assert found.archive.size == len(DATA)
    assert all_of(found.archive) == DATA


def test_without_a_version_the_newest_is_found_and_named(place: Place) -> None:
    place.drops.put(KEY, b"older")
    dropped = place.drops.put(KEY, DATA)

    found = place.store.open(newest(dropped))

    assert found.version == dropped
    assert all_of(found.archive) == DATA


def test_a_version_stays_what_it_was_when_a_newer_one_comes(place: Place) -> None:
    dropped = place.drops.put(KEY, DATA)
    place.drops.put(KEY, b"newer")

    found = place.store.open(dropped)

    assert found.version == dropped
    assert all_of(found.archive) == DATA


def test_a_version_that_was_opened_outlives_the_deletion_of_its_key(place: Place) -> None:
    dropped = place.drops.put(KEY, DATA)
    opened = place.store.open(dropped)

    place.drops.put(KEY, None)

    assert all_of(opened.archive) == DATA


def test_what_a_person_has_deleted_is_missing_in_every_version(place: Place) -> None:
    dropped = place.drops.put(KEY, DATA)
    place.drops.put(KEY, None)

    with pytest.raises(DatasetRejectedError, match="dataset_missing"):
        place.store.open(dropped)
    with pytest.raises(DatasetRejectedError, match="dataset_missing"):
        place.store.open(newest(dropped))


def test_a_key_that_was_never_there_is_missing(place: Place) -> None:
    dropped = place.drops.put(KEY, DATA)

    with pytest.raises(DatasetRejectedError, match="dataset_missing"):
        place.store.open(DatasetVersion(bucket=dropped.bucket, key="other.zip", version_id=""))


def test_a_deletion_is_no_dataset(place: Place) -> None:
    place.drops.put(KEY, DATA)
    deletion = place.drops.put(KEY, None)

    with pytest.raises(DatasetRejectedError, match="dataset_missing"):
        place.store.open(deletion)


def test_metadata_is_read_with_the_version(place: Place) -> None:
    dropped = place.drops.put(KEY, DATA, {"steps": "1200", "trigger-phrase": "ada"})

    found = place.store.open(dropped)

    assert dict(found.metadata) == {"steps": "1200", "trigger-phrase": "ada"}


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 1), (0, len(DATA)), (100, 50), (len(DATA) - 1, 1), (len(DATA) - 10, 100), (255, 2)],
)
def test_any_range_is_read_exactly(place: Place, offset: int, length: int) -> None:
    archive = place.store.open(place.drops.put(KEY, DATA)).archive

    assert archive.read(offset, length) == DATA[offset : offset + length]


@pytest.mark.parametrize(("offset", "length"), [(len(DATA), 1), (len(DATA) + 5, 10), (0, 0)])
def test_beyond_the_end_there_is_nothing(place: Place, offset: int, length: int) -> None:
    archive = place.store.open(place.drops.put(KEY, DATA)).archive

    assert archive.read(offset, length) == b""


def test_an_empty_object_is_empty(place: Place) -> None:
    archive = place.store.open(place.drops.put(KEY, b"")).archive

    assert archive.size == 0
    assert archive.read(0, 100) == b""


def test_an_archive_is_read_by_ranges_of_an_older_version(place: Place) -> None:
    dropped = place.drops.put(KEY, make_archive(images=30))
    place.drops.put(KEY, make_archive(images=10))

    assert len(members_of(place.store.open(dropped).archive)) == 30


def test_an_address_names_the_very_version(place: Place) -> None:
    dropped = place.drops.put(KEY, DATA)

    url = httpx.URL(place.store.url(dropped))

    assert url.params["versionId"] == dropped.version_id


@pytest.mark.parametrize("backend", ["ministack"], indirect=True)  # the one others can reach
def test_anybody_with_the_address_gets_exactly_that_version(place: Place) -> None:
    dropped = place.drops.put(KEY, DATA)
    place.drops.put(KEY, b"newer")

    with httpx.Client(trust_env=False) as somebody:
        got = somebody.get(place.store.url(dropped))

    assert (got.status_code, got.content) == (200, DATA)
