"""What may stand in the way of a first deployment is found before anything is built, and has a way out."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import boto3
import pytest

from lora_drop.local.deploy import Target
from lora_drop.local.deploy_checks import (
    DeployError,
    check_names,
    check_nothing_left,
    remove_failed,
)
from tests.support.aws import moto

TARGET = Target("dev", "lora-drop-dev", "eu-west-1", "123456789012", "me", None, boto3.Session())


class Formation:
    """CloudFormation with a stack whose first deployment failed."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    def describe_stack_events(self, StackName: str) -> dict[str, Any]:  # noqa: N803  # boto3's
        rows = [
            ("lora-drop-dev", "ROLLBACK_COMPLETE", None),
            ("InboxQueue", "CREATE_FAILED", "Resource creation cancelled"),
            ("DatasetsBucket", "CREATE_FAILED", f"{StackName}-datasets already exists"),
        ]
        return {
            "StackEvents": [
                {
                    "LogicalResourceId": name,
                    "ResourceStatus": status,
                    "Timestamp": datetime(2026, 1, 1, 0, 9 - number, tzinfo=UTC),
                    **({"ResourceStatusReason": reason} if reason else {}),
                }
                for number, (name, status, reason) in enumerate(rows)
            ]
        }

    def delete_stack(self, StackName: str) -> None:  # noqa: N803
        self.deleted.append(StackName)

    def get_waiter(self, name: str) -> Any:
        assert name == "stack_delete_complete"
        return Mock()


@pytest.fixture
def formation(monkeypatch: pytest.MonkeyPatch) -> Formation:
    made = Formation()
    monkeypatch.setattr(Target, "client", lambda _, __: made)
    return made


@pytest.mark.promise("it can be operated")
def test_failed_stack_is_explained_and_removed(formation: Formation) -> None:
    """A stack whose first deployment failed is deleted once a person agrees; its first failure is shown."""
    said: list[str] = []
    remove_failed(TARGET, "ROLLBACK_COMPLETE", agreed=lambda _: True, say=said.append)
    assert said == [
        (
            "The first deployment of lora-drop-dev failed (ROLLBACK_COMPLETE). "
            "DatasetsBucket: lora-drop-dev-datasets already exists"
        ),
        "lora-drop-dev is deleted.",
    ]
    assert formation.deleted == ["lora-drop-dev"]


@pytest.mark.usefixtures("formation")
def test_failed_deletion_is_called_so() -> None:
    said: list[str] = []
    remove_failed(TARGET, "DELETE_FAILED", agreed=lambda _: True, say=said.append)
    assert said[0].startswith("The deletion of lora-drop-dev failed (DELETE_FAILED). ")


def test_failed_stack_stays_without_consent(formation: Formation) -> None:
    with pytest.raises(DeployError, match="make deploy ENV=dev DELETE_FAILED=1"):
        remove_failed(TARGET, "ROLLBACK_FAILED", agreed=lambda _: False, say=lambda _: None)
    assert formation.deleted == []


@pytest.mark.parametrize(
    ("stack", "region", "wrong"),
    [
        ("lora-drop-dev", "eu-west-1", ""),
        ("a" * 31, "eu-west-1", ""),
        ("a" * 32, "eu-west-1", "1 characters shorter"),
        ("lora-drop-of-our-studio", "ap-southeast-1", ""),
        ("lora-drop-of-our-studios-team", "ap-southeast-1", "3 characters shorter"),
        ("Lora-Drop", "eu-west-1", "lower case"),
        ("lora_drop", "eu-west-1", "lower case"),
        ("-lora", "eu-west-1", "lower case"),
    ],
)
def test_impossible_bucket_names_are_refused(stack: str, region: str, wrong: str) -> None:
    target = replace(TARGET, stack=stack, region=region)
    if wrong:
        with pytest.raises(DeployError, match=wrong):
            check_names(target)
    else:
        check_names(target)


@pytest.fixture
def account() -> Iterator[None]:
    with moto():
        yield


@pytest.mark.usefixtures("account")
def test_left_buckets_are_named_before_building() -> None:
    check_nothing_left(TARGET)
    bucket = "lora-drop-dev-models-123456789012-eu-west-1"
    TARGET.client("s3").create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    with pytest.raises(DeployError, match=f"no stack lora-drop-dev, but {bucket}: left by"):
        check_nothing_left(TARGET)
