"""fal's platform API (https://fal.ai/docs/platform-apis), for what is good to know and never needed."""

from collections.abc import Mapping
from typing import Any

import httpx

from lora_drop.adapters.fal_key import Key, KeyAuth
from lora_drop.adapters.fal_transport import UNANSWERED, json_object
from lora_drop.jobs.errors import FalUnavailableError


class FalPlatform:
    """Asks with one key; whatever is no plain answer is no answer."""

    def __init__(
        self,
        key: Key,
        api_url: str,
        transport: httpx.BaseTransport | None,
        *,
        timeout: httpx.Timeout,
    ) -> None:
        self._auth = KeyAuth(key)
        self._api_url = api_url.rstrip("/")
        self._transport = transport
        self._timeout = timeout

    def get(self, path: str, query: Mapping[str, str]) -> tuple[int, Mapping[str, Any] | None]:
        """Return the status, 0 where fal does not answer, and the JSON object of a success."""
        try:
            with httpx.Client(
                transport=self._transport, timeout=self._timeout, auth=self._auth
            ) as client:
                answer = client.get(f"{self._api_url}{path}", params=query)
        except (FalUnavailableError, *UNANSWERED, OSError):  # OSError: no certificates
            return 0, None
        return answer.status_code, json_object(answer) if answer.is_success else None
