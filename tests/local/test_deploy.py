"""``make deploy``: whose account, which parameters, and where the key is and is not."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from local.deploy import DeployFailed, main, parameters, target_of
from local.fal_key import KeyTrouble, find_key, has_key, put_key
from tests.aws import Aws, moto

KEY = "key-id:key-secret"
# moto's CloudFormation makes no secrets.
STACK = (
    "{Resources: {Queue: {Type: 'AWS::SQS::Queue'}}, Outputs: {FalKeySecretArn: {Value: fal-key}}}"
)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    with moto() as world:
        yield world


class Sam:
    """What would run as ``sam``: a deploy makes a stack with a secret, and each line is kept."""

    def __init__(self) -> None:
        self.lines: list[list[str]] = []
        self.environments: list[dict[str, str]] = []
        self.code = 0

    def run(self, line: Sequence[str], **how: Any) -> subprocess.CompletedProcess[str]:
        self.lines.append(list(line))
        self.environments.append(dict(how["env"]))
        target = target_of("dev")
        if "deploy" in line and target.outputs() is None:
            target.client("secretsmanager").create_secret(Name="fal-key")
            formation = target.client("cloudformation")
            formation.create_stack(StackName=target.stack, TemplateBody=STACK)
        return subprocess.CompletedProcess(line, self.code)


@pytest.fixture
def sam(monkeypatch: pytest.MonkeyPatch) -> Sam:
    fake = Sam()
    monkeypatch.setattr("local.deploy.subprocess.run", fake.run)
    return fake


def value() -> str:
    target = target_of("dev")
    secret = (target.outputs() or {})["FalKeySecretArn"]
    text: str = target.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    return text


@pytest.mark.usefixtures("aws")
def test_a_new_stack_has_its_key_and_nobody_but_the_secret_has_seen_it(
    sam: Sam, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAL_KEY", KEY)

    main(["dev"])

    said = capsys.readouterr()
    assert value() == KEY
    assert "account 123456789012, eu-central-1" in said.out
    assert "lora-drop train" in said.out
    assert KEY not in said.out + said.err + str(sam.lines) + str(sam.environments)


@pytest.mark.usefixtures("aws", "sam")
def test_a_key_that_is_there_stays_until_another_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FAL_KEY", KEY)
    main(["dev"])
    (tmp_path / "key").write_text("another-id:another-secret\n")

    main(["dev", "--key-file", str(tmp_path / "key")])
    kept = value()
    main(["dev", "--key-file", str(tmp_path / "key"), "--replace-key"])

    assert (kept, value()) == (KEY, "another-id:another-secret")


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("key", "says"), [("", "There is no fal key"), ("half a key", "ID:SECRET")]
)
def test_without_a_right_key_nothing_is_deployed(
    sam: Sam, monkeypatch: pytest.MonkeyPatch, key: str, says: str
) -> None:
    monkeypatch.setenv("FAL_KEY", key)

    with pytest.raises(SystemExit, match=says):
        main(["dev"])

    assert sam.lines == []


@pytest.mark.usefixtures("aws", "sam")
def test_a_stack_that_has_lost_its_key_is_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever deployed it died before the key was in."""
    monkeypatch.setenv("FAL_KEY", KEY)
    with monkeypatch.context() as dying:
        dying.setattr("local.deploy.put_key", lambda *_: sys.exit("dead"))
        with pytest.raises(SystemExit, match="dead"):
            main(["dev"])

    main(["dev"])

    assert value() == KEY


@pytest.mark.usefixtures("aws")
def test_what_sam_cannot_do_ends_it_before_anything_is_put_anywhere(
    sam: Sam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAL_KEY", KEY)
    sam.code = 1

    with pytest.raises(SystemExit, match="sam build has failed"):
        main(["dev"])

    assert len(sam.lines) == 1


@pytest.mark.usefixtures("aws")
def test_parameters_are_those_of_the_environment_and_what_is_given_goes_before() -> None:
    target = target_of("dev")

    values = parameters(
        target, ["LogLevel=INFO", "MaxInFlight=5"], {"AlarmEmail": "", "JobEmail": "a@b"}
    )

    assert values == {
        "LogRetentionDays": "7",
        "LogLevel": "INFO",
        "MaxInFlight": "5",
        "DeletionProtection": "false",
        "JobEmail": "a@b",
    }


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("given", "says"), [("MaxInflight=5", "did you mean MaxInFlight"), ("five", "NAME=VALUE")]
)
def test_a_parameter_that_is_none_is_refused_with_a_hint(given: str, says: str) -> None:
    with pytest.raises(DeployFailed, match=says):
        parameters(target_of("dev"), [given], {})


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("name", ["", "stage", "default", "version"])
def test_an_environment_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(DeployFailed, match="dev, prod"):
        target_of(name)


def test_a_key_is_typed_where_nobody_has_given_one() -> None:
    asked: list[str] = []

    def typed(question: str) -> str:
        asked.append(question)
        return f" {KEY}\n"

    assert find_key({}, None, terminal=True, ask=typed) == KEY
    assert "not shown" in asked[0]


@pytest.mark.parametrize("wrong", ["", "no colon", "a:b:c", "a:", "two words:x"])
def test_what_is_no_key_is_refused_and_not_repeated(wrong: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(wrong)

    with pytest.raises(KeyTrouble, match="ID:SECRET") as caught:
        find_key({"FAL_KEY": KEY}, tmp_path / "key", terminal=False)

    assert not wrong or wrong not in str(caught.value)


def test_a_file_that_is_not_there_is_no_reason_to_take_another_key(tmp_path: Path) -> None:
    with pytest.raises(KeyTrouble, match="cannot be read"):
        find_key({"FAL_KEY": KEY}, tmp_path / "none", terminal=True)


def test_a_secret_without_a_value_or_with_an_empty_one_has_no_key(aws: Aws) -> None:
    missing, full = aws.secret("missing", None), aws.secret("full", KEY)
    emulated = SimpleNamespace(get_secret_value=lambda **_: {"SecretString": ""})

    assert not has_key(aws.secrets, missing)
    assert not has_key(emulated, "as an emulator makes them")
    assert has_key(aws.secrets, full)


def test_a_secret_that_may_not_be_read_is_none_without_a_key() -> None:
    secrets = boto3.client("secretsmanager", "eu-central-1")
    with Stubber(secrets) as stubber:
        stubber.add_client_error("get_secret_value", "AccessDeniedException")

        with pytest.raises(KeyTrouble, match="cannot be read"):
            has_key(secrets, "fal")


def test_a_secret_that_may_not_be_written_is_told_without_the_key(aws: Aws) -> None:
    with pytest.raises(KeyTrouble) as caught:
        put_key(aws.secrets, "no-such-secret", KEY)

    assert KEY not in str(caught.value)
    assert caught.value.__suppress_context__
