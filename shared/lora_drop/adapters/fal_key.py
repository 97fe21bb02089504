"""How a call shows fal the key, and what is done when fal no longer knows it."""

import re
from collections.abc import Generator
from typing import Protocol

import httpx

from lora_drop.jobs.errors import FalUnavailableError

UNAUTHORIZED = 401


class Key(Protocol):
    """The fal key, wherever it comes from."""

    def __call__(self) -> str:
        """The key; raises FalUnavailableError when there is none."""

    def newer(self, refused: str) -> str | None:
        """Another key than this one that fal refused; None when there is none."""


class KeyAuth(httpx.Auth):
    """The key on every call, and once more with a newer one where fal refuses it (401).

    For calls that may be repeated: the paid POST is none, see fal_transport. Raises
    FalUnavailableError from within the call when there is no key.
    """

    def __init__(self, key: Key) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """At most two requests."""
        key = usable_key(self._key())
        request.headers["Authorization"] = f"Key {key}"
        response = yield request
        if response.status_code == UNAUTHORIZED and (newer := self._key.newer(key)) is not None:
            request.headers["Authorization"] = f"Key {usable_key(newer)}"
            yield request


def usable_key(saved: str) -> str:
    """The key without the line end it may have been saved with; raises FalUnavailableError."""
    key = saved.strip()
    if not re.fullmatch(r"[!-~]+", key):
        raise FalUnavailableError("the fal key is empty or holds what no key can")
    return key
