"""The log in fal's answer about a request ("Queue API": ``logs=1``, entries of message, level and timestamp)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from lora_drop.fal.status import LogEntry, RequestLog, without_query

LOGS: Mapping[str, str] = MappingProxyType({"logs": "1"})
MAX_QUEUE = 10**6


def log_in(state: Mapping[str, Any]) -> RequestLog:
    """Return the log of a status answer; whatever is not of fal's form is left out.

    The query of an address is left out as well: a runner prints the whole address of the dataset, and it gives
    access to the photos.
    """
    entries = state.get("logs")
    lines = tuple(
        LogEntry(without_query(entry["message"]), _time(entry.get("timestamp")))
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, Mapping) and isinstance(entry.get("message"), str)
    )
    position = state.get("queue_position")
    waits = state.get("status") == "IN_QUEUE"
    known = (
        isinstance(position, int) and not isinstance(position, bool) and 0 <= position < MAX_QUEUE
    )
    return RequestLog(
        queue_position=position if waits and known else None,
        started=state.get("status") in ("IN_PROGRESS", "COMPLETED"),
        lines=lines,
    )


def _time(text: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
