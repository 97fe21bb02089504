"""Mails, the dashboard and the metrics of template.yaml: what is counted, drawn and written is the same."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lora_drop.jobs.erasures import LAST_LOOK_AFTER
from lora_drop.jobs.events import DETAIL_TYPE, SOURCE, StatusChange
from lora_drop.jobs.status import Status
from lora_drop.observability import OUTCOMES, Metric
from lora_drop.services.record import SETTLED_AFTER
from tests.support.template import TEMPLATE, of_type, properties, template

FUNCTIONS = ("Submit", "Webhook", "Store", "Reconcile", "Jobs", "Forget")
RESOURCES: dict[str, dict[str, Any]] = template()["Resources"]
ALARMS = of_type("AWS::CloudWatch::Alarm")
HANDLERS = Path(__file__).parents[2] / "functions"
PACKAGE = Path(__file__).parents[2] / "shared" / "lora_drop"
MAILED: dict[str, tuple[str, str, str, Any]] = {
    "AlarmTopic": (
        *("AlarmsAreMailed", "AlarmEmail", "cloudwatch.amazonaws.com"),
        {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    ),
    "JobTopic": (
        *("JobsAreMailed", "JobEmail", "events.amazonaws.com"),
        {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": "JobMailRule.Arn"}}},
    ),
}


def body() -> dict[str, Any]:
    """The dashboard; what CloudFormation puts in is a word."""
    text = properties("Dashboard")["DashboardBody"]["Fn::Sub"]
    loaded: dict[str, Any] = json.loads(re.sub(r"\$\{([\w:.]+)\}", r"<\1>", text))
    return loaded


@pytest.mark.parametrize("name", MAILED)
def test_mails_go_to_named_addresses(name: str) -> None:
    """Mails go only to an address that a parameter names."""
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
    assert statement["Condition"] == only
    assert statement["Resource"] == {"Ref": name}


@pytest.mark.parametrize("name", ["AlarmEmail", "JobEmail"])
@pytest.mark.parametrize(("value", "good"), [("", True), ("a@b.example", True), ("nobody", False)])
def test_address_is_empty_or_valid(name: str, value: str, *, good: bool) -> None:
    pattern = template()["Parameters"][name]["AllowedPattern"]

    assert bool(re.fullmatch(pattern, value)) is good


@pytest.mark.promise("it can be operated")
def test_mail_reports_ends_and_holds() -> None:
    """A mail is sent when a job of this stack ends or waits for a person."""
    rule = RESOURCES["JobMailRule"]
    pattern = rule["Properties"]["EventPattern"]
    mailed = {status for status in Status if status.terminal or status.troubling}

    assert rule["Condition"] == "JobsAreMailed"
    assert (pattern["source"], pattern["detail-type"]) == ([SOURCE], [DETAIL_TYPE])
    assert set(pattern["detail"]["status"]) == mailed
    assert pattern["detail"]["bucket"] == [{"Ref": "ModelsBucket"}]
    assert pattern["detail"]["again"] == [False]


def test_mail_uses_event_fields() -> None:
    [target] = RESOURCES["JobMailRule"]["Properties"]["Targets"]
    paths = target["InputTransformer"]["InputPathsMap"]
    words = target["InputTransformer"]["InputTemplate"]["Fn::Sub"]

    assert {path.removeprefix("$.detail.") for path in paths.values()} <= set(
        StatusChange.model_fields
    )
    assert set(re.findall(r"<(\w+)>", words)) == set(paths)
    assert all(line.startswith('"') and line.endswith('"') for line in words.splitlines())


@pytest.mark.promise("it can be operated")
def test_dashboard_shows_metrics_and_alarms() -> None:
    """The dashboard draws every metric and shows every alarm."""
    widgets = body()["widgets"]
    rows = [
        row for each in widgets if each["type"] == "metric" for row in each["properties"]["metrics"]
    ]
    [shown] = [each["properties"]["alarms"] for each in widgets if each["type"] == "alarm"]

    assert {row[1] for row in rows if row[0] == "LoraDrop"} == set(Metric)
    assert all(row[2:4] == ["service", "<AWS::StackName>"] for row in rows if row[0] == "LoraDrop")
    assert sorted(shown) == sorted(f"<{name}.Arn>" for name in ALARMS)
    for metric in ("Errors", "Throttles"):
        drawn = {row[3] for row in rows if row[:2] == ["AWS/Lambda", metric]}
        assert drawn == {f"<{name}Function>" for name in FUNCTIONS}


def test_widgets_do_not_overlap() -> None:
    taken = [
        (x, y)
        for each in body()["widgets"]
        for x in range(each["x"], each["x"] + each["width"])
        for y in range(each["y"], each["y"] + each["height"])
    ]

    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


@pytest.mark.parametrize("patience", [LAST_LOOK_AFTER, SETTLED_AFTER])
def test_erasure_outwaits_every_function(patience: timedelta) -> None:
    """When the last look of an erasure comes, every function that has read the job has ended."""
    all_of_them = template()["Globals"]["Function"]
    slowest = max({**all_of_them, **properties(f"{name}Function")}["Timeout"] for name in FUNCTIONS)

    assert patience.total_seconds() >= slowest + 60


def test_every_metric_is_counted() -> None:
    modules = [*HANDLERS.glob("*/handler.py"), *PACKAGE.glob("*.py")]
    code = "\n".join(path.read_text() for path in modules)

    assert {f"Metric.{name}" for name in Metric.__members__} == set(
        re.findall(r"Metric\.[A-Z_]+", code)
    )


def test_every_end_has_a_metric() -> None:
    assert set(OUTCOMES) == {status for status in Status if status.terminal}


def test_watched_metrics_are_counted() -> None:
    text = TEMPLATE.read_text()
    alarms = re.findall(r"Namespace: LoraDrop\n\s+MetricName: (\w+)", text)
    drawn = re.findall(r'\["LoraDrop", ?"(\w+)"', text)

    assert alarms
    assert drawn
    assert {*alarms, *drawn} <= set(Metric)
