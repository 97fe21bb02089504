"""The evaluation of a policy, by IAM's rules and against moto's."""

import json

import pytest
from moto.iam.access_control import IAMPolicy, PermissionResult

from tests.security.iam.arns import Names
from tests.security.iam.least_privilege import Used
from tests.security.iam.policies import Grant, Policy, functions, policy_of
from tests.security.iam.rights import Right

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
def test_a_grant_covers_what_iam_says(
    action: str, resource: str, right: Right, *, covered: bool
) -> None:
    assert Grant("sid", action, resource).covers(right) is covered
    assert Policy((Grant("sid", action, resource),)).allows(right) is covered


def test_a_condition_has_to_be_what_the_call_says() -> None:
    grant = Grant("sid", "events:PutEvents", "bus", (("events:source", "ours"),))

    assert grant.covers(Right("events:PutEvents", "bus", (("events:source", "ours"),)))
    assert not grant.covers(Right("events:PutEvents", "bus", (("events:source", "aws.s3"),)))
    assert not grant.covers(Right("events:PutEvents", "bus"))


def test_moto_evaluates_every_role_in_the_same_way(found: Used) -> None:
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


def test_names_that_are_given_stand_in_the_arns() -> None:
    names = Names.of_environment(
        {"MODELS_BUCKET": "b", "INBOX_QUEUE_URL": "https://sqs.x/1/q", "FAL_KEY_SECRET": "s"}
    )

    assert names.resolve({"Fn::Sub": "arn:${AWS::Partition}:s3:::${ModelsBucket}/*"}) == (
        "arn:aws:s3:::b/*"
    )
    assert names.resolve({"Fn::GetAtt": "InboxQueue.Arn"}).endswith(":q")
    assert names.resolve({"Ref": "FalKeySecret"}).endswith(":secret:s")
    assert names.resolve({"Fn::Sub": "${JobsTable.Arn}/index/x"}).endswith("JobsTable/index/x")


def test_what_cannot_be_resolved_is_an_error() -> None:
    with pytest.raises(AssertionError, match="ImportValue"):
        Names({}).resolve({"Fn::ImportValue": "x"})


@pytest.mark.parametrize("function", functions())
def test_every_functions_policy_can_be_read(function: str) -> None:
    policy = policy_of(function, Names({}))

    assert len(policy.statements) > 1
    assert policy.without(policy.grants).grants == ()


def _document(policy: Policy) -> str:
    statements = [
        {"Effect": "Allow", "Action": grant.action, "Resource": grant.resource}
        for grant in policy.grants
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
