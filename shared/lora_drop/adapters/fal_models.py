"""What fal publishes of a trainer (https://fal.ai/docs/platform-apis/v1/models, "Find Mode")."""

from collections.abc import Mapping
from typing import Any

import httpx

from lora_drop.adapters.fal_key import Key
from lora_drop.adapters.fal_platform import FalPlatform
from lora_drop.fal.drift import PublishedTrainer

TIMEOUT = httpx.Timeout(5.0)


class FalModels:
    """fal's list of endpoints; it never fails, but may know nothing."""

    def __init__(
        self, key: Key, api_url: str, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._platform = FalPlatform(key, api_url, transport, timeout=TIMEOUT)

    def published(self, application: str) -> PublishedTrainer | None:
        """Return what fal says of a trainer now; None where it does not say it plainly."""
        query = {"endpoint_id": application, "expand": "openapi-3.0"}
        _, body = self._platform.get("/models", query)
        if body is None or not isinstance(body.get("models"), list):
            return None
        return _read(application, body["models"])


def _read(application: str, models: list[Any]) -> PublishedTrainer | None:
    ours = [
        each
        for each in models
        if isinstance(each, Mapping) and each.get("endpoint_id") == application
    ]
    if not ours:
        return PublishedTrainer(listed=False)
    [model, *_] = ours
    metadata, openapi = model.get("metadata"), model.get("openapi")
    status = metadata.get("status") if isinstance(metadata, Mapping) else None
    return PublishedTrainer(
        listed=True,
        status=status if isinstance(status, str) else None,
        # "openapi" may be an error object with a code instead of a schema.
        openapi=openapi if isinstance(openapi, Mapping) and "paths" in openapi else None,
    )
