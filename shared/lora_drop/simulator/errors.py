"""The failures that fal documents, by type, in its two body forms (fal, "Errors").

A model error has a list of details, a request error a string and an ``error_type``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

ERRORS_URL = "https://docs.fal.ai/errors/#"
ARCHIVES = [".zip", ".tar.gz"]
IMAGES = [".jpg", ".jpeg", ".png", ".webp"]
SOUNDS = [".mp3", ".wav", ".ogg"]
VIDEOS = [".mp4", ".mov", ".webm"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: the model's own status, body and headers."""

    status_code: int
    body: Any
    error: str | None = None
    error_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the model succeeded, which decides between OK and ERROR."""
        return self.status_code == HTTPStatus.OK


class FailedTrainingError(Exception):
    """Raised when a request ends in an error that fal would answer with."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.error)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class ModelError:
    """One type of model error; what goes into its ``ctx`` by default."""

    status: int
    message: str
    ctx: Mapping[str, Any] | None = None
    retryable: bool = False


# https://docs.fal.ai/errors: type, status, whether fal calls it retryable.
MODEL_ERRORS: Mapping[str, ModelError] = {
    "internal_server_error": ModelError(500, "Internal server error", retryable=True),
    "generation_timeout": ModelError(504, "Generation timed out", retryable=True),
    "downstream_service_error": ModelError(400, "Downstream service error", retryable=True),
    "downstream_service_unavailable": ModelError(
        500, "Downstream service unavailable", retryable=True
    ),
    "content_policy_violation": ModelError(422, "The content was flagged by a content checker."),
    "no_media_generated": ModelError(422, "No media was generated."),
    "image_load_error": ModelError(422, "Failed to load the image."),
    "image_too_small": ModelError(
        422, "Image is too small.", {"min_height": 256, "min_width": 256}
    ),
    "image_too_large": ModelError(
        422, "Image is too large.", {"max_height": 8192, "max_width": 8192}
    ),
    "file_download_error": ModelError(
        422, "Failed to download the file. Please check if the URL is accessible and try again."
    ),
    "face_detection_error": ModelError(422, "Could not detect a face in the image."),
    "file_too_large": ModelError(422, "File size exceeds the maximum.", {"max_size": 1 << 30}),
    "feature_not_supported": ModelError(422, "The feature is not supported."),
    "unsupported_image_format": ModelError(
        422, "Unsupported image format.", {"supported_formats": IMAGES}
    ),
    "invalid_archive": ModelError(
        422, "Invalid archive. It must be a valid archive.", {"supported_extensions": ARCHIVES}
    ),
    "archive_file_count_below_minimum": ModelError(
        422,
        "The archive has too few files.",
        {"min_count": 10, "provided_count": 0, "supported_extensions": IMAGES},
    ),
    "archive_file_count_exceeds_maximum": ModelError(
        422,
        "The archive has too many files.",
        {"max_count": 1000, "provided_count": 1001, "supported_extensions": IMAGES},
    ),
    "greater_than": ModelError(422, "Input should be greater than 0", {"gt": 0}),
    "greater_than_equal": ModelError(422, "Input should be 1 or more", {"ge": 1}),
    "less_than": ModelError(422, "Input should be less than 1", {"lt": 1}),
    "less_than_equal": ModelError(422, "Input should be 10000 or less", {"le": 10_000}),
    "multiple_of": ModelError(422, "Input should be a multiple of 8", {"multiple_of": 8}),
    "sequence_too_short": ModelError(422, "The sequence is too short.", {"min_length": 1}),
    "sequence_too_long": ModelError(422, "The sequence is too long.", {"max_length": 100}),
    "one_of": ModelError(422, "Input is not one of the values.", {"expected": ["zip", "tar.gz"]}),
    "audio_duration_too_long": ModelError(
        422, "The audio is too long.", {"max_duration": 60, "provided_duration": 90}
    ),
    "audio_duration_too_short": ModelError(
        422, "The audio is too short.", {"min_duration": 5, "provided_duration": 2}
    ),
    "unsupported_audio_format": ModelError(
        422, "Unsupported audio format.", {"supported_formats": SOUNDS}
    ),
    "video_duration_too_long": ModelError(
        422, "The video is too long.", {"max_duration": 60, "provided_duration": 120}
    ),
    "video_duration_too_short": ModelError(
        422, "The video is too short.", {"min_duration": 3, "provided_duration": 1}
    ),
    "unsupported_video_format": ModelError(
        422, "Unsupported video format.", {"supported_formats": VIDEOS}
    ),
}

# https://fal.ai/docs/documentation/model-apis/request-errors
REQUEST_ERRORS: Mapping[str, tuple[int, str]] = {
    "request_timeout": (504, "Request timed out"),
    "startup_timeout": (504, "Runner did not start in time"),
    "runner_scheduling_failure": (503, "Runner could not be scheduled"),
    "runner_connection_timeout": (503, "Connection to the runner timed out"),
    "runner_disconnected": (503, "Runner disconnected"),
    "runner_connection_refused": (503, "Runner refused the connection"),
    "runner_connection_error": (503, "Connection to the runner failed"),
    "runner_incomplete_response": (502, "Runner gave an incomplete response"),
    "runner_server_error": (500, "Runner server error"),
    "client_disconnected": (499, "Client disconnected"),
    "client_cancelled": (499, "Request was cancelled by the client"),
    "bad_request": (400, "Bad request"),
    "internal_error": (500, "Internal error"),
}

# fal_client reads it: a deadline that the caller set is not a reason to ask again.
TIMEOUT_TYPE: Mapping[str, Mapping[str, str]] = {
    "request_timeout": {"X-Fal-Request-Timeout-Type": "user"}
}

DOCUMENTED = frozenset(MODEL_ERRORS) | frozenset(REQUEST_ERRORS)


def details(status: int, rows: Sequence[Mapping[str, Any]], *, retryable: bool = False) -> Outcome:
    """The end of a request whose model refused, with these details."""
    # fal documents the list of error types for request errors alone; a model error's type is
    # that of its first detail.
    return Outcome(
        status,
        {"detail": list(rows)},
        error=f"Invalid status code: {status}",
        error_type=str(rows[0]["type"]),
        headers={"X-Fal-Retryable": str(retryable).lower()},
    )


def model_error(
    kind: str,
    *,
    field_name: str | Sequence[str | int] | None = None,
    given: object = None,
    ctx: Mapping[str, Any] | None = None,
    status: int | None = None,
    message: str | None = None,
) -> Outcome:
    """The end of a request with one documented model error; KeyError for an unknown type.

    ``field_name`` is an input, or the way to a value within one.
    """
    error = MODEL_ERRORS[kind]
    way = [field_name] if isinstance(field_name, str) else field_name or ()
    row: dict[str, Any] = {
        "loc": ["body", *way],
        "msg": message or error.message,
        "type": kind,
        "url": ERRORS_URL + kind,
    }
    if ctx or error.ctx:
        row["ctx"] = dict(ctx or error.ctx or {})
    if given is not None:
        row["input"] = given
    return details(status or error.status, [row], retryable=error.retryable)


def request_error(kind: str, *, status: int | None = None, message: str | None = None) -> Outcome:
    """The end of a request that fal itself could not see through; KeyError for an unknown type."""
    usual_status, usual_message = REQUEST_ERRORS[kind]
    detail = message or usual_message
    return Outcome(
        status or usual_status,
        {"detail": detail, "error_type": kind},
        error=detail,
        error_type=kind,
        headers={"X-Fal-Error-Type": kind, **TIMEOUT_TYPE.get(kind, {})},
    )


def documented_error(
    kind: str, *, field_name: str, status: int | None, message: str | None
) -> Outcome:
    """Either form, by its type."""
    if kind in REQUEST_ERRORS:
        return request_error(kind, status=status, message=message)
    return model_error(kind, field_name=field_name, status=status, message=message)
