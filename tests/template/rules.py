"""Rules of our own about an expanded template: what only AWS would have shown. Each yields what it finds wrong.

cfn-lint, `sam validate` and the emulator pass every template that breaks one of these.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lora_drop.local.fal_server import FalServer
from lora_drop.local.overlay import variables

type Template = Mapping[str, Any]
type Rule = Callable[[Template], Iterator[str]]

ROOT = Path(__file__).parents[2]
NEW_ACCOUNT = 10  # concurrent executions ("Lambda quotas"; new accounts have fewer than 1,000)
API_SECONDS = 29  # "Amazon API Gateway quotas": integration timeout of a regional REST API
ALARMS, IDLE_USD = 10, 5.1
# List prices of us-east-1 by the month, without the free tier: CloudWatch and Secrets Manager, "Pricing".
PRICES = {
    "AWS::CloudWatch::Alarm": 0.10,
    "AWS::CloudWatch::Dashboard": 3.00,
    "AWS::SecretsManager::Secret": 0.40,
    "AWS::KMS::Key": 1.00,
}
ASKED_FOR = frozenset({"OthersAreNotified", "DatasetsAreFetched"})
METRICS_OF_AN_IDLE_STACK = 0.30  # JobsOpen alone: a round writes no metric that is 0
# What a lifecycle rule can do. CloudFormation: "You must specify at least one of the following".
ACTIONS = re.compile(
    r"AbortIncomplete|ExpirationDate|ExpirationInDays|NoncurrentVersion|Transition"
)
FAL = FalServer(
    **dict.fromkeys(("url", "jwks_url", "api_url", "rest_url", "cdn_url"), "https://fal.example"),
    key="none",
    user_id="",
    artifact_hosts="fal.example",
    ca_file=Path("ca.pem"),
    simulated=True,
)
OVERLAY = variables("", FAL).keys()
LONGEST_REGION, LONGEST_BUCKET = "ap-southeast-1", 63


def of_type(template: Template, kind: str) -> dict[str, Mapping[str, Any]]:
    """The properties of each resource of this type."""
    return {
        name: each.get("Properties", {})
        for name, each in template["Resources"].items()
        if each["Type"] == kind
    }


def by_default(template: Template) -> Template:
    """The template without what a stack has only where a parameter asks for it, as OthersAreNotified does."""
    resources = template["Resources"]
    kept = {
        name: each for name, each in resources.items() if each.get("Condition") not in ASKED_FOR
    }
    return {**template, "Resources": kept}


def target(value: Any) -> str:
    """The logical id that a Ref or a GetAtt names; empty for anything else."""
    if not isinstance(value, Mapping):
        return ""
    named = value.get("Ref") or value.get("Fn::GetAtt") or ""
    return str(named[0] if isinstance(named, list) else named).partition(".")[0]


def lifecycle_rules_act(template: Template) -> Iterator[str]:
    """A lifecycle rule that holds ExpiredObjectDeleteMarker alone is refused (2.1)."""
    for bucket, has in of_type(template, "AWS::S3::Bucket").items():
        for rule in has.get("LifecycleConfiguration", {}).get("Rules", []):
            if not any(ACTIONS.match(name) for name in rule):
                yield f"{bucket}: {rule['Id']} does nothing of its own"


def first_failure_leaves_nothing(template: Template) -> Iterator[str]:
    """What a failed first deployment retains makes every further one fail (2.2)."""
    for name, each in template["Resources"].items():
        if each.get("DeletionPolicy") == "Retain":
            yield f"{name}: Retain; RetainExceptOnCreate leaves nothing of a failed creation"


def bucket_names_fit(template: Template) -> Iterator[str]:
    """The names of buckets fit in the region with the longest name, for each stack of samconfig.toml (2.2)."""
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    stacks = [each["deploy"]["parameters"]["stack_name"] for each in config.values() if each != 0.1]
    for bucket, has in of_type(template, "AWS::S3::Bucket").items():
        text = has.get("BucketName", {}).get("Fn::Sub", "")
        for stack in stacks:
            known = {"StackName": stack, "AccountId": "1" * 12, "Region": LONGEST_REGION}
            name = re.sub(r"\$\{AWS::(\w+)\}", lambda found: known[found[1]], text)  # noqa: B023
            if name and not re.fullmatch(rf"[a-z0-9][a-z0-9.-]{{2,{LONGEST_BUCKET - 1}}}", name):
                yield f"{bucket}: {name} is no name of a bucket"


def dead_letters_are_polled_long(template: Template) -> Iterator[str]:
    """A short poll asks some of SQS's servers and can answer falsely that a queue is empty (2.3)."""
    queues = of_type(template, "AWS::SQS::Queue")
    ends = {target(each.get("RedrivePolicy", {}).get("deadLetterTargetArn")) for each in queues.values()}  # fmt: skip
    for name in sorted(ends - {""}):
        if not queues[name].get("ReceiveMessageWaitTimeSeconds"):
            yield f"{name}: is polled short by who says nothing else"


def own_chain_is_allowed(template: Template) -> Iterator[str]:
    """Lambda ends a chain of about 16 calls through SQS, unless the function says that it means it (2.4)."""
    for mapping in of_type(template, "AWS::Lambda::EventSourceMapping").values():
        function = target(mapping["FunctionName"])
        has = template["Resources"][function]["Properties"]
        chained = target(mapping["EventSourceArn"]) in _sends_to(template, target(has["Role"]))
        if chained != (has.get("RecursiveLoop") == "Allow"):
            yield f"{function}: RecursiveLoop is {has.get('RecursiveLoop')}, chained: {chained}"


def concurrency_leaves_some(template: Template) -> Iterator[str]:
    """The queues together take no more than half of a new account's concurrent executions (2.5).

    With those that are on only where others are notified, or datasets are fetched, each takes two more: that is the least there is.
    """
    mappings = of_type(template, "AWS::Lambda::EventSourceMapping")
    most = {
        name: each.get("ScalingConfig", {}).get("MaximumConcurrency", NEW_ACCOUNT)
        for name, each in mappings.items()
    }
    asked_for = [
        most[name] for name, each in mappings.items() if isinstance(each.get("Enabled"), Mapping)
    ]
    if sum(most.values()) - sum(asked_for) > NEW_ACCOUNT / 2 or any(each > 2 for each in asked_for):
        yield f"{most} of {NEW_ACCOUNT}"


def schedules_retry_by_themselves(template: Template) -> Iterator[str]:
    """What a schedule starts again anyway is not tried again by Lambda as well (2.6)."""
    configs = of_type(template, "AWS::Lambda::EventInvokeConfig").values()
    quiet = {target(each["FunctionName"]) for each in configs if each["MaximumRetryAttempts"] == 0}
    for name, rule in of_type(template, "AWS::Events::Rule").items():
        for each in rule.get("Targets", []) if "ScheduleExpression" in rule else []:
            if target(each["Arn"]) not in quiet:
                yield f"{name}: Lambda tries {target(each['Arn'])} three times"


def topics_name_their_rule(template: Template) -> Iterator[str]:
    """A topic that EventBridge publishes to names the rule that may; any rule of any account could (2.7)."""
    rules = of_type(template, "AWS::Events::Rule")
    for name, has in of_type(template, "AWS::SNS::TopicPolicy").items():
        for each in has["PolicyDocument"]["Statement"]:
            source = each.get("Condition", {}).get("ArnEquals", {}).get("aws:SourceArn")
            if "events.amazonaws.com" in json.dumps(each["Principal"]) and target(source) not in rules:  # fmt: skip
                yield f"{name}: names no rule"


def api_answers_in_time(template: Template) -> Iterator[str]:
    """A function behind the API ends before API Gateway stops waiting (2.10)."""
    permissions = of_type(template, "AWS::Lambda::Permission").values()
    called = {
        target(each["FunctionName"])
        for each in permissions
        if each["Principal"] == "apigateway.amazonaws.com"
    }
    for name in sorted(called):
        if (seconds := template["Resources"][name]["Properties"].get("Timeout", 3)) >= API_SECONDS:
            yield f"{name}: may take {seconds} s"


def alarms_can_be_acted_on(template: Template) -> Iterator[str]:
    """At most ten alarms by default, one for a metric, each with a section in the runbook (2.13)."""
    alarms = of_type(template, "AWS::CloudWatch::Alarm")
    sections = re.findall(r"^## (\w+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    if len(of_type(by_default(template), "AWS::CloudWatch::Alarm")) > ALARMS:
        yield f"{len(alarms)} alarms"
    for name in sorted(alarms.keys() - set(sections)):
        yield f"{name}: no section in docs/runbook.md"
    seen: set[str] = set()
    for name, has in alarms.items():
        watched = json.dumps([has.get("MetricName"), has.get("Dimensions")])
        if watched in seen:
            yield f"{name}: repeats another"
        seen.add(watched)


def nothing_is_traced(template: Template) -> Iterator[str]:
    """X-Ray's SDK is in maintenance, and a job's logs say what its traces would (2.13)."""
    for name, each in template["Resources"].items():
        if {"TracingConfig", "TracingEnabled"} & each.get("Properties", {}).keys():
            yield f"{name}: is traced"
        if "xray:" in json.dumps(each):
            yield f"{name}: may write traces"


def idle_month_is_cheap(template: Template) -> Iterator[str]:
    """A month in which nothing happens costs $5.10 at most, at list prices (2.13)."""
    kinds = [each["Type"] for each in by_default(template)["Resources"].values()]
    dollars = sum(PRICES.get(kind, 0.0) for kind in kinds) + METRICS_OF_AN_IDLE_STACK
    if dollars > IDLE_USD + 1e-9:
        yield f"${dollars:.2f} a month"


def nothing_is_for_emulators(template: Template) -> Iterator[str]:
    """What only an emulator needs is laid over the built template; a parameter for it would be for nothing else (2.13)."""
    for name, has in of_type(template, "AWS::Lambda::Function").items():
        given = has.get("Environment", {}).get("Variables", {})
        for variable in sorted(given.keys() & OVERLAY):
            yield f"{name}: {variable}"


def _sends_to(template: Template, role: str) -> set[str]:
    """The queues that a role may send to."""
    found = set()
    for policy in template["Resources"][role]["Properties"].get("Policies", []):
        for each in policy["PolicyDocument"]["Statement"]:
            resources = each["Resource"]
            if "sqs:SendMessage" in json.dumps(each["Action"]):
                found |= {target(one) for one in (resources if isinstance(resources, list) else [resources])}  # fmt: skip
    return found


RULES: tuple[Rule, ...] = (
    lifecycle_rules_act,
    first_failure_leaves_nothing,
    bucket_names_fit,
    dead_letters_are_polled_long,
    own_chain_is_allowed,
    concurrency_leaves_some,
    schedules_retry_by_themselves,
    topics_name_their_rule,
    api_answers_in_time,
    alarms_can_be_acted_on,
    nothing_is_traced,
    idle_month_is_cheap,
    nothing_is_for_emulators,
)
