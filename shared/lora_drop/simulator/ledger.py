"""The simulator's own account of what happened, and what trainings and pictures cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lora_drop.simulator.image_inputs import FLUX_LORA
from lora_drop.simulator.requests import ModelRequest
from lora_drop.simulator.wire import now, stamp


class Ledger:
    """Rows in the order they happened; nothing is ever changed or taken out."""

    def __init__(self) -> None:
        self.submissions: list[Mapping[str, Any]] = []
        self.datasets: list[Mapping[str, Any]] = []
        self.loras: list[Mapping[str, Any]] = []
        self.served: list[Mapping[str, Any]] = []
        self.webhooks: list[Mapping[str, Any]] = []
        self.max_in_progress = 0

    def submission(self, **row: Any) -> None:
        """A POST that came in, accepted or not."""
        self.submissions.append({"time": stamp(now()), **row})

    def dataset(self, **row: Any) -> None:
        """A download of a dataset or checkpoint by the trainer."""
        self.datasets.append({"time": stamp(now()), **row})

    def lora(self, **row: Any) -> None:
        """A download of a LoRA by an image model."""
        self.loras.append({"time": stamp(now()), **row})

    def serving(self, **row: Any) -> None:
        """Bytes of a file that left, and the hash of exactly those."""
        self.served.append({"time": stamp(now()), **row})

    def webhook(self, **row: Any) -> Mapping[str, Any]:
        """An attempt to deliver a webhook, or a delivery that was dropped on purpose."""
        self.webhooks.append({"time": stamp(now()), **row})
        return self.webhooks[-1]

    def in_progress(self, count: int) -> None:
        """So many requests are in progress now."""
        self.max_in_progress = max(self.max_in_progress, count)

    def public(self) -> dict[str, Any]:
        """The whole account."""
        return {
            "submissions": self.submissions,
            "datasets": self.datasets,
            "loras": self.loras,
            "served": self.served,
            "webhooks": self.webhooks,
            "max_in_progress": self.max_in_progress,
        }


# Of the trainers: USD for a step, and how many are billed at least. The unit's name is not documented.
PRICES: Mapping[str, tuple[float, int]] = {
    "fal-ai/flux-lora-portrait-trainer": (0.0024, 1000),
    "fal-ai/flux-lora-fast-training": (0.002, 1000),
    "fal-ai/turbo-flux-trainer": (0.0024, 1000),
    "fal-ai/flux-krea-trainer": (0.002, 1000),
    "fal-ai/flux-2-trainer": (0.0064, 1),
    "fal-ai/qwen-image-trainer-v2": (0.002, 500),
    "fal-ai/qwen-image-2512-trainer-v2": (0.00095, 500),
    "fal-ai/z-image-turbo-trainer-v2": (0.00085, 1000),
    "fal-ai/flux-2-trainer-v2": (0.0064, 1),
    "fal-ai/flux-2-klein-9b-base-trainer": (0.0043, 1),
    "blackforestlabs/flux-3/klein/base/trainer": (0.0043, 100),
    "fal-ai/krea-2-trainer": (0.003, 100),
    "ideogram/v4/trainer": (0.00675, 1),
    "fal-ai/qwen-image-2512-trainer": (0.0015, 500),
}


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """USD for a unit, how many units a request is billed at least, and what fal calls them."""

    usd: float
    least: int
    unit: str


UNIT_PRICES: Mapping[str, UnitPrice] = {
    **{name: UnitPrice(usd, least, "steps") for name, (usd, least) in PRICES.items()},
    # "$0.035 per megapixels": https://fal.ai/models/fal-ai/flux-lora/stream/llms.txt
    FLUX_LORA: UnitPrice(0.035, 1, "megapixels"),
}
UNKNOWN = UnitPrice(0.0, 0, "")


def billed_units(request: ModelRequest) -> float:
    """The steps or megapixels on its bill; none when it did not succeed, unless a fault has it billed."""
    if request.billable_units is not None:
        return request.billable_units
    least = UNIT_PRICES.get(request.endpoint_id, UNKNOWN).least
    return max(request.units, least) if request.units else 0


def cost(request: ModelRequest) -> float:
    """What it cost, in USD."""
    price = UNIT_PRICES.get(request.endpoint_id, UNKNOWN)
    return round(price.usd * billed_units(request), 6)


def price_row(endpoint_id: str) -> dict[str, Any]:
    """An endpoint's price as fal lists it; KeyError when it has none."""
    price = UNIT_PRICES[endpoint_id]
    return {
        "endpoint_id": endpoint_id,
        "unit_price": price.usd,
        "unit": price.unit,
        "currency": "USD",
    }


def billing_event(request: ModelRequest) -> dict[str, Any]:
    """The row of a request that was billed."""
    price = UNIT_PRICES.get(request.endpoint_id, UNKNOWN)
    total = cost(request)
    return {
        "request_id": request.request_id,
        "endpoint_id": request.endpoint_id,
        "timestamp": stamp(request.ended_at or now()),
        "output_units": billed_units(request),
        "unit_price": price.usd,
        "percent_discount": 0,
        "cost_subtotal": total,
        "cost_discount": 0,
        "cost_total": total,
        "cost_estimate_nano_usd": round(total * 1e9),
    }


def estimated(kind: str, endpoint_id: str, quantity: Mapping[str, float]) -> float:
    """What so many units, or calls at the usual price, would cost; KeyError for an unknown one."""
    price = UNIT_PRICES[endpoint_id]
    if kind == "unit_price":
        return price.usd * quantity["unit_quantity"]
    if kind == "historical_api_price":
        return price.usd * price.least * quantity["call_quantity"]
    raise ValueError(f"estimate_type is unit_price or historical_api_price, not {kind}")
