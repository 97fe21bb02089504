"""Alarms, mails and the dashboard of template.yaml: nothing goes wrong unseen, nobody is called in vain."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from lora_drop.jobs.erasures import LAST_LOOK_AFTER
from lora_drop.jobs.events import DETAIL_TYPE, SOURCE, StatusChange
from lora_drop.jobs.status import Status
from lora_drop.observability import Metric
from lora_drop.services.record import SETTLED_AFTER
from tests.support.template import properties, template

FUNCTIONS = ("Submit", "Webhook", "Store", "Reconcile", "Jobs", "Forget")
RESOURCES: dict[str, dict[str, Any]] = template()["Resources"]
ALARMS = {
    name: resource["Properties"]
    for name, resource in RESOURCES.items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
}
MAILED: dict[str, tuple[str, str, str, Any]] = {
    "AlarmTopic": (
        *("AlarmsAreMailed", "AlarmEmail", "cloudwatch.amazonaws.com"),
        {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    ),
    "JobTopic": (
        *("JobsAreMailed", "JobEmail", "events.amazonaws.com"),
        None,
    ),
}


def watched(metric: str) -> set[str]:
    """The functions that an alarm watches by this metric of Lambda's."""
    return {
        alarm["Dimensions"][0]["Value"]["Ref"]
        for alarm in ALARMS.values()
        if (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", metric)
    }


def body() -> dict[str, Any]:
    """The dashboard; what CloudFormation puts in is a word."""
    text = properties("Dashboard")["DashboardBody"]["Fn::Sub"]
    loaded: dict[str, Any] = json.loads(re.sub(r"\$\{([\w:.]+)\}", r"<\1>", text))
    return loaded


@pytest.mark.parametrize("metric", ["Errors", "Throttles"])
def test_each_function_is_watched_for_errors_and_throttles(metric: str) -> None:
    assert watched(metric) == {f"{name}Function" for name in FUNCTIONS}


@pytest.mark.parametrize(
    "metric",
    [
        *(Metric.SUBMISSIONS_IN_DOUBT, Metric.JOBS_OVERDUE, Metric.JOBS_HELD, Metric.JOBS_OPEN),
        *(Metric.OLDEST_JOB_SECONDS, Metric.BUDGET_PERCENT, Metric.DELIVERY_REFUSED),
        *(Metric.EVENTS_UNTOLD, Metric.OLDEST_ERASURE_SECONDS),
    ],
)
def test_what_calls_a_person_has_one_alarm(metric: Metric) -> None:
    assert len([each for each in ALARMS.values() if each["MetricName"] == metric]) == 1


def test_two_stacks_of_one_account_never_count_for_each_other() -> None:
    stack = {"Ref": "AWS::StackName"}
    ours = [alarm for alarm in ALARMS.values() if alarm["Namespace"] == "LoraDrop"]

    assert all(alarm["Dimensions"] == [{"Name": "service", "Value": stack}] for alarm in ours)
    variables = template()["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == stack
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == "LoraDrop"


@pytest.mark.parametrize("name", MAILED)
def test_nobody_is_written_to_but_whom_a_parameter_names(name: str) -> None:
    condition, parameter, service, only = MAILED[name]
    policy = RESOURCES[f"{name}Policy"]
    [statement] = policy["Properties"]["PolicyDocument"]["Statement"]

    assert RESOURCES[name]["Condition"] == policy["Condition"] == condition
    assert template()["Conditions"][condition] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, ""]}]
    }
    assert template()["Parameters"][parameter]["Default"] == ""
    assert RESOURCES[name]["Properties"]["Subscription"] == [
        {"Protocol": "email", "Endpoint": {"Ref": parameter}}
    ]
    assert statement["Principal"] == {"Service": service}
    assert statement["Action"] == "sns:Publish"
    assert statement.get("Condition") == only
    assert statement["Resource"] == {"Ref": name}


@pytest.mark.parametrize("name", ["AlarmEmail", "JobEmail"])
@pytest.mark.parametrize(("value", "good"), [("", True), ("a@b.example", True), ("nobody", False)])
def test_an_address_is_empty_or_one(name: str, value: str, *, good: bool) -> None:
    pattern = template()["Parameters"][name]["AllowedPattern"]

    assert bool(re.fullmatch(pattern, value)) is good


def test_a_mail_is_written_about_what_ends_or_waits_for_a_person_in_this_stack() -> None:
    rule = RESOURCES["JobMailRule"]
    pattern = rule["Properties"]["EventPattern"]
    told = {status for status in Status if status.terminal or status.troubling}

    assert rule["Condition"] == "JobsAreMailed"
    assert (pattern["source"], pattern["detail-type"]) == ([SOURCE], [DETAIL_TYPE])
    assert set(pattern["detail"]["status"]) == told
    assert pattern["detail"]["bucket"] == [{"Ref": "ModelsBucket"}]
    assert pattern["detail"]["again"] == [False]


def test_a_mail_says_only_what_an_event_has() -> None:
    [target] = RESOURCES["JobMailRule"]["Properties"]["Targets"]
    paths = target["InputTransformer"]["InputPathsMap"]
    words = target["InputTransformer"]["InputTemplate"]["Fn::Sub"]

    assert {path.removeprefix("$.detail.") for path in paths.values()} <= set(
        StatusChange.model_fields
    )
    assert set(re.findall(r"<(\w+)>", words)) == set(paths)
    assert all(line.startswith('"') and line.endswith('"') for line in words.splitlines())


def test_the_dashboard_draws_all_that_is_counted_and_shows_every_alarm() -> None:
    widgets = body()["widgets"]
    rows = [
        row for each in widgets if each["type"] == "metric" for row in each["properties"]["metrics"]
    ]
    [shown] = [each["properties"]["alarms"] for each in widgets if each["type"] == "alarm"]

    assert {row[1] for row in rows if row[0] == "LoraDrop"} == set(Metric)
    assert all(row[2:4] == ["service", "<AWS::StackName>"] for row in rows if row[0] == "LoraDrop")
    assert sorted(shown) == sorted(f"<{name}.Arn>" for name in ALARMS)
    for metric in ("Errors", "Throttles", "Duration"):
        drawn = {row[3] for row in rows if row[:2] == ["AWS/Lambda", metric]}
        assert drawn == {f"<{name}Function>" for name in FUNCTIONS}


def test_no_widget_lies_over_another() -> None:
    taken = [
        (x, y)
        for each in body()["widgets"]
        for x in range(each["x"], each["x"] + each["width"])
        for y in range(each["y"], each["y"] + each["height"])
    ]

    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


@pytest.mark.parametrize("name", FUNCTIONS)
def test_whoever_changes_jobs_tells_others_in_our_name_alone(name: str) -> None:
    [policy] = properties(f"{name}Role")["Policies"]
    statements = [
        each for each in policy["PolicyDocument"]["Statement"] if each["Sid"] == "TellOthers"
    ]

    # What is forgotten changes no more, and nobody is to hear of it.
    assert len(statements) == (name != "Forget")
    for statement in statements:
        assert statement["Action"] == "events:PutEvents"
        assert statement["Resource"]["Fn::Sub"].endswith(":event-bus/default")
        assert statement["Condition"] == {"StringEquals": {"events:source": SOURCE}}


@pytest.mark.parametrize("patience", [LAST_LOOK_AFTER, SETTLED_AFTER])
def test_whoever_has_read_a_job_is_dead_when_nobody_may_write_of_it(patience: timedelta) -> None:
    all_of_them = template()["Globals"]["Function"]
    slowest = max({**all_of_them, **properties(f"{name}Function")}["Timeout"] for name in FUNCTIONS)

    assert patience.total_seconds() >= slowest + 60


def test_every_function_is_traced() -> None:
    assert template()["Globals"]["Function"]["Tracing"] == "Active"
