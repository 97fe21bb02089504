"""What can go wrong on request: one table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

LOCKED = (
    "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
)


class Place(StrEnum):
    """Where a fault strikes; each place reads its own settings."""

    SUBMIT = "submit"  # accepted, answer, status, form, detail, seconds
    STATUS = "status"  # status, form, detail, units
    RESULT = "result"  # early
    CANCEL = "cancel"
    PICTURE = "picture"  # folder
    SAFETY = "safety"  # the safety checker of an image model
    TRAINING = "training"  # or the making of a picture: type, status, detail, billable_units, units_told, seconds, stuck
    WEBHOOK = "webhook"  # lost, copies, seconds, age, extra, alone, user_id, payload_null
    DOWNLOAD = "download"  # bytes, status, form, detail, bytes_per_second
    JWKS = "jwks"  # status, form, detail

    @property
    def filters(self) -> tuple[str, ...]:
        """What identifies an occasion here; a fault that names one strikes only there."""
        return FILTERS.get(self, ("request_id", "endpoint_id"))


FILTERS: Mapping[Place, tuple[str, ...]] = {
    Place.SUBMIT: ("endpoint_id",),  # there is no request yet
    Place.DOWNLOAD: ("request_id", "endpoint_id", "file_name"),
    Place.JWKS: (),
}


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One row of the table: settings that can be given, and those that its name stands for."""

    name: str
    place: Place
    says: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)


def _answer(status: int, form: str = "fal", detail: str = "Service unavailable") -> dict[str, Any]:
    return {"status": status, "form": form, "detail": detail}


def _submit(name: str, says: str, answer: str, *, accepted: bool = True, **more: Any) -> FaultKind:
    return FaultKind(name, Place.SUBMIT, says, {"accepted": accepted, **more}, {"answer": answer})


def _webhook(name: str, says: str, **fixed: Any) -> FaultKind:
    return FaultKind(name, Place.WEBHOOK, says, fixed=fixed)


TABLE: tuple[FaultKind, ...] = (
    _submit("submit_answer_lost", "accepted, then the connection is aborted", "abort"),
    _submit("submit_reset_before", "aborted before it is accepted", "abort", accepted=False),
    _submit(
        "submit_stall", "accepted, and the answer comes only after a while", "stall", seconds=60.0
    ),
    _submit("submit_garbage", "accepted, and the answer is no JSON", "garbage"),
    _submit("submit_empty", "accepted, and the answer is empty", "empty"),
    _submit("submit_truncated", "accepted, and the answer ends in its middle", "truncated"),
    _submit(
        "submit_status",
        "not accepted, with any status, in fal's or nginx's form",
        "status",
        accepted=False,
        **_answer(502, "nginx"),
    ),
    _submit(
        "balance_exhausted",
        "refused because the account has no money",
        "status",
        accepted=False,
        **_answer(403, detail=LOCKED),
    ),
    FaultKind("status_error", Place.STATUS, "a status is not answered", _answer(503)),
    FaultKind(
        "status_names_units",
        Place.STATUS,
        "a status has the header X-Fal-Billable-Units, which proves nothing",
        {"units": 0},
    ),
    FaultKind("result_gone", Place.RESULT, "a result has expired", fixed={"early": False}),
    FaultKind(
        "result_early",
        Place.RESULT,
        "a result that is there is answered with 202, as if it were not",
        fixed={"early": True},
    ),
    FaultKind("cancel_ignored", Place.CANCEL, "a cancellation is taken, and the work goes on"),
    FaultKind(
        "training_error",
        Place.TRAINING,
        "a training, or a picture, ends in an error of a documented type, after so many seconds; billed or not",
        {
            "type": "internal_server_error",
            "status": None,
            "detail": None,
            "seconds": 0.0,
            "billable_units": None,  # as usual: a failure is not billed
            "units_told": True,  # X-Fal-Billable-Units is sent with the result
        },
    ),
    FaultKind(
        "training_slow",
        Place.TRAINING,
        "a training, or a picture, takes so long",
        {"seconds": 60.0},
    ),
    FaultKind(
        "training_stuck",
        Place.TRAINING,
        "a training, or a picture, never ends by itself",
        fixed={"stuck": True},
    ),
    FaultKind(
        "picture_photos",
        Place.PICTURE,
        "pictures are photos of this folder, cropped to their size and chosen by the seed; without one, drawn",
        {"folder": None},
    ),
    FaultKind(
        "picture_black",
        Place.SAFETY,
        "the safety checker blackens the pictures, and has_nsfw_concepts says so",
    ),
    _webhook("webhook_lost", "nothing is sent, and it counts as sent", lost=True),
    FaultKind("webhook_doubled", Place.WEBHOOK, "it is sent more than once", {"copies": 2}),
    FaultKind("webhook_late", Place.WEBHOOK, "it is sent late", {"seconds": 5.0}),
    FaultKind("webhook_stale", Place.WEBHOOK, "its timestamp is so many seconds old", {"age": 600}),
    FaultKind(
        "webhook_forged",
        Place.WEBHOOK,
        "one that fal did not sign comes first (or alone)",
        {"alone": False},
        {"extra": "forged"},
    ),
    FaultKind(
        "webhook_foreign_user",
        Place.WEBHOOK,
        "one that is signed for another user comes first (or alone)",
        {"alone": False, "user_id": "user_stranger"},
        {"extra": "foreign_user"},
    ),
    _webhook(
        "webhook_payload_null",
        "OK without the payload: the result has to be fetched",
        payload_null=True,
    ),
    _webhook("webhook_gateway_id", "it is signed with the id of fal's last try", gateway=True),
    _webhook("webhook_capitals", "its signature is hex in capitals", capitals=True),
    FaultKind("download_cut", Place.DOWNLOAD, "a file ends after so many bytes", {"bytes": 1000}),
    FaultKind("download_status", Place.DOWNLOAD, "a file is not served", _answer(503)),
    FaultKind("download_slow", Place.DOWNLOAD, "a file trickles", {"bytes_per_second": 1_000_000}),
    FaultKind(
        "download_whole",
        Place.DOWNLOAD,
        "a file has neither ranges nor an ETag, and trickles",
        {"bytes_per_second": 1_000_000},
        {"whole": True},
    ),
    FaultKind("jwks_packed", Place.JWKS, "the signing keys come as gzip", fixed={"packed": True}),
    FaultKind("jwks_down", Place.JWKS, "the signing keys cannot be had", _answer(503)),
)
