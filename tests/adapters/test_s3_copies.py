"""What only S3 can get wrong with a copy: checksums, refusals, answers that get lost."""

import base64
from dataclasses import replace
from typing import Any

import pytest
from awscrt.checksums import crc64nvme

from lora_drop.adapters.s3_copies import S3Copies
from lora_drop.jobs.errors import DownloadInterruptedError, KeyOccupiedError, UploadGoneError
from lora_drop.results.copies import ExistingFile
from tests.support.aws import Aws
from tests.support.bucket import (
    KEY,
    LABEL,
    LAST,
    LEAST,
    WHOLE,
    headed,
    over,
    parts_only,
    refused,
    uploaded,
)


@pytest.mark.promise("never lose a result")
def test_upload_sends_all_checksums(aws: Aws, models: str) -> None:
    """S3 receives the checksum of every part and of the whole."""
    copies, calls = over(aws, models)
    copies.complete(KEY, *uploaded(copies))
    crc = base64.b64encode(crc64nvme(LAST).to_bytes(8)).decode()
    assert calls.asked["create_multipart_upload"].items() >= {
        ("ChecksumAlgorithm", "CRC64NVME"),
        ("ChecksumType", "FULL_OBJECT"),
        ("ContentType", "model/x"),
    }
    assert calls.asked["upload_part"]["ChecksumCRC64NVME"] == crc
    complete = calls.asked["complete_multipart_upload"]
    assert complete["MultipartUpload"]["Parts"][1]["ChecksumCRC64NVME"] == crc
    assert (complete["ChecksumCRC64NVME"], complete["ChecksumType"]) == (WHOLE, "FULL_OBJECT")
    assert (complete["IfNoneMatch"], complete["MpuObjectSize"]) == ("*", LEAST + len(LAST))


def test_small_file_is_put_with_checksum(aws: Aws, models: str) -> None:
    copies, calls = over(aws, models)
    copies.put(KEY, LAST, LABEL)
    checksum = base64.b64encode(crc64nvme(LAST).to_bytes(8)).decode()
    place = {"Bucket": models, "Key": KEY, "Body": LAST, "IfNoneMatch": "*"}
    said = {"ContentType": "model/x", "Metadata": {"source": "5ca1ab1e"}}
    assert calls.asked["put_object"] == {**place, **said, "ChecksumCRC64NVME": checksum}


def test_parts_only_store_gets_no_whole(aws: Aws, models: str) -> None:
    """A store that keeps only checksums of parts receives none of the whole."""
    copies, calls = over(aws, models, create_multipart_upload=parts_only)
    copies.complete(KEY, *uploaded(copies))
    assert "ChecksumCRC64NVME" not in calls.asked["complete_multipart_upload"]
    assert calls.asked["complete_multipart_upload"]["MpuObjectSize"] == LEAST + len(LAST)


@pytest.mark.parametrize(
    ("changes", "read_back"),
    [
        ({"ChecksumCRC64NVME": WHOLE, "ChecksumType": "FULL_OBJECT"}, False),
        ({"ChecksumCRC64NVME": WHOLE}, False),
        ({"ChecksumCRC64NVME": f"{WHOLE}-2", "ChecksumType": "COMPOSITE"}, True),
        ({"ChecksumCRC64NVME": None, "ChecksumCRC32": "AAAAAA=="}, True),
    ],
    ids=["typed", "untyped", "of the parts", "another"],
)
def test_missing_checksum_is_read_back(
    aws: Aws,
    models: str,
    changes: dict[str, Any],
    read_back: bool,  # noqa: FBT001  # a table's column
) -> None:
    """Only where S3 keeps no checksum of the whole the object is read back."""
    copies, calls = over(aws, models, head_object=headed(**changes))
    copies.complete(KEY, *uploaded(copies))
    assert calls.asked["head_object"]["ChecksumMode"] == "ENABLED"
    assert ("get_object" in calls.asked) is read_back


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(
    "changes",
    [
        {"ContentLength": LEAST},
        {"ChecksumCRC64NVME": "AAAAAAAAAAA=", "ChecksumType": "FULL_OBJECT"},
    ],
    ids=["size", "checksum"],
)
def test_wrong_object_is_not_stored(aws: Aws, models: str, changes: dict[str, Any]) -> None:
    """An object that is not what was uploaded does not count as stored."""
    copies, _ = over(aws, models, head_object=headed(**changes))
    with pytest.raises(KeyOccupiedError):
        copies.complete(KEY, *uploaded(copies))
    with pytest.raises(DownloadInterruptedError):  # it is read again later
        copies.reread(KEY)


def test_same_size_is_compared_by_reading(aws: Aws, models: str) -> None:
    """Other bytes of the same size are found by reading where there is no checksum."""
    aws.s3.put_object(Bucket=models, Key=KEY, Body=b"x" * len(LAST))
    copies, _ = over(aws, models, head_object=headed(ChecksumCRC64NVME=None))
    with pytest.raises(KeyOccupiedError):
        copies.put(KEY, LAST, LABEL)


def test_vanished_object_is_uploaded_again(aws: Aws, models: str) -> None:
    def deleted(_: Any, __: Any) -> Any:
        raise refused("404", 404)

    copies, _ = over(aws, models, head_object=deleted)
    with pytest.raises(UploadGoneError):
        copies.put(KEY, LAST, LABEL)


def test_lost_completion_answer_is_fine(aws: Aws, models: str) -> None:
    """A call that botocore repeats because its answer was lost counts as done."""

    def twice(call: Any, arguments: Any) -> Any:
        call(**arguments)
        raise refused("PreconditionFailed", 412)

    copies, _ = over(aws, models, complete_multipart_upload=twice, put_object=twice)
    copies.put("small", LAST, LABEL)
    copies.complete(KEY, *uploaded(copies))
    assert copies.find("small") == ExistingFile(len(LAST), "5ca1ab1e")
    assert copies.find(KEY) == ExistingFile(LEAST + len(LAST), "5ca1ab1e")


def test_file_keeps_its_content_type(aws: Aws, models: str) -> None:
    copies = S3Copies(aws.s3, models)
    copies.put("a/small", LAST, LABEL)
    upload_id = copies.begin("a/large", replace(LABEL, kind="model/y"))
    copies.complete("a/large", upload_id, [copies.upload("a/large", upload_id, 1, LAST)])
    kinds = [aws.s3.head_object(Bucket=models, Key=key) for key in ("a/small", "a/large")]
    assert [head["ContentType"] for head in kinds] == ["model/x", "model/y"]
