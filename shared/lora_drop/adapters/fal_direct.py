"""fal's queue for a program that follows its request itself: place, logs, the whole result."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx

from lora_drop.adapters.fal import FalQueueClient
from lora_drop.adapters.fal_transport import UNANSWERED, json_object
from lora_drop.jobs.errors import FalUnavailableError


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request stands in fal's queue, and what its trainer has printed.

    ``position`` is how many requests come before it, None once it has begun or where fal does not say.
    """

    position: int | None
    logs: tuple[str, ...]


class FalDirectClient(FalQueueClient):
    """The trainer at fal with the reads that a waiting program needs as well."""

    def place(self, application: str, request_id: str) -> Place:
        """Return the place in the queue and all log lines so far; raises FalUnavailableError."""
        said = self._read(application, request_id, "status_url", {"logs": "1"})
        position, rows = said.get("queue_position"), said.get("logs")
        lines = (
            str(row["message"])
            for row in (rows if isinstance(rows, list) else [])
            if isinstance(row, Mapping) and "message" in row
        )
        return Place(position if type(position) is int else None, tuple(lines))

    def payload(self, application: str, request_id: str) -> Mapping[str, Any]:
        """Return the result of a request that has succeeded; raises FalUnavailableError."""
        return self._read(application, request_id, "response_url", {})

    def _read(
        self, application: str, request_id: str, name: str, query: Mapping[str, str]
    ) -> Mapping[str, Any]:
        wire = self._wire()
        try:
            handle = self._handle(wire, application, request_id)
            answer: httpx.Response = handle.client.get(getattr(handle, name), params=dict(query))
        except UNANSWERED as error:
            raise FalUnavailableError(f"fal did not answer: {type(error).__name__}") from error
        finally:
            wire.close()
        said = json_object(answer)
        # A state is answered with 202 as well while the request is not done ("Queue API").
        if said is None or answer.status_code not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
            raise FalUnavailableError(f"fal answered {answer.status_code}")
        return said
