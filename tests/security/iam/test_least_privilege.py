"""Every right is used, none is missing, and without any one of them something breaks."""

import pytest

from tests.security.iam.harness import SCENARIOS
from tests.security.iam.least_privilege import Mutation, Used, mutations, run, survives
from tests.security.iam.policies import Grant, Policy, functions
from tests.security.iam.rights import Right

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")
BUCKETS = ("arn:aws:s3:::datasets", "arn:aws:s3:::models")
WRITES = ("s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectAcl", "s3:RestoreObject")


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
    idle = Grant("Idle", "s3:DeleteBucket", "arn:aws:s3:::models")
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
FOLDER = "arn:aws:s3:::models/portrait/ada/ada-0123456789"


@pytest.mark.parametrize(
    ("action", "resource", "who"),
    [
        ("secretsmanager:GetSecretValue", WEBHOOK_SECRET, {"Submit", "Webhook"}),
        ("s3:PutObject", f"{FOLDER}/lora.safetensors", {"Store"}),
        ("s3:PutObject", f"{FOLDER}/dataset.zip", {"Submit", "Store"}),
        ("s3:PutObject", f"{FOLDER}/deliveries/x.json", {"Webhook", "Store"}),
        ("s3:GetObjectVersion", "arn:aws:s3:::datasets/portrait/ada.zip", {"Submit"}),
        ("s3:DeleteObjectVersion", "arn:aws:s3:::datasets/portrait/ada.zip", {"Forget"}),
        ("s3:DeleteObjectVersion", f"{FOLDER}/lora.safetensors", {"Forget"}),
    ],
)
def test_sensitive_right_has_few_holders(
    found: Used, action: str, resource: str, who: set[str]
) -> None:
    may = {name for name in functions() if found.policies[name].allows(Right(action, resource))}
    assert may == {f"{name}Function" for name in who}


@pytest.mark.promise("nothing leaks")
def test_webhook_cannot_read_fal_key(found: Used) -> None:
    """The function that is open to the internet cannot read the fal key."""
    right = Right("secretsmanager:GetSecretValue", FAL_KEY)
    assert not found.policies["WebhookFunction"].allows(right)
    assert found.policies["SubmitFunction"].allows(right)
