"""Which fault of the table strikes next, and how one is asked for."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_drop.simulator.config import photos_in
from lora_drop.simulator.errors import DOCUMENTED
from lora_drop.simulator.fault_table import TABLE, FaultKind, Place

ANSWERS = range(200, 600)


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


def _holds_photos(value: object) -> bool:
    return isinstance(value, str) and bool(photos_in(Path(value)))


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
    "folder": ("a folder of photos", _holds_photos),
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
