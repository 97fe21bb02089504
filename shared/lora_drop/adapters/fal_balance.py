"""What the account at fal has left (https://fal.ai/docs/platform-apis/v1/account/billing), where the key may see it.

A key of fal's preset BILLING, READONLY or FULL, or of scope ADMIN, may; any other gets 401 or 403. Whatever is no plain answer is no
answer: fal itself refuses what cannot be paid, and that costs nothing.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from lora_drop.adapters.fal_key import UNAUTHORIZED, Key
from lora_drop.adapters.fal_platform import FalPlatform

TIMEOUT = httpx.Timeout(2.0)  # seconds; a submission waits for it
FORBIDDEN = 403
MOST = 1e9  # US dollars; more may be no float
REFUSAL_KEPT = 3600.0  # seconds
FAILURE_KEPT = 60.0  # seconds


class FalBalance:
    """The balance of one key; it never fails, but may know nothing."""

    def __init__(
        self,
        key: Key,
        api_url: str,
        transport: httpx.BaseTransport | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._platform = FalPlatform(key, api_url, transport, timeout=TIMEOUT)
        self._clock = clock
        self._silent_until = -math.inf

    def usd(self) -> float | None:
        """Return the balance now; None in doubt.

        A key that may not see it is asked with once an hour, and fal once a minute where it does not answer.
        """
        if self._clock() < self._silent_until:
            return None
        status, body = self._platform.get("/account/billing", {"expand": "credits"})
        balance = _read(body)
        if balance is None:
            refused = status in (UNAUTHORIZED, FORBIDDEN)
            self._silent_until = self._clock() + (REFUSAL_KEPT if refused else FAILURE_KEPT)
        return balance


def _read(body: Mapping[str, Any] | None) -> float | None:
    """Return the dollars of an answer; None for any that may mean something else."""
    credits_ = body.get("credits") if body else None
    if not isinstance(credits_, dict) or credits_.get("currency") != "USD":
        return None
    balance = credits_.get("current_balance")
    if isinstance(balance, bool) or not isinstance(balance, int | float):
        return None
    return float(balance) if -MOST < balance < MOST else None  # NaN is not among them
