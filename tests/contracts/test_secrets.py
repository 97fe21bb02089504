"""Secrets are read once, and again when fal refuses the key; that of notifications signs for a week after it was replaced."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from aws_lambda_powertools.utilities.parameters import clear_caches
from botocore.exceptions import ClientError

from lora_drop.adapters.secrets import REFETCH_SECONDS, FalKey, secret_text
from lora_drop.adapters.signing_secret import MAX_AGE_SECONDS, PREVIOUS_KEPT, SigningSecret
from lora_drop.jobs.errors import FalUnavailableError
from lora_drop.jobs.notifications import key_of
from tests.support.aws import Aws
from tests.support.memory import ManualClock


@pytest.fixture(autouse=True)
def _powertools(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Powertools makes its own client, and keeps it and what it has read."""
    if aws.endpoint_url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
    clear_caches()  # type: ignore[no-untyped-call]  # Powertools leaves it untyped
    yield
    clear_caches()  # type: ignore[no-untyped-call]


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def rotate(aws: Aws, name: str, value: str) -> None:
    aws.secrets.put_secret_value(SecretId=name, SecretString=value)


def test_fal_key_comes_from_its_secret(aws: Aws) -> None:
    name = aws.secret("fal-key", "key-id:key-secret")
    assert secret_text(name) == FalKey(name)() == "key-id:key-secret"


def test_environment_key_comes_first(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the environment comes first, and has no newer one."""
    monkeypatch.setenv("FAL_KEY", "mine")
    key = FalKey(aws.secret("fal-key", "the stack's"))
    assert (key(), key.newer("mine")) == ("mine", None)


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("read", [secret_text, lambda name: FalKey(name)()])
def test_missing_secret_raises(read: Callable[[str], str]) -> None:
    with pytest.raises(FalUnavailableError):
        read("nowhere")


def test_later_value_is_found(aws: Aws) -> None:
    key = FalKey(name := aws.secret("fal-key", None))
    with pytest.raises(FalUnavailableError):
        key()
    rotate(aws, name, "key")
    assert key() == "key"


def test_accepted_key_is_read_once(aws: Aws) -> None:
    """The key is read once for as long as fal accepts it."""
    key = FalKey(name := aws.secret("fal-key", "first"))
    key()
    rotate(aws, name, "second")
    assert [key() for _ in range(3)] == ["first"] * 3


@pytest.mark.promise("it can be operated")
def test_refused_key_is_read_again(aws: Aws) -> None:
    """A key that fal refused is read again at once, so a rotation needs no restart."""
    key = FalKey(name := aws.secret("fal-key", " first\n"), clock=Clock())
    refused = key().strip()
    rotate(aws, name, "second")
    assert key.newer(refused) == "second"
    assert key() == "second"


def test_refusals_read_once_a_minute(aws: Aws) -> None:
    """The secret is read once a minute however often fal refuses the key."""
    clock = Clock()
    key = FalKey(name := aws.secret("fal-key", "first"), clock=clock)
    assert key.newer(key()) is None
    assert key() == "first"
    rotate(aws, name, "second")
    clock.now = REFETCH_SECONDS - 1
    assert key.newer("first") is None
    clock.now = REFETCH_SECONDS
    assert key.newer("first") == "second"


def test_refusal_of_old_key_reads_nothing(aws: Aws) -> None:
    """A refusal of a key that is no longer kept reads nothing."""
    clock = Clock()
    key = FalKey(name := aws.secret("fal-key", "first"), clock=clock)
    key()
    rotate(aws, name, "second")
    assert key.newer("first") == "second"
    rotate(aws, name, "third")
    clock.now = 2 * REFETCH_SECONDS
    assert key.newer("first") == "second", "the other adapter's refusal is of the old key"


def test_unreadable_secret_keeps_the_key(aws: Aws) -> None:
    """A secret that cannot be read again leaves the key as it is."""
    key = FalKey(name := aws.secret("fal-key", "first"), clock=Clock())
    key()
    aws.secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    assert key.newer("first") is None
    assert key() == "first"


OLD, NEW, NEWEST = "a" * 64, "whsec_" + "b" * 64, "c" * 64


def test_a_new_secret_signs_beside_the_old_one(aws: Aws) -> None:
    """For a week, and the one before that no more."""
    now, clock = [0.0], ManualClock(datetime.now(UTC))
    name = aws.secret("notify", OLD)
    secret = SigningSecret(aws.secrets, name, clock=clock, now=lambda: now[0])
    assert list(secret()) == [key_of(OLD)]

    aws.secrets.put_secret_value(SecretId=name, SecretString=NEW)
    assert list(secret()) == [key_of(OLD)]  # as it was read
    now[0] += MAX_AGE_SECONDS
    assert list(secret()) == [key_of(NEW), key_of(OLD)]

    aws.secrets.put_secret_value(SecretId=name, SecretString=NEWEST)
    now[0] += MAX_AGE_SECONDS
    assert list(secret()) == [key_of(NEWEST), key_of(NEW)]
    now[0] += MAX_AGE_SECONDS
    clock.now += PREVIOUS_KEPT + timedelta(minutes=1)
    assert list(secret()) == [key_of(NEWEST)]


def test_an_old_value_that_is_none_stops_nothing(
    aws: Aws, caplog: pytest.LogCaptureFixture
) -> None:
    """The new one signs alone, and a warning says so without the value."""
    name = aws.secret("notify", "too short")
    aws.secrets.put_secret_value(SecretId=name, SecretString=NEW)
    assert list(SigningSecret(aws.secrets, name)()) == [key_of(NEW)]
    [line] = [record for record in caplog.records if record.name.startswith("lora_drop")]
    assert (line.levelname, "AWSPREVIOUS" in line.getMessage()) == ("WARNING", True)
    assert "too short" not in caplog.text


def test_what_is_no_secret_is_an_error(aws: Aws) -> None:
    """It is read again at the next message, so that a mended one counts at once."""
    name = aws.secret("notify", "too short")
    secret = SigningSecret(aws.secrets, name)
    with pytest.raises(ValueError, match="24 to 64 bytes"):
        secret()
    aws.secrets.put_secret_value(SecretId=name, SecretString=NEW)
    aws.secrets.put_secret_value(SecretId=name, SecretString=NEWEST)
    assert list(secret()) == [key_of(NEWEST), key_of(NEW)]
    with pytest.raises(ClientError):
        SigningSecret(aws.secrets, "nowhere")()
