"""fal's queue for a program that follows its request itself: the whole result as well."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx

from lora_drop.adapters.fal import KEY_REFUSALS, FalQueueClient
from lora_drop.adapters.fal_transport import UNANSWERED, json_object
from lora_drop.jobs.errors import FalUnavailableError, KeyRefusedError, ResultUnreadableError


class FalDirectClient(FalQueueClient):
    """The trainer at fal, with the result as the trainer has written it."""

    def payload(self, application: str, request_id: str) -> Mapping[str, Any]:
        """Return the result of a request that has succeeded; raises FalUnavailableError."""
        wire = self._wire()
        try:
            handle = self._handle(wire, application, request_id)
            answer: httpx.Response = handle.client.get(handle.response_url)
        except UNANSWERED as error:
            raise FalUnavailableError(f"fal did not answer: {type(error).__name__}") from error
        finally:
            wire.close()
        if answer.status_code in KEY_REFUSALS:
            raise KeyRefusedError(f"fal answered {answer.status_code} for a result")
        said = json_object(answer)
        if said is None or answer.status_code != HTTPStatus.OK:
            raise ResultUnreadableError(f"fal answered {answer.status_code} for a result")
        return said
