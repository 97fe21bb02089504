"""What the tests of adapters share: an AWS in this process, and a bucket."""

from collections.abc import Iterator

import pytest

from tests.support.aws import Aws, moto


@pytest.fixture
def aws() -> Iterator[Aws]:
    with moto() as world:
        yield world


@pytest.fixture
def models(aws: Aws) -> str:
    return aws.bucket("models")
