"""fal's price list is used only where it cannot mean anything else."""

from typing import Any

import httpx
import pytest

from lora_drop.adapters.fal_prices import FalPrices
from lora_drop.fal.trainers.table import price_of
from lora_drop.fal.trainers.trainer import Price
from tests.support.builders import APPLICATION
from tests.support.wire import FixedKey, Said, Wire

API = "https://api.fal.ai/v1"
OTHER = "fal-ai/brand-new-trainer"
PRICED = '{"prices":[{"endpoint_id":"%s","unit_price":%s,"unit":"steps","currency":"USD"}]}'


class Listing(Wire):
    """fal's price list with these answers, and a clock."""

    def __init__(self, *answers: Said) -> None:
        super().__init__(*answers)
        self.now = 1000.0
        self._prices = FalPrices(FixedKey(" key\n"), f"{API}/", self(), clock=lambda: self.now)

    def price(self, application: str = APPLICATION, *, after: float = 0) -> Price | None:
        self.now += after
        return self._prices.price(application)


def row(**changes: Any) -> dict[str, Any]:
    priced = {"endpoint_id": APPLICATION, "unit_price": 0.003, "unit": "steps"}
    return {**priced, "currency": "USD", **changes}


def listed(*rows: object) -> httpx.Response:
    return httpx.Response(200, json={"prices": rows, "next_cursor": None, "has_more": False})


def test_step_price_is_read() -> None:
    fal = Listing(listed(row()))
    assert fal.price() == Price(0.003, 1000)
    [request] = fal.requests
    assert (request.method, fal.urls) == ("GET", [f"{API}/models/pricing"])
    assert dict(request.url.params) == {"endpoint_id": APPLICATION}
    assert request.headers["Authorization"] == "Key key"
    assert request.extensions["timeout"]["read"] == 3.0


STEP = ("step", "Steps", " training  step ", "training steps", "step(s)", "training step(s)")
THOUSAND = ("1000 steps", "1,000 steps", "1k steps", "thousand training steps", "per 1000 steps")


@pytest.mark.parametrize(
    ("unit", "usd", "per_step"),
    [
        *((unit, 0.003, 0.003) for unit in STEP),
        *((unit, 2.4, 0.0024) for unit in THOUSAND),
    ],
)
def test_unit_has_many_names(unit: str, usd: float, per_step: float) -> None:
    assert Listing(listed(row(unit=unit, unit_price=usd))).price() == Price(per_step, 1000)


DOUBTFUL: dict[str, object] = {
    **{
        f"unit {unit}": row(unit=unit)
        for unit in (
            *(None, 1, "", "run", "runs", "request", "second", "image", "megapixel", "units"),
            *("compute seconds", "stepss", "footsteps", "10 steps", "100 steps", "1000", "1000000"),
            *("steps per image", ["steps"], "million steps", "1 000 steps"),
        )
    },
    **{
        f"price {price}": row(unit_price=price)
        for price in (
            *(None, "0.003", True, 0, -0.003, 1e-9, 2.4, 1e300, 10**400, [0.003], {"usd": 1}),
            *(0.0001, 0.1),  # more than tenfold apart from the table's
        )
    },
    "a thousand at the price of one": row(unit="1000 steps", unit_price=0.0024),
    "a thousand without end": row(unit="1000 steps", unit_price=10**400),
    **{
        f"currency {each}": row(currency=each) for each in (None, "EUR", "usd cents", "", "credits")
    },
    "another trainer": row(endpoint_id=OTHER),
    "no trainer": {"unit_price": 0.003, "unit": "steps", "currency": "USD"},
    "no row": "0.003",
    "nothing in it": {},
}


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("doubt", DOUBTFUL)
def test_doubtful_price_is_none(doubt: str) -> None:
    """A price that could mean something else is not used."""
    assert Listing(listed(DOUBTFUL[doubt])).price() is None


UNREADABLE: dict[str, Said] = {
    "401": httpx.Response(401, json={"error": {"type": "authorization_error"}}),
    "404": httpx.Response(404, json={"error": {"type": "not_found"}}),
    "429": httpx.Response(429, json={"detail": "slow down"}),
    "500": httpx.Response(500, text="oops"),
    "a redirect": httpx.Response(302, headers={"Location": "https://evil.example"}),
    "a redirect that is none": httpx.Response(302, headers={"Location": "data:,x"}),
    "an error with a price": httpx.Response(404, json={"prices": [row()]}),
    "a page": httpx.Response(200, text="<html>"),
    "no text": httpx.Response(200, content=b"\xff"),
    "much nesting": httpx.Response(200, content=b"[" * 100_000),
    "a long number": httpx.Response(200, content=b'{"prices": [' + b"9" * 5000 + b"]}"),
    "a list": httpx.Response(200, json=[row()]),
    "null": httpx.Response(200, json={"prices": None}),
    "no list": httpx.Response(200, json={"prices": row()}),
    "an empty list": listed(),
    "the same twice": listed(row(), row()),
    "two prices": listed(row(), row(unit="run", unit_price=2)),
    **{
        f"{number} as the price": httpx.Response(200, text=PRICED % (APPLICATION, number))
        for number in ("NaN", "Infinity", "-Infinity", "1e999")
    },
    "no connection": httpx.ConnectError("refused"),
    "silence": httpx.ReadTimeout("late"),
    "garbage": httpx.RemoteProtocolError("garbage"),
}


@pytest.mark.parametrize("answer", UNREADABLE)
def test_unreadable_answer_is_none(answer: str) -> None:
    fal = Listing(UNREADABLE[answer])
    assert fal.price() is None
    assert len(fal.requests) == 1


@pytest.mark.parametrize(
    ("unit_price", "expected"),
    [(0.003, Price(0.003, 1)), (0.00001, None), (2.0, None), (0.06, Price(0.06, 1))],
)
def test_unknown_trainer_price_is_bounded(unit_price: float, expected: Price | None) -> None:
    assert price_of(OTHER) is None
    assert Listing(listed(row(endpoint_id=OTHER, unit_price=unit_price))).price(OTHER) == expected


FIRST, NEXT = Price(0.003, 1000), Price(0.004, 1000)


@pytest.mark.parametrize(
    ("answer", "seconds", "prices"),
    [
        (listed(row()), (0, 1, 3598, 1), [FIRST, FIRST, FIRST, NEXT]),
        (httpx.ReadTimeout("late"), (0, 299, 1), [None, None, NEXT]),
    ],
    ids=["a price for an hour", "a failure for five minutes"],
)
def test_answer_is_kept(answer: Said, seconds: tuple[int, ...], prices: list[Price | None]) -> None:
    fal = Listing(answer, listed(row(unit_price=0.004)))
    assert [fal.price(after=after) for after in seconds] == prices
    assert len(fal.requests) == 2


def test_each_trainer_has_its_request() -> None:
    fal = Listing(listed(row()), listed(row(endpoint_id=OTHER)))
    assert (fal.price(), fal.price(OTHER)) == (FIRST, Price(0.003, 1))
    assert len(fal.requests) == 2
