"""Our own webhooks: what one says, how it is signed and verified, and when it is sent again.

The form is that of Standard Webhooks 1.0.0, with symmetric signatures (``v1``):
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from lora_drop.jobs.errors import InvalidSecretError, InvalidWebhookError
from lora_drop.jobs.events import StatusChange

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
SECRET_PREFIX = "whsec_"  # noqa: S105  # what every secret begins with
KEY_BYTES = range(24, 65)  # "At least 24 bytes (192 bits, 512 maximum)"
TOLERANCE = timedelta(minutes=5)
# No full stop, which is what the parts of a signed text are joined with.
WEBHOOK_ID = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)

# Seconds until the next try, after each that has failed; the last one repeats. SQS hides a message for 12 hours at most.
BACKOFF = (5, 60, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 39_600)
JITTER = 0.2  # of a pause, which is that much shorter at most
MAX_TRIES = 15  # maxReceiveCount in template.yaml: three days
REFUSED_TRIES = (
    6  # of what is refused: an hour, in which a receiver that is being deployed is there again
)
GONE = 410  # "no longer interested in receiving webhooks from this source"
# Refusals that ask for another try: RFC 9110, 15.5.9; RFC 8470, 5.2; RFC 6585, 4.
TRY_LATER = frozenset({408, 425, 429})


class Notification(BaseModel):
    """The body of a webhook of ours: a change of a job's state, as the event bus has it."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    type: Literal["job.status_changed"] = "job.status_changed"
    timestamp: datetime = Field(description="when the job changed, UTC; not when this was sent")
    data: StatusChange

    @classmethod
    def of(cls, change: StatusChange) -> Self:
        """Return the notification of a change."""
        return cls(timestamp=change.since, data=change)

    @property
    def webhook_id(self) -> str:
        """Return the id of the change: the same however often it is sent."""
        return f"{self.data.job_id}-v{self.data.version}"


def key_of(secret: str) -> bytes:
    """Return the key that a secret stands for; raises InvalidSecretError."""
    text = secret.strip().removeprefix(SECRET_PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:  # binascii's too; a text that is not ASCII
        key = b""
    if len(key) not in KEY_BYTES:
        raise InvalidSecretError(
            "a webhooks' secret is whsec_ followed by the base64 of 24 to 64 bytes, and this is none. "
            "The stack's is what this prints: lora-drop notify-secret"
        )
    return key


def signed_headers(
    webhook_id: str, body: bytes, *, keys: Sequence[bytes], now: datetime
) -> dict[str, str]:
    """Return the three headers, with a signature by each key; ``now`` is the time of this try."""
    seconds = str(int(now.timestamp()))
    signatures = (_signature(webhook_id, seconds, body, key) for key in keys)
    return {ID: webhook_id, TIMESTAMP: seconds, SIGNATURE: " ".join(signatures)}


def verified_id(
    headers: Mapping[str, Sequence[str]], body: bytes, *, keys: Sequence[bytes], now: datetime
) -> str:
    """Return the id of a webhook that one of these keys has signed within the tolerance.

    ``headers``: every value of each, by lower-case name. Raises InvalidWebhookError and says why.
    """
    webhook_id = _only(headers, ID, WEBHOOK_ID)
    seconds = _only(headers, TIMESTAMP, SECONDS)
    given = [each.encode() for each in _only(headers, SIGNATURE, re.compile(r"[!-~ ]+")).split(" ")]
    if abs(now.timestamp() - int(seconds)) > TOLERANCE.total_seconds():
        raise InvalidWebhookError("webhook-timestamp is more than five minutes away from now")
    expected = [_signature(webhook_id, seconds, body, key).encode() for key in keys]
    # Every pair is compared, so that the time says nothing of which one fits.
    if True not in [hmac.compare_digest(one, other) for one in expected for other in given]:
        raise InvalidWebhookError("no signature in webhook-signature fits the body and the secret")
    return webhook_id


def pause(tries: int, *, chance: Callable[[], float], asked: int = 0) -> int:
    """Return the seconds until the next try; ``asked`` is what the receiver's Retry-After wants.

    ``chance`` gives a number from 0 to 1: receivers that were down together are not called together.
    """
    planned = BACKOFF[min(max(tries, 1), len(BACKOFF)) - 1]
    return min(max(round(planned * (1 - JITTER * chance())), asked, 1), BACKOFF[-1])


def given_up(status: int, tries: int) -> bool:
    """Return whether a receiver that answers so is not called again for this change.

    RFC 9110, 15.5: a 4xx says that the request is at fault, and it stays as it is.
    """
    refused = 400 <= status < 500 and status not in TRY_LATER  # noqa: PLR2004  # the class of these
    return status == GONE or (refused and tries >= REFUSED_TRIES)


def _signature(webhook_id: str, seconds: str, body: bytes, key: bytes) -> str:
    signed = f"{webhook_id}.{seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _only(headers: Mapping[str, Sequence[str]], name: str, form: re.Pattern[str]) -> str:
    values = headers.get(name, ())
    if len(values) != 1 or not form.fullmatch(values[0]):
        raise InvalidWebhookError(f"{name} is missing, given twice or not of its form")
    return values[0]
