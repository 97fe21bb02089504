"""What trainings cost at fal, and who was billed for what."""

from collections.abc import Mapping
from typing import Any

from lora_drop.simulator.clock import now, stamp
from lora_drop.simulator.requests import ModelRequest

# USD for a step, and how many are billed at least. The unit's name is not documented.
PRICES: Mapping[str, tuple[float, int]] = {
    "fal-ai/flux-lora-portrait-trainer": (0.0024, 1000),
    "fal-ai/flux-lora-fast-training": (0.002, 1000),
    "fal-ai/turbo-flux-trainer": (0.0024, 1000),
    "fal-ai/flux-krea-trainer": (0.002, 1000),
    "fal-ai/flux-2-trainer": (0.0064, 1),
    "fal-ai/qwen-image-trainer-v2": (0.002, 500),
    "fal-ai/qwen-image-2512-trainer-v2": (0.00095, 500),
    "fal-ai/z-image-turbo-trainer-v2": (0.00085, 1000),
}
UNKNOWN = (0.0, 0)


def billed_steps(request: ModelRequest) -> float:
    """The steps on its bill; none when it did not succeed, unless a fault has it billed."""
    _, minimum = PRICES.get(request.endpoint_id, UNKNOWN)
    if request.billable_units is not None:
        return request.billable_units
    return max(request.steps, minimum) if request.steps else 0


def cost(request: ModelRequest) -> float:
    """What it cost, in USD."""
    price, _ = PRICES.get(request.endpoint_id, UNKNOWN)
    return round(price * billed_steps(request), 6)


def price_row(endpoint_id: str) -> dict[str, Any]:
    """An endpoint's price as fal lists it; KeyError when it has none."""
    unit_price, _ = PRICES[endpoint_id]
    return {
        "endpoint_id": endpoint_id,
        "unit_price": unit_price,
        "unit": "steps",
        "currency": "USD",
    }


def billing_event(request: ModelRequest) -> dict[str, Any]:
    """The row of a request that was billed."""
    price, _ = PRICES.get(request.endpoint_id, UNKNOWN)
    total = cost(request)
    return {
        "request_id": request.request_id,
        "endpoint_id": request.endpoint_id,
        "timestamp": stamp(request.ended_at or now()),
        "output_units": billed_steps(request),
        "unit_price": price,
        "percent_discount": 0,
        "cost_subtotal": total,
        "cost_discount": 0,
        "cost_total": total,
        "cost_estimate_nano_usd": round(total * 1e9),
    }


def estimated(kind: str, endpoint_id: str, quantity: Mapping[str, float]) -> float:
    """What so many units, or calls at the usual price, would cost; KeyError for an unknown one."""
    unit_price, minimum = PRICES[endpoint_id]
    if kind == "unit_price":
        return unit_price * quantity["unit_quantity"]
    if kind == "historical_api_price":
        return unit_price * minimum * quantity["call_quantity"]
    raise ValueError(f"estimate_type is unit_price or historical_api_price, not {kind}")
