"""What `lora-drop up` deploys: the built functions in the emulator's bucket, and the stack of the template there."""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, WaiterError
from moto import mock_aws

from lora_drop.local import deployment
from lora_drop.local.code_upload import CODE_BUCKET, upload

TEMPLATE = """
Resources:
  SubmitFunction:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: SubmitFunction}
  StoreFunction:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: StoreFunction}
"""
S3_URL = "https://s3.amazonaws.com"  # moto's, whose bucket the template lies in
PLAIN = "Parameters: {Delay: {Type: Number}}\nResources: {Q: {Type: AWS::SQS::Queue, Properties: {DelaySeconds: {Ref: Delay}}}}"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with mock_aws():
        monkeypatch.setattr(
            deployment, "client", lambda _, service, *__: boto3.client(service, "us-east-1")
        )
        yield


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A built template, and the artifacts of its functions."""
    for name in ("SubmitFunction", "StoreFunction"):
        folder = tmp_path / name / "functions"
        folder.mkdir(parents=True)
        (folder / "handler.py").write_text(f"NAME = {name!r}\n")
        (tmp_path / name / "data").write_bytes(bytes(9))
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    return tmp_path / "template.yaml"


def uploaded(s3: Any, key: str) -> dict[str, str]:
    """The key of each function's code, by the function's name."""
    body = s3.get_object(Bucket=CODE_BUCKET, Key=key)["Body"].read()
    return {
        name: each["Properties"]["CodeUri"].removeprefix(f"s3://{CODE_BUCKET}/")
        for name, each in json.loads(body)["Resources"].items()
    }


@pytest.mark.usefixtures("aws")
def test_every_file_of_an_artifact_is_uploaded(built: Path) -> None:
    s3 = boto3.client("s3", "us-east-1")
    keys = uploaded(s3, upload(built, s3))

    for name, key in keys.items():
        content = s3.get_object(Bucket=CODE_BUCKET, Key=key)["Body"].read()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert {each: archive.read(each) for each in archive.namelist()} == {
                "data": bytes(9),
                "functions/handler.py": f"NAME = {name!r}\n".encode(),
            }
    assert built.read_text() == TEMPLATE  # sam local runs the artifacts that lie here


@pytest.mark.usefixtures("aws")
def test_function_that_has_not_changed_keeps_its_code(built: Path) -> None:
    s3 = boto3.client("s3", "us-east-1")
    before = uploaded(s3, upload(built, s3))
    handler = built.parent / "StoreFunction" / "functions" / "handler.py"
    handler.write_text("NAME = 'another'\n")
    (built.parent / "SubmitFunction" / "data").touch()  # the same bytes, later
    after = uploaded(s3, upload(built, s3))

    assert after["SubmitFunction"] == before["SubmitFunction"]
    assert after["StoreFunction"] != before["StoreFunction"]


@pytest.mark.usefixtures("aws")
def test_stack_is_created_and_brought_up_to_date(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(PLAIN)
    for delay, status in (("1", "CREATE_COMPLETE"), ("2", "UPDATE_COMPLETE")):
        deployment.deploy(template, {"Delay": delay}, S3_URL)

        [stack] = boto3.client("cloudformation", "us-east-1").describe_stacks()["Stacks"]
        assert (stack["StackName"], stack["StackStatus"]) == ("lora-drop", status)
        assert stack["Parameters"] == [{"ParameterKey": "Delay", "ParameterValue": delay}]


class FailedStack:
    """CloudFormation whose stack has failed."""

    def get_waiter(self, name: str) -> Any:
        raise WaiterError(name, "it ended in ROLLBACK_COMPLETE", {})

    def describe_stack_events(self, **_: str) -> dict[str, Any]:
        rows = [("Q", "CREATE_FAILED", "no such delay"), ("T", "CREATE_COMPLETE", "")]
        return {
            "StackEvents": [
                {"LogicalResourceId": name, "ResourceStatus": status, "ResourceStatusReason": why}
                for name, status, why in rows
            ]
        }


def test_failed_stack_says_which_resource_and_why() -> None:
    with pytest.raises(deployment.SamError, match=r"ROLLBACK_COMPLETE\nQ: no such delay$"):
        deployment._wait(FailedStack(), "stack_create_complete")


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (deployment.NOTHING_NEW, nullcontext()),
        ("Unresolved: Nothing", pytest.raises(deployment.SamError, match="Unresolved: Nothing")),
    ],
)
def test_nothing_to_update_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, outcome: AbstractContextManager[Any]
) -> None:
    def refused(*_: Any) -> None:
        raise ClientError({"Error": {"Code": "ValidationError", "Message": said}}, "UpdateStack")

    monkeypatch.setattr(deployment, "_wait", refused)
    template = tmp_path / "template.yaml"
    template.write_text(PLAIN)
    with outcome:
        deployment.deploy(template, {"Delay": "1"}, S3_URL)
