"""Which stack a command speaks to: one in AWS, found by its outputs, or the one on this machine."""

import shlex
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ProxyConnectionError,
)
from moto import mock_aws
from typer.testing import CliRunner

from lora_drop.cli.main import application
from lora_drop.client.errors import CommandError
from lora_drop.client.stack import _unreadable, find_stack
from lora_drop.local import deployment
from lora_drop.local.stack import HOME, SAMPLE

OUTPUTS = ("ApiUrl", "DatasetsBucketName", "ModelsBucketName")
API = f"https://{deployment.API_ID}.execute-api.us-east-1.amazonaws.com/{deployment.STAGE}"
CLOUDFORMATION = "https://cloudformation.us-east-1.amazonaws.com"


class UpAlready:
    """A stack on this machine that is up as soon as it is wanted."""

    sample = SAMPLE

    def up(self, **_: object) -> None:
        pass

    def access(self) -> dict[str, object]:
        names = ("DatasetsBucketName", "ModelsBucketName", "JobsTableName")
        return {
            "home": "/home/ada/a stack",
            "endpoint_url": "http://127.0.0.1:4566",
            "api_url": deployment.api_url("http://127.0.0.1:4566"),
            "access_key": "test",
            "secret_key": "test",
            "region": "us-east-1",
            "fal_url": "https://127.0.0.1:4567",
            "fal_ca_file": "",
            "outputs": {name: f"the-{name}" for name in names},
            "sam_local": "",
            "key_api_url": None,
        }


@pytest.fixture(autouse=True)
def _no_local_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME, str(tmp_path))


def deploy(name: str, outputs: tuple[str, ...] = OUTPUTS, **values: str) -> None:
    """A stack with these outputs and little else."""
    rows = "\n".join(
        f"  {each}: {{Value: '{values.get(each, f'the-{each}')}'}}" for each in outputs
    )
    body = f"Resources:\n  Queue: {{Type: 'AWS::SQS::Queue'}}\nOutputs:\n{rows}\n"
    boto3.client("cloudformation").create_stack(StackName=name, TemplateBody=body)


def answered(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeStacks")


@pytest.mark.promise("interfaces stay")
@mock_aws
def test_stack_is_found_by_its_outputs() -> None:
    """A deployed stack is found by its outputs."""
    deploy("lora-drop")
    deploy("other")
    default, other = find_stack(None), find_stack("other")
    assert (default.name, other.name) == ("lora-drop", "other")
    assert other.datasets_bucket == "the-DatasetsBucketName"
    assert other.endpoint_url is None


@mock_aws
def test_stack_named_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    deploy("mine")
    monkeypatch.setenv("LORA_DROP_STACK", "mine")
    assert find_stack(None).name == "mine"


@mock_aws
def test_foreign_stack_is_refused() -> None:
    deploy("shop", ("ApiUrl",))
    with pytest.raises(CommandError, match="not a lora-drop stack"):
        find_stack("shop")


@mock_aws
def test_missing_stack_is_explained() -> None:
    with pytest.raises(CommandError, match="lora-drop up"):
        find_stack("nowhere")


@pytest.mark.parametrize(
    ("error", "command"),
    [
        (answered("ValidationError", "Stack with id x does not exist"), "lora-drop deploy dev"),
        (answered("ExpiredToken", "The token has expired"), "aws sso login"),
        (NoCredentialsError(), "aws sso login"),
        (ProxyConnectionError(proxy_url="http://p:1"), "export NO_PROXY=.amazonaws.com"),
        (EndpointConnectionError(endpoint_url="https://x"), "the region is right"),
    ],
)
def test_unreadable_stack_names_what_helps(error: Exception, command: str) -> None:
    said = _unreadable("x", "eu-central-1", error)
    assert command in said
    assert ("deploy" in said) is ("does not exist" in str(error))


def test_no_region_names_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(CommandError, match=r"lora-drop up.*AWS_REGION"):
        find_stack(None)


@pytest.mark.parametrize("by", ["option", "variable"])
def test_named_stack_without_a_region(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A named stack without a region is answered with what is missing for it alone."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    if by == "variable":
        monkeypatch.setenv("LORA_DROP_STACK", "mine")
    with pytest.raises(CommandError) as failure:
        find_stack("mine" if by == "option" else None)

    assert "mine" in str(failure.value)
    assert "AWS_REGION" in str(failure.value)
    assert "--stack local" in str(failure.value)
    assert "No stack is up" not in str(failure.value)


@mock_aws
def test_api_of_an_emulated_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    # Moto answers for AWS's own addresses alone, so only the stacks are asked of it there.
    """The API of a named stack is where AWS is said to be."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", CLOUDFORMATION)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566/")
    deploy("mine", ApiUrl=API)
    stack = find_stack("mine")
    assert stack.api_url == deployment.api_url("http://127.0.0.1:4566")
    assert stack.client("sqs").meta.endpoint_url == "http://127.0.0.1:4566/"


@mock_aws
def test_api_of_a_deployed_stack() -> None:
    deploy("mine", ApiUrl=API)
    assert find_stack("mine").api_url == API


def test_up_exports_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lora_drop.client.stack.local_stack", UpAlready)
    result = CliRunner().invoke(application(), ["up"])

    lines = [shlex.split(each) for each in result.stdout.splitlines()]
    exported = [
        dict(word.split("=", 1) for word in line[1:]) for line in lines if line[:1] == ["export"]
    ]
    assert exported[0] == {HOME: "/home/ada/a stack"}
    assert exported[1] == {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@pytest.mark.parametrize("name", ["local", None], ids=["local", "any"])
def test_stopped_local_stack_is_explained(
    name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local stack that is down is not looked for in AWS; where it was looked for is said, and how to name another folder."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    said = rf"No stack is up in {tmp_path}\..*lora-drop up.*export LORA_DROP_HOME=FOLDER"
    with pytest.raises(CommandError, match=said):
        find_stack(name)


@pytest.mark.promise("interfaces stay")
@pytest.mark.parametrize(
    "words",
    [["jobs"], ["job", "x"], ["train", "."], ["up", "--fal-ca", "x.pem"]],
    ids=["jobs", "job", "train", "up"],
)
def test_failed_command_is_one_sentence(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that fails says so in a sentence or two, a path in it apart, and exits with 1."""
    monkeypatch.setenv("LORA_DROP_STACK", "local")
    result = CliRunner().invoke(application(), words)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert 10 < len(result.stderr.replace(str(tmp_path), "")) < 200


@pytest.mark.parametrize("words", [["jobs"], ["job", "x"], ["train", "."], ["demo"], ["up"]])
def test_unreadable_stack_is_explained(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"emulator":')
    result = CliRunner().invoke(application(), words)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "lora-drop down" in result.stderr


@pytest.mark.parametrize("words", [("jobs",), ("deploy", "dev"), ("doctor",)])
def test_wrong_endpoint_is_explained(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    result = CliRunner().invoke(application(), words)
    assert result.exit_code == 1
    assert "unset AWS_ENDPOINT_URL" in result.output


def test_missing_stack_leads_to_the_direct_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    words = ["train", "a b/", "--steps", "1200", "--force"]
    for key, said in (("", False), ("a:b", True)):
        monkeypatch.setenv("FAL_KEY", key)
        result = CliRunner().invoke(application(), words)
        assert ("lora-drop train 'a b/' --steps 1200 --direct\n" in result.stderr) is said
        assert (result.exit_code, "lora-drop up" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "home", "said"),
    [
        (["--host", "192.0.2.1"], "", "--host takes an address of this machine."),
        ([], "/dev/null/x", "export LORA_DROP_HOME=FOLDER"),
        ([], "/proc/x", "export LORA_DROP_HOME=FOLDER"),
    ],
)
def test_stack_that_cannot_come_up_says_why(
    words: list[str], home: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if home:
        monkeypatch.setenv(HOME, home)
    result = CliRunner().invoke(application(), ["up", *words])
    assert (result.exit_code, said in result.stderr) == (1, True)


def test_down_without_a_stack() -> None:
    result = CliRunner().invoke(application(), ["down", "--json"])
    assert (result.exit_code, result.stdout) == (0, '{"was_up": false}\n')
    assert "may take a minute" in result.stderr


def test_unknown_profile_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nope")
    with pytest.raises(CommandError, match="AWS_PROFILE"):
        find_stack(None)


@mock_aws
def test_either_region_variable_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    deploy("lora-drop")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert find_stack(None).session.region_name == "us-east-1"
