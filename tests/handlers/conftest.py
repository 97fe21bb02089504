"""The real functions in the environment that the template describes, each within its own role's rights."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.lambda_environment import LambdaEnvironment
from tests.support.lambda_setup import prepared_environment


@pytest.fixture
def environment(capsys: pytest.CaptureFixture[str]) -> Iterator[LambdaEnvironment]:
    """Return a new environment of the functions; nothing is denied to them while the test runs."""
    with prepared_environment(lambda: capsys.readouterr().out) as (made, guard):
        yield made
    assert guard.denied == set()


@pytest.fixture
def today(environment: LambdaEnvironment) -> LambdaEnvironment:
    """Return the environment with its clock at the real time, with which S3 stamps every object."""
    environment.clock.now = datetime.now(UTC) + timedelta(seconds=2)
    return environment
