"""A request to a model, from its submission to its end."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from lora_drop.simulator.errors import Outcome
from lora_drop.simulator.wire import now, stamp

NAMESPACES = frozenset({"workflows", "comfy"})  # these stand before the owner


class Status(StrEnum):
    """What fal's queue says; a failure is COMPLETED as well."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"


def short_path(endpoint_id: str) -> str:
    """The part of an endpoint id that the paths of its requests are made with: owner and app."""
    parts = endpoint_id.split("/")
    return "/".join(parts[: 3 if parts[0] in NAMESPACES else 2])


@dataclass(slots=True, eq=False)
class ModelRequest:
    """One accepted submission."""

    endpoint_id: str
    arguments: Any
    webhook_url: str | None
    store_io: bool = True
    start_within: float | None = None  # seconds
    files_for: float | None = None  # seconds that its files are served; None: for ever
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    sent_at: datetime = field(default_factory=now)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    status: Status = Status.IN_QUEUE
    cancelled: bool = False
    outcome: Outcome | None = None
    units: int = 0  # steps that were trained, or megapixels that were made: they are billed
    billable_units: float | None = None  # what a fault has billed for a failure
    units_told: bool = True
    output_kept: bool = True  # fal keeps no output of ``sync_mode`` in the request history
    logs: list[dict[str, str]] = field(default_factory=list)
    file_paths: list[str] = field(default_factory=list)

    def start(self) -> None:
        """A runner has taken it."""
        self.status, self.started_at = Status.IN_PROGRESS, now()

    def end(self, outcome: Outcome) -> None:
        """It is over, well or badly."""
        self.outcome, self.ended_at, self.status = outcome, now(), Status.COMPLETED

    def log(self, message: str, level: str = "INFO") -> None:
        """Write a line that ``logs=1`` shows."""
        line = {"message": message, "timestamp": stamp(now()), "level": level, "source": "USER"}
        self.logs.append(line)

    def expired(self, retention: float) -> bool:
        """Whether its result is no longer kept; ``retention`` in seconds."""
        return self.ended_at is not None and now() > self.ended_at + timedelta(seconds=retention)

    def seconds(self) -> float | None:
        """How long a runner worked on it, once it has ended."""
        if self.started_at is None or self.ended_at is None:
            return None
        return round((self.ended_at - self.started_at).total_seconds(), 3)


class Requests:
    """Every request that was accepted, in order."""

    def __init__(self) -> None:
        self._requests: dict[str, ModelRequest] = {}

    def __iter__(self) -> Iterator[ModelRequest]:
        return iter(self._requests.values())

    def add(self, request: ModelRequest) -> None:
        """Keep one."""
        self._requests[request.request_id] = request

    def get(self, request_id: str) -> ModelRequest | None:
        """The request of this id."""
        return self._requests.get(request_id)
