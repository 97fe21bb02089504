"""Every right is used, none is missing, and without any one of them something breaks; IAM as AWS's pages have it."""

import json
import warnings
from typing import Any

import pytest
from moto.iam.access_control import IAMPolicy, PermissionResult

from tests.security.iam.arns import Names
from tests.security.iam.harness import SCENARIOS
from tests.security.iam.least_privilege import Mutation, Used, mutations, run, survives, used
from tests.security.iam.policies import Grant, Policy, functions
from tests.security.iam.rights import Right, absent, rights_for

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")
BUCKETS = ("arn:aws:s3:::datasets", "arn:aws:s3:::models")
WRITES = ("s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectAcl", "s3:RestoreObject")
BUCKET = "arn:aws:s3:::models"


@pytest.fixture(scope="session")
def found() -> Used:
    """Return what all scenarios have used, with everything allowed; one run of each serves all tests."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No application metrics to publish")
        return used()


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_works_within_roles(name: str) -> None:
    """Everything that the functions do together works with exactly the rights of the template."""
    assert run(name).denied == set()


@pytest.mark.parametrize("function", functions())
def test_every_right_is_used(found: Used, function: str) -> None:
    """Nothing is granted that no scenario uses, and nothing used that is not granted."""
    assert list(found.unused(function)) == []
    assert list(found.missing(function)) == []


@pytest.mark.parametrize("every", [17, pytest.param(1, marks=pytest.mark.proof)])
def test_every_dropped_right_is_missed(found: Used, every: int) -> None:
    """Without any one statement or right of a role, a scenario breaks."""
    dropped = list(mutations(found.policies))
    statements = [each for each in dropped if each.whole]
    assert len(statements) == sum(len(found.policies[name].statements) for name in functions())
    alive = [
        each
        for each in dropped[::every]
        if survives(each, found.needing(each.function, each.dropped))
    ]
    assert [each.name for each in alive] == []


def test_unused_right_is_found(found: Used) -> None:
    function = next(iter(functions()))
    idle = Grant("Idle", "s3:DeleteBucket", BUCKET)
    more = {**found.policies, function: Policy((*found.policies[function].grants, idle))}
    assert list(Used(more, found.asked).unused(function)) == [idle]
    assert survives(Mutation(function, (idle,), whole=True), list(found.asked)[:1])


def test_missing_right_is_found(found: Used) -> None:
    function = next(iter(functions()))
    dropped = found.policies[function].grants[-1]
    less = {**found.policies, function: found.policies[function].without([dropped])}
    missing = Used(less, found.asked).missing(function)
    assert missing
    assert all(dropped.covers(right) for right in missing)


# The first rows make recursion impossible: nothing that a function writes can come in as a dataset.
FORBIDDEN = [
    *(Right(action, "arn:aws:s3:::datasets/x.zip") for action in WRITES),
    *(Right("s3:PutBucketPolicy", bucket) for bucket in BUCKETS),
    *(Right("s3:PutLifecycleConfiguration", bucket) for bucket in BUCKETS),
    *(Right("s3:DeleteBucket", bucket) for bucket in BUCKETS),
    Right("s3:GetObject", "arn:aws:s3:::another/x"),
    Right("dynamodb:Scan", "arn:aws:dynamodb:us-east-1:123456789012:table/jobs-1"),
    Right("dynamodb:DeleteTable", "arn:aws:dynamodb:us-east-1:123456789012:table/jobs-1"),
    Right("secretsmanager:PutSecretValue", "arn:aws:secretsmanager:us-east-1:1:secret:x"),
    Right("sqs:ReceiveMessage", "arn:aws:sqs:us-east-1:123456789012:another"),
    Right("logs:PutLogEvents", "arn:aws:logs:us-east-1:123456789012:log-group:another:x"),
    Right("logs:CreateLogGroup", "arn:aws:logs:us-east-1:123456789012:log-group:x"),
    Right("iam:PassRole", "arn:aws:iam::123456789012:role/x"),
    Right("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:123456789012:function:x"),
    Right("sts:AssumeRole", "arn:aws:iam::123456789012:role/x"),
]


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("right", FORBIDDEN, ids=lambda right: f"{right.action} {right.resource}")
def test_forbidden_right_is_not_granted(found: Used, right: Right) -> None:
    """No function may write datasets, change buckets, or reach what is not of its stack."""
    assert [name for name in functions() if found.policies[name].allows(right)] == []


FAL_KEY = "arn:aws:secretsmanager:us-east-1:123456789012:secret:fal-key-6"
WEBHOOK_SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:webhook-7"  # its name
NOTIFY_SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:notify-12"
FOLDER = "arn:aws:s3:::models/portrait/ada/ada-0123456789"


@pytest.mark.parametrize(
    ("action", "resource", "who"),
    [
        ("secretsmanager:GetSecretValue", WEBHOOK_SECRET, {"Submit", "Webhook"}),
        ("secretsmanager:GetSecretValue", NOTIFY_SECRET, {"Notify"}),
        ("s3:PutObject", f"{FOLDER}/lora.safetensors", {"Store"}),
        ("s3:PutObject", f"{FOLDER}/dataset.zip", {"Submit", "Store"}),
        ("s3:PutObject", f"{FOLDER}/deliveries/x.json", {"Webhook", "Store"}),
        ("s3:GetObjectVersion", "arn:aws:s3:::datasets/portrait/ada.zip", {"Submit", "Jobs"}),
        ("s3:DeleteObjectVersion", "arn:aws:s3:::datasets/portrait/ada.zip", {"Forget"}),
        ("s3:PutObject", f"arn:aws:s3:::datasets/fetched/{'0' * 32}/ada.zip", {"Fetch"}),
        ("s3:DeleteObjectVersion", f"{FOLDER}/lora.safetensors", {"Forget"}),
    ],
)
def test_few_hold_a_sensitive_right(found: Used, action: str, resource: str, who: set[str]) -> None:
    may = {name for name in functions() if found.policies[name].allows(Right(action, resource))}
    assert may == {f"{name}Function" for name in who}


@pytest.mark.promise("nothing leaks")
def test_webhook_cannot_read_fal_key(found: Used) -> None:
    """The function that is open to the internet cannot read the fal key."""
    right = Right("secretsmanager:GetSecretValue", FAL_KEY)
    assert not found.policies["WebhookFunction"].allows(right)
    assert found.policies["SubmitFunction"].allows(right)


@pytest.mark.parametrize(
    ("action", "resource", "right", "covered"),
    [
        ("S3:getobject", f"{BUCKET}/*", Right("s3:GetObject", f"{BUCKET}/a/b"), True),
        ("s3:GetObject", f"{BUCKET}/*", Right("s3:GetObjectVersion", f"{BUCKET}/a/b"), False),
        ("s3:Get*", f"{BUCKET}/*", Right("s3:GetObjectVersion", f"{BUCKET}/a/b"), True),
        ("s3:GetObject", f"{BUCKET}/*", Right("s3:GetObject", BUCKET), False),
        ("s3:GetObject", f"{BUCKET}/*.json", Right("s3:GetObject", f"{BUCKET}/a\nb.json"), True),
        ("s3:GetObject", f"{BUCKET}/*/x", Right("s3:GetObject", f"{BUCKET}/x"), False),
        ("s3:GetObject", f"{BUCKET}/?", Right("s3:GetObject", f"{BUCKET}/ab"), False),
        ("s3:GetObject", f"{BUCKET}/a.b", Right("s3:GetObject", f"{BUCKET}/axb"), False),
    ],
)
def test_grant_covers_as_iam(action: str, resource: str, right: Right, *, covered: bool) -> None:
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

TAGGED: Any = {**PLACE, "Tagging": "a=b"}
TAGGING = [("s3:PutObject", OBJECT), ("s3:PutObjectTagging", OBJECT)]
TWO = [{"Key": "a/b.json", "VersionId": "v1"}, {"Key": "c"}]
PARTS = [{"ConditionCheck": ITEM}, {"Put": ITEM}, {"Update": ITEM}, {"Delete": ITEM}]
BUS = "arn:aws:events:us-east-1:123456789012:event-bus/default"
NAMED = ("ConditionCheckItem", "PutItem", "UpdateItem", "DeleteItem")
CALLS: list[tuple[str, str, Any, list[tuple[Any, ...]]]] = [
    ("s3", "HeadObject", PLACE, [("s3:GetObject", OBJECT)]),
    ("s3", "GetObject", VERSION, [("s3:GetObjectVersion", OBJECT)]),
    ("s3", "PutObject", TAGGED, TAGGING),
    ("s3", "CreateMultipartUpload", TAGGED, TAGGING),
    ("s3", "CompleteMultipartUpload", PLACE, [("s3:PutObject", OBJECT)]),
    ("s3", "ListParts", PLACE, [("s3:ListMultipartUploadParts", OBJECT)]),
    (
        *("s3", "DeleteObjects", {"Bucket": "models", "Delete": {"Objects": TWO}}),
        [("s3:DeleteObjectVersion", OBJECT), ("s3:DeleteObject", f"{BUCKET}/c")],
    ),
    (
        *("s3", "CopyObject", {"Bucket": "datasets", "Key": "c", "CopySource": PLACE}),
        [("s3:GetObject", OBJECT), ("s3:PutObject", "arn:aws:s3:::datasets/c")],
    ),
    ("s3", "ListObjectsV2", {"Bucket": "models"}, [("s3:ListBucket", BUCKET)]),
    ("dynamodb", "Query", {**ITEM, "IndexName": "x"}, [("dynamodb:Query", f"{TABLE}/index/x")]),
    (
        "dynamodb",
        "BatchGetItem",
        {"RequestItems": {"jobs": {}}},
        [("dynamodb:BatchGetItem", TABLE)],
    ),
    (
        *("dynamodb", "TransactWriteItems", {"TransactItems": PARTS}),
        [(f"dynamodb:{name}", TABLE) for name in NAMED],
    ),
    ("sqs", "SendMessage", {"QueueUrl": "https://sqs/1/inbox"}, [("sqs:SendMessage", QUEUE)]),
    (
        *("events", "PutEvents", {"Entries": [{"EventBusName": "default", "Source": "ours"}]}),
        [("events:PutEvents", BUS, (("events:source", "ours"),))],
    ),
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
    assert list(absent("s3", "HeadObject", PLACE)) == [Right("s3:ListBucket", BUCKET)]
    assert list(absent("s3", "AbortMultipartUpload", PLACE)) == []
    assert list(absent("dynamodb", "GetItem", ITEM)) == []
