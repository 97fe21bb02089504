"""Slots and dollars: what a job takes from the stack's limits, and when it gives it back.

Both follow from the job alone, so the table's counters can never disagree with the jobs: every
write of a job carries the difference between the job before and the job after.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict

MICRO = 1_000_000


class ChargeState(StrEnum):
    """What has become of a job's money."""

    RESERVED = "reserved"  # it may be spent: the training is at fal
    SPENT = "spent"  # for a result
    WASTED = "wasted"  # for nothing, or it cannot be shown that it was not
    FREE = "free"  # fal has accepted it, and says that it bills nothing


class Charge(BaseModel):
    """A job's money in the month (UTC) it was reserved in; ``usd`` in US dollars."""

    model_config = ConfigDict(frozen=True)

    month: str
    usd: float
    state: ChargeState

    @classmethod
    def reserve(cls, usd: float, *, now: datetime) -> Self:
        """Return money set aside for a training that is about to be submitted."""
        return cls(month=month_of(now), usd=usd, state=ChargeState.RESERVED)

    def become(self, state: ChargeState) -> Self:
        """Return the same money, in another state."""
        return self.model_copy(update={"state": state})

    @property
    def micro_usd(self) -> int:
        """Return what it counts for in millionths of a dollar: sums of whole numbers stay exact."""
        return 0 if self.state is ChargeState.FREE else round(self.usd * MICRO)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stack may have at fal at once, and pay; None is no limit."""

    max_in_flight: int
    monthly_usd: float | None = None
    job_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """One month's money, and who holds a slot now; ``spent`` includes what was wasted."""

    month: str
    reserved_usd: float = 0.0
    spent_usd: float = 0.0
    wasted_usd: float = 0.0
    in_flight: tuple[str, ...] = ()

    @property
    def committed_usd(self) -> float:
        """Return what the month has cost or may still cost."""
        return self.reserved_usd + self.spent_usd


@dataclass(frozen=True, slots=True)
class Booking:
    """Differences to one month's account, in millionths of a dollar."""

    month: str
    reserved: int = 0
    spent: int = 0
    wasted: int = 0

    @property
    def committed(self) -> int:
        """Return the difference to what counts against the budget."""
        return self.reserved + self.spent


def bookings(before: Sequence[Charge], after: Sequence[Charge]) -> tuple[Booking, ...]:
    """Return what changes in which month's account when a job's charges change; empty when nothing does."""
    changes: dict[str, Booking] = {}
    for sign, charges in ((-1, before), (1, after)):
        for charge in charges:
            had = changes.get(charge.month, Booking(charge.month))
            new = _booked(charge, sign)
            changes[charge.month] = Booking(
                charge.month,
                had.reserved + new.reserved,
                had.spent + new.spent,
                had.wasted + new.wasted,
            )
    return tuple(each for each in changes.values() if each != Booking(each.month))


def paid_usd(charges: Iterable[Charge]) -> float:
    """Return what was paid in US dollars, for a result or for nothing."""
    paid = (ChargeState.SPENT, ChargeState.WASTED)
    return sum(each.micro_usd for each in charges if each.state in paid) / MICRO


def month_of(moment: datetime) -> str:
    """Return ``YYYY-MM`` of a moment in UTC."""
    return f"{moment:%Y-%m}"


def _booked(charge: Charge, sign: int) -> Booking:
    amount = sign * charge.micro_usd
    match charge.state:
        case ChargeState.RESERVED:
            return Booking(charge.month, reserved=amount)
        case ChargeState.SPENT:
            return Booking(charge.month, spent=amount)
        case ChargeState.WASTED:
            return Booking(charge.month, spent=amount, wasted=amount)
        case ChargeState.FREE:
            return Booking(charge.month)
