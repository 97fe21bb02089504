"""fal's answers as they are on the wire, for what its ledger has: the real adapters read them."""

import base64
import gzip
import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from lora_drop.adapters.fal import UNITS, FalQueueClient
from lora_drop.adapters.signing_keys import JwksKeys
from lora_drop.fal.status import FalStatus
from lora_drop.ports import Submission
from tests.resilience.faults.fal import ERRORS, FREE, End, Fal
from tests.support.builders import KEY
from tests.support.wire import FixedKey

PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"
JWKS = "https://rest.fal.ai/.well-known/jwks.json"


def page(status: int) -> httpx.Response:
    """What a gateway answers in fal's place."""
    headers = {"Location": "https://fal.ai/login"} if 300 <= status < 400 else {}
    return httpx.Response(status, html=PAGE.format(status), headers=headers)


def ask(
    fal: Fal, application: str, request_id: str, *, early: bool = False, units: str = ""
) -> FalStatus:
    """Ask as FalClient does; ``early``: the result is not there yet, ``units``: the state's header says so."""

    def answer(http: httpx.Request) -> httpx.Response:
        return _answer(fal, request_id, http.url.path, early=early, units=units)

    return _client(answer).ask(application, request_id)


def submit(
    fal: Fal, answer: httpx.Response, arguments: tuple[Any, ...], *, accepted: bool, **named: Any
) -> Submission:
    """Send a POST to which a gateway answers, whether or not fal has accepted it by then."""

    def posted(_: httpx.Request) -> httpx.Response:
        if accepted:
            fal.submit(*arguments, **named)
        return answer

    return _client(posted).submit(*arguments, **named)


def packed_keys(now: Any) -> tuple[bytes, ...]:
    """fal's signing keys, packed by a proxy against the wish of the caller."""
    x = base64.urlsafe_b64encode(bytes(KEY.verify_key)).decode().rstrip("=")
    document = json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}).encode()
    answer = httpx.Response(
        200,
        stream=httpx.ByteStream(gzip.compress(document)),
        headers={"Content-Encoding": "gzip"},
    )
    return tuple(JwksKeys(JWKS, httpx.MockTransport(lambda _: answer)).keys(now=now))


def _client(answer: Callable[[httpx.Request], httpx.Response]) -> FalQueueClient:
    return FalQueueClient(FixedKey(), wire=lambda: httpx.MockTransport(answer))


def _answer(fal: Fal, request_id: str, path: str, *, early: bool, units: str) -> httpx.Response:
    now, request = fal.clock(), fal.requests.get(request_id)
    if request is None or now >= request.kept_until:
        return httpx.Response(404, json={"status": "NOT_FOUND"})
    over, well = now >= request.ended_at, request.end is End.DONE
    if path.endswith("/status"):
        going = "IN_PROGRESS" if now >= request.started_at else "IN_QUEUE"
        state: Mapping[str, Any] = {"status": "COMPLETED" if over else going}
        if over and not well:
            kind, message = ERRORS[request.end]
            state = {**state, "error": message, "error_type": kind}
        return httpx.Response(
            200 if over else 202, json=state, headers={UNITS: units} if units else {}
        )
    if early:
        return httpx.Response(202, json={"status": "IN_PROGRESS", "request_id": request_id})
    if well:
        return httpx.Response(200, json=request.payload)
    billed = "0" if request.end in FREE else "1000"
    return httpx.Response(422, json=request.payload, headers={UNITS: billed})
