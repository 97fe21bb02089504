"""Which rights a call takes, and which a policy grants: by AWS's own pages, and as moto evaluates it."""

import json
from typing import Any

import pytest
from moto.iam.access_control import IAMPolicy, PermissionResult

from tests.security.iam.arns import Names
from tests.security.iam.least_privilege import Used
from tests.security.iam.policies import Grant, Policy, functions, policy_of
from tests.security.iam.rights import Right, absent, rights_for

BUCKET = "arn:aws:s3:::models"


@pytest.mark.parametrize(
    ("action", "resource", "right", "covered"),
    [
        ("s3:GetObject", f"{BUCKET}/*", Right("s3:GetObject", f"{BUCKET}/a/b"), True),
        ("S3:getobject", f"{BUCKET}/*", Right("s3:GetObject", f"{BUCKET}/a/b"), True),
        ("s3:GetObject", f"{BUCKET}/*", Right("s3:GetObjectVersion", f"{BUCKET}/a/b"), False),
        ("s3:Get*", f"{BUCKET}/*", Right("s3:GetObjectVersion", f"{BUCKET}/a/b"), True),
        ("s3:GetObject", f"{BUCKET}/*", Right("s3:GetObject", BUCKET), False),
        ("s3:GetObject", f"{BUCKET}/*.json", Right("s3:GetObject", f"{BUCKET}/a\nb.json"), True),
        ("s3:GetObject", f"{BUCKET}/*/x", Right("s3:GetObject", f"{BUCKET}/x"), False),
        ("s3:GetObject", f"{BUCKET}/?", Right("s3:GetObject", f"{BUCKET}/a"), True),
        ("s3:GetObject", f"{BUCKET}/?", Right("s3:GetObject", f"{BUCKET}/ab"), False),
        ("s3:GetObject", f"{BUCKET}/a.b", Right("s3:GetObject", f"{BUCKET}/axb"), False),
        ("s3:GetObject", f"{BUCKET}/A", Right("s3:GetObject", f"{BUCKET}/a"), False),
    ],
)
def test_grant_covers_as_iam_does(
    action: str, resource: str, right: Right, *, covered: bool
) -> None:
    assert Grant("sid", action, resource).covers(right) is covered
    assert Policy((Grant("sid", action, resource),)).allows(right) is covered


def test_condition_must_match_the_call() -> None:
    grant = Grant("sid", "events:PutEvents", "bus", (("events:source", "ours"),))
    assert grant.covers(Right("events:PutEvents", "bus", (("events:source", "ours"),)))
    assert not grant.covers(Right("events:PutEvents", "bus", (("events:source", "aws.s3"),)))
    assert not grant.covers(Right("events:PutEvents", "bus"))


def test_moto_evaluates_roles_alike(found: Used) -> None:
    everything = {right for name in functions() for right in found.rights(name)}

    verdicts: set[bool] = set()
    for function in functions():
        policy = found.policies[function]
        theirs = IAMPolicy(_document(policy))
        for right in everything:
            ours = policy.allows(right)
            assert (
                theirs.is_action_permitted(right.action, right.resource)
                is PermissionResult.PERMITTED
            ) is ours, (function, right)
            verdicts.add(ours)
    assert verdicts == {True, False}


def test_given_names_fill_the_arns() -> None:
    names = Names.of_environment(
        {"MODELS_BUCKET": "b", "INBOX_QUEUE_URL": "https://sqs.x/1/q", "FAL_KEY_SECRET": "s"}
    )

    assert names.resolve({"Fn::Sub": "arn:${AWS::Partition}:s3:::${ModelsBucket}/*"}) == (
        "arn:aws:s3:::b/*"
    )
    assert names.resolve({"Fn::GetAtt": "InboxQueue.Arn"}).endswith(":q")
    assert names.resolve({"Ref": "FalKeySecret"}).endswith(":secret:s")
    assert names.resolve({"Fn::Sub": "${JobsTable.Arn}/index/x"}).endswith("JobsTable/index/x")


def test_unknown_function_is_an_error() -> None:
    with pytest.raises(AssertionError, match="ImportValue"):
        Names({}).resolve({"Fn::ImportValue": "x"})


@pytest.mark.parametrize("function", functions())
def test_every_policy_can_be_read(function: str) -> None:
    policy = policy_of(function, Names({}))
    assert len(policy.statements) > 1
    assert policy.without(policy.grants).grants == ()


def _document(policy: Policy) -> str:
    statements = [
        {"Effect": "Allow", "Action": grant.action, "Resource": grant.resource}
        for grant in policy.grants
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/jobs"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:inbox"
ITEM: Any = {"TableName": "jobs"}
PLACE: Any = {"Bucket": "models", "Key": "a/b.json"}
OBJECT = "arn:aws:s3:::models/a/b.json"
VERSION: Any = {**PLACE, "VersionId": "v1"}

CALLS: list[tuple[str, str, Any, list[tuple[Any, ...]]]] = [
    ("s3", "HeadObject", PLACE, [("s3:GetObject", OBJECT)]),
    ("s3", "GetObject", PLACE, [("s3:GetObject", OBJECT)]),
    ("s3", "GetObject", VERSION, [("s3:GetObjectVersion", OBJECT)]),
    ("s3", "PutObject", PLACE, [("s3:PutObject", OBJECT)]),
    (
        "s3",
        "PutObject",
        {**PLACE, "Tagging": "a=b"},
        [("s3:PutObject", OBJECT), ("s3:PutObjectTagging", OBJECT)],
    ),
    (
        "s3",
        "CreateMultipartUpload",
        {**PLACE, "Tagging": "a=b"},
        [("s3:PutObject", OBJECT), ("s3:PutObjectTagging", OBJECT)],
    ),
    ("s3", "UploadPart", PLACE, [("s3:PutObject", OBJECT)]),
    ("s3", "CompleteMultipartUpload", PLACE, [("s3:PutObject", OBJECT)]),
    ("s3", "AbortMultipartUpload", PLACE, [("s3:AbortMultipartUpload", OBJECT)]),
    ("s3", "ListParts", PLACE, [("s3:ListMultipartUploadParts", OBJECT)]),
    ("s3", "DeleteObject", PLACE, [("s3:DeleteObject", OBJECT)]),
    ("s3", "DeleteObject", VERSION, [("s3:DeleteObjectVersion", OBJECT)]),
    (
        "s3",
        "DeleteObjects",
        {
            "Bucket": "models",
            "Delete": {"Objects": [{"Key": "a/b.json", "VersionId": "v1"}, {"Key": "c"}]},
        },
        [("s3:DeleteObjectVersion", OBJECT), ("s3:DeleteObject", "arn:aws:s3:::models/c")],
    ),
    (
        "s3",
        "CopyObject",
        {"Bucket": "datasets", "Key": "c", "CopySource": PLACE},
        [("s3:GetObject", OBJECT), ("s3:PutObject", "arn:aws:s3:::datasets/c")],
    ),
    ("s3", "ListObjectsV2", {"Bucket": "models"}, [("s3:ListBucket", "arn:aws:s3:::models")]),
    (
        "s3",
        "ListObjectVersions",
        {"Bucket": "models"},
        [("s3:ListBucketVersions", "arn:aws:s3:::models")],
    ),
    ("dynamodb", "GetItem", ITEM, [("dynamodb:GetItem", TABLE)]),
    ("dynamodb", "Query", {**ITEM, "IndexName": "x"}, [("dynamodb:Query", f"{TABLE}/index/x")]),
    (
        "dynamodb",
        "BatchGetItem",
        {"RequestItems": {"jobs": {}}},
        [("dynamodb:BatchGetItem", TABLE)],
    ),
    (
        "dynamodb",
        "TransactWriteItems",
        {
            "TransactItems": [
                {"ConditionCheck": ITEM},
                {"Put": ITEM},
                {"Update": ITEM},
                {"Delete": ITEM},
            ]
        },
        [
            ("dynamodb:ConditionCheckItem", TABLE),
            ("dynamodb:PutItem", TABLE),
            ("dynamodb:UpdateItem", TABLE),
            ("dynamodb:DeleteItem", TABLE),
        ],
    ),
    ("sqs", "SendMessage", {"QueueUrl": "https://sqs/1/inbox"}, [("sqs:SendMessage", QUEUE)]),
    (
        "secretsmanager",
        "GetSecretValue",
        {"SecretId": "arn:aws:secretsmanager:x"},
        [("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:x")],
    ),
    (
        "events",
        "PutEvents",
        {"Entries": [{"EventBusName": "default", "Source": "ours"}]},
        [
            (
                "events:PutEvents",
                "arn:aws:events:us-east-1:123456789012:event-bus/default",
                (("events:source", "ours"),),
            )
        ],
    ),
    ("sns", "Publish", {"TopicArn": "arn:aws:sns:x"}, [("sns:Publish", "arn:aws:sns:x")]),
]


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "rights"),
    [pytest.param(*call, id=f"{number} {call[1]}") for number, call in enumerate(CALLS)],
)
def test_call_takes_these_rights(
    service: str, operation: str, arguments: Any, rights: list[tuple[Any, ...]]
) -> None:
    assert list(rights_for(service, operation, arguments)) == [Right(*each) for each in rights]


@pytest.mark.parametrize(
    ("service", "operation"),
    [("s3", "PutBucketPolicy"), ("dynamodb", "DeleteTable"), ("sqs", "PurgeQueue"), ("iam", "X")],
)
def test_unlisted_call_is_an_error(service: str, operation: str) -> None:
    arguments = {"Bucket": "models", "TableName": "jobs", "QueueUrl": "https://sqs/1/inbox"}
    with pytest.raises(AssertionError, match=f"{service}:{operation}"):
        rights_for(service, operation, arguments)


def test_absence_needs_the_right_to_list() -> None:
    listing = Right("s3:ListBucket", "arn:aws:s3:::models")
    assert list(absent("s3", "HeadObject", PLACE)) == [listing]
    assert list(absent("s3", "AbortMultipartUpload", PLACE)) == []
    assert list(absent("dynamodb", "GetItem", ITEM)) == []
