"""The address that fal is to call when a training without a stack has ended: looked at before anything is paid."""

import hashlib
import os
import warnings
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from lora_drop.client.direct_errors import EarlierRequestWarning
from lora_drop.client.errors import CommandError
from lora_drop.fal.hosts import AllowedHosts, is_public

LOCAL = ("localhost", "local", "internal", "home.arpa")  # RFC 6761, 6762, 8375; ICANN 2024-07-29
LONGEST = 2048  # characters


def check_webhook(url: str | None) -> None:
    """Raise CommandError for an address that fal would not call.

    fal calls public addresses alone: one that is private or loopback is dropped before any request, and a
    redirect is a failure (https://fal.ai/docs/documentation/model-apis/inference/webhooks). Another server than
    fal's (FAL_QUEUE_RUN_HOST), as a simulator, may call this machine, and without TLS.
    """
    if url is None:
        return
    if why := _flaw(url, elsewhere=bool(os.environ.get("FAL_QUEUE_RUN_HOST"))):
        raise CommandError(
            f"fal cannot call this webhook_url: {why}. Give a public https:// address, as "
            "https://app.example/fal-webhook. Nothing was sent, and nothing was paid."
        )


def _flaw(url: str, *, elsewhere: bool) -> str | None:
    """Return what is wrong with an address; None for nothing."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        return f"it is none ({error})"
    if parts.scheme != "https" and not (elsewhere and parts.scheme == "http"):
        return "it does not begin with https://"
    if parts.username is not None or parts.password is not None:
        return "it holds a name or a password, which fal does not send"
    alone = f"[{host}]" if ":" in host else host
    at = alone if port is None else f"{alone}:{port}"
    path = url[url.index(parts.netloc) + len(parts.netloc) :]
    if len(url) > LONGEST or "#" in url or not AllowedHosts([at]).allow(f"https://{at}{path}"):
        return f"it has no host, a fragment (#), more than {LONGEST} characters, or some that no address has"
    public = elsewhere or _is_public_host(host)
    return None if public else f"{host} is not a host of the public internet"


def _is_public_host(host: str) -> bool:
    """Return whether a name or an IP address can be one of the public internet; it is not looked up."""
    try:
        ip_address(host)
    except ValueError:
        # A last label of digits makes it an IPv4 address for URL parsers (WHATWG URL, "ends in a number checker").
        labels = host.rstrip(".").split(".")
        local = any(host == each or host.endswith(f".{each}") for each in LOCAL)
        return len(labels) > 1 and not labels[-1].isdigit() and not local
    return is_public(host)


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
