"""What docs/runbook.md and docs/events.md say exists, and the committed events are what their script makes."""

import json
import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from jsonschema import Draft202012Validator

from lora_drop.cli.main import command_of
from lora_drop.dev.events import HERE, files
from lora_drop.jobs.events import (
    DETAIL_TYPE,
    PROOF_DETAIL_TYPE,
    SOURCE,
    ProofSheetReady,
    StatusChange,
)
from lora_drop.jobs.notifications import MAX_TRIES, pause
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from tests.support.builders import make_job
from tests.support.template import of_type, properties, template
from tests.template.rules import ASKED_FOR

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "events.md").read_text()
SCHEMA = json.loads((DOCS / "events.schema.json").read_text())
SHOWN = [json.loads(each) for each in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
# Of every call of `aws`; the rest has to be in the call's own model.
COMMON = frozenset({"query", "output"})


def typed(text: str) -> Iterator[str]:
    """Every line after a prompt."""
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        yield from (line.removeprefix("$ ") for line in block.splitlines())


def calls_of_aws(line: str) -> Iterator[list[str]]:
    """The words of each `aws` in a line, also of those whose answer is a word of another."""
    inner = re.findall(r"\"?\$\(aws ([^()]*)\)\"?", line)
    outer = re.sub(r"\"?\$\([^()]*\)\"?", "ANSWER", line)
    for call in (*inner, *(outer.split(" ", 1)[1:] if outer.startswith("aws ") else ())):
        yield shlex.split(call)


def wrong_with(call: list[str]) -> list[str]:
    """What AWS's own model of the service does not know of this call."""
    service, operation, *words = call
    model = botocore.session.get_session().get_service_model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in names:
        return [operation]
    shape = model.operation_model(names[operation]).input_shape
    members = {xform_name(name, "-") for name in (shape.members if shape else ())} | COMMON
    options = [word.removeprefix("--") for word in words if word.startswith("--")]
    return [each for each in options if not {each, each.removeprefix("no-")} & members]


RUNBOOK = (DOCS / "runbook.md").read_text()
# One section may be about several alarms that say the same.
SECTIONS = {
    name: text
    for names, text in re.findall(
        r"^## (\w+Alarm.*?)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL
    )
    for name in names.split(", ")
}
ALARMS = of_type("AWS::CloudWatch::Alarm")
DATA_IS_MISSING = {"RoundsMissingAlarm"}
QUEUES = {"InboxDeadLettersAlarm": "InboxQueue", "ResultsDeadLettersAlarm": "ResultsQueue"}
# A failed try sets the pause until the next one itself.
PAUSES = {
    "NotifyDeadLettersAlarm": timedelta(
        seconds=sum(pause(tries, chance=lambda: 0) for tries in range(1, MAX_TRIES))
    )
}
LOGS = sorted({line for line in typed(RUNBOOK) if line.startswith("sam logs ")})
# CloudWatch takes a term as it is only where it is of letters, digits and underscores.
TERM = r'(\w+|"[^"]+")'
FILTER = re.compile(rf"{TERM}|\?{TERM}( \?{TERM})*")


def option(line: str, name: str) -> str | None:
    """The value of an option; None where the line does not have it."""
    words = shlex.split(line)
    return words[words.index(name) + 1] if name in words else None


def looks_back(line: str) -> timedelta:
    """How far a line of `sam logs` looks back: ten minutes where it does not say."""
    said = re.fullmatch(r"(\d+)(hours?|days?) ago", option(line, "--start-time") or "")
    if said is None:
        return timedelta(minutes=10)
    unit = timedelta(days=1) if said[2].startswith("day") else timedelta(hours=1)
    return int(said[1]) * unit


def began_before(name: str) -> timedelta:
    """How long before an alarm rings its cause may have begun."""
    alarm = ALARMS[name]
    watched = timedelta(seconds=int(alarm["Period"]) * int(alarm["EvaluationPeriods"]))
    if name not in QUEUES:
        return watched + PAUSES.get(name, timedelta())
    queue = properties(QUEUES[name])
    tries = int(queue["RedrivePolicy"]["maxReceiveCount"])
    return watched + tries * timedelta(seconds=int(queue["VisibilityTimeout"]))


@pytest.mark.promise("it can be operated")
def test_every_alarm_has_a_section() -> None:
    """The runbook has a section for every alarm of the template, and for no other."""
    assert sorted(SECTIONS) == sorted(ALARMS)


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_section_quotes_alarm_and_commands(name: str) -> None:
    quoted = " ".join(re.findall(r"^> (.*)$", SECTIONS[name], re.MULTILINE))
    assert quoted == ALARMS[name]["AlarmDescription"]
    assert "**How soon:**" in SECTIONS[name]
    assert list(typed(SECTIONS[name]))


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_alarm_says_what_to_type(name: str) -> None:
    alarm = ALARMS[name]
    says = alarm["AlarmDescription"]

    assert re.search(r"lora-drop \w+|sam logs|aws \w+", says)
    assert alarm["AlarmActions"] == {
        "Fn::If": ["AlarmsAreMailed", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]
    }
    # Where nothing happens nothing is counted; only the rounds always happen.
    missing = "breaching" if name in DATA_IS_MISSING else "notBreaching"
    assert alarm["TreatMissingData"] == missing


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(
    "line", sorted({line for line in typed(RUNBOOK) if line.startswith("lora-drop ")})
)
def test_runbook_commands_exist(line: str) -> None:
    """Every line of the runbook that starts with lora-drop can be typed."""
    _, name, *words = shlex.split(line)
    command_of(name).make_context(name, words)


def test_runbook_functions_exist() -> None:
    named = {name for line in LOGS if (name := option(line, "--name"))}
    assert named
    assert named <= set(template()["Resources"])


@pytest.mark.parametrize("line", LOGS)
def test_log_lines_say_how_far(line: str) -> None:
    assert looks_back(line) >= timedelta(hours=1)


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_logs_reach_before_the_cause(name: str) -> None:
    for line in typed(SECTIONS[name]):
        # What goes on for a day is in the log of every hour.
        if line.startswith("sam logs ") and ALARMS[name]["MetricName"] != "OldestErasureSeconds":
            assert looks_back(line) >= 2 * began_before(name), line


@pytest.mark.parametrize("line", LOGS)
def test_filter_is_quoted_for_cloudwatch(line: str) -> None:
    pattern = option(line, "--filter")
    assert pattern is None or FILTER.fullmatch(pattern)


@pytest.mark.parametrize("pattern", ["message failed", "ada-486fb2366b", "?Traceback failed", "?"])
def test_unquoted_filter_is_noticed(pattern: str) -> None:
    assert not FILTER.fullmatch(pattern)


@pytest.mark.parametrize(
    "line", sorted({line for line in typed(RUNBOOK) if re.search(r"\baws \w", line)})
)
def test_runbook_aws_calls_exist(line: str) -> None:
    calls = list(calls_of_aws(line))
    assert calls
    assert [wrong_with(call) for call in calls] == [[]] * len(calls)


def test_invalid_aws_call_is_noticed() -> None:
    calls = calls_of_aws('aws sqs tidy-up --queue "$(aws sqs get-queue-url --name x)"')
    assert [wrong_with(call) for call in calls] == [["name"], ["tidy-up"]]


def test_runbook_parameters_and_outputs_exist() -> None:
    parameters = set(re.findall(r"PARAMETERS='(\w+)=", RUNBOOK))
    outputs = set(re.findall(r"OutputKey=='(\w+)'", RUNBOOK))
    assert parameters
    assert outputs
    assert parameters <= set(template()["Parameters"])
    assert outputs <= set(template()["Outputs"])


def test_alarms_are_counted_as_the_template_has_them() -> None:
    resources = template()["Resources"].values()
    kinds = [each["Type"] for each in resources if each.get("Condition") not in ASKED_FOR]
    alarms = kinds.count("AWS::CloudWatch::Alarm")
    assert f"\n{alarms} alarms and a dashboard" in (DOCS / "operators.md").read_text()


def test_removed_stack_keeps_documented_resources() -> None:
    kept = {
        name
        for name, resource in template()["Resources"].items()
        if resource.get("DeletionPolicy") == "RetainExceptOnCreate"
    }
    assert kept == {"JobsTable", "DatasetsBucket", "ModelsBucket"}
    assert "The jobs table and both buckets stay" in RUNBOOK


def test_template_never_switches_the_inbox() -> None:
    inbox = properties("SubmitFunction")["Events"]["Inbox"]
    assert inbox["Type"] == "SQS"
    assert "Enabled" not in inbox["Properties"]
    assert "The template says nothing of this switch" in RUNBOOK


def wrong(detail: dict[str, Any]) -> list[str]:
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(detail)]


@pytest.mark.promise("interfaces stay")
@pytest.mark.parametrize("status", list(Status))
def test_every_event_fits_the_schema(status: Status) -> None:
    """An event of each status fits the published schema."""
    job = make_job(status, problems=(Problem(code="x", message="X."),))
    assert wrong(json.loads(StatusChange.of(job, bucket="models").model_dump_json())) == []


def test_example_is_matched_by_pattern() -> None:
    example, pattern, _, _ = SHOWN
    assert wrong(example) == []
    assert json.loads(StatusChange.model_validate(example).model_dump_json()) == example
    assert (pattern["source"], pattern["detail-type"]) == ([SOURCE], [DETAIL_TYPE])
    assert all(example[name] in values for name, values in pattern["detail"].items())


def test_example_of_a_proof_sheet_fits() -> None:
    example = SHOWN[3]
    assert json.loads(ProofSheetReady.model_validate(example).model_dump_json()) == example
    schema = json.loads((DOCS / "proof-event.schema.json").read_text())
    assert list(Draft202012Validator(schema).iter_errors(example)) == []
    assert f"`{PROOF_DETAIL_TYPE}`" in PAGE


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
