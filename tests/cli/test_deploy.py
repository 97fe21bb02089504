"""``make deploy``: whose account, which parameters, and where the key is and is not."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lora_drop.local.deploy import Deployed, DeployError, main, parameters, target_of
from tests.support.aws import Aws, moto
from tests.support.builders import NOW

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
        dying.setattr("lora_drop.local.deploy.put_key", lambda *_: sys.exit("dead"))
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
        target, None, ["LogLevel=INFO", "MaxInFlight=5"], {"AlarmEmail": "", "JobEmail": "a@b"}
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
    ("given", "says"),
    [
        ("MaxInflight=5", "did you mean MaxInFlight"),
        ("five", "NAME=VALUE"),
        ("MaxInFlight=lots", "it is a number, at least 1, at most 1000"),
        ("MaxInFlight=0", "at least 1"),
        ("MaxInFlight=1_000", "it is a number"),
        ("MonthlyBudgetUsd=inf", "it is a number"),
        ("LogRetentionDays=2", "one of 1, 3, 5"),
        ("AlarmEmail=nobody", "has to match"),
        ("ReconcileSchedule=rate(1 hour)", "rate\\(1 minute\\) to rate\\(10 minutes\\)"),
    ],
)
def test_a_parameter_that_is_none_is_refused_with_a_hint(given: str, says: str) -> None:
    with pytest.raises(DeployError, match=says):
        parameters(target_of("dev"), None, [given], {})


@pytest.mark.usefixtures("aws")
def test_a_stack_that_is_there_keeps_what_it_was_given_once() -> None:
    """Also what samconfig.toml says otherwise, and the processor that its functions are built for."""
    own = {"LogRetentionDays": "365", "Architecture": "x86_64", "OfAnOlderTemplate": "1"}
    there = Deployed({}, own, NOW)

    values = parameters(target_of("dev"), there, ["MaxInFlight=5"], {})

    assert values == {"LogRetentionDays": "365", "Architecture": "x86_64", "MaxInFlight": "5"}


@pytest.mark.usefixtures("aws")
def test_nothing_is_said_to_be_deployed_that_is_not(
    sam: Sam, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody has looked at the changes and said no."""
    monkeypatch.setenv("FAL_KEY", KEY)
    sam.confirmed = False

    with pytest.raises(SystemExit, match="not confirmed"):
        main(["dev"])
    sam.confirmed = True
    main(["dev"])
    capsys.readouterr()
    main(["dev", "--parameter", "MaxInFlight=5"])

    assert "stays as it was" in capsys.readouterr().out


@pytest.mark.usefixtures("aws", "sam")
@pytest.mark.parametrize(("said", "replaced"), [("1", True), ("0", False), ("no", False)])
def test_make_s_variables_are_read_as_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, *, replaced: bool
) -> None:
    monkeypatch.setenv("FAL_KEY", KEY)
    main(["dev"])
    (tmp_path / "key").write_text("another-id:another-secret\n")
    monkeypatch.setenv("KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("REPLACE_KEY", said)

    main(["dev"])

    assert value() == ("another-id:another-secret" if replaced else KEY)


@pytest.mark.usefixtures("aws")
def test_what_make_was_given_is_no_shells_and_not_passed_on(
    sam: Sam, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FAL_KEY", KEY)
    monkeypatch.setenv("MAKEFLAGS", f" -- FAL_KEY={KEY}")
    evil = f"FalUserId=`touch {tmp_path}/x`"
    monkeypatch.setenv("PARAMETERS", f"'{evil}' ReconcileSchedule='rate(10 minutes)'")

    main(["dev"])

    assert KEY not in str(sam.environments)
    assert list(tmp_path.iterdir()) == []
    name, _, told = evil.partition("=")
    assert {f'{name}="{told}"', 'ReconcileSchedule="rate(10 minutes)"'} <= set(sam.lines[-1])


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("name", ["", "stage", "default", "version"])
def test_an_environment_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(DeployError, match="dev, prod"):
        target_of(name)
