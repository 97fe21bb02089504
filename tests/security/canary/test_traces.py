"""What X-Ray is told of the functions: their calls to AWS, and nothing that is anybody's."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.security.canary.canary_values import Place
from tests.security.canary.plugin import WATCH


@pytest.fixture(scope="module")
def documents() -> list[str]:
    """Every document of a way through the functions."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.security.canary.traced"],
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in done.stdout.splitlines() if '"trace_id"' in line]


def test_no_trace_holds_a_key_an_address_or_a_secret(documents: list[str]) -> None:
    hits = len(WATCH.hits)

    for document in documents:
        WATCH.look(document, Place.TRACE)

    assert [str(hit) for hit in WATCH.hits[hits:]] == []
    assert len(documents) > 20
    assert any("Read timeout" in document for document in documents), "S3 was silent for a while"


def test_the_calls_to_aws_are_traced(documents: list[str]) -> None:
    traced: list[dict[str, Any]] = [json.loads(document) for document in documents]

    services = {each["name"] for each in traced if each.get("namespace") == "aws"}
    assert {"s3", "dynamodb", "sqs", "secretsmanager"} <= {name.lower() for name in services}
