"""fal's platform API: what was asked of the account, and what it cost (fal, "Platform APIs")."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from aiohttp import web

from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.files import PublicFiles
from lora_drop.simulator.history import HistoryQuery, InvalidQueryError, read_endpoints, read_time
from lora_drop.simulator.image_inputs import IMAGE_MODELS
from lora_drop.simulator.inputs import ENDPOINTS
from lora_drop.simulator.ledger import (
    UNIT_PRICES,
    billed_units,
    billing_event,
    cost,
    estimated,
    price_row,
)
from lora_drop.simulator.published import model_row
from lora_drop.simulator.requests import Requests
from lora_drop.simulator.wire import answer, authorized, now

REMEMBERED = timedelta(minutes=10)
ONE_PAGE = {"next_cursor": None, "has_more": False}


class PlatformApi:
    """The account's view."""

    def __init__(
        self, config: SimulatorConfig, requests: Requests, files: PublicFiles, *, address: str
    ) -> None:
        self._config = config
        self._requests = requests
        self._files = files
        self._address = address
        self._told: dict[str, tuple[datetime, dict[str, Any]]] = {}

    def routes(self) -> list[web.RouteDef]:
        """Where the platform API is."""
        return [
            web.get("/v1/models/requests/by-endpoint", self.by_endpoint),
            web.delete("/v1/models/requests/{request_id}/payloads", self.delete_payloads),
            web.get("/v1/models", self.models),
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
            query = HistoryQuery.read(http.query)
        except InvalidQueryError as error:
            return _invalid(str(error))
        return answer(query.page(self._requests))

    async def delete_payloads(self, http: web.Request) -> web.Response:
        """Forget what a request was given and gave, and delete its output files, no input.

        The same ``Idempotency-Key`` gets the same answer for ten minutes.
        """
        if refusal := self._refusal(http, admin=True):
            return refusal
        said = self._told.get(http.headers.get("Idempotency-Key", ""))
        if said is not None and now() < said[0]:
            return answer(said[1])
        request = self._requests.get(http.match_info["request_id"])
        if request is None:
            return _error(HTTPStatus.NOT_FOUND, "not_found", "Request not found")
        request.store_io = False
        results = []
        for path in request.file_paths:
            self._files.remove(path)
            results.append({"link": self._files.url(path), "exception": None})
        request.file_paths.clear()
        body = {"cdn_delete_results": results}
        if key := http.headers.get("Idempotency-Key"):
            self._told[key] = now() + REMEMBERED, body
        return answer(body)

    async def models(self, http: web.Request) -> web.Response:
        """The endpoints of these names, with their schemas where ``expand`` asks for them; needs no key."""
        known = [*ENDPOINTS, *IMAGE_MODELS]
        wanted = read_endpoints(http.query) or known
        expand = "openapi-3.0" in http.query.getall("expand", [])
        rows = [model_row(endpoint, expand=expand) for endpoint in wanted if endpoint in known]
        return answer({"models": rows, **ONE_PAGE})

    async def pricing(self, http: web.Request) -> web.Response:
        """What a unit costs; 404 when one of the endpoints has no price."""
        if refusal := self._refusal(http):
            return refusal
        wanted = read_endpoints(http.query) or list(UNIT_PRICES)
        if any(endpoint not in UNIT_PRICES for endpoint in wanted):
            return _error(HTTPStatus.NOT_FOUND, "not_found", "Endpoint id not found")
        return answer({"prices": [price_row(endpoint) for endpoint in wanted], **ONE_PAGE})

    async def estimate(self, http: web.Request) -> web.Response:
        """What so many units, or calls at the usual price, would cost."""
        if refusal := self._refusal(http):
            return refusal
        try:
            wanted = await http.json()
            kind = wanted["estimate_type"]
            total = sum(
                estimated(kind, endpoint, quantity)
                for endpoint, quantity in wanted["endpoints"].items()
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return _invalid(f"the estimate cannot be read: {error!r}")
        return answer({"estimate_type": kind, "total_cost": round(total, 6), "currency": "USD"})

    async def billing_events(self, http: web.Request) -> web.Response:
        """A row for each request that was billed."""
        if refusal := self._refusal(http, admin=True):
            return refusal
        ids, endpoints = http.query.getall("request_id", []), read_endpoints(http.query)
        try:
            start, end = read_time(http.query, "start"), read_time(http.query, "end")
        except InvalidQueryError as error:
            return _invalid(str(error))
        rows = [
            billing_event(request)
            for request in self._requests
            if billed_units(request)
            and request.ended_at is not None
            and (not ids or request.request_id in ids)
            and (not endpoints or request.endpoint_id in endpoints)
            and (start is None or start <= request.ended_at)
            and (end is None or request.ended_at < end)
        ]
        return answer({"billing_events": rows, **ONE_PAGE})

    async def billing(self, http: web.Request) -> web.Response:
        """The account, and with ``expand=credits`` what is left of its money."""
        if refusal := self._refusal(http, admin=True):
            return refusal
        body: dict[str, Any] = {"username": self._config.user_id}
        if "credits" in http.query.getall("expand", []):
            spent = sum(cost(request) for request in self._requests)
            left = round(self._config.balance_usd - spent, 6)
            body["credits"] = {"current_balance": left, "currency": "USD"}
        return answer(body)

    async def meta(self, _: web.Request) -> web.Response:
        """Where webhooks come from; asks for no key."""
        bits = 128 if ":" in self._address else 32
        return answer({"webhook_ip_ranges": [f"{self._address}/{bits}"]})

    def _refusal(self, http: web.Request, *, admin: bool = False) -> web.Response | None:
        if authorized(http, self._config.key):
            if not admin or self._config.key_scope == "ADMIN":
                return None
            message = "This endpoint requires an admin API key"
            return _error(HTTPStatus.FORBIDDEN, "authorization_error", message)
        return _error(HTTPStatus.UNAUTHORIZED, "authorization_error", "Authentication required")


def _error(status: int, kind: str, message: str) -> web.Response:
    return answer({"error": {"type": kind, "message": message}}, status)


def _invalid(message: str) -> web.Response:
    return _error(HTTPStatus.BAD_REQUEST, "validation_error", message)
