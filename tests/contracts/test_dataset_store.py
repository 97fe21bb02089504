"""Datasets are read in their very version, and a listing holds each of them once."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from lora_drop.adapters.s3_datasets import S3DatasetListing
from lora_drop.datasets.archives import RangedReader, members_of
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.job import DatasetVersion
from tests.contracts.builders import ODD_KEYS, Shelf
from tests.support.aws import Aws
from tests.support.builders import make_archive

KEY = "portrait/a b+c%20\u5199\u771f.zip"
DATA = bytes(range(256)) * 40


def all_of(archive: RangedReader) -> bytes:
    return archive.read(0, archive.size)


def newest(dataset: DatasetVersion) -> DatasetVersion:
    """Return the same object as an event without a version names it."""
    return DatasetVersion(bucket=dataset.bucket, key=dataset.key, version_id="")


def test_missing_version_means_the_newest(shelf: Shelf) -> None:
    """Without a version the newest one is found and named."""
    shelf.drops.put(KEY, b"older")
    dropped = shelf.drops.put(KEY, DATA)
    found = shelf.store.open(newest(dropped))
    assert found.version == dropped
    assert all_of(found.archive) == DATA


def test_version_stays_after_a_newer_one(shelf: Shelf) -> None:
    """A version stays what it was when a newer one is uploaded."""
    data = make_archive(images=30)
    dropped = shelf.drops.put(KEY, data)
    shelf.drops.put(KEY, b"newer")
    found = shelf.store.open(dropped)
    assert (found.version, found.archive.size) == (dropped, len(data))
    assert len(members_of(found.archive)) == 30


def test_opened_version_survives_deletion(shelf: Shelf) -> None:
    """A version that was opened stays readable when its key is deleted."""
    dropped = shelf.drops.put(KEY, DATA)
    opened = shelf.store.open(dropped)
    shelf.drops.put(KEY, None)
    assert all_of(opened.archive) == DATA


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_deleted_dataset_is_missing(shelf: Shelf) -> None:
    """A dataset that a person deleted is missing in every version, as is an unknown key."""
    dropped = shelf.drops.put(KEY, DATA)
    deletion = shelf.drops.put(KEY, None)
    unknown = DatasetVersion(bucket=dropped.bucket, key="other.zip", version_id="")
    for missing in (dropped, newest(dropped), deletion, unknown):
        with pytest.raises(DatasetRejectedError, match="dataset_missing"):
            shelf.store.open(missing)


def test_metadata_is_read_with_the_version(shelf: Shelf) -> None:
    dropped = shelf.drops.put(KEY, DATA, {"steps": "1200", "trigger-phrase": "ada"})
    found = shelf.store.open(dropped)
    assert dict(found.metadata) == {"steps": "1200", "trigger-phrase": "ada"}


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        *((0, 1), (0, len(DATA)), (100, 50), (255, 2), (0, 0), (len(DATA) - 1, 1)),
        *((len(DATA) - 10, 100), (len(DATA), 1), (len(DATA) + 5, 10)),  # to the end, and beyond it
    ],
)
@pytest.mark.parametrize("data", [DATA, b""], ids=["whole", "empty"])
def test_any_range_is_read_exactly(shelf: Shelf, data: bytes, offset: int, length: int) -> None:
    archive = shelf.store.open(shelf.drops.put(KEY, data)).archive
    assert archive.size == len(data)
    assert archive.read(offset, length) == data[offset : offset + length]


def test_url_names_the_version(shelf: Shelf) -> None:
    dropped = shelf.drops.put(KEY, DATA)
    url = httpx.URL(shelf.store.url(dropped))
    assert url.params["versionId"] == dropped.version_id


@pytest.mark.parametrize("backend", ["ministack"], indirect=True)  # the one others can reach
def test_url_serves_exactly_that_version(shelf: Shelf) -> None:
    """A client with the URL receives exactly that version."""
    dropped = shelf.drops.put(KEY, DATA)
    shelf.drops.put(KEY, b"newer")
    with httpx.Client(trust_env=False) as client:
        got = client.get(shelf.store.url(dropped))
    assert (got.status_code, got.content) == (200, DATA)


def walked(shelf: Shelf, after: str | None = None) -> list[DatasetVersion]:
    """Return every dataset from the first page to the last."""
    found: list[DatasetVersion] = []
    for _ in range(100):
        page = shelf.listing.list_page(after)
        found += [dataset for dataset, _ in page.datasets]
        if page.after is None:
            return found
        assert page.after != after
        after = page.after
    raise AssertionError("the walk has no end")


def by_key(datasets: list[DatasetVersion]) -> list[DatasetVersion]:
    return sorted(datasets, key=lambda dataset: dataset.key)


def test_empty_bucket_is_one_page(shelf: Shelf) -> None:
    page = shelf.listing.list_page(None)
    assert (page.datasets, page.after) == ((), None)


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("many", [1, 2, 3, 4, 6, 7])
def test_listing_meets_every_dataset_once(shelf: Shelf, many: int) -> None:
    """The pages of a listing hold every dataset once."""
    dropped = [shelf.drops.put(f"{number}.zip", bytes([number])) for number in range(many)]
    assert by_key(walked(shelf)) == dropped


@pytest.mark.parametrize("key", ODD_KEYS)
def test_dataset_is_listed_under_its_key(shelf: Shelf, key: str) -> None:
    for number in range(4):
        shelf.drops.put(f"!{number}", b"before")
        shelf.drops.put(f"\U0010fffd{number}", b"after")
    dropped = shelf.drops.put(key, b"x" * 17)
    assert [each for each in walked(shelf) if each.key == key] == [dropped]
    assert len(walked(shelf)) == 9


@pytest.mark.parametrize("key", ODD_KEYS)
def test_listing_continues_behind_any_key(shelf: Shelf, key: str) -> None:
    for _ in range(7):
        shelf.drops.put(key, b"x")
    assert [each.key for each in walked(shelf)] == [key]


@pytest.mark.parametrize(
    ("versions", "is_listed"),
    [([b"1", b"2", b"3", b"4"], True), ([b"x", None], False), ([b"x", None, b"y"], True)],
    ids=["newer", "deleted", "uploaded again"],
)
def test_only_the_newest_version_counts(
    shelf: Shelf, versions: list[bytes | None], *, is_listed: bool
) -> None:
    names = ("a.zip", "b.zip", "c.zip", "d.zip")
    newest = [[shelf.drops.put(name, data) for data in versions][-1] for name in names]
    other = shelf.drops.put("e.zip", b"x")
    assert by_key(walked(shelf)) == [*(newest if is_listed else []), other]


def test_folder_is_no_dataset(shelf: Shelf) -> None:
    shelf.drops.put("portrait/", b"")
    dropped = shelf.drops.put("portrait/ada.zip", b"x")
    assert walked(shelf) == [dropped]


def test_listing_continues_after_deletions(shelf: Shelf) -> None:
    for number in range(8):
        shelf.drops.put(f"{number}.zip", b"x")
    after = shelf.listing.list_page(None).after
    for number in range(4):
        shelf.drops.put(f"{number}.zip", None)
    assert {"5.zip", "6.zip", "7.zip"} <= {each.key for each in walked(shelf, after)}


@pytest.mark.parametrize("backend", ["moto", "ministack"], indirect=True)
def test_listing_has_upload_times(shelf: Shelf) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    shelf.drops.put("a.zip", b"x")
    [(_, came)] = shelf.listing.list_page(None).datasets
    assert before < came < datetime.now(UTC) + timedelta(minutes=1)


def test_unversioned_object_is_named_as_events(aws: Aws) -> None:
    """An object from before versioning has the version that an event names."""
    bucket = f"{aws.bucket('datasets')}-old"
    aws.s3.create_bucket(Bucket=bucket)
    aws.s3.put_object(Bucket=bucket, Key="a.zip", Body=b"x")
    aws.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    [(dataset, _)] = S3DatasetListing(aws.s3, bucket).list_page(None).datasets
    assert (dataset.version_id, dataset.named_version) == ("null", "")
