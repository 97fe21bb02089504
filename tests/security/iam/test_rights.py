"""Which rights a call takes, by AWS's own pages."""

from typing import Any

import pytest

from tests.security.iam.rights import Right, absent, rights_for

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
def test_a_call_takes_these_rights(
    service: str, operation: str, arguments: Any, rights: list[tuple[Any, ...]]
) -> None:
    assert list(rights_for(service, operation, arguments)) == [Right(*each) for each in rights]


@pytest.mark.parametrize(
    ("service", "operation"),
    [("s3", "PutBucketPolicy"), ("dynamodb", "DeleteTable"), ("sqs", "PurgeQueue"), ("iam", "X")],
)
def test_a_call_that_nobody_has_looked_up_is_an_error(service: str, operation: str) -> None:
    arguments = {"Bucket": "models", "TableName": "jobs", "QueueUrl": "https://sqs/1/inbox"}

    with pytest.raises(AssertionError, match=f"{service}:{operation}"):
        rights_for(service, operation, arguments)


def test_only_who_may_list_is_told_that_nothing_is_there() -> None:
    listing = Right("s3:ListBucket", "arn:aws:s3:::models")

    assert list(absent("s3", "HeadObject", PLACE)) == [listing]
    assert list(absent("s3", "AbortMultipartUpload", PLACE)) == []
    assert list(absent("dynamodb", "GetItem", ITEM)) == []
