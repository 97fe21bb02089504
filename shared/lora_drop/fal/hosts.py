"""What may be fetched from and sent to: the hosts on a list, and public addresses behind them.

An address comes from outside, and the code that fetches it runs inside: what is not on the list or lies
in a private network is never called (OWASP, Server-Side Request Forgery).
"""

import re
from collections.abc import Sequence
from ipaddress import IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

# fal's own addresses, unless a variable of the environment names another server.
API_URL = "https://api.fal.ai/v1"
REST_URL = "https://rest.fal.ai"
CDN_URL = "https://v3.fal.media"
JWKS_URL = f"{REST_URL}/.well-known/jwks.json"
# What a person is sent to.
REQUESTS_PAGE = "https://fal.ai/dashboard/requests"
KEYS_PAGE = "https://fal.ai/dashboard/keys"
HTTPS_PORT = 443
IPV6 = re.compile(r"\[[0-9a-f:]{2,39}\]", re.ASCII)  # without a zone
LONGEST_NAME = 253  # RFC 1035, 2.3.4: 255 octets with the lengths of the first label and the root
# RFC 1035, 2.3.4: 1 to 63 octets; RFC 1123, 2.1: it may begin with a digit.
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
A_LABEL = "xn--"  # RFC 5890, 2.3.2.1: what a label of other letters is written as
UNICAST = IPv6Network("2000::/3")  # RFC 4291, 2.4: all that is given out so far
NAT64 = IPv6Network("64:ff9b::/96")  # an IPv4 address inside is where it ends up (RFC 6052)


def hosts_in(text: str) -> list[str]:
    """Return the hosts of a list by comma."""
    return [host for host in map(str.strip, text.split(",")) if host]


class AllowedHosts:
    """The list. Each is a ``name`` or ``name:port``.

    A name allows its subdomains as well (``fal.media`` allows ``v3.fal.media``), at port 443; with a
    port it stands for itself alone, as an IPv6 address in brackets does (RFC 3986, 3.2.2: ``[::1]:8443``).
    """

    def __init__(self, hosts: Sequence[str]) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)

    def __bool__(self) -> bool:
        """Return whether there is a host on the list."""
        return bool(self._hosts)

    def allow(self, url: str) -> bool:
        """Return whether this address may be fetched; one that two readers could take for two never is."""
        if not re.fullmatch(r"https://[!-~]+", url) or "\\" in url:
            return False
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return False
        host = f"[{host}]" if ":" in host else host
        if parts.netloc.lower() not in (host, f"{host}:{port}") or not _is_host(host):
            return False
        if f"{host}:{port}" in self._hosts:
            return True
        plain = port in (None, HTTPS_PORT)
        return plain and any(host == name or host.endswith(f".{name}") for name in self._hosts)


def _is_host(host: str) -> bool:
    """Return whether this is a name that can be looked up, or an IPv6 address; libraries raise ValueErrors for others."""
    if IPV6.fullmatch(host):
        return True
    labels = host.split(".")
    if len(host) > LONGEST_NAME or not all(map(LABEL.fullmatch, labels)):
        return False
    if not any(label.startswith(A_LABEL) for label in labels):
        return True
    import idna  # noqa: PLC0415  # httpx's own; few hosts need it

    try:
        idna.decode(host)  # the whole of it, as httpx does
    except UnicodeError:
        return False
    return True


def is_public(address: str) -> bool:
    """Return whether this IP address is public: not loopback, private, link-local or multicast."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if ip in NAT64:
            return is_public(str(ip_address(int(ip) & 0xFFFFFFFF)))
        if ip not in UNICAST:
            return False
    return ip.is_global and not ip.is_multicast
