"""The user's defaults: which comes before which, and what happens with a file that is no good."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lora_drop.client import config_file, stack
from lora_drop.client.errors import CommandError
from tests.support.client_fixtures import invoke


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "deep" / "config.toml"
    monkeypatch.setenv("LORA_DROP_CONFIG", str(path))
    for key in config_file.KEYS.values():
        for variable in key.variables:
            monkeypatch.delenv(variable, raising=False)
    return path


def test_values_are_kept(file: Path) -> None:
    assert invoke("config", "get", "stack").exit_code == 1
    for key, value in (
        ("stack", "lora-drop-dev"),
        ("profile", "a b'#"),
        ("region", "eu-central-1"),
    ):
        assert invoke("config", "set", key, value).exit_code == 0
        assert invoke("config", "get", key).stdout == f"{value}\n"
    assert invoke("config", "unset", "stack").exit_code == 0
    assert config_file.configured() == {"profile": "a b'#", "region": "eu-central-1"}
    assert [path.name for path in file.parent.iterdir()] == ["config.toml"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["set", "stack", "a b"], "lora-drop-dev"),
        (["set", "region", "Frankfurt"], "eu-central-1"),
        (["set", "profile", 'a"b'], "default"),
        (["set", "colour", "red"], "stack, profile, region"),
        (["get", "colour"], "stack, profile, region"),
        (["set", "stack"], "config set KEY VALUE"),
        (["list", "stack"], "config set KEY VALUE"),
    ],
)
def test_wrong_words_change_nothing(file: Path, words: list[str], said: str) -> None:
    result = invoke("config", *words)
    assert (result.exit_code, result.stdout, file.exists()) == (1, "", False)
    assert said in result.stderr


@pytest.mark.parametrize("text", ["stack = [", "stack = 1", "stok = 'a'", "[stack]\na = 1", "\0"])
def test_bad_file_is_named(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text)
    result = invoke("jobs")
    assert (result.exit_code, str(file) in result.stderr, "lora-drop config" in result.stderr) == (
        1,
        True,
        True,
    )


def test_bad_line_can_be_mended(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("stok = 'a'\nregion = 'eu-west-1'\n")
    assert invoke("config", "unset", "stok").exit_code == 0
    assert config_file.configured() == {"region": "eu-west-1"}


SESSIONS = [
    ({}, {"profile_name": "work", "region_name": "eu-west-1"}),
    ({"AWS_REGION": "us-east-1"}, {"profile_name": "work", "region_name": "us-east-1"}),
    ({"AWS_DEFAULT_REGION": "us-east-1"}, {"profile_name": "work", "region_name": None}),
    ({"AWS_PROFILE": "mine"}, {"profile_name": None, "region_name": "eu-west-1"}),
    ({"AWS_ACCESS_KEY_ID": "AK"}, {"profile_name": None, "region_name": "eu-west-1"}),
]


@pytest.mark.promise("interfaces stay")
@pytest.mark.parametrize(("environment", "session"), SESSIONS)
def test_environment_comes_before_the_file(
    environment: dict[str, str], session: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option comes before the environment, the environment before the user's defaults."""
    for key, value in (("stack", "mine"), ("profile", "work"), ("region", "eu-west-1")):
        invoke("config", "set", key, value)
    asked: list[Any] = []

    def made(**named: Any) -> Any:
        asked.append(named)
        return SimpleNamespace(region_name=None)

    monkeypatch.setattr("boto3.Session", made)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for given, variable, name in (
        (None, "", "mine"),
        (None, "yours", "yours"),
        ("it", "yours", "it"),
    ):
        monkeypatch.setenv("LORA_DROP_STACK", variable)
        with pytest.raises(CommandError, match=f"the stack {name} in"):
            stack.find_stack(given)
    assert asked == [session] * 3


def test_list_says_where_from(monkeypatch: pytest.MonkeyPatch) -> None:
    invoke("config", "set", "region", "eu-west-1")
    monkeypatch.setenv("LORA_DROP_STACK", "yours")
    found = json.loads(invoke("config", "--json").stdout)
    assert found["region"] == {"value": "eu-west-1", "from": "config"}
    assert found["stack"] == {"value": "yours", "from": "LORA_DROP_STACK"}
    assert found["profile"] == {"value": None, "from": None}
