"""Each rule of rules.py passes the template, and fails on the few lines that the template once had."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lora_drop.local.overlay import lay_over, variables
from tests.support.expanded import expanded
from tests.template import rules
from tests.template.rules import RULES, Rule

# What each rule finds in the template as it was: a resource, and what is said of it.
BROKEN: dict[str, tuple[str, list[str]]] = {
    "lifecycle_rules_act": (
        """DatasetsBucket: {Type: AWS::S3::Bucket, Properties: {LifecycleConfiguration: {Rules: [
             {Id: uploads, Status: Enabled, AbortIncompleteMultipartUpload: {DaysAfterInitiation: 1}},
             {Id: markers, Status: Enabled, ExpiredObjectDeleteMarker: true}]}}}""",
        ["DatasetsBucket: markers does nothing of its own"],
    ),
    "first_failure_leaves_nothing": (
        "JobsTable: {Type: AWS::DynamoDB::Table, DeletionPolicy: Retain, UpdateReplacePolicy: Retain}",
        ["JobsTable: Retain; RetainExceptOnCreate leaves nothing of a failed creation"],
    ),
    "bucket_names_fit": (
        """Models: {Type: AWS::S3::Bucket, Properties: {BucketName: {
             "Fn::Sub": "${AWS::StackName}-all-our-portrait-lora-${AWS::AccountId}-${AWS::Region}"}}}""",
        [
            "Models: lora-drop-prod-all-our-portrait-lora-111111111111-ap-southeast-1 is no name of a bucket"
        ],
    ),
    "dead_letters_are_polled_long": (
        """Inbox: {Type: AWS::SQS::Queue, Properties: {RedrivePolicy: {
             deadLetterTargetArn: {"Fn::GetAtt": [Dead, Arn]}}}}
Dead: {Type: AWS::SQS::Queue}""",
        ["Dead: is polled short by who says nothing else"],
    ),
    "own_chain_is_allowed": (
        """Submit: {Type: AWS::Lambda::Function, Properties: {Role: {"Fn::GetAtt": [Role, Arn]}}}
Role: {Type: AWS::IAM::Role, Properties: {Policies: [{PolicyDocument: {Statement: [
  {Action: "sqs:SendMessage", Resource: {"Fn::GetAtt": [Inbox, Arn]}}]}}]}}
Fed: {Type: AWS::Lambda::EventSourceMapping, Properties: {
  EventSourceArn: {"Fn::GetAtt": [Inbox, Arn]}, FunctionName: {Ref: Submit}}}""",
        ["Submit: RecursiveLoop is None, chained: True"],
    ),
    "concurrency_leaves_some": (
        """Inbox: {Type: AWS::Lambda::EventSourceMapping, Properties: {ScalingConfig: {MaximumConcurrency: 5}}}
Results: {Type: AWS::Lambda::EventSourceMapping, Properties: {ScalingConfig: {MaximumConcurrency: 5}}}""",
        ["{'Inbox': 5, 'Results': 5} of 10"],
    ),
    "schedules_retry_by_themselves": (
        """Round: {Type: AWS::Events::Rule, Properties: {ScheduleExpression: rate(5 minutes),
             Targets: [{Id: it, Arn: {"Fn::GetAtt": [Reconcile, Arn]}}]}}""",
        ["Round: Lambda tries Reconcile three times"],
    ),
    "topics_name_their_rule": (
        """JobTopicPolicy: {Type: AWS::SNS::TopicPolicy, Properties: {PolicyDocument: {Statement: [
             {Principal: {Service: events.amazonaws.com}, Action: "sns:Publish"}]}}}
JobMailRule: {Type: AWS::Events::Rule}""",
        ["JobTopicPolicy: names no rule"],
    ),
    "api_answers_in_time": (
        """Jobs: {Type: AWS::Lambda::Function, Properties: {Timeout: 60}}
Call: {Type: AWS::Lambda::Permission, Properties: {Principal: apigateway.amazonaws.com, FunctionName: {Ref: Jobs}}}""",
        ["Jobs: may take 60 s"],
    ),
    "alarms_can_be_acted_on": (
        """BudgetNearlySpentAlarm: {Type: AWS::CloudWatch::Alarm, Properties: {MetricName: BudgetPercent}}
BudgetSpentAlarm: {Type: AWS::CloudWatch::Alarm, Properties: {MetricName: BudgetPercent}}""",
        ["BudgetSpentAlarm: no section in docs/runbook.md", "BudgetSpentAlarm: repeats another"],
    ),
    "nothing_is_traced": (
        "Store: {Type: AWS::Lambda::Function, Properties: {TracingConfig: {Mode: Active}}}",
        ["Store: is traced"],
    ),
    "idle_month_is_cheap": (
        "\n".join(f"A{number}: {{Type: AWS::CloudWatch::Alarm}}" for number in range(49)),
        ["$5.20 a month"],
    ),
}
BROKEN["nothing_is_for_emulators"] = (
    """Jobs: {Type: AWS::Lambda::Function, Properties: {Environment: {Variables: {
         AWS_ENDPOINT_URL: {Ref: AwsEndpointUrl}, JOBS_TABLE: {Ref: JobsTable}}}}}""",
    ["Jobs: AWS_ENDPOINT_URL"],
)
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)


@each_rule
def test_template_keeps_the_rule(rule: Rule) -> None:
    assert list(rule(expanded())) == []


@each_rule
def test_rule_fails_on_what_was(rule: Rule) -> None:
    resources, found = BROKEN[rule.__name__]
    broken: dict[str, Any] = {"Resources": yaml.safe_load(resources)}
    assert list(rule(broken)) == found


def test_overlay_reaches_every_function(tmp_path: Path) -> None:
    """With the functions' paths, and beside a template that stays as it is for AWS."""
    built = tmp_path / "template.yaml"
    built.write_text(
        "Globals: {Function: {Environment: {Variables: {JOBS_TABLE: {Ref: JobsTable}}}}}\n"
        "Resources: {KeyApi: {Properties: {StageName: live}}}"
    )

    laid = lay_over(
        built, variables("http://127.0.0.1:4566", rules.FAL), tmp_path / "emulated.yaml"
    )

    given = yaml.safe_load(laid.read_text())["Globals"]["Function"]["Environment"]["Variables"]
    assert given["JOBS_TABLE"] == {"Ref": "JobsTable"}
    assert given["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert given["SSL_CERT_FILE"] == "private-ca.pem"
    assert "AWS_ENDPOINT_URL" not in built.read_text()


def test_many_alarms_are_found() -> None:
    resources = {f"A{number}": {"Type": "AWS::CloudWatch::Alarm"} for number in range(25)}
    assert "25 alarms" in list(rules.alarms_can_be_acted_on({"Resources": resources}))
