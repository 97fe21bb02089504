"""docs/events.md shows events as they are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

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


@pytest.mark.parametrize("status", list(Status))
def test_every_event_is_of_the_schema(status: Status) -> None:
    job = make_job(status, problems=(Problem(code="x", message="X."),))

    assert wrong(json.loads(StatusChange.of(job, bucket="models").model_dump_json())) == []


def test_the_example_is_an_event_and_the_pattern_finds_it() -> None:
    example, pattern, _ = SHOWN

    assert wrong(example) == []
    assert json.loads(StatusChange.model_validate(example).model_dump_json()) == example
    assert (pattern["source"], pattern["detail-type"]) == ([SOURCE], [DETAIL_TYPE])
    assert all(example[name] in values for name, values in pattern["detail"].items())


def test_the_example_has_its_moments_as_events_have_them() -> None:
    example = SHOWN[0]

    moments = [example["since"], *(step["at"] for step in example["history"])]
    assert all(re.fullmatch(r"[-\d]+T[:\d]+\.\d{6}Z", moment) for moment in moments)
    assert example["since"] == example["history"][-1]["at"]


def test_the_policy_lets_that_rule_alone_write_to_that_queue() -> None:
    [statement] = json.loads(SHOWN[2]["Policy"])["Statement"]

    assert statement == {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": "QUEUE_ARN",
        "Condition": {"ArnEquals": {"aws:SourceArn": "RULE_ARN"}},
    }


@pytest.mark.parametrize("line", list(typed(PAGE)))
def test_a_line_of_the_page_is_one_of_awss_calls(line: str) -> None:
    [call] = calls_of_aws(line)

    assert wrong_with(call) == []


def test_what_is_no_event_is_not_of_the_schema() -> None:
    detail = json.loads(StatusChange.of(make_job(), bucket="models").model_dump_json())

    assert wrong({**detail, "status": "DONE"})
    assert wrong({name: value for name, value in detail.items() if name != "version"})
