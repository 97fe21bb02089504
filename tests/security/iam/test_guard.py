"""IAM in front of moto refuses functions as AWS does, and only functions."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lora_drop.adapters.s3_client import s3_client
from lora_drop.adapters.s3_results import S3Results
from lora_drop.bootstrap.jobs import JobsBootstrap
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.status import Status
from tests.security.iam.harness import CallRefusedError, Harness, new_harness
from tests.security.iam.policies import Policy
from tests.security.iam.rights import Right
from tests.security.iam.scenarios_datasets import sent_url
from tests.support.builders import make_job
from tests.support.lambda_environment import event

JOBS, SUBMIT = "JobsFunction", "SubmitFunction"


@pytest.fixture
def harness() -> Iterator[Harness]:
    with new_harness() as made:
        yield made


def called(harness: Harness, monkeypatch: pytest.MonkeyPatch, act: Any) -> Any:
    """Have the jobs function do this instead of its own work."""
    monkeypatch.setattr(JobsBootstrap, "jobs", property(lambda _: act()), raising=False)
    return harness.invoke(JOBS, event("jobs_list"))


def without(harness: Harness, function: str, action: str) -> None:
    """Take an action away from a function."""
    policy = harness.guard.policies[function]
    left = tuple(grant for grant in policy.grants if grant.action != action)
    assert left != policy.grants
    harness.guard.policies = {**harness.guard.policies, function: Policy(left)}


def test_ungranted_call_is_refused(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_absence_is_hidden_without_list(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_calls_of_tests_pass(harness: Harness) -> None:
    harness.environment.aws.s3.put_object(Bucket="datasets", Key="x", Body=b"")
    assert harness.guard.asked == set()


def test_presigned_url_needs_its_signers_right(harness: Harness) -> None:
    harness.submitted()
    url = sent_url(harness)
    assert harness.fetched(url).startswith(b"PK")
    without(harness, SUBMIT, "s3:GetObjectVersion")
    with pytest.raises(CallRefusedError, match="GetObjectVersion"):
        harness.fetched(url)


def test_lambda_acts_within_the_role(harness: Harness) -> None:
    harness.environment.add_job(make_job(Status.TRAINING))
    without(harness, JOBS, "logs:PutLogEvents")
    with pytest.raises(CallRefusedError, match="PutLogEvents"):
        harness.asked("GET", "/jobs")


def test_call_from_thread_is_an_error(harness: Harness) -> None:
    raised: list[BaseException] = []

    def ask() -> None:
        try:
            harness.environment.aws.s3.list_objects_v2(Bucket="models")
        except AssertionError as error:
            raised.append(error)

    other = threading.Thread(target=ask)
    other.start()
    other.join()
    assert "no function is on its stack" in str(raised)


def test_thread_asks_for_the_function_that_gave_it_work(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = s3_client()

    def put() -> object:
        with ThreadPoolExecutor(1) as other:
            return other.submit(client.put_object, Bucket="datasets", Key="x", Body=b"").result()

    with pytest.raises(ClientError, match=f"{JOBS} is not authorized"):
        called(harness, monkeypatch, put)
    assert put()


def test_unenforced_denial_is_recorded(harness: Harness) -> None:
    without(harness, JOBS, "dynamodb:Query")
    harness.guard.enforced = False
    assert harness.asked("GET", "/jobs")["jobs"] == []
    assert {right.action for _, right in harness.guard.denied} == {"dynamodb:Query"}
