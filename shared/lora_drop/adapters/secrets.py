"""The secrets of Secrets Manager, the fal key among them."""

import math
import os
import time
from collections.abc import Callable

import boto3
from aws_lambda_powertools.utilities.parameters import SecretsProvider, get_secret
from aws_lambda_powertools.utilities.parameters.constants import DEFAULT_PROVIDERS
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

from lora_drop.jobs.errors import FalUnavailableError

MAX_AGE_SECONDS = 300
REFETCH_SECONDS = 60.0


class FalKey:
    """The fal key: ``FAL_KEY`` where that is set, else the secret, read once.

    fal itself says when it is time to read it again: it refuses the old one. So a key is rotated
    by putting the new one into the secret, and nothing is deployed.
    """

    def __init__(self, secret: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._secret = secret
        self._clock = clock
        self._kept = ""
        self._read_at = -math.inf

    def __call__(self) -> str:
        """Return the key; raises FalUnavailableError while the secret has no value."""
        given = os.environ.get("FAL_KEY")
        if given:
            return given
        if not self._kept:
            self._kept = secret_text(self._secret, fresh=True)
        return self._kept

    def newer(self, refused: str) -> str | None:
        """Return another key than the one that fal has just refused; None when there is none.

        The secret is read for it once a minute at most, however many calls are refused.
        """
        if os.environ.get("FAL_KEY"):
            return None
        if self._kept.strip() == refused and self._clock() - self._read_at >= REFETCH_SECONDS:
            self._read_at = self._clock()
            try:
                self._kept = secret_text(self._secret, fresh=True)
            except FalUnavailableError:
                return None
        return self._kept if self._kept.strip() not in ("", refused) else None


def secret_text(name: str, *, fresh: bool = False) -> str:
    """Return the secret's text, five minutes old at most; raises FalUnavailableError when there is none yet."""
    if "secrets" not in DEFAULT_PROVIDERS:
        # Powertools would open a session of its own, which reads botocore's descriptions once more.
        client = boto3.client("secretsmanager")
        DEFAULT_PROVIDERS["secrets"] = SecretsProvider(boto3_client=client)
    try:
        value = get_secret(name, max_age=MAX_AGE_SECONDS, force_fetch=fresh)
    except GetParameterError as error:
        raise FalUnavailableError(f"the secret {name} has no value yet") from error
    return str(value)
