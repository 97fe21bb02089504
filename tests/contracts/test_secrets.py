from collections.abc import Iterator

import pytest
from aws_lambda_powertools.utilities.parameters import clear_caches

from shared.adapters.secrets import fal_key, secret_text
from shared.domain.errors import TrainerUnavailable
from tests.aws import Aws


@pytest.fixture(autouse=True)
def _powertools(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Powertools makes its own client, and keeps it and what it has read."""
    if aws.endpoint_url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
    clear_caches()  # type: ignore[no-untyped-call]  # Powertools leaves it untyped
    yield
    clear_caches()  # type: ignore[no-untyped-call]


def test_a_secret_is_read(aws: Aws) -> None:
    assert secret_text(aws.secret("fal-key", "key-id:key-secret")) == "key-id:key-secret"


def test_the_fal_key_comes_from_its_secret(aws: Aws) -> None:
    assert fal_key(aws.secret("fal-key", "key-id:key-secret")) == "key-id:key-secret"


def test_a_key_in_the_environment_comes_first(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAL_KEY", "mine")

    assert fal_key(aws.secret("fal-key", "the stack's")) == "mine"


def test_a_new_stacks_secret_has_no_value_yet(aws: Aws) -> None:
    with pytest.raises(TrainerUnavailable):
        fal_key(aws.secret("fal-key", None))


@pytest.mark.usefixtures("aws")
def test_a_secret_that_is_not_there_is_told_as_such() -> None:
    with pytest.raises(TrainerUnavailable):
        secret_text("nowhere")


def test_a_value_that_comes_later_is_found(aws: Aws) -> None:
    name = aws.secret("fal-key", None)
    with pytest.raises(TrainerUnavailable):
        fal_key(name)

    aws.secrets.put_secret_value(SecretId=name, SecretString="key")

    assert fal_key(name) == "key"


def test_a_secret_is_not_read_again_for_every_message(aws: Aws) -> None:
    name = aws.secret("fal-key", "first")
    fal_key(name)

    aws.secrets.put_secret_value(SecretId=name, SecretString="second")

    assert fal_key(name) == "first"
