"""What a training costs, before it is paid: an estimate that the bill does not exceed.

Where a trainer's row states no minimum for a price per 1000 steps, or per run of 1000, it is taken
as 1000: an estimate reserves money, and too much of it does no harm. fal's own list of the moment
comes before the rows (lora_drop.adapters.fal_prices).
"""

from decimal import ROUND_CEILING, Decimal

from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.fal.trainers.trainer import Price

__all__ = ["Price", "estimated_cost_usd", "price_of"]


def price_of(application: str) -> Price | None:
    """Return the price of a trainer as it was last published; None where it is not known."""
    trainer = TRAINERS.get(application)
    return trainer.price if trainer else None


def estimated_cost_usd(application: str, steps: int, price: Price | None = None) -> float | None:
    """Return US dollars for one training, in whole cents rounded up; None where no price is known.

    ``price`` is fal's of the moment and comes before the row's.
    """
    asked = price or price_of(application)
    if asked is None:
        return None
    billed = max(steps, asked.min_steps)
    # In decimals: a price that is a bit more than $0.0024 in binary would make $2.40 be $2.41.
    usd = Decimal(f"{asked.usd_per_step:.12f}") * billed
    return float(usd.quantize(Decimal("0.01"), rounding=ROUND_CEILING))
