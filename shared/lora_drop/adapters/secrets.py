"""The secrets of Secrets Manager, and the fal key on each call."""

import math
import os
import re
import time
from collections.abc import Callable, Generator
from typing import Protocol

import httpx
from aws_lambda_powertools.utilities.parameters import get_secret
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

from lora_drop.jobs.errors import FalUnavailableError

UNAUTHORIZED = 401


class Key(Protocol):
    """The fal key, wherever it comes from."""

    def __call__(self) -> str:
        """Return the key; raises FalUnavailableError when there is none."""

    def newer(self, refused: str) -> str | None:
        """Return another key than this one that fal refused; None when there is none."""


class KeyAuth(httpx.Auth):
    """The key on every call, and once more with a newer one where fal refuses it (401).

    For calls that may be repeated: the paid POST is none, see fal_transport. Raises
    FalUnavailableError from within the call when there is no key.
    """

    def __init__(self, key: Key) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Yield at most two requests."""
        key = usable_key(self._key())
        request.headers["Authorization"] = f"Key {key}"
        response = yield request
        if response.status_code == UNAUTHORIZED and (newer := self._key.newer(key)) is not None:
            request.headers["Authorization"] = f"Key {usable_key(newer)}"
            yield request


def usable_key(saved: str) -> str:
    """Return the key without the line end it may have been saved with; raises FalUnavailableError."""
    key = saved.strip()
    if not re.fullmatch(r"[!-~]+", key):
        raise FalUnavailableError("the fal key is empty or holds what no key can")
    return key


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
    try:
        value = get_secret(name, max_age=MAX_AGE_SECONDS, force_fetch=fresh)
    except GetParameterError as error:
        raise FalUnavailableError(f"the secret {name} has no value yet") from error
    return str(value)
