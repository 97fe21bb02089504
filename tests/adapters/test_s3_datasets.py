"""What only S3 itself can get wrong with a dataset: versions under a reader's hands."""

import io
from collections.abc import Iterator
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, IncompleteReadError
from botocore.response import StreamingBody

from lora_drop.adapters.s3_datasets import S3Datasets, S3Range
from lora_drop.jobs.errors import DatasetRejectedError, DatasetUnreadableError
from lora_drop.jobs.job import DatasetVersion
from tests.support.aws import Aws, moto
from tests.support.builders import make_dataset

KEY = "portrait/ada.zip"
DATA = bytes(range(256)) * 40


@pytest.fixture
def aws() -> Iterator[Aws]:
    with moto() as world:
        yield world


@pytest.fixture
def unversioned(aws: Aws) -> str:
    """A bucket in which an object can be overwritten for good."""
    aws.s3.create_bucket(Bucket="unversioned")
    return "unversioned"


def datasets(aws: Aws) -> S3Datasets:
    return S3Datasets(aws.s3, url_seconds=900)


def test_an_overwrite_between_two_reads_is_refused(aws: Aws, unversioned: str) -> None:
    aws.s3.put_object(Bucket=unversioned, Key=KEY, Body=DATA)
    dropped = DatasetVersion(bucket=unversioned, key=KEY, version_id="")
    archive = datasets(aws).open(dropped).archive
    before = archive.read(0, 10)
    aws.s3.put_object(Bucket=unversioned, Key=KEY, Body=b"x" * len(DATA))

    with pytest.raises(ClientError) as refused:
        archive.read(10, 10)

    assert before == DATA[:10]
    # Nobody's own error: the message comes back to the queue, and the next try opens it anew.
    assert refused.value.response["Error"]["Code"] == "PreconditionFailed"
    assert datasets(aws).open(dropped).archive.read(0, 3) == b"xxx"


def test_a_version_that_is_deleted_between_two_reads_is_missing(aws: Aws) -> None:
    bucket = aws.bucket("datasets")
    version = aws.s3.put_object(Bucket=bucket, Key=KEY, Body=DATA)["VersionId"]
    dropped = DatasetVersion(bucket=bucket, key=KEY, version_id=version)
    archive = datasets(aws).open(dropped).archive
    aws.s3.delete_object(Bucket=bucket, Key=KEY, VersionId=version)

    with pytest.raises(DatasetRejectedError, match="dataset_missing"):
        archive.read(0, 10)


def test_an_object_from_before_versioning_has_an_address_without_a_version(
    aws: Aws, unversioned: str
) -> None:
    aws.s3.put_object(Bucket=unversioned, Key=KEY, Body=DATA)
    dropped = DatasetVersion(bucket=unversioned, key=KEY, version_id="")

    found = datasets(aws).open(dropped).version

    assert found.version_id == "null"
    assert "versionId" not in datasets(aws).url(found)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("403", DatasetUnreadableError),
        ("AccessDenied", DatasetUnreadableError),
        ("500", ClientError),
        ("SlowDown", ClientError),
        ("400", ClientError),
    ],
)
def test_trouble_with_s3_is_never_taken_for_a_missing_dataset(
    code: str, told: type[Exception]
) -> None:
    class Troubled:
        def head_object(self, **_: object) -> None:
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "HeadObject")

    store = S3Datasets(cast("Any", Troubled()), url_seconds=900)

    with pytest.raises(told):
        store.open(make_dataset())


class IgnoringRanges:
    """A server that answers a range with everything (RFC 9110, 14.2)."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def get_object(self, **_: object) -> dict[str, object]:
        return {
            "Body": StreamingBody(io.BytesIO(self._data), len(self._data)),
            "ResponseMetadata": {"HTTPStatusCode": 200},
        }


@pytest.mark.parametrize(("offset", "length"), [(0, 10), (100, 50), (len(DATA) - 3, 100)])
def test_a_range_is_exact_even_where_the_server_sends_everything(offset: int, length: int) -> None:
    archive = S3Range(cast("Any", IgnoringRanges(DATA)), make_dataset(size=len(DATA)))

    assert archive.read(offset, length) == DATA[offset : offset + length]


def test_a_server_that_sends_too_little_is_not_waited_for_for_ever() -> None:
    archive = S3Range(cast("Any", IgnoringRanges(DATA[:50])), make_dataset(size=len(DATA)))

    with pytest.raises(IncompleteReadError):
        archive.read(100, 10)


def test_every_read_asks_for_the_very_version_and_the_etag_that_was_seen(aws: Aws) -> None:
    bucket = aws.bucket("datasets")
    put = aws.s3.put_object(Bucket=bucket, Key=KEY, Body=DATA)
    dropped = DatasetVersion(bucket=bucket, key=KEY, version_id=put["VersionId"])
    asked: list[dict[str, str]] = []
    aws.s3.meta.events.register(
        "provide-client-params.s3.GetObject", lambda params, **_: asked.append(params)
    )

    datasets(aws).open(dropped).archive.read(5, 7)

    [params] = asked
    assert params.items() >= {
        ("Bucket", bucket),
        ("Key", KEY),
        ("VersionId", put["VersionId"]),
        ("Range", "bytes=5-11"),
        ("IfMatch", put["ETag"]),
    }
