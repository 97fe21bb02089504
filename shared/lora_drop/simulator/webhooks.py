"""How fal calls back: the body, the signature, and how often it tries (fal, "Webhooks")."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import aiohttp
from yarl import URL

from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.fault_table import Place
from lora_drop.simulator.faults import ActiveFault, Faults
from lora_drop.simulator.ledger import Ledger
from lora_drop.simulator.requests import ModelRequest
from lora_drop.simulator.wire import WebhookKey, now

MAX_RETRIES = 31
UNSERIALISABLE = (
    "Response payload is not JSON serializable. Either return a JSON serializable object "
    "or use the queue endpoint to retrieve the response."
)


def webhook_body(
    request: ModelRequest, *, payload_null: bool = False, gateway_id: str = ""
) -> bytes:
    """What fal sends of a request that has ended: sorted keys, ``error`` null when it is OK."""
    outcome = request.outcome
    if outcome is None:
        raise ValueError(f"{request.request_id} has not ended")
    body: dict[str, Any] = {
        "request_id": request.request_id,
        "gateway_request_id": gateway_id or request.request_id,
        "status": "OK" if outcome.ok else "ERROR",
        "error": None if outcome.ok else outcome.error,
        "payload": outcome.body,
    }
    if payload_null and outcome.ok:
        body |= {"payload": None, "payload_error": UNSERIALISABLE}
    return json.dumps(body, sort_keys=True).encode()


def signed_headers(
    key: WebhookKey, *, request_id: str, user_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """The headers of a delivery: Ed25519 over id, user, time and hash, one a line."""
    digest = hashlib.sha256(body).hexdigest()
    message = f"{request_id}\n{user_id}\n{timestamp}\n{digest}".encode()
    return {
        "Content-Type": "application/json",
        "X-Fal-Webhook-Request-Id": request_id,
        "X-Fal-Webhook-User-Id": user_id,
        "X-Fal-Webhook-Timestamp": str(timestamp),
        "X-Fal-Webhook-Signature": key.sign(message),
    }


@dataclass(frozen=True, slots=True)
class SignedFormat:
    """How a delivery is signed: with the id of fal's last try where there is one, in capitals."""

    gateway_id: str = ""
    capitals: bool = False


class Deliveries:
    """Delivers until the receiver answers 2xx, the result expires, or 31 retries are spent."""

    def __init__(
        self,
        config: SimulatorConfig,
        *,
        session: aiohttp.ClientSession,
        key: WebhookKey,
        faults: Faults,
        ledger: Ledger,
    ) -> None:
        self._config = config
        self._session = session
        self._key = key
        self._faults = faults
        self._ledger = ledger
        self._tasks: set[asyncio.Task[None]] = set()
        self._attempts: dict[str, int] = {}

    def start(self, request: ModelRequest) -> None:
        """Deliver in the background; nothing happens for a request without a webhook."""
        if request.webhook_url and (self._config.webhook_on_cancel or not request.cancelled):
            task = asyncio.create_task(self._deliver(request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def redeliver(self, request: ModelRequest) -> Mapping[str, Any]:
        """One attempt now, whatever the faults say; its row in the ledger."""
        return await self._send(request, webhook_body(request), variant="redelivery")

    async def close(self) -> None:
        """Give up on what is still being delivered."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deliver(self, request: ModelRequest) -> None:
        fault = self._faults.take(
            Place.WEBHOOK, request_id=request.request_id, endpoint_id=request.endpoint_id
        )
        settings = fault.settings if fault else {}
        if settings.get("lost"):
            self._record(request, "lost", status=None, error="dropped on purpose")
            return
        await asyncio.sleep(settings.get("seconds", 0))
        if fault and "extra" in settings:
            await self._send_extra(request, fault)
            if settings["alone"]:
                return
        gateway_id = str(uuid4()) if settings.get("gateway") else ""
        body = webhook_body(
            request, payload_null=settings.get("payload_null", False), gateway_id=gateway_id
        )
        form = SignedFormat(gateway_id, capitals=settings.get("capitals", False))
        for _ in range(settings.get("copies", 1)):
            await self._until_taken(request, body, age=settings.get("age", 0), form=form)

    async def _until_taken(
        self, request: ModelRequest, body: bytes, *, age: int, form: SignedFormat
    ) -> None:
        for attempt in range(MAX_RETRIES + 1):
            row = await self._send(
                request, body, variant="true", retry=attempt > 0, age=age, form=form
            )
            status = row["status"]
            if status is not None and status < HTTPStatus.BAD_REQUEST:
                return  # taken, or redirected, which is never followed nor tried again
            wait = self._config.webhook_backoff * 2.0**attempt
            await asyncio.sleep(min(wait, self._config.webhook_backoff_cap))
            if request.expired(self._config.result_retention):
                return

    async def _send_extra(self, request: ModelRequest, fault: ActiveFault) -> None:
        """A delivery that is not the request's own."""
        variant = fault.settings["extra"]
        await self._send(
            request,
            webhook_body(request),
            variant=variant,
            user_id=fault.settings.get("user_id"),
            key=WebhookKey.stranger() if variant == "forged" else None,
        )

    async def _send(
        self,
        request: ModelRequest,
        body: bytes,
        *,
        variant: str,
        retry: bool = False,
        age: int = 0,
        user_id: str | None = None,
        key: WebhookKey | None = None,
        form: SignedFormat | None = None,
    ) -> Mapping[str, Any]:
        config, form = self._config, form or SignedFormat()
        headers = signed_headers(
            key or self._key,
            request_id=form.gateway_id or request.request_id,
            user_id=user_id or config.user_id,
            # fal does not say whether a retry is signed again; here it is.
            timestamp=int(now().timestamp()) - age,
            body=body,
        )
        if form.capitals:
            name = "X-Fal-Webhook-Signature"
            headers[name] = headers[name].upper()
        limit = config.webhook_retry_timeout if retry else config.webhook_first_timeout
        try:
            async with self._session.post(
                URL(request.webhook_url or "", encoded=True),
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=limit),
            ) as response:
                return self._record(request, variant, status=response.status, error=None)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            said = f"{type(error).__name__}: {error}"
            return self._record(request, variant, status=None, error=said)

    def _record(
        self, request: ModelRequest, variant: str, *, status: int | None, error: str | None
    ) -> Mapping[str, Any]:
        attempt = self._attempts[request.request_id] = self._attempts.get(request.request_id, 0) + 1
        return self._ledger.webhook(
            request_id=request.request_id,
            attempt=attempt,
            variant=variant,
            url=request.webhook_url,
            status=status,
            error=error,
        )
