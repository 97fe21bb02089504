"""What fal says about a request, in our words, from a webhook or from its status API."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lora_drop.fal.errors import fal_error
from lora_drop.jobs.artifacts import Artifact, artifacts_in
from lora_drop.jobs.problems import Problem

MAX_QUOTE = 300
MONEY: Mapping[bool | None, str] = {
    False: "fal does not bill it.",
    True: "fal has billed it.",
    None: "fal may have billed it.",
}


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of a request's log; ``at`` None where fal gives no time that can be read."""

    message: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RequestLog:
    """What fal says of a request while it waits and trains: its place in the queue, and its log so far."""

    queue_position: int | None = None
    started: bool = False
    lines: tuple[LogEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Running:
    """The request is waiting (``started`` false) or being trained; ``log`` is what it wrote so far."""

    request_id: str
    started: bool
    log: RequestLog | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Finished:
    """The request succeeded; without artifacts the result has yet to be read from fal."""

    request_id: str
    artifacts: tuple[Artifact, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """The request failed for good, with fal's reason; ``billed`` None where fal does not say.

    ``ran`` False: fal names no time that a runner worked on it.
    """

    request_id: str
    problem: Problem
    billed: bool | None = None
    ran: bool = True


@dataclass(frozen=True, slots=True)
class Gone:
    """fal knows no such request, or keeps its result no longer."""

    request_id: str


type FalStatus = Running | Finished | Failed | Gone


def finished(request_id: str, payload: Mapping[str, Any] | None) -> Finished:
    """Return a success; a payload that is missing (fal: ``payload_error``) is read later."""
    return Finished(request_id, artifacts_in(payload or {}))


def failed(
    request_id: str,
    error: str,
    payload: object,
    *,
    billable_units: str | None = None,
    ran: bool = True,
) -> Failed:
    """Return a failure, in any of fal's forms.

    ``detail`` as a list (the model's) or as text (fal's own), or the ``error`` of a state.
    ``billable_units`` is the header ``X-Fal-Billable-Units`` of the result's own answer: what
    it says of money comes before what the type of error does.
    """
    kind, reason = _kind_and_reason(error, payload)
    known = fal_error(kind, request_id=request_id)
    billed = _billed(billable_units)
    if billed is None:
        billed = known.billed
    ended = f"fal ended the training: {quoted(reason).rstrip('.')}."
    message = f"{ended} {MONEY[billed]} {known.advice}"
    problem = Problem(code=known.code, message=message, retryable=known.retry)
    return Failed(request_id, problem, billed, ran)


def _kind_and_reason(error: str, payload: object) -> tuple[str, str]:
    """Return the type and the words of a failure."""
    fields = payload if isinstance(payload, Mapping) else {}
    named, detail = fields.get("error_type"), fields.get("detail")
    if isinstance(detail, list) and detail and isinstance(detail[0], Mapping):
        kind = detail[0].get("type") or named
        reason = detail[0].get("msg") or error
    else:
        kind, reason = named, detail or fields.get("error") or error
    return str(kind or "unknown"), str(reason)


def _billed(units: str | None) -> bool | None:
    """Return whether units were billed; None where the header is missing or no plain number."""
    if units is None or not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,15})?", units.strip(), re.ASCII):
        return None
    return float(units) > 0


def quoted(reason: str) -> str:
    """Return fal's own words, shortened, without the part of an address that opens the dataset."""
    return without_query(reason)[:MAX_QUOTE]


def without_query(text: str) -> str:
    """Return the text without the part of an address that opens what is behind it."""
    plain = re.sub(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>]*", r"\1", text)
    return re.sub(r"X-Amz-[^\s\"'<>]*", "", plain)
