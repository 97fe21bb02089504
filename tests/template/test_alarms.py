"""Each alarm rings in time for its own trouble, and for nothing less, by CloudWatch's own arithmetic."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from tests.support.template import of_type, template

type Samples = Sequence[tuple[float, float]]  # minutes since the beginning, and a value

ALARMS = of_type("AWS::CloudWatch::Alarm")
STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "SampleCount": len,
}
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
        _breaches(alarm, _within(samples, at * period, period)) for at in range(_ends(period))
    ]
    for end in range(periods, len(breaching) + 1):
        if sum(breaching[end - periods : end]) >= enough:
            return float(end * period)
    return None


def _ends(period: float) -> int:
    return int(HOURS * 60 // period)


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
    **_for(["InboxDeadLetters", "ResultsDeadLetters"], every(1, 0, 0, 1), NEVER, 10),
    **_for(["SubmissionInDoubt", "JobOverdue"], every(5, 0, 1), every(5, 0), 15),
    **_for(["RoundsFailing"], every(5, 1), [(0, 1), (5, 1)], 30),
    **_for(["RoundsMissing"], [(1, 0)], every(10, 0), 45),
    **_for(["WebhookFailing"], every(2, 1), ONCE, 15),
    **_for(["BudgetNearlySpent"], every(5, 80), every(5, 79.9), 15),
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


def test_one_alarm_for_each_trouble() -> None:
    """Nine alarms that a person can act on; no two of them watch the same number of the same thing."""
    watched = [(each["MetricName"], repr(each["Dimensions"])) for each in ALARMS.values()]

    assert len(watched) == len(set(watched)) == 9


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
    queues = of_type("AWS::SQS::Queue")
    dead = {
        queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"].removesuffix(".Arn")
        for queue in queues.values()
        if "RedrivePolicy" in queue
    }

    watched = {
        alarm["Dimensions"][0]["Value"]["Fn::GetAtt"].removesuffix(".QueueName"): alarm
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if alarm.get("Namespace") == "AWS/SQS"
    }
    assert set(watched) == dead == {"InboxDeadLetters", "ResultsDeadLetters"}
    for alarm in watched.values():
        assert (alarm["Threshold"], alarm["MetricName"]) == (
            1,
            "ApproximateNumberOfMessagesVisible",
        )
        assert "lora-drop redrive" in alarm["AlarmDescription"]
