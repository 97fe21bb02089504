"""A sweep sees every dataset that lies in the bucket, once, in its newest version."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from lora_drop.adapters import s3_datasets as s3_shelf
from lora_drop.jobs.job import DatasetVersion
from lora_drop.ports import DatasetListing
from tests.contracts.drops import Drops, S3Drops
from tests.support.aws import Aws
from tests.support.memory import MemoryDatasets

ODD_KEYS = [
    "portrait/a b+c%20d.zip",
    "\u5199\u771f/\U0001f600.zip",
    "quote'\"&<>.zip",
    "two\nlines.zip",
    "%0A.zip",
    "a" * 1000 + ".zip",
    "no suffix",
]


@dataclass
class Place:
    """A shelf, and who puts things on it."""

    shelf: DatasetListing
    drops: Drops


@pytest.fixture
def place(backend: Aws | None, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Its pages have three rows."""
    if backend is None:
        memory = MemoryDatasets(page=3)
        return Place(memory, memory)
    monkeypatch.setattr(s3_shelf, "PAGE", 3)
    drops = S3Drops(backend, backend.bucket("datasets"))
    return Place(s3_shelf.S3Shelf(backend.s3, drops.bucket), drops)


def walked(place: Place, after: str | None = None) -> list[DatasetVersion]:
    """Every dataset from the first page to the last."""
    found: list[DatasetVersion] = []
    for _ in range(100):
        page = place.shelf.list_page(after)
        found += [dataset for dataset, _ in page.datasets]
        if page.after is None:
            return found
        assert page.after != after
        after = page.after
    raise AssertionError("the walk has no end")


def by_key(datasets: list[DatasetVersion]) -> list[DatasetVersion]:
    return sorted(datasets, key=lambda dataset: dataset.key)


def test_an_empty_bucket_is_one_page(place: Place) -> None:
    page = place.shelf.list_page(None)

    assert (page.datasets, page.after) == ((), None)


@pytest.mark.parametrize("many", [1, 2, 3, 4, 6, 7])
def test_a_walk_over_the_pages_meets_every_dataset_once(place: Place, many: int) -> None:
    dropped = [place.drops.put(f"{number}.zip", bytes([number])) for number in range(many)]

    assert by_key(walked(place)) == dropped


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_dataset_is_found_as_it_is_called(place: Place, key: str) -> None:
    for number in range(4):
        place.drops.put(f"!{number}", b"before")
        place.drops.put(f"\U0010fffd{number}", b"after")
    dropped = place.drops.put(key, b"x" * 17)

    assert [each for each in walked(place) if each.key == key] == [dropped]
    assert len(walked(place)) == 9


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_walk_goes_on_behind_any_key(place: Place, key: str) -> None:
    for _ in range(7):
        place.drops.put(key, b"x")

    assert [each.key for each in walked(place)] == [key]


def test_only_the_newest_version_counts(place: Place) -> None:
    newest = []
    for name in ("a.zip", "b.zip", "c.zip"):
        versions = [place.drops.put(name, bytes([number])) for number in range(4)]
        newest.append(versions[-1])

    assert by_key(walked(place)) == newest


def test_what_a_person_has_deleted_is_not_there(place: Place) -> None:
    for number in range(5):
        place.drops.put(f"{number}.zip", b"x")
    for number in (0, 2, 3, 4):
        place.drops.put(f"{number}.zip", None)

    assert [each.key for each in walked(place)] == ["1.zip"]


def test_what_was_dropped_again_after_its_deletion_is_there(place: Place) -> None:
    place.drops.put("a.zip", b"x")
    place.drops.put("a.zip", None)
    again = place.drops.put("a.zip", b"y")

    assert walked(place) == [again]


def test_a_folder_is_no_dataset(place: Place) -> None:
    place.drops.put("portrait/", b"")
    dropped = place.drops.put("portrait/ada.zip", b"x")

    assert walked(place) == [dropped]


def test_a_walk_goes_on_though_its_place_is_gone(place: Place) -> None:
    for number in range(8):
        place.drops.put(f"{number}.zip", b"x")
    after = place.shelf.list_page(None).after
    for number in range(4):
        place.drops.put(f"{number}.zip", None)

    assert {"5.zip", "6.zip", "7.zip"} <= {each.key for each in walked(place, after)}


@pytest.mark.parametrize("backend", ["moto", "ministack"], indirect=True)
def test_when_a_dataset_came_is_told(place: Place) -> None:
    place.drops.put("a.zip", b"x")

    [(_, came)] = place.shelf.list_page(None).datasets

    assert came.tzinfo
    assert abs(datetime.now(UTC) - came) < timedelta(minutes=1)


def test_an_object_from_before_versioning_is_called_as_an_event_calls_it(aws: Aws) -> None:
    bucket = f"{aws.bucket('datasets')}-old"
    aws.s3.create_bucket(Bucket=bucket)
    aws.s3.put_object(Bucket=bucket, Key="a.zip", Body=b"x")
    aws.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    [(dataset, _)] = s3_shelf.S3Shelf(aws.s3, bucket).list_page(None).datasets

    assert (dataset.version_id, dataset.named_version) == ("null", "")
