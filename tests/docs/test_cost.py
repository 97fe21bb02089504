"""docs/cost.md says what template.yaml has."""

import re
from dataclasses import replace
from datetime import date

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


def test_files_are_kept_for_as_long_as_is_paid_for() -> None:
    parameters = template()["Parameters"]
    assert parameters["LogRetentionDays"]["Default"] == prices.LOG_DAYS
    assert parameters["DatasetRetentionDays"]["Default"] == prices.DATASET_DAYS


def test_price_falls_above_a_tier_for_what_is_above_it_alone() -> None:
    price = replace(prices.PRICES["out"], usd=3.0, above=((10.0, 2.0), (20.0, 1.0)))
    assert [price.of(amount) for amount in (0, 10, 15, 25)] == [0, 30, 40, 55]


def test_price_says_where_it_was_read_and_of_when_it_is() -> None:
    for price in prices.PRICES.values():
        assert price.page.startswith("https://aws.amazon.com/")
        assert re.fullmatch(r"https://github\.com/.+/blob/[0-9a-f]{40}/.+", price.source.address)
        assert date.fromisoformat(price.source.day) <= date.fromisoformat(prices.LOOKED_UP)


def test_bounds_of_the_api_are_the_template_s() -> None:
    looks, webhooks = properties("Api")["MethodSettings"]
    assert looks["ThrottlingRateLimit"] == scale.API_RATE
    assert webhooks["ThrottlingRateLimit"] == scale.WEBHOOK_RATE
    assert properties("ServicePlan")["Quota"] == {"Limit": scale.KEY_DAY, "Period": "DAY"}


def test_bounds_of_ours_are_the_template_s() -> None:
    parameters = template()["Parameters"]
    assert parameters["LateAfterSeconds"]["Default"] == scale.LATE
    assert parameters["MaxInFlight"]["Default"] == scale.SLOTS
    assert parameters["MaxInFlight"]["MaxValue"] == scale.MOST_SLOTS
    assert ROUND_PATIENCE.total_seconds() == scale.PATIENCE
    for name in ("Submit", "Store"):
        events = template()["Resources"][f"{name}Function"]["Properties"]["Events"].values()
        [scaling] = [
            each["Properties"]["ScalingConfig"] for each in events if each["Type"] == "SQS"
        ]
        assert scaling["MaximumConcurrency"] == scale.WORKERS
