"""What can go wrong on request: one table, and which of it strikes next."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from lora_drop.simulator.errors import DOCUMENTED

LOCKED = (
    "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
)
ANSWERS = range(200, 600)


class Place(StrEnum):
    """Where a fault strikes; each place reads its own settings."""

    SUBMIT = "submit"  # accepted, answer, status, form, detail, seconds
    STATUS = "status"  # status, form, detail, units
    RESULT = "result"  # early
    CANCEL = "cancel"
    TRAINING = "training"  # type, status, detail, billable_units, units_told, seconds, stuck
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
        "a training ends in an error of a documented type, after so many seconds; billed or not",
        {
            "type": "internal_server_error",
            "status": None,
            "detail": None,
            "seconds": 0.0,
            "billable_units": None,  # as usual: a failure is not billed
            "units_told": True,  # X-Fal-Billable-Units is sent with the result
        },
    ),
    FaultKind("training_slow", Place.TRAINING, "a training takes so long", {"seconds": 60.0}),
    FaultKind(
        "training_stuck",
        Place.TRAINING,
        "a training never ends by itself",
        fixed={"stuck": True},
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


class InvalidFaultError(ValueError):
    """Raised when a fault cannot be injected as it was asked for; the message says why."""


@dataclass(slots=True)
class ActiveFault:
    """A fault that waits for its occasions; ``remaining`` None means for ever.

    It strikes at every so manieth of them.
    """

    kind: FaultKind
    settings: Mapping[str, Any]
    filters: Mapping[str, str]
    remaining: int | None
    every: int = 1
    occasions: int = 0
    injected: int = 0

    def matches(self, place: Place, occasion: Mapping[str, str | None]) -> bool:
        """Whether this is its occasion."""
        return (
            self.kind.place is place
            and self.remaining != 0
            and all(occasion.get(name) == wanted for name, wanted in self.filters.items())
        )

    def public(self) -> dict[str, Any]:
        """The fault as ``GET /_sim/faults`` lists it."""
        return {
            "fault": self.kind.name,
            "place": self.kind.place,
            "says": self.kind.says,
            "settings": dict(self.settings),
            **self.filters,
            "every": self.every,
            "remaining": self.remaining,
            "injected": self.injected,
        }


class Faults:
    """The faults that were asked for: one strikes per occasion, in the order they were asked for."""

    def __init__(self) -> None:
        self._active: list[ActiveFault] = []

    def inject(self, wanted: object) -> ActiveFault:
        """Have ``{"fault": NAME, "times": 1, "every": 1, …}`` strike; raises InvalidFaultError.

        So many times, and only at every so manieth occasion.
        """
        if not isinstance(wanted, dict):
            raise InvalidFaultError("a fault is a JSON object")
        given = dict(wanted)
        name, times = given.pop("fault", None), given.pop("times", 1)
        every = given.pop("every", 1)
        kind = next((each for each in TABLE if each.name == name), None)
        if kind is None:
            names = ", ".join(each.name for each in TABLE)
            raise InvalidFaultError(f"no fault is called {name}; there are {names}")
        if times is not None and not _whole(times, 1):
            raise InvalidFaultError("times is a number from 1 on, or null for ever")
        if not _whole(every, 1):
            raise InvalidFaultError("every is a number from 1 on")
        filters = {key: given.pop(key) for key in kind.place.filters if key in given}
        for key, value in filters.items():
            _check_filter(key, value)
        for key, value in given.items():
            _check_setting(kind, key, value)
        fault = ActiveFault(kind, {**kind.fixed, **kind.settings, **given}, filters, times, every)
        self._active.append(fault)
        return fault

    def take(self, place: Place, **occasion: str | None) -> ActiveFault | None:
        """The fault that strikes here and now, if any; it is counted."""
        waiting = [each for each in self._active if each.matches(place, occasion)]
        for each in waiting:
            each.occasions += 1
        fault = next((each for each in waiting if each.occasions % each.every == 0), None)
        if fault is not None:
            fault.injected += 1
            if fault.remaining is not None:
                fault.remaining -= 1
        return fault

    def clear(self) -> None:
        """Forget every fault."""
        self._active.clear()

    def public(self) -> list[dict[str, Any]]:
        """Every fault, those that are spent as well."""
        return [fault.public() for fault in self._active]


def _whole(value: object, least: int | None = None) -> bool:
    return type(value) is int and (least is None or value >= least)  # True is an int as well


def _number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value >= 0


# What a setting takes, in words and as a test.
FORMS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "accepted": ("true or false", lambda value: isinstance(value, bool)),
    "age": ("a whole number of seconds", _whole),
    "alone": ("true or false", lambda value: isinstance(value, bool)),
    "billable_units": ("a number from 0 on", _number),
    "bytes": ("a whole number from 0 on", lambda value: _whole(value, 0)),
    "bytes_per_second": ("a whole number from 1 on", lambda value: _whole(value, 1)),
    "copies": ("a whole number from 1 on", lambda value: _whole(value, 1)),
    "detail": ("a text", lambda value: isinstance(value, str)),
    "form": ("fal or nginx", lambda value: value in ("fal", "nginx")),
    "seconds": ("a number from 0 on", _number),
    "status": ("a status from 200 to 599", lambda value: _whole(value) and value in ANSWERS),
    "type": ("an error type that fal documents", lambda value: value in sorted(DOCUMENTED)),
    "units": ("a number from 0 on", _number),
    "units_told": ("true or false", lambda value: isinstance(value, bool)),
    "user_id": ("a text", lambda value: isinstance(value, str)),
}


def _check_filter(key: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidFaultError(f"{key} is a text, not {value!r}")


def _check_setting(kind: FaultKind, key: str, value: object) -> None:
    if key not in kind.settings:
        known = ", ".join((*kind.settings, *kind.place.filters)) or "none"
        raise InvalidFaultError(f"{kind.name} has no setting {key}; it has {known}")
    says, holds = FORMS[key]
    as_usual = value is None and kind.settings[key] is None
    if not as_usual and not holds(value):
        raise InvalidFaultError(f"{key} of {kind.name} is {says}, not {value!r}")
