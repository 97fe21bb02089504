"""Datasets are read in their very version, and a listing holds each of them once."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from lora_drop.adapters import s3_datasets as s3_shelf
from lora_drop.adapters.s3_datasets import S3Datasets
from lora_drop.datasets.archives import RangedReader, members_of
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.job import DatasetVersion
from lora_drop.ports import DatasetListing, DatasetStore
from tests.contracts.builders import ODD_KEYS, Drops, S3Drops
from tests.support.aws import Aws
from tests.support.builders import make_archive
from tests.support.memory import MemoryDatasets

KEY = "portrait/a b+c%20\u5199\u771f.zip"
DATA = bytes(range(256)) * 40


@dataclass
class Place:
    """A store, and the bucket that it reads."""

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
    """Return the same object as an event without a version names it."""
    return DatasetVersion(bucket=dataset.bucket, key=dataset.key, version_id="")


def test_missing_version_means_the_newest(place: Place) -> None:
    """Without a version the newest one is found and named."""
    place.drops.put(KEY, b"older")
    dropped = place.drops.put(KEY, DATA)
    found = place.store.open(newest(dropped))
    assert found.version == dropped
    assert all_of(found.archive) == DATA


def test_version_stays_after_a_newer_one(place: Place) -> None:
    """A version stays what it was when a newer one is uploaded."""
    dropped = place.drops.put(KEY, DATA)
    place.drops.put(KEY, b"newer")
    found = place.store.open(dropped)
    assert (found.version, found.archive.size) == (dropped, len(DATA))
    assert all_of(found.archive) == DATA


def test_opened_version_survives_deletion(place: Place) -> None:
    """A version that was opened stays readable when its key is deleted."""
    dropped = place.drops.put(KEY, DATA)
    opened = place.store.open(dropped)
    place.drops.put(KEY, None)
    assert all_of(opened.archive) == DATA


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_deleted_dataset_is_missing(place: Place) -> None:
    """A dataset that a person deleted is missing in every version, as is an unknown key."""
    dropped = place.drops.put(KEY, DATA)
    deletion = place.drops.put(KEY, None)
    unknown = DatasetVersion(bucket=dropped.bucket, key="other.zip", version_id="")
    for missing in (dropped, newest(dropped), deletion, unknown):
        with pytest.raises(DatasetRejectedError, match="dataset_missing"):
            place.store.open(missing)


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
def test_read_beyond_the_end_is_empty(place: Place, offset: int, length: int) -> None:
    archive = place.store.open(place.drops.put(KEY, DATA)).archive
    assert archive.read(offset, length) == b""


def test_empty_object_is_empty(place: Place) -> None:
    archive = place.store.open(place.drops.put(KEY, b"")).archive
    assert archive.size == 0
    assert archive.read(0, 100) == b""


def test_archive_of_older_version_is_read(place: Place) -> None:
    dropped = place.drops.put(KEY, make_archive(images=30))
    place.drops.put(KEY, make_archive(images=10))
    assert len(members_of(place.store.open(dropped).archive)) == 30


def test_url_names_the_version(place: Place) -> None:
    dropped = place.drops.put(KEY, DATA)
    url = httpx.URL(place.store.url(dropped))
    assert url.params["versionId"] == dropped.version_id


@pytest.mark.parametrize("backend", ["ministack"], indirect=True)  # the one others can reach
def test_url_serves_exactly_that_version(place: Place) -> None:
    """A client with the URL receives exactly that version."""
    dropped = place.drops.put(KEY, DATA)
    place.drops.put(KEY, b"newer")
    with httpx.Client(trust_env=False) as client:
        got = client.get(place.store.url(dropped))
    assert (got.status_code, got.content) == (200, DATA)


@dataclass
class Listing:
    """A listing, and the person who uploads datasets."""

    store: DatasetListing
    drops: Drops


@pytest.fixture
def listing(backend: Aws | None, monkeypatch: pytest.MonkeyPatch) -> Listing:
    """Its pages have three rows."""
    if backend is None:
        memory = MemoryDatasets(page=3)
        return Listing(memory, memory)
    monkeypatch.setattr(s3_shelf, "PAGE", 3)
    drops = S3Drops(backend, backend.bucket("datasets"))
    return Listing(s3_shelf.S3DatasetListing(backend.s3, drops.bucket), drops)


def walked(listing: Listing, after: str | None = None) -> list[DatasetVersion]:
    """Return every dataset from the first page to the last."""
    found: list[DatasetVersion] = []
    for _ in range(100):
        page = listing.store.list_page(after)
        found += [dataset for dataset, _ in page.datasets]
        if page.after is None:
            return found
        assert page.after != after
        after = page.after
    raise AssertionError("the walk has no end")


def by_key(datasets: list[DatasetVersion]) -> list[DatasetVersion]:
    return sorted(datasets, key=lambda dataset: dataset.key)


def test_empty_bucket_is_one_page(listing: Listing) -> None:
    page = listing.store.list_page(None)
    assert (page.datasets, page.after) == ((), None)


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("many", [1, 2, 3, 4, 6, 7])
def test_listing_meets_every_dataset_once(listing: Listing, many: int) -> None:
    """The pages of a listing hold every dataset once."""
    dropped = [listing.drops.put(f"{number}.zip", bytes([number])) for number in range(many)]
    assert by_key(walked(listing)) == dropped


@pytest.mark.parametrize("key", ODD_KEYS)
def test_dataset_is_listed_under_its_key(listing: Listing, key: str) -> None:
    for number in range(4):
        listing.drops.put(f"!{number}", b"before")
        listing.drops.put(f"\U0010fffd{number}", b"after")
    dropped = listing.drops.put(key, b"x" * 17)
    assert [each for each in walked(listing) if each.key == key] == [dropped]
    assert len(walked(listing)) == 9


@pytest.mark.parametrize("key", ODD_KEYS)
def test_listing_continues_behind_any_key(listing: Listing, key: str) -> None:
    for _ in range(7):
        listing.drops.put(key, b"x")
    assert [each.key for each in walked(listing)] == [key]


def test_only_the_newest_version_counts(listing: Listing) -> None:
    newest = []
    for name in ("a.zip", "b.zip", "c.zip"):
        versions = [listing.drops.put(name, bytes([number])) for number in range(4)]
        newest.append(versions[-1])
    assert by_key(walked(listing)) == newest


def test_deleted_dataset_is_not_listed(listing: Listing) -> None:
    for number in range(5):
        listing.drops.put(f"{number}.zip", b"x")
    for number in (0, 2, 3, 4):
        listing.drops.put(f"{number}.zip", None)
    assert [each.key for each in walked(listing)] == ["1.zip"]


def test_restored_dataset_is_listed(listing: Listing) -> None:
    """A dataset that was uploaded again after its deletion is listed."""
    listing.drops.put("a.zip", b"x")
    listing.drops.put("a.zip", None)
    again = listing.drops.put("a.zip", b"y")
    assert walked(listing) == [again]


def test_folder_is_no_dataset(listing: Listing) -> None:
    listing.drops.put("portrait/", b"")
    dropped = listing.drops.put("portrait/ada.zip", b"x")
    assert walked(listing) == [dropped]


def test_listing_continues_after_deletions(listing: Listing) -> None:
    for number in range(8):
        listing.drops.put(f"{number}.zip", b"x")
    after = listing.store.list_page(None).after
    for number in range(4):
        listing.drops.put(f"{number}.zip", None)
    assert {"5.zip", "6.zip", "7.zip"} <= {each.key for each in walked(listing, after)}


@pytest.mark.parametrize("backend", ["moto", "ministack"], indirect=True)
def test_listing_has_upload_times(listing: Listing) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    listing.drops.put("a.zip", b"x")
    [(_, came)] = listing.store.list_page(None).datasets
    assert before < came < datetime.now(UTC) + timedelta(minutes=1)


def test_unversioned_object_is_named_as_events(aws: Aws) -> None:
    """An object from before versioning has the version that an event names."""
    bucket = f"{aws.bucket('datasets')}-old"
    aws.s3.create_bucket(Bucket=bucket)
    aws.s3.put_object(Bucket=bucket, Key="a.zip", Body=b"x")
    aws.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    [(dataset, _)] = s3_shelf.S3DatasetListing(aws.s3, bucket).list_page(None).datasets
    assert (dataset.version_id, dataset.named_version) == ("null", "")
