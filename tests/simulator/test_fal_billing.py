"""What a training costs, before and after."""

from typing import Any

import pytest

from lora_drop.simulator.running import ControlClient
from tests.simulator.fal_calls import DATASET, Calls
from tests.support.builders import APPLICATION

PRICING = "/v1/models/pricing"
EVENTS = "/v1/models/billing-events"


def events(calls: Calls, **query: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = calls.http.get(EVENTS, params=query).json()["billing_events"]
    return rows


def test_the_price_of_a_step_is_listed(standing: Calls) -> None:
    body = standing.http.get(PRICING, params={"endpoint_id": APPLICATION}).json()

    assert body["prices"] == [
        {"endpoint_id": APPLICATION, "unit_price": 0.0024, "unit": "steps", "currency": "USD"}
    ]


def test_an_endpoint_without_a_price_is_not_found(standing: Calls) -> None:
    wanted = [APPLICATION, "fal-ai/nothing"]

    assert standing.http.get(PRICING, params={"endpoint_id": wanted}).status_code == 404


@pytest.mark.parametrize(
    ("kind", "quantity", "cost"),
    [
        ("unit_price", {"unit_quantity": 2500}, 6.0),
        ("historical_api_price", {"call_quantity": 2}, 4.8),
    ],
)
def test_a_cost_can_be_estimated(
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
def test_an_estimate_that_cannot_be_read_is_refused(standing: Calls, body: Any) -> None:
    response = standing.http.post(f"{PRICING}/estimate", json=body)

    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith("the estimate cannot be read: ")


@pytest.mark.parametrize(("steps", "billed"), [(100, 1000), (2500, 2500)])
def test_a_training_is_billed_by_its_steps_and_a_thousand_at_least(
    calls: Calls, steps: int, billed: int
) -> None:
    calls.trained({"images_data_url": DATASET, "steps": steps})

    [event] = events(calls)

    assert event["output_units"] == billed
    assert event["unit_price"] == 0.0024
    assert event["cost_total"] == event["cost_subtotal"] == pytest.approx(billed * 0.0024)
    assert event["cost_estimate_nano_usd"] == round(billed * 0.0024 * 1e9)


def test_only_what_succeeded_is_billed(sim: ControlClient, calls: Calls) -> None:
    sim.inject("training_error", type="generation_timeout")
    calls.ended(calls.submitted())
    calls.ended(calls.submitted({"images_data_url": "data:,"}))
    sim.inject("training_stuck")
    calls.cancel(calls.submitted())

    assert events(calls) == []


@pytest.mark.parametrize(("steps", "billed"), [(100, "1000"), (2500, "2500")])
def test_a_result_says_what_was_billed(calls: Calls, steps: int, billed: str) -> None:
    request_id = calls.submitted({"images_data_url": DATASET, "steps": steps})
    status = calls.ended(request_id)

    assert status["status"] == "COMPLETED"
    assert calls.result(request_id).headers["x-fal-billable-units"] == billed


@pytest.mark.parametrize(
    ("settings", "told"),
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
def test_a_failure_can_be_billed_and_says_so_or_not(
    sim: ControlClient, calls: Calls, settings: dict[str, Any], told: str | None
) -> None:
    sim.inject("training_error", type="image_load_error", **settings)
    request_id = calls.submitted()
    calls.ended(request_id)

    result = calls.result(request_id)

    units = settings.get("billable_units") or 0
    assert result.status_code == 422
    assert result.headers.get("x-fal-billable-units") == told
    assert [event["output_units"] for event in events(calls)] == [units] * bool(units)
    left = calls.http.get("/v1/account/billing", params={"expand": "credits"}).json()["credits"]
    assert left["current_balance"] == pytest.approx(1000 - units * 0.0024)


def test_an_answer_that_is_no_result_says_nothing_of_money(
    sim: ControlClient, calls: Calls
) -> None:
    sim.inject("training_slow", seconds=0.3)
    sim.inject("result_gone")
    request_id = calls.submitted()
    early = calls.result(request_id)
    calls.ended(request_id)
    gone = calls.result(request_id)

    assert (early.status_code, gone.status_code) == (400, 404)
    assert "x-fal-billable-units" not in early.headers
    assert "x-fal-billable-units" not in gone.headers


def test_events_can_be_told_by_request_endpoint_and_time(calls: Calls) -> None:
    first, second = (calls.submitted() for _ in range(2))
    for request_id in (first, second):
        calls.ended(request_id)
    ids = [event["request_id"] for event in events(calls)]
    last = max(event["timestamp"] for event in events(calls))

    assert ids == [first, second]
    assert [event["request_id"] for event in events(calls, request_id=second)] == [second]
    assert len(events(calls, request_id=[first, second])) == 2
    assert events(calls, endpoint_id="fal-ai/flux-2-trainer") == []
    assert events(calls, start="2099-01-01") == []
    assert len(events(calls, end="2099-01-01T00:00:00Z", start="2020-01-01")) == 2
    assert events(calls, end="2020-01-01") == []
    assert calls.http.get(EVENTS, params={"start": "soon"}).status_code == 400
    assert last.endswith("Z")


def test_the_balance_goes_down_by_what_was_billed(sim: ControlClient, calls: Calls) -> None:
    calls.trained({"images_data_url": DATASET, "steps": 2500})

    account = calls.http.get("/v1/account/billing").json()
    with_credits = calls.http.get("/v1/account/billing", params={"expand": "credits"}).json()

    assert account == {"username": sim.user_id}
    assert with_credits["credits"] == {"current_balance": 994.0, "currency": "USD"}
