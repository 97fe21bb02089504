"""The address that fal is to call when a training without a stack has ended: looked at before anything is paid."""

import hashlib
import warnings
from collections.abc import Mapping
from typing import Any

from lora_drop.client.direct_addresses import unreachable
from lora_drop.client.direct_errors import EarlierRequestWarning
from lora_drop.client.errors import CommandError


def check_webhook(url: str | None) -> None:
    """Raise CommandError for an address that fal would not call.

    fal calls public addresses alone: one that is private or loopback is dropped before any request, and a
    redirect is a failure (https://fal.ai/docs/documentation/model-apis/inference/webhooks). Another server than
    fal's (FAL_QUEUE_RUN_HOST), as a simulator, may call this machine, and without TLS.
    """
    if url is None:
        return
    if why := unreachable(url):
        raise CommandError(
            f"fal cannot call this webhook_url: {why}. Give a public https:// address, as "
            "https://app.example/fal-webhook. Nothing was sent, and nothing was paid."
        )


def digest_of(url: str | None) -> str | None:
    """Return what tells one address from another, and is none: an address may hold a secret."""
    return None if url is None else hashlib.sha256(url.encode()).hexdigest()


def warn_of_unused(url: str | None, request_id: str, about: Mapping[str, Any]) -> None:
    """Give EarlierRequestWarning where an earlier request is returned that is not known to call this address."""
    if url is None or about.get("webhook_sha256") == digest_of(url):
        return
    warnings.warn(
        f"request {request_id} was sent before: nothing is paid now, and fal calls the webhook_url that it was sent "
        "with, if it had one, not this one. To hear of its end: wait(request_id), or status(request_id)",
        EarlierRequestWarning,
        stacklevel=3,
    )
