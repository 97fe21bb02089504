"""docs/events.md shows events as they are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shared.domain.jobs import Status
from shared.domain.problems import Problem
from shared.domain.status_changes import DETAIL_TYPE, SOURCE, StatusChange
from tests.builders import make_job

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "events.md").read_text()
SCHEMA = json.loads((DOCS / "events.schema.json").read_text())


def wrong(detail: dict[str, Any]) -> list[str]:
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(detail)]


@pytest.mark.parametrize("status", list(Status))
def test_every_event_is_of_the_schema(status: Status) -> None:
    job = make_job(status, problems=(Problem(code="x", message="X."),))

    assert wrong(json.loads(StatusChange.of(job, bucket="models").model_dump_json())) == []


def test_the_example_is_an_event_and_the_pattern_finds_it() -> None:
    example, pattern = map(json.loads, re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))

    assert wrong(example) == []
    assert json.loads(StatusChange.model_validate(example).model_dump_json()) == example
    assert (pattern["source"], pattern["detail-type"]) == ([SOURCE], [DETAIL_TYPE])
    assert all(example[name] in values for name, values in pattern["detail"].items())


def test_what_is_no_event_is_not_of_the_schema() -> None:
    detail = json.loads(StatusChange.of(make_job(), bucket="models").model_dump_json())

    assert wrong({**detail, "status": "DONE"})
    assert wrong({name: value for name, value in detail.items() if name != "version"})
