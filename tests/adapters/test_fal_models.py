"""fal's list of models: what it says plainly of one trainer."""

from typing import Any

import httpx
import pytest

from lora_drop.adapters.fal_models import FalModels
from lora_drop.fal.drift import PublishedTrainer
from tests.support.builders import APPLICATION
from tests.support.wire import FixedKey

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
def test_only_a_plain_answer_counts(
    status: int, body: object, said: PublishedTrainer | None
) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status, json=body)

    models = FalModels(FixedKey(), "https://api.fal.ai/v1", httpx.MockTransport(answer))
    assert models.published(APPLICATION) == said
    assert dict(asked[0].url.params) == {"endpoint_id": APPLICATION, "expand": "openapi-3.0"}
    assert asked[0].url.path == "/v1/models"


def test_silence_is_no_answer() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    models = FalModels(FixedKey(), "https://api.fal.ai/v1", httpx.MockTransport(answer))
    assert models.published(APPLICATION) is None
