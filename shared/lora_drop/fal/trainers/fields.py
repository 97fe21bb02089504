"""What one input of a trainer takes: its type, its range, and how a value is read."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

type Value = bool | int | float | str

INVALID_TYPE = "parameter_invalid_type"
OUT_OF_RANGE = "parameter_out_of_range"
# An address has no other characters (RFC 3986, 2); servers take about this many.
URL = re.compile(r"https://[!-.0-~]+/[!-~]+", re.ASCII)
LONGEST_URL = 2000
# What naming.job_id_for makes.
JOB_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*-[0-9a-f]{10}")
# What is smaller makes no sense, and DynamoDB does not take any number.
LEAST_RATE = 1e-9


class UnacceptableValueError(ValueError):
    """Raised when a field does not take a value; ``code`` is a problem's, the message its reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Field(ABC):
    """One input: ``name`` is ours, ``called`` the trainer's where it has another.

    ``default`` is sent where none is given; without one nothing is, and fal decides.
    """

    name: str
    called: str = ""
    default: Value | None = None

    @property
    def wire(self) -> str:
        """The trainer's own name."""
        return self.called or self.name

    @property
    @abstractmethod
    def takes(self) -> str:
        """What it takes, in words that follow “it takes”."""

    @abstractmethod
    def accept(self, value: Any, *, text: bool) -> Value:
        """Return the value in its own type; raises UnacceptableValueError.

        ``text``: it comes from where there is nothing but text (object metadata).
        """

    def stored(self, value: Any) -> Any:
        """Return a value that was accepted, from a row in which every number is a decimal."""
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeNumber(Field):
    """A whole number from ``low`` to ``high``."""

    low: int
    high: int
    default: int | None = None

    @property
    def takes(self) -> str:  # noqa: D102  # as Field promises
        return f"{self.low} to {self.high}"

    def accept(self, value: Any, *, text: bool) -> int:  # noqa: D102  # as Field promises
        if text and re.fullmatch(r"-?[0-9]{1,18}", value.strip(), re.ASCII):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise UnacceptableValueError(INVALID_TYPE, "it takes a whole number")
        if not self.low <= value <= self.high:
            raise UnacceptableValueError(OUT_OF_RANGE, f"it takes {self.takes}")
        return value

    def stored(self, value: Any) -> Any:  # noqa: D102  # as Field promises
        return int(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate(Field):
    """A learning rate from ``low`` to ``high``; where fal publishes no range, 1 at the most."""

    low: float = LEAST_RATE
    high: float = 1.0
    default: float | None = None

    @property
    def takes(self) -> str:  # noqa: D102  # as Field promises
        return f"{plain(self.low)} to {plain(self.high)}"

    def accept(self, value: Any, *, text: bool) -> float:  # noqa: D102  # as Field promises
        pattern = r"[0-9]{0,9}\.?[0-9]{1,12}([eE][-+]?[0-9]{1,2})?"
        if text and re.fullmatch(pattern, value.strip(), re.ASCII):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UnacceptableValueError(INVALID_TYPE, "it takes a number")
        # An integer may be too large for a float; NaN compares with nothing.
        if not self.low <= value <= self.high:
            raise UnacceptableValueError(OUT_OF_RANGE, f"it takes {self.takes}")
        return float(value)

    def stored(self, value: Any) -> Any:  # noqa: D102  # as Field promises
        return float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag(Field):
    """True or false."""

    default: bool | None = None

    @property
    def takes(self) -> str:  # noqa: D102  # as Field promises
        return "true or false"

    def accept(self, value: Any, *, text: bool) -> bool:  # noqa: D102  # as Field promises
        if text:
            value = {"true": True, "false": False}.get(value.strip().lower())
        if not isinstance(value, bool):
            raise UnacceptableValueError(INVALID_TYPE, f"it takes {self.takes}")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Field):
    """One line of text with so many characters at the most; the limit is ours."""

    longest: int = 100

    @property
    def takes(self) -> str:  # noqa: D102  # as Field promises
        return f"a line of 1 to {self.longest} characters"

    def accept(self, value: Any, *, text: bool) -> str:  # noqa: ARG002, D102  # as Field promises
        written = _text_of(value)
        if not 1 <= len(written) <= self.longest or not written.isprintable():
            raise UnacceptableValueError(OUT_OF_RANGE, f"it takes {self.takes}")
        return written


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Field):
    """One of a few words."""

    choices: tuple[str, ...]

    @property
    def takes(self) -> str:  # noqa: D102  # as Field promises
        return " or ".join(self.choices)

    def accept(self, value: Any, *, text: bool) -> str:  # noqa: ARG002, D102  # as Field promises
        written = _text_of(value)
        if written not in self.choices:
            raise UnacceptableValueError(OUT_OF_RANGE, f"it takes {self.takes}")
        return written


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeNumberChoice(Field):
    """One of a few whole numbers of pixels."""

    choices: tuple[int, ...]

    @property
    def takes(self) -> str:  # noqa: D102  # as Field promises
        return " or ".join(map(str, self.choices))

    def accept(self, value: Any, *, text: bool) -> int:  # noqa: D102  # as Field promises
        if text and re.fullmatch(r"[0-9]{1,5}", value.strip(), re.ASCII):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise UnacceptableValueError(INVALID_TYPE, "it takes a whole number")
        if value not in self.choices:
            raise UnacceptableValueError(OUT_OF_RANGE, f"it takes {self.takes}")
        return value

    def stored(self, value: Any) -> Any:  # noqa: D102  # as Field promises
        return int(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(Field):
    """A LoRA to go on from: its address, or the job that has it; empty for none."""

    @property
    def takes(self) -> str:  # noqa: D102  # as Field promises
        return "the https:// address of a LoRA, or the id of an earlier job"

    def accept(self, value: Any, *, text: bool) -> str:  # noqa: ARG002, D102  # as Field promises
        written = _text_of(value)
        url = len(written) <= LONGEST_URL and URL.fullmatch(written)
        if written and not (url or JOB_ID.fullmatch(written)):
            raise UnacceptableValueError(OUT_OF_RANGE, f"it takes {self.takes}")
        return written


def plain(number: float) -> str:
    """Return a number as a person writes it, without an exponent."""
    return f"{Decimal(repr(number)).normalize():f}"


def _text_of(value: Any) -> str:
    if not isinstance(value, str):
        raise UnacceptableValueError(INVALID_TYPE, "it takes text")
    return value.strip()
