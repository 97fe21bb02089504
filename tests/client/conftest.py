import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import httpx
import pytest
from moto import mock_aws

from client.lora_drop import LoraDrop
from client.stack import Stack
from shared.domain.notices import public
from tests.builders import make_job

type Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def stack() -> Iterator[Stack]:
    """A stack whose buckets are moto's; its API is whatever a test answers."""
    with mock_aws():
        session = boto3.Session(region_name="us-east-1")
        s3 = session.client("s3")
        s3.create_bucket(Bucket="datasets")
        s3.put_bucket_versioning(Bucket="datasets", VersioningConfiguration={"Status": "Enabled"})
        yield Stack("test", session, None, "https://api.example/live", "datasets", "models")


def answering(stack: Stack, answer: Answer) -> LoraDrop:
    return LoraDrop(stack, http=httpx.Client(transport=httpx.MockTransport(answer)))


def job_answer(**changes: Any) -> httpx.Response:
    return httpx.Response(200, content=json.dumps(public(make_job(**changes))))
