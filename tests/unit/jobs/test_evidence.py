import pytest

from lora_drop.jobs.evidence import points_at
from tests.support.builders import make_dataset

DATASET = make_dataset("portrait/ada lovelace+é.zip")
KEY = "portrait/ada%20lovelace%2B%C3%A9.zip"


@pytest.mark.parametrize(
    "url",
    [
        f"https://datasets.s3.eu-west-1.amazonaws.com/{KEY}?versionId=v1&X-Amz-Signature=a",
        f"https://s3.eu-west-1.amazonaws.com/datasets/{KEY}?X-Amz-Signature=b&versionId=v1",
        f"http://127.0.0.1:4566/datasets/{KEY}?versionId=v1",
    ],
)
def test_any_signing_of_the_same_version_is_known(url: str) -> None:
    assert points_at(url, DATASET)


@pytest.mark.parametrize(
    "url",
    [
        f"https://datasets.s3.amazonaws.com/{KEY}?versionId=v2",
        f"https://datasets.s3.amazonaws.com/{KEY}",
        f"https://datasets.s3.amazonaws.com/{KEY}?versionId=v1&versionId=v2",
        f"https://other.s3.amazonaws.com/{KEY}?versionId=v1",
        f"https://s3.amazonaws.com/other/{KEY}?versionId=v1",
        f"https://datasets.s3.amazonaws.com/more/{KEY}?versionId=v1",
        "https://datasets.s3.amazonaws.com/portrait/ada.zip?versionId=v1",
        "https://v3.fal.media/files/a/dataset.zip",
        "data:application/zip;base64,UEsDBA==",
        "http://[",
        "",
    ],
)
def test_another_version_key_or_bucket_is_not(url: str) -> None:
    assert not points_at(url, DATASET)


@pytest.mark.parametrize("version", ["", "null"])
def test_an_object_from_before_versioning_has_no_version_to_name(version: str) -> None:
    dataset = make_dataset("a.zip", version_id=version)

    assert points_at("https://datasets.s3.amazonaws.com/a.zip?X-Amz-Signature=a", dataset)
    assert not points_at("https://datasets.s3.amazonaws.com/a.zip?versionId=v1", dataset)
