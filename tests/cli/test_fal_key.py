"""The fal key on its way into the secret: read as people save it, and repeated by nobody."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from botocore.stub import Stubber

from lora_drop.adapters.secrets import usable_key
from lora_drop.local.inputs import FalKeyError, find_key, has_key, put_key
from tests.support.aws import Aws, moto

KEY = "key-id:key-secret"


@pytest.fixture
def aws() -> Iterator[Aws]:
    with moto() as world:
        yield world


def test_a_key_is_typed_where_nobody_has_given_one() -> None:
    asked: list[str] = []

    def typed(question: str) -> str:
        asked.append(question)
        return f" {KEY}\n"

    assert find_key({}, None, terminal=True, ask=typed) == KEY
    assert "not shown" in asked[0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_key_is_read_as_windows_saves_it(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "key").write_bytes(f"{KEY}\r\n".encode(encoding))

    key = find_key({}, tmp_path / "key", terminal=False)

    assert key == usable_key(key) == KEY


def test_a_file_of_another_encoding_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY.encode("utf-16"))

    with pytest.raises(FalKeyError, match="no UTF-8 text"):
        find_key({}, tmp_path / "key", terminal=False)


@pytest.mark.parametrize("wrong", ["", "no colon", "a:b:c", "a:", "two words:x", "id:s\u00e4cret"])
def test_what_is_no_key_is_refused_and_not_repeated(wrong: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(wrong, "utf-8")

    with pytest.raises(FalKeyError, match="ID:SECRET") as caught:
        find_key({"FAL_KEY": KEY}, tmp_path / "key", terminal=False)

    assert not wrong or wrong not in str(caught.value)


def test_a_file_that_is_not_there_is_no_reason_to_take_another_key(tmp_path: Path) -> None:
    with pytest.raises(FalKeyError, match="cannot be read"):
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

        with pytest.raises(FalKeyError, match="cannot be read"):
            has_key(secrets, "fal")


def test_a_secret_that_may_not_be_written_is_told_without_the_key(aws: Aws) -> None:
    with pytest.raises(FalKeyError) as caught:
        put_key(aws.secrets, "no-such-secret", KEY)

    assert KEY not in str(caught.value)
    assert caught.value.__suppress_context__
