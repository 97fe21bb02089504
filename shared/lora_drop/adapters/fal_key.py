"""The fal key on each call, wherever it comes from."""

import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import httpx

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


@dataclass(frozen=True, slots=True)
class SingleKey:
    """A key that the caller has."""

    key: str

    def __call__(self) -> str:
        """Return it."""
        return self.key

    def newer(self, refused: str) -> None:  # there is one key
        """Return None: there is no other key."""
