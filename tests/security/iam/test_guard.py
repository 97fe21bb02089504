"""IAM in front of moto refuses as AWS does, and stands in nobody's way but the functions'."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lora_drop.adapters.s3_client import s3_client
from lora_drop.adapters.s3_results import S3Results
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.status import Status
from tests.security.iam.datasets_come_in import sent_url
from tests.security.iam.policies import Policy
from tests.security.iam.rights import Right
from tests.security.iam.stage import Refused, Stage, staged
from tests.support.builders import make_job
from tests.support.furnished import handlers
from tests.support.lambda_environment import Context, event

JOBS, SUBMIT = "JobsFunction", "SubmitFunction"


@pytest.fixture
def stage() -> Iterator[Stage]:
    with staged() as made:
        yield made


def called(stage: Stage, monkeypatch: pytest.MonkeyPatch, act: Any) -> Any:
    """What comes of something that the jobs function does, instead of what it does else."""
    monkeypatch.setattr(handlers()[JOBS], "bootstrap", act)
    return stage.invoke(JOBS, event("jobs_list"))


def without(stage: Stage, function: str, action: str) -> None:
    """Take an action away from a function."""
    policy = stage.guard.policies[function]
    left = tuple(grant for grant in policy.grants if grant.action != action)
    assert left != policy.grants
    stage.guard.policies = {**stage.guard.policies, function: Policy(left)}


def test_a_function_is_refused_what_its_role_does_not_grant(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = s3_client()

    with pytest.raises(ClientError) as refusal:
        called(stage, monkeypatch, lambda: client.put_object(Bucket="datasets", Key="x", Body=b""))

    assert refusal.value.response["Error"]["Code"] == "AccessDenied"
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    right = Right("s3:PutObject", "arn:aws:s3:::datasets/x")
    assert stage.guard.denied == {(JOBS, right)}
    assert "Contents" not in stage.house.aws.s3.list_objects_v2(Bucket="datasets")


def test_a_head_is_refused_without_a_reason(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    client = s3_client()

    with pytest.raises(ClientError) as refusal:
        called(stage, monkeypatch, lambda: client.head_object(Bucket="datasets", Key="x"))

    assert refusal.value.response["Error"] == {"Code": "403", "Message": "Forbidden"}


def test_who_may_not_list_is_not_told_that_something_is_missing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
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
        called(stage, monkeypatch, looks)
    without(stage, JOBS, "s3:ListBucket")
    with pytest.raises(LookupError):
        called(stage, monkeypatch, looks)

    assert heard == [False, "403"]


def test_what_a_test_does_itself_is_nobodys_business(stage: Stage) -> None:
    stage.house.aws.s3.put_object(Bucket="datasets", Key="x", Body=b"")

    assert stage.guard.asked == set()


def test_an_address_is_signed_by_anybody_and_works_only_by_rights(stage: Stage) -> None:
    stage.submitted()
    url = sent_url(stage)
    assert stage.fetched(url).startswith(b"PK")

    without(stage, SUBMIT, "s3:GetObjectVersion")
    with pytest.raises(Refused, match="GetObjectVersion"):
        stage.fetched(url)


def test_lambda_itself_acts_within_the_role(stage: Stage) -> None:
    stage.house.holds(make_job(Status.TRAINING))
    without(stage, JOBS, "logs:PutLogEvents")

    with pytest.raises(Refused, match="PutLogEvents"):
        stage.asked("GET", "/jobs")


def test_a_call_from_a_thread_has_to_be_somebodys(stage: Stage) -> None:
    with ThreadPoolExecutor(1) as other:
        asking = other.submit(stage.house.aws.s3.list_objects_v2, Bucket="models")
        with pytest.raises(AssertionError, match="nobody knows whose"):
            asking.result()


def test_a_denial_is_noted_even_where_it_is_not_enforced(stage: Stage) -> None:
    without(stage, JOBS, "dynamodb:Query")
    stage.guard.enforced = False

    assert stage.asked("GET", "/jobs")["jobs"] == []
    assert {right.action for _, right in stage.guard.denied} == {"dynamodb:Query"}


def test_a_function_without_rights_does_nothing_at_all(stage: Stage) -> None:
    stage.house.holds(make_job(Status.TRAINING))
    stage.guard.policies = {**stage.guard.policies, JOBS: Policy(())}

    with pytest.raises(ClientError, match="dynamodb:Query"):
        handlers()[JOBS].handler(event("jobs_list"), Context())
