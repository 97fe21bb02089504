"""docs/events.md shows events as they are, and the committed events are what their script makes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lora_drop.dev.events import HERE, files
from lora_drop.jobs.events import DETAIL_TYPE, SOURCE, StatusChange
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from tests.docs.console import calls_of_aws, typed, wrong_with
from tests.support.builders import make_job

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "events.md").read_text()
SCHEMA = json.loads((DOCS / "events.schema.json").read_text())
SHOWN = [json.loads(each) for each in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


def wrong(detail: dict[str, Any]) -> list[str]:
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(detail)]


@pytest.mark.promise("interfaces stay")
@pytest.mark.parametrize("status", list(Status))
def test_every_event_fits_the_schema(status: Status) -> None:
    """An event of each status fits the published schema."""
    job = make_job(status, problems=(Problem(code="x", message="X."),))
    assert wrong(json.loads(StatusChange.of(job, bucket="models").model_dump_json())) == []


def test_example_is_matched_by_pattern() -> None:
    example, pattern, _ = SHOWN
    assert wrong(example) == []
    assert json.loads(StatusChange.model_validate(example).model_dump_json()) == example
    assert (pattern["source"], pattern["detail-type"]) == ([SOURCE], [DETAIL_TYPE])
    assert all(example[name] in values for name, values in pattern["detail"].items())


def test_example_has_real_timestamps() -> None:
    example = SHOWN[0]
    moments = [example["since"], *(step["at"] for step in example["history"])]
    assert all(re.fullmatch(r"[-\d]+T[:\d]+\.\d{6}Z", moment) for moment in moments)
    assert example["since"] == example["history"][-1]["at"]


def test_queue_policy_allows_one_rule() -> None:
    [statement] = json.loads(SHOWN[2]["Policy"])["Statement"]

    assert statement == {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": "QUEUE_ARN",
        "Condition": {"ArnEquals": {"aws:SourceArn": "RULE_ARN"}},
    }


@pytest.mark.parametrize("line", list(typed(PAGE)))
def test_page_lines_are_aws_calls(line: str) -> None:
    [call] = calls_of_aws(line)
    assert wrong_with(call) == []


def test_schema_refuses_other_events() -> None:
    detail = json.loads(StatusChange.of(make_job(), bucket="models").model_dump_json())
    assert wrong({**detail, "status": "DONE"})
    assert wrong({name: value for name, value in detail.items() if name != "version"})


@pytest.mark.parametrize(
    ("file", "text"), [pytest.param(file, text, id=file.name) for file, text in files().items()]
)
def test_committed_event_matches_script(file: Path, text: str) -> None:
    assert file.read_text() == text


def test_every_event_is_documented() -> None:
    names = {file.name for file in HERE.glob("*.json")}
    readme = (HERE / "README.md").read_text()
    assert names == {file.name for file in files()}
    assert [name for name in sorted(names) if f"`{name}`" not in readme] == []


def test_api_event_repeats_its_headers() -> None:
    """An event of the REST API has every header and parameter as one value and as a list."""
    for text in files().values():
        event = json.loads(text)
        for one, several in (
            ("headers", "multiValueHeaders"),
            ("queryStringParameters", "multiValueQueryStringParameters"),
        ):
            if event.get(one):
                assert {name: [value] for name, value in event[one].items()} == event[several]
