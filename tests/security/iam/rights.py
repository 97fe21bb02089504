"""The rights that a call to AWS takes: those that its name says, and those that it does not.

From the Service Authorization Reference and the pages of the calls themselves. A call that is missing
here fails the test that makes it: add its row, with what its page says.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.security.iam.arns import arn

type Arguments = Mapping[str, Any]
type Said = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One action on one resource, by its ARN; ``said`` are the condition keys of the call."""

    action: str
    resource: str
    said: Said = ()


# GetObject: "If you supply a versionId, you need the s3:GetObjectVersion permission [...] you do not
# need to have the s3:GetObject permission." The same holds for the others that take a version.
OF_OBJECTS = {
    "GetObject": ("s3:GetObject", "s3:GetObjectVersion"),
    "HeadObject": ("s3:GetObject", "s3:GetObjectVersion"),
    "DeleteObject": ("s3:DeleteObject", "s3:DeleteObjectVersion"),
    "GetObjectTagging": ("s3:GetObjectTagging", "s3:GetObjectVersionTagging"),
    "PutObjectTagging": ("s3:PutObjectTagging", "s3:PutObjectVersionTagging"),
    "PutObject": ("s3:PutObject",),
    # "Mapping of API operations to permissions", S3 user guide, multipart upload.
    "CreateMultipartUpload": ("s3:PutObject",),
    "UploadPart": ("s3:PutObject",),
    "CompleteMultipartUpload": ("s3:PutObject",),
    "AbortMultipartUpload": ("s3:AbortMultipartUpload",),
    "ListParts": ("s3:ListMultipartUploadParts",),
}
OF_BUCKETS = {
    "HeadBucket": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
}
OF_TABLES = frozenset({"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan"})
# The parts of a transaction have no rights but their own.
OF_TRANSACTIONS = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}
OF_QUEUES = frozenset(
    {
        "SendMessage",
        "ReceiveMessage",
        "DeleteMessage",
        "ChangeMessageVisibility",
        "GetQueueAttributes",
    }
)


def rights_for(service: str, operation: str, arguments: Arguments) -> Sequence[Right]:
    """The rights that this call takes; raises AssertionError for one that is not known here."""
    known = SERVICES.get(service)
    found = known(operation, arguments) if known else ()
    assert found, (
        f"tests/security/iam/rights.py does not know what {service}:{operation} takes; add it"
    )
    return found


def absent(service: str, operation: str, arguments: Arguments) -> Sequence[Right]:
    """Return the rights to learn that an object is not there (404), and not only that it is forbidden (403).

    GetObject and HeadObject: "If the object that you request doesn't exist, the error that Amazon S3
    returns depends on whether you also have the s3:ListBucket permission."
    """
    if service != "s3" or operation not in ("GetObject", "HeadObject"):
        return ()
    return (Right("s3:ListBucket", arn("AWS::S3::Bucket", arguments["Bucket"])),)


def _s3(operation: str, arguments: Arguments) -> Sequence[Right]:
    bucket = arn("AWS::S3::Bucket", arguments.get("Bucket", ""))
    if operation in OF_BUCKETS:
        return (Right(OF_BUCKETS[operation], bucket),)
    if operation == "DeleteObjects":
        objects = arguments["Delete"]["Objects"]
        return tuple(_object("DeleteObject", bucket, each) for each in objects)
    if operation == "CopyObject":
        source = {**arguments["CopySource"]}
        read = _object("GetObject", arn("AWS::S3::Bucket", source["Bucket"]), source)
        return (read, _object("PutObject", bucket, arguments))
    if operation not in OF_OBJECTS:
        return ()
    right = _object(operation, bucket, arguments)
    # "To successfully set the tag-set with your PutObject request, you must have the
    # s3:PutObjectTagging"; CreateMultipartUpload says the same.
    tagged = "Tagging" in arguments and operation in ("PutObject", "CreateMultipartUpload")
    return (right, Right("s3:PutObjectTagging", right.resource)) if tagged else (right,)


def _object(operation: str, bucket: str, arguments: Arguments) -> Right:
    actions = OF_OBJECTS[operation]
    return Right(actions[-1 if "VersionId" in arguments else 0], f"{bucket}/{arguments['Key']}")


def _dynamodb(operation: str, arguments: Arguments) -> Sequence[Right]:
    if operation == "TransactWriteItems":
        parts = [part for item in arguments["TransactItems"] for part in item.items()]
        return tuple(Right(OF_TRANSACTIONS[kind], _table(part)) for kind, part in parts)
    if operation == "BatchGetItem":
        tables = arguments["RequestItems"]
        return tuple(Right("dynamodb:BatchGetItem", _table({"TableName": name})) for name in tables)
    return (Right(f"dynamodb:{operation}", _table(arguments)),) if operation in OF_TABLES else ()


def _table(arguments: Arguments) -> str:
    table = arn("AWS::DynamoDB::Table", arguments["TableName"])
    return f"{table}/index/{arguments['IndexName']}" if "IndexName" in arguments else table


def _sqs(operation: str, arguments: Arguments) -> Sequence[Right]:
    if operation not in OF_QUEUES:
        return ()
    name = arguments["QueueUrl"].rsplit("/", 1)[-1]
    return (Right(f"sqs:{operation}", arn("AWS::SQS::Queue", name)),)


def _secrets(operation: str, arguments: Arguments) -> Sequence[Right]:
    secret = arn("AWS::SecretsManager::Secret", arguments["SecretId"])
    return (Right(f"secretsmanager:{operation}", secret),) if operation == "GetSecretValue" else ()


def _events(operation: str, arguments: Arguments) -> Sequence[Right]:
    entries = arguments["Entries"] if operation == "PutEvents" else ()
    return tuple(
        Right(
            "events:PutEvents",
            arn("AWS::Events::EventBus", entry.get("EventBusName", "default")),
            (("events:source", entry["Source"]),),
        )
        for entry in entries
    )


def _sns(operation: str, arguments: Arguments) -> Sequence[Right]:
    if operation != "Publish":
        return ()
    return (Right("sns:Publish", arn("AWS::SNS::Topic", arguments["TopicArn"])),)


def _lambda(operation: str, arguments: Arguments) -> Sequence[Right]:
    if operation != "Invoke":
        return ()
    function = arn("AWS::Serverless::Function", arguments["FunctionName"])
    return (Right("lambda:InvokeFunction", function),)


SERVICES: Mapping[str, Callable[[str, Arguments], Sequence[Right]]] = {
    "s3": _s3,
    "dynamodb": _dynamodb,
    "sqs": _sqs,
    "secretsmanager": _secrets,
    "events": _events,
    "sns": _sns,
    "lambda": _lambda,
}
