"""IAM in front of moto refuses as AWS does, and stands in nobody's way but the functions'."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lora_drop.adapters.s3_client import s3_client
from lora_drop.adapters.s3_results import S3Results
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.job import Status
from tests.security.iam.datasets_come_in import sent_url
from tests.security.iam.harness import Harness, Refused, new_harness
from tests.security.iam.policies import Policy
from tests.security.iam.rights import Right
from tests.support.builders import make_job
from tests.support.lambda_environment import Context, event
from tests.support.lambda_setup import handlers

JOBS, SUBMIT = "JobsFunction", "SubmitFunction"


@pytest.fixture
def harness() -> Iterator[Harness]:
    with new_harness() as made:
        yield made


def called(harness: Harness, monkeypatch: pytest.MonkeyPatch, act: Any) -> Any:
    """What comes of something that the jobs function does, instead of what it does else."""
    monkeypatch.setattr(handlers()[JOBS], "bootstrap", act)
    return harness.invoke(JOBS, event("jobs_list"))


def without(harness: Harness, function: str, action: str) -> None:
    """Take an action away from a function."""
    policy = harness.guard.policies[function]
    left = tuple(grant for grant in policy.grants if grant.action != action)
    assert left != policy.grants
    harness.guard.policies = {**harness.guard.policies, function: Policy(left)}


def test_a_function_is_refused_what_its_role_does_not_grant(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = s3_client()

    with pytest.raises(ClientError) as refusal:
        called(
            harness, monkeypatch, lambda: client.put_object(Bucket="datasets", Key="x", Body=b"")
        )

    assert refusal.value.response["Error"]["Code"] == "AccessDenied"
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    right = Right("s3:PutObject", "arn:aws:s3:::datasets/x")
    assert harness.guard.denied == {(JOBS, right)}
    assert "Contents" not in harness.environment.aws.s3.list_objects_v2(Bucket="datasets")


def test_a_head_is_refused_without_a_reason(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = s3_client()

    with pytest.raises(ClientError) as refusal:
        called(harness, monkeypatch, lambda: client.head_object(Bucket="datasets", Key="x"))

    assert refusal.value.response["Error"] == {"Code": "403", "Message": "Forbidden"}


def test_who_may_not_list_is_not_told_that_something_is_missing(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "a/deliveries/x"
    file = StoredFile(name="x", bucket="models", key=key, size=1, sha256="0")
    results = S3Results(s3_client(), "models")
    heard: list[object] = []

    def looks() -> None:
        try:
            heard.append(results.has(file))
        except ClientError as error:
            heard.append(error.response["Error"]["Code"])
        raise LookupError

    with pytest.raises(LookupError):
        called(harness, monkeypatch, looks)
    without(harness, JOBS, "s3:ListBucket")
    with pytest.raises(LookupError):
        called(harness, monkeypatch, looks)

    assert heard == [False, "403"]


def test_what_a_test_does_itself_is_nobodys_business(harness: Harness) -> None:
    harness.environment.aws.s3.put_object(Bucket="datasets", Key="x", Body=b"")

    assert harness.guard.asked == set()


def test_an_address_is_signed_by_anybody_and_works_only_by_rights(harness: Harness) -> None:
    harness.submitted()
    url = sent_url(harness)
    assert harness.fetched(url).startswith(b"PK")

    without(harness, SUBMIT, "s3:GetObjectVersion")
    with pytest.raises(Refused, match="GetObjectVersion"):
        harness.fetched(url)


def test_lambda_itself_acts_within_the_role(harness: Harness) -> None:
    harness.environment.add_job(make_job(Status.TRAINING))
    without(harness, JOBS, "logs:PutLogEvents")

    with pytest.raises(Refused, match="PutLogEvents"):
        harness.asked("GET", "/jobs")


def test_a_call_from_a_thread_has_to_be_somebodys(harness: Harness) -> None:
    with ThreadPoolExecutor(1) as other:
        asking = other.submit(harness.environment.aws.s3.list_objects_v2, Bucket="models")
        with pytest.raises(AssertionError, match="nobody knows whose"):
            asking.result()


def test_a_denial_is_noted_even_where_it_is_not_enforced(harness: Harness) -> None:
    without(harness, JOBS, "dynamodb:Query")
    harness.guard.enforced = False

    assert harness.asked("GET", "/jobs")["jobs"] == []
    assert {right.action for _, right in harness.guard.denied} == {"dynamodb:Query"}


def test_a_function_without_rights_does_nothing_at_all(harness: Harness) -> None:
    harness.environment.add_job(make_job(Status.TRAINING))
    harness.guard.policies = {**harness.guard.policies, JOBS: Policy(())}

    with pytest.raises(ClientError, match="dynamodb:Query"):
        handlers()[JOBS].handler(event("jobs_list"), Context())
