"""``make deploy``: whose account, which parameters, and where the key is and is not.

No message repeats the key.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from lora_drop.adapters.fal_key import usable_key
from lora_drop.local.deploy import Deployed, main, parameters, target_of
from lora_drop.local.deploy_checks import DeployError
from lora_drop.local.inputs import FalKeyError, find_key, has_key, known, put_key, what_is_wrong
from tests.support.aws import Aws, moto
from tests.support.builders import NOW
from tests.support.template import template

KEY = "key-id:key-secret"
SESSION = cache(boto3.Session)  # a new one reads the descriptions of the services again
# moto's CloudFormation makes no secrets.
STACK = (
    "{Resources: {Queue: {Type: 'AWS::SQS::Queue'}}, Outputs: {FalKeySecretArn: {Value: fal-key}}}"
)


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """An empty account, and a fal key in the environment."""
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("FAL_KEY", KEY)
    monkeypatch.setattr(boto3, "Session", SESSION)
    with moto() as world:
        yield world


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
        ("x=1", "MonthlyBudgetUsd"),
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


def test_template_parameters_are_known() -> None:
    defaults = {name: str(each["Default"]) for name, each in template()["Parameters"].items()}
    assert known().keys() == defaults.keys()
    assert what_is_wrong(defaults) == ""


def test_key_is_typed() -> None:
    asked: list[str] = []

    def typed(question: str) -> str:
        asked.append(question)
        return f" {KEY}\n"

    assert find_key({}, None, terminal=True, ask=typed) == KEY
    assert "not shown" in asked[0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_key_as_windows_saves_it(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "key").write_bytes(f"{KEY}\r\n".encode(encoding))
    key = find_key({}, tmp_path / "key", terminal=False)
    assert key == usable_key(key) == KEY


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("wrong", ["", "no colon", "a:b:c", "a:", "two words:x", "id:s\u00e4cret"])
def test_wrong_key_is_not_repeated(wrong: str, tmp_path: Path) -> None:
    """Text that is no key is refused, and no message repeats it."""
    (tmp_path / "key").write_text(wrong, "utf-8")
    with pytest.raises(FalKeyError, match="ID:SECRET") as caught:
        find_key({"FAL_KEY": KEY}, tmp_path / "key", terminal=False)
    assert not wrong or wrong not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"), [(None, "cannot be read"), (KEY.encode("utf-16"), "no UTF-8 text")]
)
def test_bad_key_file_is_an_error(tmp_path: Path, content: bytes | None, says: str) -> None:
    """It is no reason to take another key."""
    if content:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(FalKeyError, match=says):
        find_key({"FAL_KEY": KEY}, tmp_path / "key", terminal=True)


def test_secret_without_a_value(aws: Aws) -> None:
    """A secret without a value or with an empty one has no key."""
    missing, full = aws.secret("missing", None), aws.secret("full", KEY)
    emulated = SimpleNamespace(get_secret_value=lambda **_: {"SecretString": ""})
    assert not has_key(aws.secrets, missing)
    assert not has_key(emulated, "as an emulator makes them")
    assert has_key(aws.secrets, full)


def test_unreadable_secret_is_an_error() -> None:
    secrets = boto3.client("secretsmanager", "eu-central-1")
    with Stubber(secrets) as stubber:
        stubber.add_client_error("get_secret_value", "AccessDeniedException")
        with pytest.raises(FalKeyError, match="cannot be read"):
            has_key(secrets, "fal")


def test_unwritable_secret_hides_the_key(aws: Aws) -> None:
    with pytest.raises(FalKeyError) as caught:
        put_key(aws.secrets, "no-such-secret", KEY)
    assert KEY not in str(caught.value)
    assert caught.value.__suppress_context__
