"""The secret that notifications are signed with, and for a week the one before it."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lora_drop.jobs.notifications import key_of

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

logger = logging.getLogger(__name__)
MAX_AGE_SECONDS = 300.0
# How long receivers have to take over a new secret ("zero downtime secret rotation").
PREVIOUS_KEPT = timedelta(days=7)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SigningSecret:
    """A secret of Secrets Manager, five minutes old at most.

    The value before is a help for receivers: where it is no such secret, the new one signs alone.

    Secrets Manager keeps the value before the last one as AWSPREVIOUS, so a rotation is one
    ``put-secret-value`` ("What is in a Secrets Manager secret?", versions).
    """

    def __init__(
        self,
        client: "SecretsManagerClient",
        name: str,
        *,
        clock: Callable[[], datetime] = _utc_now,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._client = client
        self._name = name
        self._clock = clock
        self._now = now
        self._kept: tuple[float, tuple[bytes, ...]] | None = None

    def __call__(self) -> Sequence[bytes]:
        """Return the keys, the newest first; raises ValueError for a current value that is no such secret."""
        if self._kept is None or self._now() - self._kept[0] >= MAX_AGE_SECONDS:
            self._kept = (self._now(), self._keys())
        return self._kept[1]

    def _keys(self) -> tuple[bytes, ...]:
        current = self._client.get_secret_value(SecretId=self._name)
        key = key_of(current.get("SecretString", ""))
        if self._clock() - current["CreatedDate"] >= PREVIOUS_KEPT:
            return (key,)
        return (key, *self._previous())

    def _previous(self) -> tuple[bytes, ...]:
        try:
            found = self._client.get_secret_value(SecretId=self._name, VersionStage="AWSPREVIOUS")
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return ()  # it was never changed
            raise
        try:
            return (key_of(found.get("SecretString", "")),)
        except ValueError:
            logger.warning(
                "AWSPREVIOUS of the webhooks' secret is no such secret; it signs nothing"
            )
            return ()
