"""Which addresses fal can call or read, as far as their text says; none is looked up in the DNS."""

import os
import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from lora_drop.fal.hosts import AllowedHosts, is_public

# Names that are not in the public DNS: RFC 6761 (also test, invalid), 6762, 7686 (onion), 8375 (home.arpa), 9476 (alt);
# ICANN 2018-02-04 (corp, home) and 2024-07-29 (internal). Routers give lan and localdomain, which are in no root zone.
LOCAL = (
    *("localhost", "local", "internal", "home.arpa", "test", "invalid", "onion", "alt"),
    *("corp", "home", "lan", "localdomain"),
)
# A host with such a last label is an IPv4 address for URL parsers (WHATWG URL, "ends in a number checker").
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
LONGEST = 2048  # characters
ODD = f"it has no host, a fragment (#), more than {LONGEST} characters, or some that no address has"


def elsewhere() -> bool:
    """Return whether another server than fal's is used, as a simulator: it can reach this machine, and without TLS."""
    return bool(os.environ.get("FAL_QUEUE_RUN_HOST"))


def unreachable(url: object) -> str | None:
    """Return why fal cannot reach an address; None for one that it can."""
    if not isinstance(url, str):
        return f"it is no text, but {type(url).__name__}"
    # urlsplit leaves line ends and tabs out, and blanks before the scheme.
    if re.search(r"[^!-~]", url):
        return ODD
    try:
        return _flaw(url, urlsplit(url))
    except ValueError as error:
        return f"it is none ({error})"


def _flaw(url: str, parts: SplitResult) -> str | None:
    """Return what is wrong with an address; raises ValueError for what is none."""
    host, port = parts.hostname or "", parts.port
    alone = f"[{host}]" if ":" in host else host
    at = alone if port is None else f"{alone}:{port}"
    path = url[url.index(parts.netloc) + len(parts.netloc) :]
    plain = len(url) <= LONGEST and "#" not in url
    if parts.scheme != "https" and not (elsewhere() and parts.scheme == "http"):
        return "it does not begin with https://"
    if parts.username is not None or parts.password is not None:
        return "it holds a name or a password, which fal does not send"
    if port == 0:
        return "port 0 is none"
    if not plain or not AllowedHosts([at]).allow(f"https://{at}{path}"):
        return ODD
    public = elsewhere() or _is_public_host(host)
    return None if public else f"{host} is not a host of the public internet"


def _is_public_host(host: str) -> bool:
    """Return whether a name or an IP address can be one of the public internet."""
    try:
        ip_address(host)
    except ValueError:
        labels = host.split(".")
        local = any(host == each or host.endswith(f".{each}") for each in LOCAL)
        return len(labels) > 1 and not NUMBER.fullmatch(labels[-1]) and not local
    return is_public(host)
