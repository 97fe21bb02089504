"""fal's price list (https://fal.ai/docs/platform-apis/v1/models/pricing), believed with care.

It says what a unit costs and calls the unit by a name that is documented for no trainer. A unit that
was misread would reserve a thousandth or a thousandfold of the money, so whatever is in doubt counts
as no answer, and the trainer's row stands.
"""

import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from lora_drop.adapters.fal_key import Key
from lora_drop.adapters.fal_platform import FalPlatform
from lora_drop.fal.trainers.table import TRAINERS, price_of
from lora_drop.fal.trainers.trainer import Price

TIMEOUT = httpx.Timeout(3.0)  # an estimate is not worth more of a function's minute
KEPT = 3600.0  # seconds
FAILURE_KEPT = 300.0  # seconds
MOST = 1e6  # US dollars; more may be no float
MOST_APART = 10  # times the table's price, or a part of it
UNIT = re.compile(
    r"(per )?((?P<thousand>1,?000|1k|thousand|a thousand) )?(training )?step(s|\(s\))?"
)


class FalPrices:
    """The prices of the moment, with one key; it never fails, but may know nothing."""

    def __init__(
        self,
        key: Key,
        api_url: str,
        transport: httpx.BaseTransport | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._platform = FalPlatform(key, api_url, transport, timeout=TIMEOUT)
        self._clock = clock
        self._known: dict[str, tuple[float, Price | None]] = {}

    def price(self, application: str) -> Price | None:
        """Return the price of a trainer as fal lists it; None, and the table counts, when in doubt.

        Asked once an hour, five minutes after a failure.
        """
        until, price = self._known.get(application, (-math.inf, None))
        if self._clock() >= until:
            price = self._asked(application)
            until = self._clock() + (FAILURE_KEPT if price is None else KEPT)
            self._known[application] = until, price
        return price

    def _asked(self, application: str) -> Price | None:
        _, body = self._platform.get("/models/pricing", {"endpoint_id": application})
        rows = body.get("prices") if body else None
        if not isinstance(rows, list):
            return None
        ours = [
            row for row in rows if isinstance(row, dict) and row.get("endpoint_id") == application
        ]
        return _read(application, ours[0]) if len(ours) == 1 else None


def _read(application: str, row: Mapping[str, Any]) -> Price | None:
    """Return the price of a step, or None for a unit or an amount that may mean something else."""
    unit, amount = row.get("unit"), row.get("unit_price")
    read = UNIT.fullmatch(" ".join(unit.lower().split())) if isinstance(unit, str) else None
    if read is None or row.get("currency") != "USD":
        return None
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 < amount < MOST:
        return None  # NaN is not among them
    usd = amount / 1000 if read["thousand"] else amount
    listed = price_of(application)
    # A trainer without a price costs about what trainers cost, or the unit is another.
    known = [trainer.price for trainer in TRAINERS.values() if trainer.price]
    about = [listed] if listed else known
    least = min(price.usd_per_step for price in about) / MOST_APART
    most = max(price.usd_per_step for price in about) * MOST_APART
    if not least <= usd <= most:
        return None
    return Price(float(usd), listed.min_steps if listed else 1)
