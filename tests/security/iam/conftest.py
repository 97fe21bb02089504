"""What the scenarios have asked for; one run of each serves all tests."""

import warnings

import pytest

from tests.security.iam.least_privilege import Used, used


@pytest.fixture(scope="session")
def found() -> Used:
    """Return what all scenarios have used, with everything allowed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No application metrics to publish")
        return used()
