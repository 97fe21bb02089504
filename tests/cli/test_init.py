"""The first use: asked for on a terminal, said by options without one, and safe to run again."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import NoCredentialsError
from moto import mock_aws

from lora_drop.client import config_file
from lora_drop.client.doctor import Finding, Outcome
from lora_drop.local.stack import HOME
from tests.support.client_fixtures import invoke

KEY = "0badcafe-id:0badcafe-secret"

type Known = Callable[[int], None]


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No terminal, no stack here, an AWS in memory, and no defaults; what a run exports is undone."""
    monkeypatch.setenv(HOME, str(tmp_path))
    monkeypatch.setenv("LORA_DROP_CONFIG", str(tmp_path / "config.toml"))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "FAL_KEY"):
        monkeypatch.setenv(name, "")  # so that it is undone
        monkeypatch.delenv(name)
    with mock_aws():
        yield


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lora_drop.cli.init._terminal", lambda: True)
    monkeypatch.setattr("lora_drop.cli.init._prove", lambda _: None)


@pytest.fixture(autouse=True)
def fal(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """fal knows the key; what was asked with."""
    asked: list[str] = []

    def get(url: str, **named: Any) -> httpx.Response:
        asked.append(named["headers"]["Authorization"])
        return httpx.Response(200 if KEY in asked[-1] else 401, request=httpx.Request("GET", url))

    monkeypatch.setattr("lora_drop.client.doctor.httpx.get", get)
    return asked


@pytest.fixture
def deployments(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """What was deployed; from then on the stack is there."""
    done: list[Sequence[str]] = []

    def findings(name: str) -> Iterator[Finding]:
        outcome = Outcome.OK if done else Outcome.ERROR
        yield Finding("stack", "stack", outcome, f"{name}.")

    monkeypatch.setattr("lora_drop.local.deploy.main", done.append)
    monkeypatch.setattr("lora_drop.client.stack_doctor.stack_findings", findings)
    return done


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("words", [[], ["dev"], ["--region", "eu-west-1"]])
def test_without_a_terminal_it_says_the_options(words: list[str], deployments: list[Any]) -> None:
    """Without a terminal `lora-drop init` asks nothing and deploys nothing: it says which options to give."""
    result = invoke("init", *words)
    assert (result.exit_code, deployments, config_file.configured()) == (1, [], {})
    assert "lora-drop init --direct" in " ".join(result.stderr.split())
    assert "lora-drop init dev --yes" in " ".join(result.stderr.split())


def test_direct_needs_a_key_alone(
    fal: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "There is no fal key" in invoke("init", "--direct").stderr
    monkeypatch.setattr("lora_drop.cli.init._prove", lambda _: None)
    file = tmp_path / "key"
    for text, code in ((f"{KEY}\n", 0), ("wrong:key", 1), ("no key", 1)):
        monkeypatch.delenv("FAL_KEY", raising=False)
        file.write_text(text)
        result = invoke("init", "--direct", "--key-file", file)
        assert (result.exit_code, text.strip() in result.output) == (code, False)
    assert fal == [f"Key {KEY}", "Key wrong:key"]
    assert "KEY" not in str(config_file.configured())


def test_options_alone_deploy_once(deployments: list[Any], tmp_path: Path) -> None:
    words = ("init", "dev", "--yes", "--region", "eu-west-1", "--key-file", tmp_path / "key")
    first = invoke(*words)
    assert (first.exit_code, deployments) == (0, [[f"--key-file={tmp_path / 'key'}", "--", "dev"]])
    assert config_file.configured() == {"stack": "lora-drop-dev", "region": "eu-west-1"}
    assert os.environ["AWS_REGION"] == "eu-west-1"
    assert "accepted" in first.stderr
    again = invoke(*words)
    assert (again.exit_code, len(deployments)) == (0, 1)
    assert "stays as it is" in again.stderr


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("answers", "deployed", "kept"),
    [
        (
            "y\nMars\nus-east-1\nprod\ny\n",
            [["--", "prod"]],
            {"stack": "lora-drop-prod", "region": "us-east-1"},
        ),
        ("\n\n\n\n", [["--", "dev"]], {"stack": "lora-drop-dev", "region": "eu-central-1"}),
        ("y\n\n\nn\n", [], {"region": "eu-central-1"}),
        ("n\n", [], {}),
    ],
)
def test_terminal_is_asked(
    deployments: list[Any], monkeypatch: pytest.MonkeyPatch, answers: str, deployed: Any, kept: Any
) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _: KEY)
    monkeypatch.setenv("FAL_KEY", KEY)
    result = invoke("init", answer=answers)
    assert (deployments, config_file.configured()) == (deployed, kept)
    assert KEY not in result.output


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(("answer", "code"), [("\n", 0), ("n\n", 0), ("y\n\n", 1)])
def test_direct_is_offered_without_aws(
    monkeypatch: pytest.MonkeyPatch, deployments: list[Any], answer: str, code: int
) -> None:
    def unknown(*_: object, **__: object) -> Any:
        raise NoCredentialsError

    monkeypatch.setattr("boto3.session.Session.client", unknown)
    monkeypatch.setattr("boto3.session.Session.get_credentials", lambda _: None)
    monkeypatch.setenv("FAL_KEY", KEY)
    result = invoke("init", answer=answer)
    assert (result.exit_code, deployments) == (code, [])
    assert "you need only a fal key" in " ".join(result.stderr.split())
    assert ("lora-drop train photos/ --trigger ada --direct" in result.stdout) is (code == 0)
    assert ("Without AWS: lora-drop init --direct" in result.stderr) is (code == 1)
