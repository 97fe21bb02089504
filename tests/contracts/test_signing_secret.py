"""The secret of notifications is read once in five minutes, and signs for a week after it was replaced."""

from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from lora_drop.adapters.signing_secret import MAX_AGE_SECONDS, PREVIOUS_KEPT, SigningSecret
from lora_drop.jobs.notifications import key_of
from tests.support.aws import Aws
from tests.support.memory import ManualClock

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
