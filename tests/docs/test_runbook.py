"""docs/runbook.md: a section for every alarm of the template, and commands that exist."""

import re
import shlex
from datetime import timedelta
from pathlib import Path

import pytest

from lora_drop.cli.main import command_of
from tests.docs.console import calls_of_aws, typed, wrong_with
from tests.support.template import of_type, properties, template

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
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
        return watched
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


def test_idle_costs_match_the_template() -> None:
    kinds = [resource["Type"] for resource in template()["Resources"].values()]
    dashboard = properties("Dashboard")["DashboardBody"]["Fn::Sub"]
    drawn = re.findall(r'\["(?:LoraDrop|AWS/\w+)", "', dashboard)

    assert f"| {len(ALARMS)} alarms at" in RUNBOOK
    assert f"this one has {len(drawn)} |" in RUNBOOK
    assert f"| {kinds.count('AWS::SecretsManager::Secret')} secrets at" in RUNBOOK
    assert f"\n{len(ALARMS)} alarms and a dashboard" in (ROOT / "docs" / "operators.md").read_text()


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
