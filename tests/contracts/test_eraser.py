"""What a place names is erased in every version; its neighbours stay."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from lora_drop.adapters.s3_eraser import S3Eraser
from lora_drop.jobs.errors import NotErasableError
from lora_drop.ports import Erasable, Place
from tests.contracts.builders import ODD_KEYS, Shelf
from tests.support.aws import Aws
from tests.support.builders import NOW

EVERYTHING = Place("", folder=True)


def listed(batches: Iterable[Sequence[Erasable]]) -> list[Erasable]:
    return sorted((each for batch in batches for each in batch), key=lambda each: each.version_id)


def there(shelf: Shelf, place: Place = EVERYTHING) -> list[str]:
    """Return the keys of all versions, each as often as it has versions."""
    return sorted(each.key for each in listed(shelf.eraser.versions(place)))


def erase(shelf: Shelf, place: Place) -> None:
    for batch in shelf.eraser.versions(place):
        shelf.eraser.erase(batch)
        shelf.eraser.erase(batch)  # the second time they are no more


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("key", ["ada.zip", *ODD_KEYS])
def test_all_versions_and_markers_are_erased(shelf: Shelf, key: str) -> None:
    """Every version and every delete marker of a key is erased, whatever its characters."""
    for data in (b"one", b"two", None, b"three", None):
        shelf.drops.put(key, data)
    assert there(shelf, Place(key)) == [key] * 5
    erase(shelf, Place(key))
    assert there(shelf) == []


@pytest.mark.parametrize(
    ("place", "erased"),
    [
        (Place("ada"), ["ada"]),
        (Place("ada/ada-1"), []),
        (Place("ada/ada-1/", folder=True), ["ada/ada-1/deliveries/1.json", "ada/ada-1/lora"]),
    ],
    ids=["a key", "no key", "a folder"],
)
def test_neighbours_of_a_place_stay(shelf: Shelf, place: Place, erased: list[str]) -> None:
    keys = {"ada", "ada.zip.bak", "ada/ada-1/deliveries/1.json", "ada/ada-1/lora"}
    keys |= {"ada/ada-12/lora", "ada/status.json"}
    for key in keys:
        shelf.drops.put(key, b"x")
    erase(shelf, place)
    assert there(shelf) == sorted(keys - {*erased})


def test_version_has_date_and_marker_flag(shelf: Shelf) -> None:
    """Each version has its date and says whether it is a delete marker."""
    before = datetime.now(UTC) - timedelta(days=400)
    shelf.drops.put("ada.zip", b"x")
    shelf.drops.put("ada.zip", None)
    found = listed(shelf.eraser.versions(Place("ada.zip")))
    assert sorted(each.marker for each in found) == [False, True]
    assert all(before < each.came < before + timedelta(days=800) for each in found)


def test_empty_place_lists_nothing(shelf: Shelf) -> None:
    assert listed(shelf.eraser.versions(Place("nothing.zip"))) == []
    assert listed(shelf.eraser.unfinished(Place("nothing/", folder=True))) == []


@pytest.mark.parametrize("aws", ["ministack"], indirect=True)  # moto gives all at once
def test_pages_continue_while_erasing(aws: Aws) -> None:
    """Pages follow each other while their rows are erased."""
    name = aws.bucket("models")
    for number in range(5):
        aws.s3.put_object(Bucket=name, Key=f"ada/{number}", Body=b"x")
        aws.s3.delete_object(Bucket=name, Key=f"ada/{number}")
    pages = aws.s3.get_paginator("list_object_versions").paginate

    class Narrow:
        """S3 with pages of three rows."""

        def get_paginator(self, _: str) -> "Narrow":
            return self

        def paginate(self, **query: Any) -> Any:
            return pages(**query, PaginationConfig={"PageSize": 3})

        def __getattr__(self, method: str) -> Any:
            return getattr(aws.s3, method)

    eraser = S3Eraser(cast("Any", Narrow()), name)
    while batches := [*eraser.versions(Place("ada/", folder=True))]:
        assert len(batches) >= 1 + (len(listed(batches)) > 3)
        for batch in eraser.versions(Place("ada/", folder=True)):
            eraser.erase(batch)

    assert listed(S3Eraser(aws.s3, name).versions(EVERYTHING)) == []


def test_unversioned_bucket_is_erased(aws: Aws) -> None:
    name = f"{aws.bucket('models')}-plain"
    aws.s3.create_bucket(Bucket=name)
    aws.s3.put_object(Bucket=name, Key="ada/lora", Body=b"x")
    eraser = S3Eraser(aws.s3, name)
    [[found]] = eraser.versions(EVERYTHING)
    eraser.erase([found])
    assert (found.key, found.version_id) == ("ada/lora", "null")
    assert "Contents" not in aws.s3.list_objects_v2(Bucket=name)


@pytest.mark.promise("nothing leaks")
def test_unfinished_uploads_are_aborted(aws: Aws) -> None:
    """Unfinished uploads of a folder are aborted with their parts."""
    name = aws.bucket("models")
    for key in ("ada/lora", "ada/lora", "bob/lora"):
        begun = aws.s3.create_multipart_upload(Bucket=name, Key=key)
        aws.s3.upload_part(
            Bucket=name, Key=key, UploadId=begun["UploadId"], PartNumber=1, Body=b"x"
        )
    eraser = S3Eraser(aws.s3, name)
    ended = [*eraser.unfinished(Place("ada/", folder=True))]
    for batch in (*ended, *ended):  # the second time they are no more
        eraser.abort_all(batch)
    [left] = aws.s3.list_multipart_uploads(Bucket=name)["Uploads"]
    assert (left["Key"], len(listed(ended))) == ("bob/lora", 2)


class Holding:
    """S3 with a legal hold on something."""

    def delete_objects(self, **_: object) -> dict[str, object]:
        row = {"Key": "portrait/ada.zip", "Code": "AccessDenied", "Message": "ada.zip is held"}
        return {"Errors": [row]}


@pytest.mark.promise("nothing leaks")
def test_refused_erasure_hides_the_key() -> None:
    """An object that S3 refuses to erase is reported without its key."""
    eraser = S3Eraser(cast("Any", Holding()), "datasets")
    with pytest.raises(NotErasableError, match="AccessDenied") as held:
        eraser.erase([Erasable("portrait/ada.zip", "v1", NOW)])
    assert "ada" not in str(held.value)
    assert "hold" in str(held.value)
