"""docs/cost.md says what template.yaml has."""

import re

from lora_drop.dev import prices, scale
from lora_drop.jobs.time_limits import ROUND_PATIENCE
from tests.support.template import properties, template


def standing(kind: str) -> int:
    """How many resources of this type every stack has, whatever its parameters."""
    return sum(
        each["Type"] == kind and "Condition" not in each
        for each in template()["Resources"].values()
    )


def test_what_an_idle_stack_has_is_counted() -> None:
    assert standing("AWS::CloudWatch::Alarm") == prices.ALARMS
    assert standing("AWS::SecretsManager::Secret") == prices.SECRETS
    assert standing("AWS::CloudWatch::Dashboard") == prices.DASHBOARDS


def test_dashboard_has_no_more_metrics_than_are_free() -> None:
    dashboard, _ = properties("Dashboard")["DashboardBody"]["Fn::Sub"]
    assert 0 < len(re.findall(r'\["(?:LoraDrop|AWS/\w+)", "', dashboard)) <= 50


def test_functions_have_the_memory_that_is_paid_for() -> None:
    usual = template()["Globals"]["Function"]["MemorySize"]
    for name in ("Submit", "Webhook", "Store", "Jobs", "Reconcile", "Forget"):
        memory = properties(f"{name}Function").get("MemorySize", usual)
        assert memory == prices.MEMORY.get(name.lower(), 512)


def test_schedules_come_as_often_as_is_paid_for() -> None:
    assert template()["Parameters"]["ReconcileSchedule"]["Default"] == "rate(5 minutes)"
    assert prices.SCHEDULES["reconcile"] == 30 * 24 * 60 / 5
    events = template()["Resources"]["ForgetFunction"]["Properties"]["Events"]
    assert events["GoOn"]["Properties"]["Schedule"] == "rate(15 minutes)"
    assert prices.SCHEDULES["forget"] == 30 * 24 * 60 / 15


def test_bounds_of_ours_are_the_template_s() -> None:
    parameters = template()["Parameters"]
    assert parameters["LateAfterSeconds"]["Default"] == scale.LATE
    assert parameters["MaxInFlight"]["Default"] == scale.WORKERS
    assert ROUND_PATIENCE.total_seconds() == scale.PATIENCE
    for name in ("Submit", "Store"):
        events = template()["Resources"][f"{name}Function"]["Properties"]["Events"].values()
        [scaling] = [
            each["Properties"]["ScalingConfig"] for each in events if each["Type"] == "SQS"
        ]
        assert scaling["MaximumConcurrency"] == scale.WORKERS
