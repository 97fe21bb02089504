"""What fal stores of a request, deleted (https://fal.ai/docs/platform-apis/v1/models/requests/payloads).

fal deletes the JSON that went in and came out and the output files on its CDN, wants a key of scope
ADMIN for it, and leaves input files alone.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from lora_drop.adapters.fal_key import UNAUTHORIZED, Key, KeyAuth
from lora_drop.adapters.fal_transport import PASSING, UNANSWERED, json_object
from lora_drop.fal.trainers.table import DEFAULT
from lora_drop.jobs.errors import FalUnavailableError
from lora_drop.ports import PayloadsErased

TIMEOUT = httpx.Timeout(8.0)
NOT_FOUND, FORBIDDEN = 404, 403
FORBIDS = (
    "fal keeps the stored input and output of the training, and its files: the key may not delete "
    "them. It takes one of scope ADMIN"
)


class FalPayloads:
    """The requests of one key."""

    def __init__(
        self, key: Key, api_url: str, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._auth = KeyAuth(key)
        self._api_url = api_url.rstrip("/")
        self._transport = transport

    def erase(self, request_id: str) -> PayloadsErased:
        """Have fal delete it; what fal does not know is gone already.

        Raises FalUnavailableError where it may go better the next time.
        """
        url = f"{self._api_url}/models/requests/{quote(request_id, safe='')}/payloads"
        try:
            with httpx.Client(
                transport=self._transport, timeout=TIMEOUT, auth=self._auth
            ) as client:
                answer = client.delete(url)
                status = answer.status_code
                if status == UNAUTHORIZED and self._is_known(client):
                    status = FORBIDDEN
        except (*UNANSWERED, OSError) as error:  # OSError: no certificates
            raise FalUnavailableError(f"fal did not answer: {type(error).__name__}") from error
        if answer.is_success:
            return _erased(json_object(answer))
        if status == NOT_FOUND:
            return PayloadsErased()
        if status == FORBIDDEN:
            return PayloadsErased(left=(FORBIDS,))
        # A key that is not known at all, a person puts right.
        if status in {UNAUTHORIZED, *PASSING} or not answer.is_client_error:
            raise FalUnavailableError(f"fal answered {status} to a deletion")
        return PayloadsErased(
            left=(f"fal answered {status} to the deletion of what it stored of the training",)
        )

    def _is_known(self, client: httpx.Client) -> bool:
        """Return whether fal takes the key for what every key may do.

        It is documented for no answer of fal's whether a key without the right gets 401 or 403.
        """
        query = {"endpoint_id": DEFAULT.application, "limit": "1"}
        return client.get(f"{self._api_url}/models/requests/by-endpoint", params=query).is_success


def _erased(body: Mapping[str, Any] | None) -> PayloadsErased:
    rows = body.get("cdn_delete_results") if body else None
    if not isinstance(rows, list):
        return PayloadsErased(left=("fal did not say what became of the training's output files",))
    kept = sum(not isinstance(row, dict) or bool(row.get("exception")) for row in rows)
    left = (f"fal could not delete {kept} of the training's output files",) if kept else ()
    return PayloadsErased(files=len(rows) - kept, left=left)
