"""The real functions in the house the template describes, each within the rights of its own role."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.furnished import furnished
from tests.support.lambda_environment import House


@pytest.fixture
def house(capsys: pytest.CaptureFixture[str]) -> Iterator[House]:
    """Everything a function finds around it, freshly made."""
    with furnished(lambda: capsys.readouterr().out) as (made, guard):
        yield made
    assert guard.denied == set()


@pytest.fixture
def today(house: House) -> House:
    """S3 stamps what is put into it with the real time."""
    house.clock.now = datetime.now(UTC) + timedelta(seconds=2)
    return house
