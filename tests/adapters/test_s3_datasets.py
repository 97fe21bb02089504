"""Datasets in S3 and on this machine: versions and answers that change while they are read."""

import io
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError, IncompleteReadError
from botocore.response import StreamingBody

from lora_drop.adapters.local_files import open_range
from lora_drop.adapters.s3_datasets import S3Datasets, S3Range
from lora_drop.datasets.archives import members_of
from lora_drop.jobs.errors import DatasetRejectedError, DatasetUnreadableError
from lora_drop.jobs.job import DatasetVersion
from tests.support.aws import REGION, Aws
from tests.support.builders import make_archive, make_dataset

KEY = "portrait/ada.zip"
DATA = bytes(range(256)) * 40


@pytest.fixture
def unversioned(aws: Aws) -> str:
    """A bucket in which an object can be overwritten for good."""
    aws.s3.create_bucket(Bucket="unversioned")
    return "unversioned"


def datasets(aws: Aws) -> S3Datasets:
    return S3Datasets(aws.s3, url_seconds=900)


def test_overwrite_between_reads_is_refused(aws: Aws, unversioned: str) -> None:
    aws.s3.put_object(Bucket=unversioned, Key=KEY, Body=DATA)
    dropped = DatasetVersion(bucket=unversioned, key=KEY, version_id="")
    archive = datasets(aws).open(dropped).archive
    before = archive.read(0, 10)
    aws.s3.put_object(Bucket=unversioned, Key=KEY, Body=b"x" * len(DATA))
    with pytest.raises(ClientError) as refused:
        archive.read(10, 10)
    assert before == DATA[:10]
    # No error of ours: the message returns to the queue, and the next attempt opens it again.
    assert refused.value.response["Error"]["Code"] == "PreconditionFailed"
    assert datasets(aws).open(dropped).archive.read(0, 3) == b"xxx"


def test_version_deleted_between_reads(aws: Aws) -> None:
    bucket = aws.bucket("datasets")
    version = aws.s3.put_object(Bucket=bucket, Key=KEY, Body=DATA)["VersionId"]
    dropped = DatasetVersion(bucket=bucket, key=KEY, version_id=version)
    archive = datasets(aws).open(dropped).archive
    aws.s3.delete_object(Bucket=bucket, Key=KEY, VersionId=version)
    with pytest.raises(DatasetRejectedError, match="dataset_missing"):
        archive.read(0, 10)


def test_unversioned_object_has_plain_url(aws: Aws, unversioned: str) -> None:
    aws.s3.put_object(Bucket=unversioned, Key=KEY, Body=DATA)
    dropped = DatasetVersion(bucket=unversioned, key=KEY, version_id="")
    found = datasets(aws).open(dropped).version
    assert found.version_id == "null"
    assert "versionId" not in datasets(aws).url(found)


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("403", DatasetUnreadableError),
        ("AccessDenied", DatasetUnreadableError),
        ("500", ClientError),
        ("SlowDown", ClientError),
        ("400", ClientError),
    ],
)
def test_s3_errors_are_no_missing_dataset(code: str, expected: type[Exception]) -> None:
    """An error of S3 is never taken for a missing dataset."""

    class Troubled:
        def head_object(self, **_: object) -> None:
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "HeadObject")

    store = S3Datasets(cast("Any", Troubled()), url_seconds=900)
    with pytest.raises(expected):
        store.open(make_dataset())


class Answering:
    """S3 that gives one answer to every read: 200 is everything (RFC 9110, 14.2)."""

    def __init__(self, status: int, sent: bytes, length: int = len(DATA)) -> None:
        self._status, self._sent, self._length = status, sent, length

    def get_object(self, **_: object) -> dict[str, object]:
        # Where the connection ends within the body botocore hands on what has come by then.
        body = StreamingBody(cast("Any", io.BytesIO(self._sent)), self._length)
        return {"Body": body, "ResponseMetadata": {"HTTPStatusCode": self._status}}

    def range(self) -> S3Range:
        return S3Range(cast("Any", self), make_dataset(size=self._length))


@pytest.mark.parametrize(
    ("status", "sent", "offset", "length"),
    [
        *((200, DATA, offset, length) for offset, length in ((0, 10), (100, 50))),
        *((200, DATA, len(DATA) - 3, 100), (206, DATA[150:], 150, len(DATA))),
    ],
)
def test_range_is_cut_from_any_answer(status: int, sent: bytes, offset: int, length: int) -> None:
    archive = Answering(status, sent).range()
    assert archive.read(offset, length) == DATA[offset : offset + length]


def test_read_names_version_and_etag(aws: Aws) -> None:
    bucket = aws.bucket("datasets")
    put = aws.s3.put_object(Bucket=bucket, Key=KEY, Body=DATA)
    dropped = DatasetVersion(bucket=bucket, key=KEY, version_id=put["VersionId"])
    asked: list[dict[str, str]] = []
    client = boto3.client("s3", REGION)  # of its own: it is changed here
    client.meta.events.register(
        "provide-client-params.s3.GetObject", lambda params, **_: asked.append(params)
    )
    S3Datasets(client, url_seconds=900).open(dropped).archive.read(5, 7)
    [params] = asked
    assert params.items() >= {
        ("Bucket", bucket),
        ("Key", KEY),
        ("VersionId", put["VersionId"]),
        ("Range", "bytes=5-11"),
        ("IfMatch", put["ETag"]),
    }


SHORT = bytes(range(200))


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    ("status", "sent"),
    [(206, SHORT[100:180]), (206, b""), (200, SHORT[:180]), (200, SHORT[:50])],
    ids=["the range itself", "before its first byte", "the whole file", "before the range begins"],
)
def test_cut_read_is_not_the_end(status: int, sent: bytes) -> None:
    """A read that was cut is never taken for the end of the archive."""
    with pytest.raises(IncompleteReadError):
        Answering(status, sent, len(SHORT)).range().read(100, 100)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ada.zip"
    path.write_bytes(DATA)
    return path


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        *((0, 1), (0, len(DATA)), (100, 50), (255, 2), (0, 0), (len(DATA) - 1, 1)),
        *((len(DATA) - 10, 100), (len(DATA), 1), (len(DATA) + 5, 10)),  # to the end, and beyond it
    ],
)
def test_local_range_is_read_exactly(path: Path, offset: int, length: int) -> None:
    with open_range(path) as archive:
        assert archive.size == len(DATA)
        assert archive.read(offset, length) == DATA[offset : offset + length]


def test_local_archive_is_read(path: Path) -> None:
    path.write_bytes(make_archive(images=30))
    with open_range(path) as archive:
        assert len(members_of(archive)) == 30


def test_shrunken_local_file_is_refused(path: Path) -> None:
    with open_range(path) as archive:
        path.write_bytes(b"shorter")
        with pytest.raises(DatasetUnreadableError, match="changed while it was read"):
            archive.read(5000, 10)


def test_missing_local_file_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), open_range(tmp_path / "gone.zip"):
        pass
