"""What fal's error types mean for a training: whether to try again, who pays, what to do.

Types: https://docs.fal.ai/errors (the model's own) and
https://fal.ai/docs/documentation/model-apis/request-errors (fal's). Some endpoints still answer with
the types of FastAPI and pydantic.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

MAX_TYPE = 60  # characters


@dataclass(frozen=True, slots=True)
class FalError:
    """One way for a training to fail.

    ``retry``: the same dataset may do better the next time. ``billed``: False where fal says that
    it never bills this, None where it may (https://fal.ai/docs/model-apis/faq: no 5xx is billed; a
    422 "may still be charged if a runner spent GPU time"). ``advice``: what a photographer can do.
    """

    code: str
    retry: bool
    billed: bool | None
    advice: str


def _rows(
    kinds: Iterable[str], advice: str, *, retry: bool = False, billed: bool | None = None
) -> dict[str, FalError]:
    return {kind: FalError(f"fal_{kind}", retry, billed, advice) for kind in kinds}


PARAMETERS = (
    "fal does not take one of the parameters as it is. Correct it in training.json or in the "
    "object's metadata and drop the ZIP again."
)
OWN_FAULT = "The failure is fal's own. Drop the dataset again in a while."
NO_START = "fal did not come to train it. Drop the dataset again in a while."
ONLY_PHOTOS = "This trainer takes photos. Leave videos and sound out of the ZIP and drop it again."

FAL_ERRORS: Mapping[str, FalError] = MappingProxyType(
    {
        # The model's own: 5xx, which fal calls worth another try
        **_rows(("internal_server_error",), OWN_FAULT, retry=True, billed=False),
        **_rows(
            ("generation_timeout",),
            "It took longer than fal allows. Drop the dataset again; with fewer steps if that "
            "happens twice.",
            retry=True,
            billed=False,
        ),
        **_rows(
            ("downstream_service_unavailable",),
            "A service behind the trainer is down. Drop the dataset again in a while.",
            retry=True,
            billed=False,
        ),
        # 400
        **_rows(
            ("downstream_service_error",),
            "A service behind the trainer refused its part. Drop the dataset again in a while.",
            retry=True,
        ),
        # 422: the dataset. A new try signs a new address, so it may well be downloaded then.
        **_rows(
            ("file_download_error",),
            "fal could not download the dataset. Drop it again.",
            retry=True,
        ),
        **_rows(
            ("content_policy_violation",),
            "fal's content policy refused the images. Choose others.",
        ),
        **_rows(
            ("no_media_generated",),
            "The training came to nothing. Choose other photos or parameters and drop them again.",
        ),
        **_rows(
            ("image_too_small",),
            "A photo is too small. Replace it by a larger copy, or leave it out, and drop the ZIP "
            "again.",
        ),
        **_rows(
            ("image_too_large",), "A photo is too large. Scale it down and drop the ZIP again."
        ),
        **_rows(("image_load_error",), "One of the images cannot be read. Open and save it again."),
        **_rows(
            ("face_detection_error",),
            "fal finds no face in a photo. Leave out those in which it is small, blurred or hidden.",
        ),
        **_rows(
            ("file_too_large",),
            "The ZIP or a photo is too large for fal. Use fewer photos, or smaller ones.",
        ),
        **_rows(
            ("unsupported_image_format",),
            "A photo is of a kind that fal does not take. Save it as JPEG, PNG or WEBP and drop the "
            "ZIP again.",
        ),
        **_rows(("invalid_archive",), "The archive must be a ZIP."),
        **_rows(("archive_file_count_below_minimum",), "At least 10 images are needed."),
        **_rows(
            ("archive_file_count_exceeds_maximum",),
            "The archive holds more images than fal takes. Leave some out.",
        ),
        **_rows(
            (
                *("audio_duration_too_long", "audio_duration_too_short"),
                *("video_duration_too_long", "video_duration_too_short"),
                *("unsupported_audio_format", "unsupported_video_format"),
            ),
            ONLY_PHOTOS,
        ),
        # 422: the parameters
        **_rows(
            (
                *("greater_than", "greater_than_equal", "less_than", "less_than_equal"),
                *("multiple_of", "one_of", "sequence_too_short", "sequence_too_long"),
            ),
            PARAMETERS,
        ),
        **_rows(
            ("feature_not_supported",),
            "This trainer cannot do what the parameters ask for. Change them and drop the ZIP again.",
        ),
        # fal's own: 5xx
        **_rows(
            ("request_timeout", "startup_timeout", "runner_scheduling_failure"),
            NO_START,
            retry=True,
            billed=False,
        ),
        **_rows(
            (
                *("runner_connection_timeout", "runner_disconnected", "runner_connection_refused"),
                *("runner_connection_error", "runner_incomplete_response", "runner_server_error"),
                "internal_error",
            ),
            OWN_FAULT,
            retry=True,
            billed=False,
        ),
        # 499: fal calls them not worth another try; the dataset is as good as
        # before. Whether a run that was stopped is billed, it does not say.
        **_rows(
            ("client_cancelled",),
            "It was cancelled at fal. Drop the dataset again to train it.",
            retry=True,
        ),
        **_rows(
            ("client_disconnected",),
            "The connection to fal ended too early. Drop the dataset again.",
            retry=True,
        ),
        # 400
        **_rows(
            ("bad_request",),
            "fal could not make sense of the request, which is our mistake. Please report it.",
        ),
    }
)
# FastAPI and pydantic, first and second edition: value_error.missing, type_error.integer, missing,
# int_parsing, string_type …
SCHEMA = re.compile(
    r"(value|type)_error(\..+)?|missing|extra_forbidden|json_invalid|enum|literal_error"
    r"|assertion_error|finite_number|.+_(type|parsing)|(string_)?too_(short|long)|.+_mismatch"
)


def fal_error(kind: str, *, request_id: str) -> FalError:
    """Return what a type of error means; one that is not known is passed on with where to look."""
    if kind in FAL_ERRORS:
        return FAL_ERRORS[kind]
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", kind)[:MAX_TYPE]
    if SCHEMA.fullmatch(plain):
        return FalError(f"fal_{plain}", retry=False, billed=None, advice=PARAMETERS)
    advice = f"Look for request {request_id} in fal's dashboard, then drop the dataset again."
    return FalError(f"fal_{plain}", retry=True, billed=None, advice=advice)
