"""A world without accounts: fake credentials, and Powertools told its names."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Before any handler is imported: Powertools reads these when its objects are made.
os.environ |= {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "POWERTOOLS_SERVICE_NAME": "lora-drop",
    "POWERTOOLS_METRICS_NAMESPACE": "LoraDrop",
    "POWERTOOLS_TRACE_DISABLED": "1",
}
for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "FAL_KEY", "LORA_DROP_STACK"):
    os.environ.pop(name, None)


@pytest.fixture
def root() -> Path:
    """The project's root."""
    return ROOT
