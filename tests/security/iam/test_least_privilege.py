"""Every right is used, none is missing, and without any one of them something breaks."""

import pytest

from tests.security.iam.harness import SCENARIOS, new_harness
from tests.security.iam.least_privilege import Mutation, Used, mutations, survives
from tests.security.iam.policies import Grant, Policy, functions
from tests.security.iam.rights import Right

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")
BUCKETS = ("arn:aws:s3:::datasets", "arn:aws:s3:::models")
WRITES = ("s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectAcl", "s3:RestoreObject")


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_house_works_within_its_roles(name: str) -> None:
    with new_harness() as harness:
        SCENARIOS[name](harness)

    assert harness.guard.denied == set()


@pytest.mark.parametrize("function", functions())
def test_nothing_is_granted_that_nobody_uses(found: Used, function: str) -> None:
    assert list(found.unused(function)) == []


@pytest.mark.parametrize("function", functions())
def test_nothing_is_used_that_is_not_granted(found: Used, function: str) -> None:
    assert list(found.missing(function)) == []


def test_without_any_one_right_something_breaks(found: Used) -> None:
    dropped = list(mutations(found.policies))

    alive = [each for each in dropped if survives(each, found.needing(each.function, each.dropped))]

    assert [each.name for each in alive] == []
    assert len([each for each in dropped if each.whole]) == sum(
        len(found.policies[function].statements) for function in functions()
    )


def test_a_right_that_nobody_uses_would_be_found(found: Used) -> None:
    function = next(iter(functions()))
    idle = Grant("Idle", "s3:DeleteBucket", "arn:aws:s3:::models")
    more = {**found.policies, function: Policy((*found.policies[function].grants, idle))}

    assert list(Used(more, found.asked).unused(function)) == [idle]
    assert survives(Mutation(function, (idle,), whole=True), list(found.asked)[:1])


def test_a_right_that_is_missing_would_be_found(found: Used) -> None:
    function = next(iter(functions()))
    dropped = found.policies[function].grants[-1]
    less = {**found.policies, function: found.policies[function].without([dropped])}

    missing = Used(less, found.asked).missing(function)
    assert missing
    assert all(dropped.covers(right) for right in missing)


# What nobody may is no less a promise. The first is what makes recursion impossible: nothing that
# is written anywhere can come in as a dataset.
NOBODY = [
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


@pytest.mark.parametrize("right", NOBODY, ids=lambda right: f"{right.action} {right.resource}")
def test_no_function_may(found: Used, right: Right) -> None:
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
    ids=[
        "the secret",
        "a lora",
        "a clean copy",
        "a delivery",
        "a dataset",
        "a dataset for good",
        "a lora for good",
    ],
)
def test_only_these_functions_may(found: Used, action: str, resource: str, who: set[str]) -> None:
    may = {name for name in functions() if found.policies[name].allows(Right(action, resource))}

    assert may == {f"{name}Function" for name in who}


def test_the_open_door_has_no_key_to_fal(found: Used) -> None:
    right = Right("secretsmanager:GetSecretValue", FAL_KEY)

    assert not found.policies["WebhookFunction"].allows(right)
    assert found.policies["SubmitFunction"].allows(right)
