"""What every function and its role have, and where one leads to another: no list of names but the template's."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lora_drop.jobs.events import SOURCE
from tests.security.iam.arns import Names, chosen
from tests.security.iam.policies import documents_of, functions, policy_of
from tests.support.template import of_type, properties, target, template

BUCKETS, QUEUES = of_type("AWS::S3::Bucket"), of_type("AWS::SQS::Queue")
SECRETS, ROLES = of_type("AWS::SecretsManager::Secret"), of_type("AWS::IAM::Role")
each_function = pytest.mark.parametrize("function", functions())


def whole(function: str) -> Mapping[str, Any]:
    """A function with what it has of all functions."""
    return {**template()["Globals"]["Function"], **functions()[function]}


def events_of(function: str, kind: str) -> list[dict[str, Any]]:
    events = functions()[function].get("Events", {}).values()
    return [each["Properties"] for each in events if each["Type"] == kind]


@each_function
def test_function_has_its_own_role(function: str) -> None:
    """For Lambda alone."""
    role = target(functions()[function]["Role"])
    assert [name for name in functions() if target(functions()[name]["Role"]) == role] == [function]
    [trust] = properties(role)["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert trust["Action"] == "sts:AssumeRole"


@pytest.mark.parametrize("role", ROLES)
def test_every_role_belongs_to_function(role: str) -> None:
    assert role in {target(each["Role"]) for each in functions().values()}


@pytest.mark.promise("nothing leaks")
@each_function
def test_rights_name_actions_and_resources(function: str) -> None:
    """No right of a function has a wildcard for an action, and each is on resources of this stack."""
    for grant in policy_of(function, Names({})).grants:
        assert "*" not in grant.action
        assert grant.resource != "*"
    for document in documents_of(function):
        for resource in _resources(document):
            # The bus is the account's; a condition bounds what may be put there (below).
            if not resource.endswith(':event-bus/default"}'):
                assert any(
                    f'"{name}' in resource or f"${{{name}" in resource
                    for name in template()["Resources"]
                ), resource


def _resources(document: Mapping[str, Any]) -> Iterator[str]:
    for statement in document["Statement"]:
        listed = statement["Resource"]
        for each in listed if isinstance(listed, list) else [listed]:
            yield each if isinstance(each, str) else json.dumps(each)


@each_function
def test_events_have_our_source_only(function: str) -> None:
    [policy] = properties(function.removesuffix("Function") + "Role")["Policies"]
    statements = [
        each for each in policy["PolicyDocument"]["Statement"] if each["Sid"] == "TellOthers"
    ]

    # A forgotten job changes no more, and a notification is no change: these publish no events.
    assert len(statements) == (function not in ("ForgetFunction", "NotifyFunction"))
    for statement in statements:
        assert statement["Action"] == "events:PutEvents"
        assert statement["Resource"]["Fn::Sub"].endswith(":event-bus/default")
        assert statement["Condition"] == {"StringEquals": {"events:source": SOURCE}}


@each_function
def test_function_has_its_own_logs(function: str) -> None:
    group = target(functions()[function]["LoggingConfig"]["LogGroup"])
    used = [target(each["LoggingConfig"]["LogGroup"]) for each in functions().values()]
    assert used.count(group) == 1
    assert of_type("AWS::Logs::LogGroup")[group] == {"RetentionInDays": {"Ref": "LogRetentionDays"}}


@each_function
def test_function_ends_before_its_caller(function: str) -> None:
    # API Gateway waits 29 s, Lambda 900 s; a queue has to wait as long as the function, and should wait
    # six times as long: not for the store and fetch functions, whose lease makes a second delivery harmless.
    most = 28 if events_of(function, "Api") else 900
    assert whole(function)["Timeout"] <= most
    for event in events_of(function, "SQS"):
        queue = QUEUES[target(event["Queue"])]
        times = 1.2 if function in ("StoreFunction", "FetchFunction") else 6
        assert queue["VisibilityTimeout"] >= times * whole(function)["Timeout"]
        assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


@each_function
def test_function_concurrency_is_bounded(function: str) -> None:
    # What a queue feeds is bounded there: a reserved number would throw messages back, and their
    # receipts count. What a schedule starts comes one by one. An API is throttled.
    queues, own = events_of(function, "SQS"), functions()[function]
    bounded = [event["ScalingConfig"]["MaximumConcurrency"] for event in queues]
    assert all(2 <= most <= 10 for most in bounded)
    apis = [event for event in events_of(function, "Api") if event.get("Auth")]
    assert not apis or "ReservedConcurrentExecutions" in own
    assert queues or events_of(function, "Schedule") or events_of(function, "Api")


@pytest.mark.promise("nothing leaks")
@each_function
def test_environment_holds_no_secrets(function: str) -> None:
    """A function's environment holds names of secrets, and never a secret."""
    variables = whole(function)["Environment"]["Variables"]
    for name, value in variables.items():
        if "SECRET" in name or "KEY" in name:
            assert target(chosen(value)) in SECRETS


# Where any name will do, and why.
WHOLE_BUCKETS = {
    ("Submit", "s3:GetObject", "DatasetsBucket"),  # people name their datasets
    ("Submit", "s3:GetObjectVersion", "DatasetsBucket"),
    ("Submit", "s3:GetObject", "ModelsBucket"),  # fal names its files
    ("Store", "s3:GetObject", "ModelsBucket"),
    ("Store", "s3:PutObject", "ModelsBucket"),
    ("Store", "s3:ListMultipartUploadParts", "ModelsBucket"),
    ("Store", "s3:AbortMultipartUpload", "ModelsBucket"),
    ("Jobs", "s3:GetObject", "DatasetsBucket"),  # people name their datasets
    ("Jobs", "s3:GetObjectVersion", "DatasetsBucket"),
    ("Jobs", "s3:GetObject", "ModelsBucket"),  # fal names its files
    ("Reconcile", "s3:AbortMultipartUpload", "ModelsBucket"),  # of whatever was left unfinished
    ("Forget", "s3:DeleteObjectVersion", "DatasetsBucket"),  # whatever is there of a job
    ("Forget", "s3:AbortMultipartUpload", "DatasetsBucket"),
    ("Forget", "s3:DeleteObjectVersion", "ModelsBucket"),
    ("Forget", "s3:AbortMultipartUpload", "ModelsBucket"),
}


def test_other_rights_name_their_files() -> None:
    names = Names({})
    buckets = {names.arn(bucket): bucket for bucket in BUCKETS}
    found = set()
    for function in functions():
        for grant in policy_of(function, names).grants:
            place, _, key = grant.resource.partition("/")
            if key == "*" and place in buckets:
                found.add((function.removesuffix("Function"), grant.action, buckets[place]))
            elif place in buckets:
                # Below a dataset's key and a job's id, which may be anything.
                # Or in the folder that the API signs forms for.
                assert re.fullmatch(
                    r"|\*/(proof/)?[\w.]+|\*/deliveries/\*|(uploads|fetched)/\*", key
                ), grant
            elif not grant.action.startswith("logs:"):
                assert "*" not in grant.resource, grant

    assert found == WHOLE_BUCKETS


@pytest.mark.promise("never get stuck")
def test_only_the_inbox_makes_circles() -> None:
    """The only circle of functions is submit's own call for the next job: nothing else can run for ever."""
    # Each message in that circle sends a waiting job or is the last; Lambda itself ends one of 16.
    names = Names({})
    leads: dict[str, set[str]] = {}
    for function in functions():
        for event in events_of(function, "SQS"):
            leads.setdefault(names.arn(target(event["Queue"])), set()).add(function)
    for bucket in BUCKETS:
        notified = BUCKETS[bucket].get("NotificationConfiguration", {})
        for each in notified.get("QueueConfigurations", []):
            leads.setdefault(f"{names.arn(bucket)}/*", set()).add(names.arn(target(each["Queue"])))
        assert set(notified) <= {"QueueConfigurations"}
    for function in functions():
        for grant in policy_of(function, names).grants:
            if grant.action in ("sqs:SendMessage", "s3:PutObject"):
                place = grant.resource.partition("/")[0]
                to = f"{place}/*" if grant.action == "s3:PutObject" else grant.resource
                leads.setdefault(function, set()).add(to)

    circles = {start for start in leads if start in _reached(start, leads)}
    assert circles == {"SubmitFunction", names.arn("InboxQueue")}


def _reached(start: str, leads: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        for there in leads.get(ahead.pop(), set()) - found:
            found.add(there)
            ahead.append(there)
    return found
