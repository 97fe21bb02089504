"""docs/deploying-role.yaml grants what CloudFormation and SAM call to deploy the template, and nothing else."""

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import cfnlint
import pytest

from tests.support.expanded import expanded
from tests.support.template import of_type, read
from tests.template.rules import Template

FILE = Path(__file__).parents[2] / "docs/deploying-role.yaml"
SCHEMAS = Path(cfnlint.__file__).parent / "data/schemas"
LONGEST = (
    10_240  # characters of a role's inline policies, spaces not counted ("IAM and AWS STS quotas")
)
FILLED = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "Stack": "lora-drop-prod",
}
# The ARN of a resource, as CloudFormation names it in that stack: by call, by type, by service.
HERE = "us-east-1:123456789012"
CODE, ROLE = "s3:::aws-sam-cli-managed-default-samclisourcebucket-1/code", "iam::123456789012:role/"
ARNS = {
    "s3:GetObject": CODE,
    "s3:GetObjectVersion": CODE,
    "AWS::CloudWatch::Dashboard": "cloudwatch::123456789012:dashboard/lora-drop-prod",
    "AWS::Lambda::EventSourceMapping": f"lambda:{HERE}:event-source-mapping:1-2",
    "apigateway": "apigateway:us-east-1::/restapis/1/stages/live",
    "cloudwatch": f"cloudwatch:{HERE}:alarm:lora-drop-prod-X-1",
    "dynamodb": f"dynamodb:{HERE}:table/lora-drop-prod-JobsTable-1",
    "events": f"events:{HERE}:rule/lora-drop-prod-X-1",
    "iam": f"{ROLE}lora-drop-prod-X-1",
    "lambda": f"lambda:{HERE}:function:lora-drop-prod-X-1",
    "logs": f"logs:{HERE}:log-group:lora-drop-prod-X-1",
    "s3": "s3:::lora-drop-prod-models-123456789012-us-east-1",
    "secretsmanager": f"secretsmanager:{HERE}:secret:WebhookSecret-1",
    "sns": f"sns:{HERE}:lora-drop-prod-X-1",
    "sqs": f"sqs:{HERE}:lora-drop-prod-X-1",
}
# Of features that the template does not use; what comes to use one has to be granted it in that file.
UNUSED = {
    "": "kms:* ec2:* elasticfilesystem:* s3files:* s3tables:* kinesis:* firehose:* iam:CreateServiceLinkedRole",
    "AWS::ApiGateway::RestApi": "*:UpdateRestApiPolicy",
    "AWS::DynamoDB::Table": """*Item *:Scan *:Query *Replica *ImportTable *:PutResourcePolicy
        *:DeleteResourcePolicy *ContributorInsights
        *KinesisStreamingDestination *:UpdateTimeToLive logs:* s3:*""",  # rows are nothing of its business
    "AWS::IAM::Role": "*tachRolePolicy *PermissionsBoundary",  # no policy of AWS's own, AdministratorAccess least
    "AWS::Lambda::Function": """*CodeSigningConfig *LayerVersion *CapacityProvider *PublishVersion *RuntimeAlias
        *PutFunctionScalingConfig *PutRuntimeManagementConfig""",
    "AWS::Logs::LogGroup": """*KmsKey *:PutDataProtectionPolicy *:DeleteDataProtectionPolicy *IndexPolicy *DeleteResourcePolicy *PutResourcePolicy
        *BearerTokenAuthentication *DeletionProtection *CreateLogDelivery s3:*""",
    "AWS::S3::Bucket": """*Object *Acl *Table* *Analytics* *Cors *CORS *Metrics* *Replication* *Website *Accelerate*
        *Abac *Logging *ObjectLock* *Tiering* *Inventory* *:DeleteBucketEncryption *:DeleteBucketLifecycle
        *:DeleteBucketTagging""",  # the last three are no actions of IAM's: S3 counts them as Put…
    "AWS::SNS::Topic": "iam:* *PutDataProtectionPolicy",
    "AWS::SecretsManager::Secret": "*Replicat*",
}
# What `sam deploy` and `lora-drop deploy` call themselves.
OF_TOOLS = """
cloudformation:CreateChangeSet cloudformation:DescribeChangeSet cloudformation:ExecuteChangeSet cloudformation:DeleteStack
cloudformation:DescribeStacks cloudformation:DescribeStackEvents cloudformation:GetTemplateSummary
cloudformation:TagResource s3:PutObject s3:AbortMultipartUpload secretsmanager:PutSecretValue
"""
type Policy = list[tuple[list[str], list[str]]]


@cache
def handlers(kind: str) -> frozenset[str]:
    """What CloudFormation calls to create, read, update, delete and tag a type: the registry's schema of it."""
    name = json.loads((SCHEMAS / "providers/us-east-1.json").read_text())[kind]
    schema = json.loads((SCHEMAS / f"resources/{name}.json").read_text())
    calls = [each for verb, each in schema["handlers"].items() if verb != "list"]
    calls.append(schema.get("tagging", {}))
    return frozenset(action for each in calls for action in each.get("permissions", ()))


def needed(kind: str) -> set[str]:
    unused = (UNUSED[""] + " " + UNUSED.get(kind, "")).split()
    return {each for each in handlers(kind) if not any(fnmatchcase(each, one) for one in unused)}


def kinds(template: Template) -> set[str]:
    return {each["Type"] for each in template["Resources"].values()}


def policy() -> Policy:
    """Actions and resources of each statement, in a stack of the name above."""
    return [
        (listed(each["Action"]), [filled(one) for one in listed(each["Resource"])])
        for each in statements()
    ]


def statements() -> list[Mapping[str, Any]]:
    [role] = read(FILE)["Resources"].values()
    [inline] = role["Properties"]["Policies"]
    found: list[Mapping[str, Any]] = inline["PolicyDocument"]["Statement"]
    return found


def missing(template: Template, granted: Policy) -> Iterator[str]:
    """Each call that CloudFormation makes for a type of the template, and that is not granted on its resource."""
    for kind in sorted(kinds(template)):
        for action in sorted(needed(kind)):
            places = (action, kind, action.partition(":")[0])
            arn = "arn:aws:" + next((ARNS[each] for each in places if each in ARNS), "")
            if not any(covers(actions, action) and covers(on, arn) for actions, on in granted):
                yield f"{kind}: {action}"


def covers(patterns: list[str], text: str) -> bool:
    return any(fnmatchcase(text, each) for each in patterns)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def filled(resource: Any) -> str:
    text = resource if isinstance(resource, str) else resource["Fn::Sub"]
    for name, value in FILLED.items():
        text = text.replace(f"${{{name}}}", value)
    return str(text)


@pytest.mark.promise("it can be operated")
def test_role_may_deploy_every_resource() -> None:
    """The deploying role in docs/ may create, change, tag and delete each type of resource of the template."""
    assert list(missing(expanded(), policy())) == []


def test_every_secret_may_be_made() -> None:
    """CloudFormation names a secret by its logical id, without the stack."""
    for name in of_type("AWS::SecretsManager::Secret"):
        arn = f"arn:aws:secretsmanager:{HERE}:secret:{name}-1"
        granted = [actions for actions, on in policy() if covers(on, arn)]
        assert any(covers(actions, "secretsmanager:CreateSecret") for actions in granted), name


def test_missing_right_is_found() -> None:
    without = [
        ([each for each in actions if each != "sqs:TagQueue"], on) for actions, on in policy()
    ]
    schedule = {"Resources": {"Round": {"Type": "AWS::Scheduler::Schedule"}}}

    assert list(missing(expanded(), without)) == ["AWS::SQS::Queue: sqs:TagQueue"]
    assert "AWS::Scheduler::Schedule: scheduler:CreateSchedule" in list(missing(schedule, policy()))


# What is in the name of each resource: the stack, or what CloudFormation and SAM put there instead.
OTHERS = "lora-drop-prod /restapis /tags/ aws-sam-cli-managed-default :secret: event-source-mapping: transform/"
WITHOUT_RESOURCE = ["QueuesOfFunctions", "WhatHasNoResource"]


@pytest.mark.promise("nothing leaks")
def test_role_may_nothing_else() -> None:
    """The deploying role may do nothing that deploying does not need, reads no data, and stays with its stack."""
    called = set[str]().union(*map(needed, kinds(expanded())))
    for actions, on in policy():
        for action in actions:
            assert any(fnmatchcase(each, action) for each in called) or action in OF_TOOLS.split()
            assert not action.endswith(":*")
        for arn in on:
            assert arn == "*" or any(part in arn for part in OTHERS.split()), arn
    assert [each["Sid"] for each in statements() if each["Resource"] == "*"] == WITHOUT_RESOURCE


def test_roles_are_passed_to_functions_alone() -> None:
    [passed] = [each for each in statements() if "iam:PassRole" in each["Action"]]
    [role] = read(FILE)["Resources"].values()
    own = f"arn:aws:{ROLE}{filled(role['Properties']['RoleName'])}"

    assert passed["Condition"] == {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    assert [filled(passed["Resource"])] == ["arn:aws:iam::123456789012:role/lora-drop-prod-*"]
    # It can change no right of its own.
    assert not any(covers(on, own) for actions, on in policy() if any(each.startswith("iam:") for each in actions))  # fmt: skip


def test_policy_fits_in_a_role(root: Path) -> None:
    text = json.dumps([{**each, "Resource": listed(each["Resource"])} for each in statements()])
    longest = text.replace("${AWS::Partition}", "aws-us-gov").replace("${Stack}", "s" * 26)
    assert len("".join(longest.split())) < LONGEST
    for guide in ("docs/operators.md", ".github/workflows/deploy.yml"):
        assert "deploying-role.yaml" in (root / guide).read_text()
