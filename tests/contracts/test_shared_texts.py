"""A text that several functions change is written over exactly what was read."""

import pytest

from lora_drop.adapters.s3_texts import MAX_TEXT, S3Texts
from lora_drop.ports import SharedTexts
from tests.support.aws import Aws
from tests.support.memory_files import MemoryResults

KEY = "portrait/a b+c \u5199\u771f/latest.json"


@pytest.fixture
def texts(backend: Aws | None) -> SharedTexts:
    return S3Texts(backend.s3, backend.bucket("models")) if backend else MemoryResults()


def test_text_is_read_as_written(texts: SharedTexts) -> None:
    assert texts.read_text(KEY) is None
    assert texts.replace_text(KEY, None, "\u5199\n")
    found = texts.read_text(KEY)
    assert found is not None
    assert found.text == "\u5199\n"
    assert texts.replace_text(KEY, found, "second")
    again = texts.read_text(KEY)
    assert again is not None
    assert (again.text, again.etag == found.etag) == ("second", False)


def test_only_the_first_writer_wins(texts: SharedTexts) -> None:
    assert texts.replace_text(KEY, None, "first")
    before = texts.read_text(KEY)
    assert not texts.replace_text(KEY, None, "where there was none")
    assert texts.replace_text(KEY, before, "second")
    assert not texts.replace_text(KEY, before, "over what was there before")
    found = texts.read_text(KEY)
    assert found is not None
    assert found.text == "second"


def test_deleted_text_is_not_replaced(texts: SharedTexts) -> None:
    assert texts.replace_text(KEY, None, "first")
    before = texts.read_text(KEY)
    if isinstance(texts, S3Texts):
        texts._client.delete_object(Bucket=texts._bucket, Key=KEY)
    elif isinstance(texts, MemoryResults):
        texts.remove(KEY)
    assert texts.read_text(KEY) is None
    assert not texts.replace_text(KEY, before, "second")
    assert texts.replace_text(KEY, None, "third")


def test_foreign_object_is_no_text(aws: Aws) -> None:
    bucket = aws.bucket("models")
    for body in (b"x" * (MAX_TEXT + 1), b"\xff\xfe"):
        aws.s3.put_object(Bucket=bucket, Key="foreign", Body=body)
        found = S3Texts(aws.s3, bucket).read_text("foreign")
        assert found is not None
        assert found.text in ("", "\ufffd\ufffd")
        assert S3Texts(aws.s3, bucket).replace_text("foreign", found, "ours")
