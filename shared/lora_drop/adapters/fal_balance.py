"""What the account at fal has left (https://fal.ai/docs/platform-apis/v1/account/billing), where the key may see it.

A key of fal's preset BILLING, READONLY or FULL, or of scope ADMIN, may; any other gets 401 or 403. Whatever is no plain answer is no
answer: fal itself refuses what cannot be paid, and that costs nothing.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from lora_drop.adapters.fal_key import UNAUTHORIZED, Key, KeyAuth
from lora_drop.adapters.fal_transport import UNANSWERED, json_object
from lora_drop.jobs.errors import FalUnavailableError

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
        self._auth = KeyAuth(key)
        self._url = f"{api_url.rstrip('/')}/account/billing"
        self._transport = transport
        self._clock = clock
        self._silent_until = -math.inf

    def usd(self) -> float | None:
        """Return the balance now; None in doubt.

        A key that may not see it is asked with once an hour, and fal once a minute where it does not answer.
        """
        if self._clock() < self._silent_until:
            return None
        status, body = self._asked()
        balance = _read(body)
        if balance is None:
            refused = status in (UNAUTHORIZED, FORBIDDEN)
            self._silent_until = self._clock() + (REFUSAL_KEPT if refused else FAILURE_KEPT)
        return balance

    def _asked(self) -> tuple[int, Mapping[str, Any] | None]:
        try:
            with httpx.Client(
                transport=self._transport, timeout=TIMEOUT, auth=self._auth
            ) as client:
                answer = client.get(self._url, params={"expand": "credits"})
        except (FalUnavailableError, *UNANSWERED, OSError):  # OSError: no certificates
            return 0, None
        return answer.status_code, json_object(answer) if answer.is_success else None


def _read(body: Mapping[str, Any] | None) -> float | None:
    """Return the dollars of an answer; None for any that may mean something else."""
    credits_ = body.get("credits") if body else None
    if not isinstance(credits_, dict) or credits_.get("currency") != "USD":
        return None
    balance = credits_.get("current_balance")
    if isinstance(balance, bool) or not isinstance(balance, int | float):
        return None
    return float(balance) if -MOST < balance < MOST else None  # NaN is not among them
