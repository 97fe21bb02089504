"""What a deployment is given: its parameters, and the fal key, which no message repeats."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from botocore.stub import Stubber

from lora_drop.adapters.secrets import usable_key
from lora_drop.local.inputs import FalKeyError, find_key, has_key, known, put_key, what_is_wrong
from tests.support.aws import Aws, moto
from tests.support.template import template


def test_template_parameters_are_known() -> None:
    defaults = {name: str(each["Default"]) for name, each in template()["Parameters"].items()}
    assert known().keys() == defaults.keys()
    assert what_is_wrong(defaults) == ""


def test_close_name_is_suggested() -> None:
    message = what_is_wrong({"MaxJobUSD": "1"})
    assert "MaxJobUsd" in message.split("did you mean")[1].split("?")[0]


def test_all_names_are_listed() -> None:
    assert "MonthlyBudgetUsd" in what_is_wrong({"x": "1"})


KEY = "key-id:key-secret"


@pytest.fixture
def aws() -> Iterator[Aws]:
    with moto() as world:
        yield world


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


def test_key_file_of_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY.encode("utf-16"))
    with pytest.raises(FalKeyError, match="no UTF-8 text"):
        find_key({}, tmp_path / "key", terminal=False)


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("wrong", ["", "no colon", "a:b:c", "a:", "two words:x", "id:s\u00e4cret"])
def test_wrong_key_is_not_repeated(wrong: str, tmp_path: Path) -> None:
    """Text that is no key is refused, and no message repeats it."""
    (tmp_path / "key").write_text(wrong, "utf-8")
    with pytest.raises(FalKeyError, match="ID:SECRET") as caught:
        find_key({"FAL_KEY": KEY}, tmp_path / "key", terminal=False)
    assert not wrong or wrong not in str(caught.value)


def test_missing_key_file_is_an_error(tmp_path: Path) -> None:
    """A file that is missing is no reason to take another key."""
    with pytest.raises(FalKeyError, match="cannot be read"):
        find_key({"FAL_KEY": KEY}, tmp_path / "none", terminal=True)


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
