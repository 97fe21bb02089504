"""What a training costs, before and after."""

from typing import Any

import pytest

from tests.simulator.fal_calls import DATASET, Calls
from tests.support.builders import APPLICATION

PRICING = "/v1/models/pricing"
EVENTS = "/v1/models/billing-events"
OTHER = "fal-ai/flux-2-trainer"


def events(calls: Calls, **query: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = calls.http.get(EVENTS, params=query).json()["billing_events"]
    return rows


def balance(calls: Calls) -> float:
    account = calls.http.get("/v1/account/billing", params={"expand": "credits"}).json()
    assert account["credits"]["currency"] == "USD"
    return float(account["credits"]["current_balance"])


def test_price_of_a_step_is_listed(standing: Calls) -> None:
    body = standing.http.get(PRICING, params={"endpoint_id": APPLICATION}).json()
    assert body["prices"] == [
        {"endpoint_id": APPLICATION, "unit_price": 0.0024, "unit": "steps", "currency": "USD"}
    ]
    wanted = [APPLICATION, "fal-ai/nothing"]
    assert standing.http.get(PRICING, params={"endpoint_id": wanted}).status_code == 404


@pytest.mark.parametrize(
    ("kind", "quantity", "cost"),
    [
        ("unit_price", {"unit_quantity": 2500}, 6.0),
        ("historical_api_price", {"call_quantity": 2}, 4.8),
    ],
)
def test_cost_can_be_estimated(
    standing: Calls, kind: str, quantity: dict[str, int], cost: float
) -> None:
    body = {"estimate_type": kind, "endpoints": {APPLICATION: quantity}}
    answer = standing.http.post(f"{PRICING}/estimate", json=body).json()
    assert answer == {"estimate_type": kind, "total_cost": cost, "currency": "USD"}


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"estimate_type": "guess", "endpoints": {APPLICATION: {"unit_quantity": 1}}},
        {"estimate_type": "unit_price", "endpoints": {"fal-ai/nothing": {"unit_quantity": 1}}},
        {"estimate_type": "unit_price", "endpoints": {APPLICATION: {"call_quantity": 1}}},
        {"estimate_type": "unit_price", "endpoints": {APPLICATION: {"unit_quantity": "many"}}},
        {"estimate_type": "unit_price", "endpoints": [APPLICATION]},
    ],
    ids=str,
)
def test_unreadable_estimate_is_refused(standing: Calls, body: Any) -> None:
    response = standing.http.post(f"{PRICING}/estimate", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith("the estimate cannot be read: ")


@pytest.mark.parametrize(("steps", "billed"), [(100, 1000), (2500, 2500)])
def test_training_is_billed_by_its_steps(calls: Calls, steps: int, billed: int) -> None:
    """At least a thousand steps are billed, the result says how many, and the balance goes down."""
    request_id = calls.run({"images_data_url": DATASET, "steps": steps})
    [event] = events(calls)
    assert event["output_units"] == billed
    assert event["unit_price"] == 0.0024
    assert event["cost_total"] == event["cost_subtotal"] == pytest.approx(billed * 0.0024)
    assert event["cost_estimate_nano_usd"] == round(billed * 0.0024 * 1e9)
    assert calls.result(request_id).headers["x-fal-billable-units"] == str(billed)
    assert balance(calls) == pytest.approx(1000 - billed * 0.0024)
    assert calls.http.get("/v1/account/billing").json() == {"username": calls.sim.user_id}


def test_only_success_is_billed(calls: Calls) -> None:
    calls.inject("training_error", type="generation_timeout")
    calls.run()
    calls.run({"images_data_url": "data:,"})
    calls.inject("training_stuck")
    calls.cancel(calls.submitted())
    assert events(calls) == []


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({}, "0"),
        ({"billable_units": None}, "0"),
        ({"billable_units": 0}, "0"),
        ({"billable_units": 0.0}, "0.0"),
        ({"billable_units": 1000}, "1000"),
        ({"billable_units": 12.5}, "12.5"),
        ({"units_told": False}, None),
        ({"billable_units": 1000, "units_told": False}, None),
    ],
    ids=str,
)
def test_failure_can_be_billed(calls: Calls, settings: dict[str, Any], header: str | None) -> None:
    calls.inject("training_error", type="image_load_error", **settings)
    result = calls.result(calls.run())
    units = settings.get("billable_units") or 0
    assert result.status_code == 422
    assert result.headers.get("x-fal-billable-units") == header
    assert [event["output_units"] for event in events(calls)] == [units] * bool(units)
    assert balance(calls) == pytest.approx(1000 - units * 0.0024)


def test_missing_result_names_no_units(standing: Calls) -> None:
    standing.inject("training_stuck")
    standing.inject("result_gone")
    request_id = standing.submitted()
    early = standing.result(request_id)
    standing.cancel(request_id)
    standing.ended(request_id)
    gone = standing.result(request_id)
    assert (early.status_code, gone.status_code) == (400, 404)
    assert gone.json() == {"status": "NOT_FOUND"}
    assert "x-fal-billable-units" not in early.headers
    assert "x-fal-billable-units" not in gone.headers


def test_events_can_be_filtered(calls: Calls) -> None:
    first, second = calls.run(), calls.run()
    rows = events(calls)
    assert [event["request_id"] for event in rows] == [first, second]
    assert [event["request_id"] for event in events(calls, request_id=second)] == [second]
    assert len(events(calls, request_id=[first, second])) == 2
    assert events(calls, endpoint_id=OTHER) == []
    assert events(calls, start="2099-01-01") == []
    assert len(events(calls, end="2099-01-01T00:00:00Z", start="2020-01-01")) == 2
    assert events(calls, end="2020-01-01") == []
    assert calls.http.get(EVENTS, params={"start": "soon"}).status_code == 400
    assert max(event["timestamp"] for event in rows).endswith("Z")
