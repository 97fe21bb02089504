"""What fal says about a request, in our words: from a webhook or from an answer to a question."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.domain.artifacts import Artifact, artifacts_in
from shared.domain.problems import Problem

# fal: a 5xx is never billed, a 422 may be once a runner has spent time.
OWN_FAULT = "The failure is fal's own, which it does not bill. Drop the dataset again in a while."
# What each of fal's error types asks of a person ("Errors", docs.fal.ai). Others are passed on.
ADVICE: Mapping[str, str] = {
    "invalid_archive": "The archive must be a ZIP.",
    "archive_file_count_below_minimum": "At least 10 images are needed.",
    "archive_file_count_exceeds_maximum": "The archive holds more images than fal takes.",
    "file_download_error": "fal could not download the dataset. Drop it again.",
    "image_load_error": "One of the images cannot be read. Open and save it again.",
    "content_policy_violation": "fal's content policy refused the images. Choose others.",
    "client_cancelled": "Somebody cancelled it at fal. Drop the dataset again to train it.",
    **dict.fromkeys(
        (
            *("internal_server_error", "generation_timeout", "downstream_service_unavailable"),
            *("request_timeout", "startup_timeout", "runner_scheduling_failure", "internal_error"),
            *("runner_connection_timeout", "runner_disconnected", "runner_connection_refused"),
            *("runner_connection_error", "runner_incomplete_response", "runner_server_error"),
        ),
        OWN_FAULT,
    ),
}
LOOK_IT_UP = "Look for request {request_id} in fal's dashboard, then drop the dataset again."
MAX_QUOTE = 300


@dataclass(frozen=True, slots=True)
class Running:
    """The request is waiting (``started`` false) or being trained."""

    request_id: str
    started: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """The request succeeded; without artifacts the result has yet to be read from fal."""

    request_id: str
    artifacts: tuple[Artifact, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """The request failed for good, with fal's reason."""

    request_id: str
    problem: Problem


@dataclass(frozen=True, slots=True)
class Gone:
    """fal knows no such request, or keeps its result no longer."""

    request_id: str


type Fact = Running | Finished | Failed | Gone


def finished(request_id: str, payload: Mapping[str, Any] | None) -> Finished:
    """A success; a payload that is missing (fal: ``payload_error``) is read later."""
    return Finished(request_id, artifacts_in(payload or {}))


def failed(request_id: str, error: str, payload: object) -> Failed:
    """A failure, in both of fal's forms: ``detail`` as a list (the model's) or as text."""
    detail = payload.get("detail") if isinstance(payload, Mapping) else None
    if isinstance(detail, list) and detail and isinstance(detail[0], Mapping):
        kind = str(detail[0].get("type", "unknown"))
        reason = str(detail[0].get("msg", error))
    else:
        named = payload.get("error_type") if isinstance(payload, Mapping) else None
        kind = str(named or "unknown")
        reason = str(detail or error)
    advice = ADVICE.get(kind, LOOK_IT_UP.format(request_id=request_id))
    message = f"fal ended the training: {quoted(reason).rstrip('.')}. {advice}"
    return Failed(request_id, Problem(code=f"fal_{kind[:60]}", message=message))


def quoted(reason: str) -> str:
    """Fal's own words, in one breath, without the part of an address that opens the dataset."""
    plain = re.sub(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>]*", r"\1", reason)
    return re.sub(r"X-Amz-[^\s\"'<>]*", "", plain)[:MAX_QUOTE]
