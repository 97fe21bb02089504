"""The simulator's own API, under ``/_sim``: the ledger, the requests, the faults, the keys."""

import gzip
import json
from http import HTTPStatus
from typing import Any

from aiohttp import web

from lora_drop.simulator.fault_table import Place
from lora_drop.simulator.faults import Faults, InvalidFaultError
from lora_drop.simulator.ledger import Ledger, billed_units, billing_event
from lora_drop.simulator.requests import ModelRequest, Requests
from lora_drop.simulator.webhooks import Deliveries
from lora_drop.simulator.wire import WebhookKey, answer, error_answer


class Control:
    """What a test asks and orders; without a key, as the JWKS is."""

    def __init__(
        self,
        *,
        requests: Requests,
        faults: Faults,
        ledger: Ledger,
        deliveries: Deliveries,
        key: WebhookKey,
    ) -> None:
        self._requests = requests
        self._faults = faults
        self._ledger = ledger
        self._deliveries = deliveries
        self._key = key

    def routes(self) -> list[web.RouteDef]:
        """Where the control API and the signing keys are."""
        return [
            web.get("/.well-known/jwks.json", self.jwks),
            web.get("/_sim/ledger", self.ledger),
            web.get("/_sim/requests", self.requests),
            web.post("/_sim/requests/{request_id}/redeliver", self.redeliver),
            web.get("/_sim/faults", self.faults),
            web.post("/_sim/faults", self.inject),
            web.delete("/_sim/faults", self.clear),
        ]

    async def jwks(self, _: web.Request) -> web.Response:
        """The public keys that webhooks are verified with."""
        fault = self._faults.take(Place.JWKS)
        if fault and "packed" not in fault.settings:
            return error_answer(fault.settings)
        response = answer(self._key.jwks())
        if fault:
            response.headers["Content-Encoding"] = "gzip"
            response.body = gzip.compress(json.dumps(self._key.jwks()).encode())
        return response

    async def ledger(self, _: web.Request) -> web.Response:
        """Everything that happened, with the rows of what is billed."""
        billed = [billing_event(each) for each in self._requests if billed_units(each)]
        return answer({**self._ledger.public(), "billed": billed})

    async def requests(self, _: web.Request) -> web.Response:
        """Every accepted request and where it stands."""
        return answer({"requests": [_public(request) for request in self._requests]})

    async def redeliver(self, http: web.Request) -> web.Response:
        """One more attempt to deliver its webhook, now; the attempt's row in the ledger."""
        request = self._requests.get(http.match_info["request_id"])
        if request is None:
            return answer({"error": "no such request"}, HTTPStatus.NOT_FOUND)
        if request.outcome is None or not request.webhook_url:
            return answer({"error": "it has no webhook to send"}, HTTPStatus.CONFLICT)
        return answer(await self._deliveries.redeliver(request))

    async def faults(self, _: web.Request) -> web.Response:
        """The faults that were injected, with what remains of each."""
        return answer({"faults": self._faults.public()})

    async def inject(self, http: web.Request) -> web.Response:
        """``{"fault": NAME, "times": 1, …}``."""
        try:
            fault = self._faults.inject(await http.json())
        except InvalidFaultError as error:
            return answer({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        except ValueError:
            return answer({"error": "not JSON"}, HTTPStatus.BAD_REQUEST)
        return answer(fault.public(), HTTPStatus.CREATED)

    async def clear(self, _: web.Request) -> web.Response:
        """Forget every fault."""
        self._faults.clear()
        return answer({"faults": []})


def _public(request: ModelRequest) -> dict[str, Any]:
    outcome = request.outcome
    return {
        "request_id": request.request_id,
        "endpoint_id": request.endpoint_id,
        "status": request.status,
        "status_code": outcome.status_code if outcome else None,
        "error": outcome.error if outcome else None,
        "error_type": outcome.error_type if outcome else None,
        "cancelled": request.cancelled,
        "webhook_url": request.webhook_url,
        "arguments": request.arguments,
    }
