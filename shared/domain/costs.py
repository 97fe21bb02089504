"""What a training costs, before it is paid: an estimate that the bill does not exceed."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Price:
    """What fal asks for a training: US dollars a step, and how many steps it bills at least."""

    usd_per_step: float
    min_steps: int


# Where no minimum is stated for a price per 1000 steps, or per run of 1000, it is taken as 1000:
# an estimate reserves money, and too much of it does no harm. fal's own list of the moment comes
# before this one (shared.adapters.fal_prices).
PRICES: Mapping[str, Price] = MappingProxyType(
    {
        # Three independent reports agree; fal's page for it states no price.
        "fal-ai/flux-lora-portrait-trainer": Price(0.0024, 1000),
        # Reports only: about $2 for 1000 steps.
        "fal-ai/flux-lora-fast-training": Price(0.002, 1000),
        # https://fal.ai/models/fal-ai/turbo-flux-trainer/llms.txt: $2.40 for 1000 steps, linear
        "fal-ai/turbo-flux-trainer": Price(0.0024, 1000),
        # https://fal.ai/models/fal-ai/flux-krea-trainer/llms.txt: $2 a run, linear; its default is
        # 1000 steps, as that of flux-lora-fast-training
        "fal-ai/flux-krea-trainer": Price(0.002, 1000),
        # https://fal.ai/models/fal-ai/flux-2-trainer/llms.txt: $0.0064 times the steps, so no
        # minimum; another page of fal's is reported to say $0.008
        "fal-ai/flux-2-trainer": Price(0.0064, 1),
        # https://fal.ai/models/fal-ai/qwen-image-trainer-v2/llms.txt
        "fal-ai/qwen-image-trainer-v2": Price(0.002, 500),
        # https://fal.ai/models/fal-ai/qwen-image-2512-trainer-v2/llms.txt
        "fal-ai/qwen-image-2512-trainer-v2": Price(0.00095, 500),
        # https://fal.ai/models/fal-ai/z-image-turbo-trainer-v2: $0.85 for 1000 steps
        "fal-ai/z-image-turbo-trainer-v2": Price(0.00085, 1000),
        # Reports that quote fal's llms.txt: "minimum 100 steps charged"
        "fal-ai/wan-22-trainer/t2v-a14b": Price(0.004, 100),
        "fal-ai/wan-22-trainer/i2v-a14b": Price(0.005, 100),
        # Reports that quote fal's llms.txt: $0.0048 a step; it trains 100 steps at the least
        "fal-ai/ltx23-video-trainer": Price(0.0048, 100),
    }
)


def price_of(application: str) -> Price | None:
    """The price of a trainer as it was last published; None for one that is not in the table."""
    return PRICES.get(application)


def estimated_cost_usd(application: str, steps: int, price: Price | None = None) -> float | None:
    """US dollars for one training, in whole cents rounded up; None where no price is known.

    ``price`` is fal's of the moment and comes before the table's.
    """
    asked = price or price_of(application)
    if asked is None:
        return None
    billed = max(steps, asked.min_steps)
    # In decimals: a price that is a bit more than $0.0024 in binary would make $2.40 be $2.41.
    usd = Decimal(f"{asked.usd_per_step:.12f}") * billed
    return float(usd.quantize(Decimal("0.01"), rounding=ROUND_CEILING))
