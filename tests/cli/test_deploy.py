"""``make deploy``: whose account, which parameters, and where the key is and is not."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest

from lora_drop.local.deploy import Deployed, DeployError, main, parameters, target_of
from tests.support.aws import moto
from tests.support.builders import NOW

KEY = "key-id:key-secret"
SESSION = cache(boto3.Session)  # a new one reads the descriptions of the services again
# moto's CloudFormation makes no secrets.
STACK = (
    "{Resources: {Queue: {Type: 'AWS::SQS::Queue'}}, Outputs: {FalKeySecretArn: {Value: fal-key}}}"
)


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty account, and a fal key in the environment."""
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("FAL_KEY", KEY)
    monkeypatch.setattr(boto3, "Session", SESSION)
    with moto():
        yield


class Sam:
    """What would run as ``sam``: a deploy makes a stack with a secret, and each line is kept."""

    def __init__(self) -> None:
        self.lines: list[list[str]] = []
        self.environments: list[dict[str, str]] = []
        self.code = 0
        self.confirmed = True

    def run(self, line: Sequence[str], **how: Any) -> subprocess.CompletedProcess[str]:
        self.lines.append(list(line))
        self.environments.append(dict(how["env"]))
        target = target_of("dev")
        if "deploy" in line and self.confirmed and target.deployed() is None:
            target.client("secretsmanager").create_secret(Name="fal-key")
            formation = target.client("cloudformation")
            formation.create_stack(StackName=target.stack, TemplateBody=STACK)
        return subprocess.CompletedProcess(line, self.code)


@pytest.fixture
def sam(monkeypatch: pytest.MonkeyPatch) -> Sam:
    fake = Sam()
    monkeypatch.setattr("lora_drop.local.deploy.subprocess.run", fake.run)
    return fake


def value() -> str:
    target = target_of("dev")
    there = target.deployed()
    assert there
    secret = there.outputs["FalKeySecretArn"]
    text: str = target.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    return text


@pytest.mark.promise("nothing leaks")
def test_new_stack_has_its_key(sam: Sam, capsys: pytest.CaptureFixture[str]) -> None:
    """A new stack has its fal key, which stands in the secret and nowhere else."""
    main(["dev"])
    said = capsys.readouterr()
    assert value() == KEY
    assert "account 123456789012, eu-central-1" in said.out
    assert "lora-drop train" in said.out
    assert KEY not in said.out + said.err + str(sam.lines) + str(sam.environments)


@pytest.mark.usefixtures("sam")
def test_key_stays_until_replaced(tmp_path: Path) -> None:
    main(["dev"])
    (tmp_path / "key").write_text("another-id:another-secret\n")
    main(["dev", "--key-file", str(tmp_path / "key")])
    kept = value()
    main(["dev", "--key-file", str(tmp_path / "key"), "--replace-key"])
    assert (kept, value()) == (KEY, "another-id:another-secret")


@pytest.mark.parametrize(
    ("key", "says"), [("", "There is no fal key"), ("half a key", "ID:SECRET")]
)
def test_without_key_nothing_is_deployed(
    sam: Sam, monkeypatch: pytest.MonkeyPatch, key: str, says: str
) -> None:
    monkeypatch.setenv("FAL_KEY", key)
    with pytest.raises(SystemExit, match=says):
        main(["dev"])
    assert sam.lines == []


@pytest.mark.promise("never get stuck")
@pytest.mark.usefixtures("sam")
def test_stack_without_key_is_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack whose deployment ended before the key was in is given the key by the next one."""
    with monkeypatch.context() as dying:
        dying.setattr("lora_drop.local.deploy.put_key", lambda *_: sys.exit("dead"))
        with pytest.raises(SystemExit, match="dead"):
            main(["dev"])
    main(["dev"])
    assert value() == KEY


def test_failed_build_ends_the_deploy(sam: Sam) -> None:
    """What sam cannot do ends the deployment before anything is put anywhere."""
    sam.code = 1
    with pytest.raises(SystemExit, match="sam build has failed"):
        main(["dev"])
    assert len(sam.lines) == 1


def test_parameters_of_the_environment() -> None:
    """Parameters are those of the environment, and what is given goes before them."""
    target = target_of("dev")
    values = parameters(
        target, None, ["LogLevel=INFO", "MaxInFlight=5"], {"AlarmEmail": "", "JobEmail": "a@b"}
    )

    assert values == {
        "LogRetentionDays": "7",
        "LogLevel": "INFO",
        "MaxInFlight": "5",
        "DeletionProtection": "false",
        "JobEmail": "a@b",
    }


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("MaxInflight=5", "did you mean MaxInFlight"),
        ("five", "NAME=VALUE"),
        ("MaxInFlight=lots", "it is a number, at least 1, at most 1000"),
        ("MaxInFlight=0", "at least 1"),
        ("MaxInFlight=1_000", "it is a number"),
        ("MonthlyBudgetUsd=inf", "it is a number"),
        ("LogRetentionDays=2", "one of 1, 3, 5"),
        ("AlarmEmail=no-address", "has to match"),
        ("ReconcileSchedule=rate(1 hour)", "rate\\(1 minute\\) to rate\\(10 minutes\\)"),
    ],
)
def test_wrong_parameter_is_explained(given: str, says: str) -> None:
    with pytest.raises(DeployError, match=says):
        parameters(target_of("dev"), None, [given], {})


def test_stack_keeps_its_parameters() -> None:
    """A stack keeps what it was given once, whatever samconfig.toml says."""
    own = {"LogRetentionDays": "365", "Architecture": "x86_64", "OfAnOlderTemplate": "1"}
    there = Deployed({}, own, NOW)
    values = parameters(target_of("dev"), there, ["MaxInFlight=5"], {})
    assert values == {"LogRetentionDays": "365", "Architecture": "x86_64", "MaxInFlight": "5"}


def test_unconfirmed_deploy_is_no_success(sam: Sam, capsys: pytest.CaptureFixture[str]) -> None:
    sam.confirmed = False
    with pytest.raises(SystemExit, match="not confirmed"):
        main(["dev"])
    sam.confirmed = True
    main(["dev"])
    capsys.readouterr()
    main(["dev", "--parameter", "MaxInFlight=5"])

    assert "stays as it was" in capsys.readouterr().out


@pytest.mark.usefixtures("sam")
@pytest.mark.parametrize(("said", "replaced"), [("1", True), ("0", False), ("no", False)])
def test_variables_of_make_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, *, replaced: bool
) -> None:
    main(["dev"])
    (tmp_path / "key").write_text("another-id:another-secret\n")
    monkeypatch.setenv("KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("REPLACE_KEY", said)
    main(["dev"])
    assert value() == ("another-id:another-secret" if replaced else KEY)


@pytest.mark.promise("nothing leaks")
def test_values_reach_no_shell(sam: Sam, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What make was given reaches no shell and is not passed on."""
    monkeypatch.setenv("MAKEFLAGS", f" -- FAL_KEY={KEY}")
    evil = f"FalUserId=`touch {tmp_path}/x`"
    monkeypatch.setenv("PARAMETERS", f"'{evil}' ReconcileSchedule='rate(10 minutes)'")
    main(["dev"])

    assert KEY not in str(sam.environments)
    assert list(tmp_path.iterdir()) == []
    name, _, said = evil.partition("=")
    assert {f'{name}="{said}"', 'ReconcileSchedule="rate(10 minutes)"'} <= set(sam.lines[-1])


@pytest.mark.parametrize("name", ["", "stage", "default", "version"])
def test_unknown_environment_is_refused(name: str) -> None:
    with pytest.raises(DeployError, match="dev, prod"):
        target_of(name)
