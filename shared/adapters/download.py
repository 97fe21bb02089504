"""Result files from fal's CDN: only from hosts on the list, never with our key."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx

from shared.domain.artifacts import Artifact
from shared.domain.errors import DownloadInterrupted, ResultGone

CHUNK = 1024 * 1024
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
GONE = frozenset({404, 410})


class CdnFiles:
    """Streams files from the allowed hosts.

    ``hosts`` are ``name`` or ``name:port``; a name without a dot-free port also allows its
    subdomains (``fal.media`` allows ``v3.fal.media``), with a port it stands for itself alone.
    """

    def __init__(self, hosts: Sequence[str], transport: httpx.BaseTransport | None = None) -> None:
        self._hosts = tuple(host.lower() for host in hosts)
        self._transport = transport

    @contextmanager
    def open(self, artifact: Artifact) -> Iterator[Iterator[bytes]]:
        """The file's bytes in order; DownloadInterrupted when they end early, ResultGone at 404."""
        if not self._allowed(artifact.url):
            raise ResultGone(f"{artifact.name} lies on a host that is not on the list")
        client = httpx.Client(transport=self._transport, timeout=TIMEOUT, follow_redirects=False)
        try:
            with client, client.stream("GET", artifact.url) as response:
                if response.status_code in GONE:
                    raise ResultGone(f"{artifact.name} is gone: {response.status_code}")
                if response.status_code != httpx.codes.OK:
                    raise DownloadInterrupted(f"{artifact.name}: status {response.status_code}")
                yield response.iter_bytes(CHUNK)
        except httpx.HTTPError as error:
            raise DownloadInterrupted(f"{artifact.name}: {type(error).__name__}") from error

    def _allowed(self, url: str) -> bool:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        if parts.scheme != "https" or parts.username is not None or not host:
            return False
        if f"{host}:{parts.port}" in self._hosts:
            return True
        plain = parts.port in (None, 443)
        return plain and any(host == name or host.endswith(f".{name}") for name in self._hosts)
