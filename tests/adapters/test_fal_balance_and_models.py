"""fal's balance, and its list of models: read where they are said plainly, and no answer in all other cases."""

import json
from typing import Any

import httpx
import pytest

from lora_drop.adapters.fal_balance import FAILURE_KEPT, REFUSAL_KEPT, FalBalance
from lora_drop.adapters.fal_models import FalModels
from lora_drop.fal.drift import PublishedTrainer
from tests.support.builders import APPLICATION
from tests.support.wire import FixedKey


def credits_(balance: object, currency: object = "USD") -> dict[str, Any]:
    return {"username": "ada", "credits": {"current_balance": balance, "currency": currency}}


class Platform:
    """fal's platform API, which counts what it is asked."""

    def __init__(self, status: int, body: object) -> None:
        self.said: httpx.Response | Exception = httpx.Response(status, text=json.dumps(body))
        self.asked: list[httpx.Request] = []
        self.now = 0.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if isinstance(self.said, Exception):
            raise self.said
        return self.said

    @property
    def balance(self) -> FalBalance:
        wire = httpx.MockTransport(self)
        return FalBalance(FixedKey(), "https://api.fal.ai/v1/", wire, clock=lambda: self.now)


@pytest.mark.parametrize(
    ("status", "body", "usd"),
    [
        (200, credits_(24.5), 24.5),
        (200, credits_(-3), -3.0),
        (200, credits_(24.5, "EUR"), None),
        (200, credits_("24.5"), None),
        (200, credits_(True), None),  # noqa: FBT003  # it is JSON
        (200, credits_(float("nan")), None),
        (200, credits_(10**400), None),
        (200, {"username": "ada"}, None),
        (200, {"credits": []}, None),
        (200, [], None),
        (401, credits_(1), None),
        (403, {"error": {"type": "authorization_error"}}, None),
        (503, credits_(1), None),
    ],
)
def test_only_a_plain_balance_counts(status: int, body: object, usd: float | None) -> None:
    platform = Platform(status, body)
    assert platform.balance.usd() == usd
    assert str(platform.asked[0].url) == "https://api.fal.ai/v1/account/billing?expand=credits"
    assert platform.asked[0].method == "GET"


@pytest.mark.parametrize(
    "error", [httpx.ReadTimeout("slow"), httpx.ConnectError("no"), OSError("ca")]
)
def test_silence_is_no_balance(error: Exception) -> None:
    platform = Platform(200, credits_(5))
    platform.said = error
    assert platform.balance.usd() is None


@pytest.mark.parametrize(("status", "kept"), [(403, REFUSAL_KEPT), (503, FAILURE_KEPT)])
def test_no_answer_is_not_asked_for_again_at_once(status: int, kept: float) -> None:
    platform = Platform(status, {})
    balance = platform.balance
    for now in (0.0, kept - 1, kept + 1):
        platform.now = now
        balance.usd()
    assert len(platform.asked) == 2


SCHEMA: dict[str, Any] = {"paths": {}}
UNKNOWN = None


def row(**fields: Any) -> dict[str, Any]:
    return {"endpoint_id": APPLICATION, "metadata": {"status": "active"}, **fields}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, {"models": [row(openapi=SCHEMA)]}, PublishedTrainer(listed=True, status="active", openapi=SCHEMA)),
        (200, {"models": [row(openapi={"error": {}}, metadata=[])]}, PublishedTrainer(listed=True)),
        (200, {"models": [row(endpoint_id="fal-ai/other"), 7]}, PublishedTrainer(listed=False)),
        (200, {"models": {}}, UNKNOWN),
        (200, [], UNKNOWN),
        (404, {"models": [row()]}, UNKNOWN),
        (503, {}, UNKNOWN),
    ],
)  # fmt: skip
def test_only_a_plain_list_counts(status: int, body: object, said: PublishedTrainer | None) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status, json=body)

    models = FalModels(FixedKey(), "https://api.fal.ai/v1", httpx.MockTransport(answer))
    assert models.published(APPLICATION) == said
    assert dict(asked[0].url.params) == {"endpoint_id": APPLICATION, "expand": "openapi-3.0"}
    assert asked[0].url.path == "/v1/models"


def test_silence_is_no_list() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    models = FalModels(FixedKey(), "https://api.fal.ai/v1", httpx.MockTransport(answer))
    assert models.published(APPLICATION) is None
