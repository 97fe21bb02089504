from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from client.cli import application
from client.errors import CommandFailed
from client.stack import find_stack
from local.stack import HOME

OUTPUTS = ("ApiUrl", "DatasetsBucketName", "ModelsBucketName")


@pytest.fixture(autouse=True)
def _no_local_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME, str(tmp_path))


def deploy(name: str, outputs: tuple[str, ...] = OUTPUTS) -> None:
    """A stack with these outputs and little else."""
    rows = "\n".join(f"  {output}: {{Value: the-{output}}}" for output in outputs)
    body = f"Resources:\n  Queue: {{Type: 'AWS::SQS::Queue'}}\nOutputs:\n{rows}\n"
    boto3.client("cloudformation").create_stack(StackName=name, TemplateBody=body)


@mock_aws
def test_a_deployed_stack_is_found_by_its_outputs() -> None:
    deploy("lora-drop")
    deploy("other")

    default, other = find_stack(None), find_stack("other")

    assert (default.name, other.name) == ("lora-drop", "other")
    assert other.datasets_bucket == "the-DatasetsBucketName"
    assert other.endpoint_url is None


@mock_aws
def test_the_stack_can_be_named_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    deploy("mine")
    monkeypatch.setenv("LORA_DROP_STACK", "mine")

    assert find_stack(None).name == "mine"


@mock_aws
def test_a_stack_of_something_else_is_told_apart() -> None:
    deploy("shop", ("ApiUrl",))

    with pytest.raises(CommandFailed, match="not a lora-drop stack"):
        find_stack("shop")


@mock_aws
def test_a_missing_stack_is_told_with_what_to_do() -> None:
    with pytest.raises(CommandFailed, match="lora-drop up"):
        find_stack("nowhere")


def test_without_a_region_or_a_stack_here_both_ways_out_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    with pytest.raises(CommandFailed, match=r"lora-drop up.*AWS_REGION"):
        find_stack(None)


def test_a_local_stack_that_is_down_is_not_looked_for_in_aws() -> None:
    with pytest.raises(CommandFailed, match="lora-drop up"):
        find_stack("local")


@pytest.mark.parametrize(
    "words",
    [["jobs"], ["job", "x"], ["train", "."], ["up", "--fal-ca", "x.pem"]],
    ids=["jobs", "job", "train", "up"],
)
def test_a_command_that_fails_says_so_in_a_sentence_and_exits_1(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORA_DROP_STACK", "local")

    result = CliRunner().invoke(application(), words)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert 10 < len(result.stderr) < 200


@pytest.mark.parametrize("words", [["jobs"], ["job", "x"], ["train", "."], ["demo"], ["up"]])
def test_a_stack_that_cannot_be_read_is_told_in_a_sentence(
    words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "stack.json").write_text('{"emulator":')

    result = CliRunner().invoke(application(), words)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "lora-drop down" in result.stderr


def test_nothing_was_up_is_an_answer() -> None:
    result = CliRunner().invoke(application(), ["down", "--json"])

    assert (result.exit_code, result.stdout) == (0, '{"was_up": false}\n')
    assert "may take a minute" in result.stderr


def test_a_profile_that_is_none_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nope")

    with pytest.raises(CommandFailed, match="AWS_PROFILE"):
        find_stack(None)


@mock_aws
def test_either_of_awss_region_variables_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    deploy("lora-drop")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_REGION", "us-east-1")

    assert find_stack(None).session.region_name == "us-east-1"
