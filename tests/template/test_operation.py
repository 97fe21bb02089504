"""What is counted, drawn, written and mailed is the same; each alarm rings in time, as CloudWatch evaluates it."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lora_drop.jobs.erasures import LAST_LOOK_AFTER
from lora_drop.jobs.events import DETAIL_TYPE, SOURCE, StatusChange
from lora_drop.jobs.status import Status
from lora_drop.observability import OUTCOMES, Metric
from lora_drop.services.record import SETTLED_AFTER
from tests.support.template import TEMPLATE, of_type, properties, target, template

type Samples = Sequence[tuple[float, float]]  # minutes since the beginning, and a value
FUNCTIONS = ("Submit", "Webhook", "Store", "Reconcile", "Jobs", "Forget", "Notify", "Fetch")
RESOURCES: dict[str, dict[str, Any]] = template()["Resources"]
ALARMS = of_type("AWS::CloudWatch::Alarm")
ROOT = Path(__file__).parents[2]
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
    text, given = properties("Dashboard")["DashboardBody"]["Fn::Sub"]
    for part, either in given.items():  # what is there only where others are notified
        text = text.replace(f"${{{part}}}", either["Fn::If"][1]["Fn::Sub"])
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
@pytest.mark.parametrize(("value", "good"), [("", True), ("a@b.example", True), ("ada", False)])
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
    modules = [
        *(ROOT / "functions").glob("*/handler.py"),
        *(ROOT / "shared/lora_drop").glob("*.py"),
    ]
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


STATISTICS: dict[str, Callable[..., float]] = {"Sum": sum, "Maximum": max, "SampleCount": len}
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
}
HOURS = 3


def every(minutes: float, *values: float) -> Samples:
    """A value after each so many minutes, for as long as there are any, the last one again and again."""
    number = int(HOURS * 60 // minutes)
    return [(at * minutes, values[min(at, len(values) - 1)]) for at in range(number)]


def rings_at(alarm: dict[str, Any], samples: Samples) -> float | None:
    """After how many minutes it rings; None for never ("Evaluating an alarm" in CloudWatch's guide)."""
    period, periods = alarm["Period"] / 60, alarm["EvaluationPeriods"]
    enough = alarm.get("DatapointsToAlarm", periods)
    breaching = [
        _breaches(alarm, _within(samples, at * period, period))
        for at in range(int(max(HOURS * 60, period) // period))
    ]
    for end in range(periods, len(breaching) + 1):
        if sum(breaching[end - periods : end]) >= enough:
            return float(end * period)
    return None


def _within(samples: Samples, begin: float, period: float) -> list[float]:
    return [value for at, value in samples if begin <= at < begin + period]


def _breaches(alarm: dict[str, Any], values: list[float]) -> bool:
    if not values:
        return bool(alarm["TreatMissingData"] == "breaching")
    found = STATISTICS[alarm["Statistic"]](values)
    return COMPARISONS[alarm["ComparisonOperator"]](found, alarm["Threshold"])


def _for(names: Iterable[str], *case: object) -> dict[str, tuple[object, ...]]:
    return dict.fromkeys((f"{name}Alarm" for name in names), case)


# What each rings for, and what it does not, and within how many minutes it has to ring. Dead letters
# are counted by SQS every minute, a round counts every five, errors are counted as they come.
ONCE, NEVER = every(1000, 1), every(1, 0)
CASES: dict[str, tuple[Any, ...]] = {
    **_for(
        ["InboxDeadLetters", "ResultsDeadLetters", "NotifyDeadLetters", "FetchDeadLetters"],
        every(1, 0, 0, 1),
        NEVER,
        10,
    ),
    **_for(["SubmissionInDoubt", "JobOverdue"], every(5, 0, 1), every(5, 0), 15),
    **_for(["RoundsFailing"], every(5, 1), [(0, 1), (5, 1)], 30),
    **_for(["RoundsMissing"], [(1, 0)], every(10, 0), 45),
    **_for(["WebhookFailing"], every(2, 1), ONCE, 15),
    **_for(["BudgetNearlySpent"], every(5, 80), every(5, 79.9), 15),
    **_for(["TrainerDrift"], [(600, 2)], [], 24 * 60),
    **_for(["ErasureOpen"], every(15, 86_400), every(15, 86_399), 15),
}


def test_every_alarm_has_a_case() -> None:
    assert sorted(CASES) == sorted(ALARMS)


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("name", sorted(CASES))
def test_alarm_rings_in_time(name: str) -> None:
    """Each alarm rings for its own trouble while there is time to act."""
    rung = rings_at(ALARMS[name], CASES[name][0])
    assert rung is not None
    assert rung <= CASES[name][2]


@pytest.mark.parametrize("name", sorted(CASES))
def test_alarm_ignores_less(name: str) -> None:
    assert rings_at(ALARMS[name], CASES[name][1]) is None
    if name != "RoundsMissingAlarm":
        assert rings_at(ALARMS[name], []) is None


def test_stacks_are_counted_apart() -> None:
    """Two stacks of one account never count for each other."""
    stack = {"Ref": "AWS::StackName"}
    ours = [alarm for alarm in ALARMS.values() if alarm["Namespace"] == "LoraDrop"]
    assert all(alarm["Dimensions"] == [{"Name": "service", "Value": stack}] for alarm in ours)
    variables = template()["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == stack
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == "LoraDrop"


@pytest.mark.promise("never get stuck")
def test_dead_letters_ring_an_alarm() -> None:
    """Every dead letter rings an alarm that says how to redrive it."""
    queues = [each for each in of_type("AWS::SQS::Queue").values() if "RedrivePolicy" in each]
    dead = {target(each["RedrivePolicy"]["deadLetterTargetArn"]) for each in queues}
    alarms = [alarm for alarm in ALARMS.values() if alarm.get("Namespace") == "AWS/SQS"]
    watched = {target(alarm["Dimensions"][0]["Value"]) for alarm in alarms}

    assert (
        watched
        == dead
        == {f"{name}DeadLetters" for name in ("Inbox", "Results", "Notify", "Fetch")}
    )
    for alarm in alarms:
        assert alarm["Threshold"] == 1
        assert alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
        assert "lora-drop redrive" in alarm["AlarmDescription"]
