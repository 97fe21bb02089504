"""An answer of S3's that ends early says nothing of the dataset."""

import io
from typing import Any, cast

import pytest
from botocore.exceptions import IncompleteReadError
from botocore.response import StreamingBody

from lora_drop.adapters.s3_datasets import S3Range
from tests.support.builders import make_dataset

DATA = bytes(range(200))


class Cut:
    """S3 when the connection ends within the body: botocore hands on what has come by then."""

    def __init__(self, status: int, sent: bytes) -> None:
        self.status, self.sent = status, sent

    def get_object(self, **_: object) -> dict[str, Any]:
        body = StreamingBody(cast("Any", io.BytesIO(self.sent)), len(DATA))
        return {"Body": body, "ResponseMetadata": {"HTTPStatusCode": self.status}}


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        pytest.param(206, DATA[100:180], id="the range itself"),
        pytest.param(206, b"", id="before its first byte"),
        pytest.param(200, DATA[:180], id="the whole file"),
        pytest.param(200, DATA[:50], id="before the range begins"),
    ],
)
def test_a_read_that_was_cut_is_never_taken_for_the_end_of_the_archive(
    status: int, sent: bytes
) -> None:
    dataset = make_dataset(size=len(DATA))
    archive = S3Range(cast("Any", Cut(status, sent)), dataset)

    with pytest.raises(IncompleteReadError):
        archive.read(100, 100)


def test_a_read_beyond_the_end_is_as_long_as_there_are_bytes() -> None:
    archive = S3Range(cast("Any", Cut(206, DATA[150:])), make_dataset(size=len(DATA)))

    assert archive.read(150, 1000) == DATA[150:]
