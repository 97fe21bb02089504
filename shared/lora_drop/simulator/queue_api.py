"""fal's queue: submit, status, result, cancel (https://fal.ai/docs/api-reference/inference-api)."""

import asyncio
import json
import math
from http import HTTPStatus
from typing import Any

from aiohttp import web

from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.fault_table import Place
from lora_drop.simulator.faults import ActiveFault, Faults
from lora_drop.simulator.ledger import Ledger, billed_units
from lora_drop.simulator.requests import ModelRequest, Requests, Status, short_path
from lora_drop.simulator.slots import Slots
from lora_drop.simulator.wire import (
    GARBAGE,
    NOT_FOUND,
    abort,
    answer,
    authorized,
    error_answer,
    truncated,
    unauthorized,
)

# Every path of two parts and more is an endpoint, but for those that belong to the other roles.
ENDPOINT = r"{endpoint:(?!(?:v1|files|storage|_sim|\.well-known)/)[^/]+/[^/]+(?:/[^/]+)*}"
REQUEST = f"/{ENDPOINT}/requests/{{request_id}}"
EVENT_INTERVAL = 0.1  # seconds
SHORTEST_DEADLINE = 0.1  # seconds


class QueueApi:
    """The queue; its paths differ from those of fal's other hosts."""

    def __init__(
        self,
        config: SimulatorConfig,
        *,
        base_url: str,
        requests: Requests,
        slots: Slots,
        faults: Faults,
        ledger: Ledger,
    ) -> None:
        self._config = config
        self._base_url = base_url
        self._requests = requests
        self._slots = slots
        self._faults = faults
        self._ledger = ledger

    def routes(self) -> list[web.RouteDef]:
        """Where the queue is; a result has two addresses."""
        return [
            web.get(REQUEST, self.result),
            web.get(f"{REQUEST}/response", self.result),
            web.get(f"{REQUEST}/status", self.status),
            web.get(f"{REQUEST}/status/stream", self.stream),
            web.put(f"{REQUEST}/cancel", self.cancel),
            web.post(f"/{ENDPOINT}", self.submit),
        ]

    async def submit(self, http: web.Request) -> web.StreamResponse:
        """Take a request; its input is looked at only when it runs."""
        endpoint_id = http.match_info["endpoint"]
        row: dict[str, Any] = {
            "endpoint_id": endpoint_id,
            "webhook_url": http.query.get("fal_webhook"),
        }
        row["arguments"], refusal = await self._read(http)
        if refusal is not None:
            self._record(row, None, refusal.status)
            return refusal
        fault = self._faults.take(Place.SUBMIT, endpoint_id=endpoint_id)
        if fault and not fault.settings["accepted"]:
            return await self._broken(http, fault, row, None)
        request = self._accept(http, row["arguments"])
        if fault:
            return await self._broken(http, fault, row, request)
        self._record(row, request, HTTPStatus.OK)
        return self._answer(request, self._ticket(request))

    async def status(self, http: web.Request) -> web.StreamResponse:
        """202 until it has ended, then 200, whether it ended well or not."""
        request, refusal = self._find(http)
        if request is None:
            return refusal
        fault = self._faults.take(
            Place.STATUS, request_id=request.request_id, endpoint_id=request.endpoint_id
        )
        if fault and "units" not in fault.settings:
            return error_answer(fault.settings)
        done = request.status is Status.COMPLETED
        code = HTTPStatus.OK if done else HTTPStatus.ACCEPTED
        response = self._answer(request, self._status_body(http, request), code)
        if fault:
            response.headers["X-Fal-Billable-Units"] = str(fault.settings["units"])
        return response

    async def stream(self, http: web.Request) -> web.StreamResponse:
        """Each change of the status as an event, until it has ended."""
        request, refusal = self._find(http)
        if request is None:
            return refusal
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-cache",
                "x-fal-request-id": request.request_id,
            }
        )
        await response.prepare(http)
        last = b""
        while http.transport is not None:  # until the client has gone
            body = self._status_body(http, request)
            event = b"data: " + json.dumps(body).encode() + b"\n\n"
            if event != last:
                await response.write(event)
                last = event
            if body["status"] == Status.COMPLETED:
                break
            await asyncio.sleep(EVENT_INTERVAL)
        return response

    async def result(self, http: web.Request) -> web.StreamResponse:
        """What the model answered, status and all, for as long as it is kept."""
        request, refusal = self._find(http)
        if request is None:
            return refusal
        if request.outcome is None:
            return self._answer(
                request, {"detail": "Request is still in progress"}, HTTPStatus.BAD_REQUEST
            )
        fault = self._faults.take(
            Place.RESULT, request_id=request.request_id, endpoint_id=request.endpoint_id
        )
        if fault and fault.settings["early"]:
            return self._answer(request, self._status_body(http, request), HTTPStatus.ACCEPTED)
        if fault or request.expired(self._config.result_retention):
            return self._answer(request, NOT_FOUND, HTTPStatus.NOT_FOUND)
        outcome = request.outcome
        response = self._answer(request, outcome.body, outcome.status_code)
        response.headers.update(outcome.headers)
        if request.units_told:
            response.headers["X-Fal-Billable-Units"] = str(billed_units(request))
        return response

    async def cancel(self, http: web.Request) -> web.StreamResponse:
        """Take it out of the queue, or ask its runner to stop."""
        request, refusal = self._find(http)
        if request is None:
            return refusal
        if request.status is Status.COMPLETED:
            done = {"status": "ALREADY_COMPLETED"}
            return self._answer(request, done, HTTPStatus.BAD_REQUEST)
        ignored = self._faults.take(
            Place.CANCEL, request_id=request.request_id, endpoint_id=request.endpoint_id
        )
        if not ignored:
            self._slots.cancel(request)
        return self._answer(request, {"status": "CANCELLATION_REQUESTED"}, HTTPStatus.ACCEPTED)

    async def _read(self, http: web.Request) -> tuple[Any, web.Response | None]:
        """The arguments, whatever JSON they are, and why the call is refused, if it is."""
        try:
            arguments = json.loads(await http.read())
            _deadline(http)
            _files_for(http)
        except ValueError as error:
            unreadable = answer({"detail": str(error)}, HTTPStatus.UNPROCESSABLE_ENTITY)
            return None, self._refusal(http) or unreadable
        return arguments, self._refusal(http)

    def _refusal(self, http: web.Request) -> web.Response | None:
        if not authorized(http, self._config.key):
            return unauthorized()
        limit = http.query.get("fal_max_queue_length", "")
        if limit.isdecimal() and self._slots.waiting >= int(limit):
            return answer({"detail": "Queue is full"}, HTTPStatus.TOO_MANY_REQUESTS)
        return None

    def _accept(self, http: web.Request, arguments: Any) -> ModelRequest:
        request = ModelRequest(
            endpoint_id=http.match_info["endpoint"],
            arguments=arguments,
            webhook_url=http.query.get("fal_webhook"),
            store_io=http.headers.get("X-Fal-Store-IO") != "0",
            start_within=_deadline(http),
            files_for=_files_for(http),
        )
        self._requests.add(request)
        self._slots.enqueue(request)
        return request

    async def _broken(
        self,
        http: web.Request,
        fault: ActiveFault,
        row: dict[str, Any],
        request: ModelRequest | None,
    ) -> web.StreamResponse:
        """What a fault makes of the answer."""
        settings, kind = fault.settings, fault.settings["answer"]
        statuses = {"abort": None, "status": settings.get("status")}
        self._record(row, request, statuses.get(kind, HTTPStatus.OK), fault.kind.name)
        body = self._ticket(request) if request else {}
        if kind == "abort":
            return abort(http)
        if kind == "status":
            return error_answer(settings)
        if kind == "truncated":
            return await truncated(http, body)
        if kind == "stall":
            await asyncio.sleep(settings["seconds"])
            return self._answer(request, body) if request else answer(body)
        return web.Response(
            body=GARBAGE if kind == "garbage" else b"", content_type="application/json"
        )

    def _record(
        self,
        row: dict[str, Any],
        request: ModelRequest | None,
        status: int | None,
        fault: str | None = None,
    ) -> None:
        self._ledger.submission(
            **row,
            accepted=request is not None,
            request_id=request.request_id if request else None,
            status=status,
            fault=fault,
        )

    def _find(self, http: web.Request) -> tuple[ModelRequest | None, web.Response]:
        """The request, under its owner and app alone; else the refusal."""
        if not authorized(http, self._config.key):
            return None, unauthorized()
        request = self._requests.get(http.match_info["request_id"])
        if request is not None:
            asked, short = http.match_info["endpoint"], short_path(request.endpoint_id)
            if (
                asked == request.endpoint_id != short
            ):  # its paths are made with less, and this one is no path
                not_allowed = {"detail": "Method Not Allowed"}
                return None, answer(not_allowed, HTTPStatus.METHOD_NOT_ALLOWED)
            if asked != short:
                request = None
        return request, answer(NOT_FOUND, HTTPStatus.NOT_FOUND)

    def _answer(self, request: ModelRequest, body: Any, status: int = 200) -> web.Response:
        return answer(body, status, {"x-fal-request-id": request.request_id})

    def _urls(self, request: ModelRequest) -> dict[str, str]:
        base = f"{self._base_url}/{short_path(request.endpoint_id)}/requests/{request.request_id}"
        return {
            "response_url": f"{base}/response",
            "status_url": f"{base}/status",
            "cancel_url": f"{base}/cancel",
        }

    def _ticket(self, request: ModelRequest) -> dict[str, Any]:
        return {
            "status": Status.IN_QUEUE,
            "request_id": request.request_id,
            **self._urls(request),
            "queue_position": self._slots.position(request),
            "gateway_request_id": request.request_id,
        }

    def _status_body(self, http: web.Request, request: ModelRequest) -> dict[str, Any]:
        asked = http.query.get("logs", "").lower() in ("1", "true")
        body: dict[str, Any] = {
            "status": request.status,
            "request_id": request.request_id,
            **self._urls(request),
            "logs": list(request.logs) if asked else None,  # fal_client reads the key either way
        }
        if request.status is Status.IN_QUEUE:
            body["queue_position"] = self._slots.position(request)
        if request.outcome is not None:
            body["metrics"] = {"inference_time": request.seconds()}
            if not request.outcome.ok:
                body["error"] = request.outcome.error
                body["error_type"] = request.outcome.error_type
        return body


def _files_for(http: web.Request) -> float | None:
    """How many seconds the files of the request are served; ValueError when it cannot be read."""
    said = json.loads(http.headers.get("X-Fal-Object-Lifecycle-Preference", "{}"))
    seconds = said.get("expiration_duration_seconds") if isinstance(said, dict) else None
    return None if seconds is None else float(seconds)


def _deadline(http: web.Request) -> float | None:
    """How many seconds the request may take to start; ValueError when it cannot be read."""
    given = http.headers.get("X-Fal-Request-Timeout")
    if given is None:
        return None
    seconds = float(given)
    if not SHORTEST_DEADLINE < seconds < math.inf:
        raise ValueError(f"X-Fal-Request-Timeout must be more than {SHORTEST_DEADLINE} seconds")
    return seconds
