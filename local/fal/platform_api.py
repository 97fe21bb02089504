"""fal's platform API: what was asked of the account, and what it cost (fal, "Platform APIs")."""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from aiohttp import web

from local.fal.clock import now, stamp
from local.fal.config import SimulatorConfig
from local.fal.files import PublicFiles
from local.fal.requests import ModelRequest, Requests
from local.fal.wire import answer, authorized

# USD for a step, and how many are billed at least. The unit's name is not documented.
PRICES: Mapping[str, tuple[float, int]] = {
    "fal-ai/flux-lora-portrait-trainer": (0.0024, 1000),
    "fal-ai/flux-lora-fast-training": (0.002, 1000),
    "fal-ai/turbo-flux-trainer": (0.0024, 1000),
    "fal-ai/flux-2-trainer": (0.0064, 1),
    "fal-ai/qwen-image-trainer-v2": (0.002, 500),
}
DAY = timedelta(hours=24)
QUARTER = timedelta(days=90)
CLASSES = {"success": range(200, 300), "user_error": range(400, 500), "error": range(500, 600)}


class BadQuery(ValueError):
    """Raised when a query cannot be read; the message says why."""


class PlatformApi:
    """The account's view."""

    def __init__(self, config: SimulatorConfig, requests: Requests, files: PublicFiles) -> None:
        self._config = config
        self._requests = requests
        self._files = files

    def routes(self) -> list[web.RouteDef]:
        """Where the platform API is."""
        return [
            web.get("/v1/models/requests/by-endpoint", self.by_endpoint),
            web.delete("/v1/models/requests/{request_id}/payloads", self.delete_payloads),
            web.get("/v1/models/pricing", self.pricing),
            web.post("/v1/models/pricing/estimate", self.estimate),
            web.get("/v1/models/billing-events", self.billing_events),
            web.get("/v1/account/billing", self.billing),
            web.get("/v1/meta", self.meta),
        ]

    async def by_endpoint(self, http: web.Request) -> web.Response:
        """The requests of these endpoints that have started, newest end first."""
        if refusal := self._refusal(http):
            return refusal
        try:
            found = [request for request in self._requests if _wanted(http, request)]
            page, paging = _page(http, found)
        except BadQuery as error:
            return _error(HTTPStatus.BAD_REQUEST, "validation_error", str(error))
        expand = "payloads" in http.query.getall("expand", [])
        return answer({"items": [_item(each, expand=expand) for each in page], **paging})

    async def delete_payloads(self, http: web.Request) -> web.Response:
        """Forget what a request was given and gave, and delete its output files."""
        if refusal := self._refusal(http):
            return refusal
        request = self._requests.get(http.match_info["request_id"])
        if request is None:
            return _error(HTTPStatus.NOT_FOUND, "not_found", "Request not found")
        request.store_io = False
        results = []
        for path in request.file_paths:
            self._files.remove(path)
            results.append({"link": self._files.url(path), "exception": None})
        request.file_paths.clear()
        return answer({"cdn_delete_results": results})

    async def pricing(self, http: web.Request) -> web.Response:
        """What a unit costs; 404 when one of the endpoints has no price."""
        if refusal := self._refusal(http):
            return refusal
        wanted = _endpoints(http) or list(PRICES)
        if any(endpoint not in PRICES for endpoint in wanted):
            return _error(HTTPStatus.NOT_FOUND, "not_found", "Endpoint id not found")
        prices = [
            {
                "endpoint_id": endpoint,
                "unit_price": PRICES[endpoint][0],
                "unit": "steps",
                "currency": "USD",
            }
            for endpoint in wanted
        ]
        return answer({"prices": prices, "next_cursor": None, "has_more": False})

    async def estimate(self, http: web.Request) -> web.Response:
        """What so many units, or calls at the usual price, would cost."""
        if refusal := self._refusal(http):
            return refusal
        try:
            wanted = await http.json()
            cost = sum(
                _estimated(wanted["estimate_type"], PRICES[endpoint], quantity)
                for endpoint, quantity in wanted["endpoints"].items()
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return _error(HTTPStatus.BAD_REQUEST, "validation_error", repr(error))
        return answer(
            {
                "estimate_type": wanted["estimate_type"],
                "total_cost": round(cost, 6),
                "currency": "USD",
            }
        )

    async def billing_events(self, http: web.Request) -> web.Response:
        """A row for each request that was billed."""
        if refusal := self._refusal(http):
            return refusal
        ids, endpoints = http.query.getall("request_id", []), _endpoints(http)
        rows = [
            _event(request)
            for request in self._requests
            if request.steps
            and (not ids or request.request_id in ids)
            and (not endpoints or request.endpoint_id in endpoints)
        ]
        return answer({"billing_events": rows, "next_cursor": None, "has_more": False})

    async def billing(self, http: web.Request) -> web.Response:
        """The account, and with ``expand=credits`` what is left of its money."""
        if refusal := self._refusal(http):
            return refusal
        body: dict[str, Any] = {"username": self._config.user_id}
        if "credits" in http.query.getall("expand", []):
            spent = sum(_cost(request) for request in self._requests)
            left = round(self._config.balance_usd - spent, 6)
            body["credits"] = {"current_balance": left, "currency": "USD"}
        return answer(body)

    async def meta(self, _: web.Request) -> web.Response:
        """Where webhooks come from; asks for no key."""
        bits = 128 if ":" in self._config.host else 32
        return answer({"webhook_ip_ranges": [f"{self._config.host}/{bits}"]})

    def _refusal(self, http: web.Request) -> web.Response | None:
        if authorized(http, self._config.key):
            return None
        return _error(HTTPStatus.UNAUTHORIZED, "authorization_error", "Authentication required")


def _error(status: int, kind: str, message: str) -> web.Response:
    return answer({"error": {"type": kind, "message": message}}, status)


def _endpoints(http: web.Request) -> list[str]:
    return [each for given in http.query.getall("endpoint_id", []) for each in given.split(",")]


def _wanted(http: web.Request, request: ModelRequest) -> bool:
    """Whether the query lists it; fal does not name the time of start and end: here ``sent_at``."""
    if not (endpoints := _endpoints(http)):
        raise BadQuery("endpoint_id is required")
    request_id, status = http.query.get("request_id"), http.query.get("status")
    if status is not None and status not in CLASSES:
        raise BadQuery(f"status is one of {', '.join(CLASSES)}")
    end = _time(http, "end", now())
    start = _time(http, "start", end - (QUARTER if request_id else DAY))
    code = request.outcome.status_code if request.outcome else None
    return (
        request.endpoint_id in endpoints
        and request.started_at is not None  # a request that waits is not listed
        and (request_id is None or request.request_id == request_id)
        and start <= request.sent_at < end
        and (status is None or (code is not None and code in CLASSES[status]))
    )


def _time(http: web.Request, name: str, default: datetime) -> datetime:
    given = http.query.get(name)
    if given is None:
        return default
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise BadQuery(f"{name} is not an ISO 8601 time") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _page(
    http: web.Request, found: list[ModelRequest]
) -> tuple[list[ModelRequest], dict[str, Any]]:
    if http.query.get("sort_by") == "duration":
        found.sort(key=lambda request: request.seconds() or 0.0, reverse=True)
    else:
        found.sort(key=lambda request: request.ended_at or now(), reverse=True)
    try:
        limit = int(http.query.get("limit", "50"))
        cursor = http.query.get("cursor")
        first = int(base64.urlsafe_b64decode(cursor)) if cursor else 0
    except (binascii.Error, ValueError) as error:
        raise BadQuery("limit or cursor cannot be read") from error
    if not 1 <= limit <= 100:  # noqa: PLR2004 -- the documented bound
        raise BadQuery("limit is from 1 to 100")
    last = first + limit
    more = last < len(found)
    following = base64.urlsafe_b64encode(str(last).encode()).decode() if more else None
    return found[first:last], {"next_cursor": following, "has_more": more}


def _item(request: ModelRequest, *, expand: bool) -> dict[str, Any]:
    def maybe(moment: datetime | None) -> str | None:
        return stamp(moment) if moment else None

    item: dict[str, Any] = {
        "request_id": request.request_id,
        "endpoint_id": request.endpoint_id,
        "started_at": maybe(request.started_at),
        "sent_at": stamp(request.sent_at),
        "ended_at": maybe(request.ended_at),
        "status_code": request.outcome.status_code if request.outcome else None,
        "duration": request.seconds(),
    }
    if expand:
        kept = request.store_io
        item["json_input"] = request.arguments if kept else None
        item["json_output"] = request.outcome.body if kept and request.outcome else None
    return item


def _billed_steps(request: ModelRequest) -> int:
    _, minimum = PRICES.get(request.endpoint_id, (0.0, 0))
    return max(request.steps, minimum) if request.steps else 0


def _cost(request: ModelRequest) -> float:
    price, _ = PRICES.get(request.endpoint_id, (0.0, 0))
    return round(price * _billed_steps(request), 6)


def _event(request: ModelRequest) -> dict[str, Any]:
    price, _ = PRICES.get(request.endpoint_id, (0.0, 0))
    cost = _cost(request)
    return {
        "request_id": request.request_id,
        "endpoint_id": request.endpoint_id,
        "timestamp": stamp(request.ended_at or now()),
        "output_units": _billed_steps(request),
        "unit_price": price,
        "percent_discount": 0,
        "cost_subtotal": cost,
        "cost_discount": 0,
        "cost_total": cost,
        "cost_estimate_nano_usd": round(cost * 1e9),
    }


def _estimated(kind: str, price: tuple[float, int], quantity: Mapping[str, float]) -> float:
    unit_price, minimum = price
    if kind == "unit_price":
        return unit_price * quantity["unit_quantity"]
    if kind == "historical_api_price":
        return unit_price * minimum * quantity["call_quantity"]
    raise ValueError(kind)
