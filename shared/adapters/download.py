"""Result files from fal's CDN: only from hosts on the list, never with our key."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx

from shared.domain.artifacts import Artifact
from shared.domain.errors import DownloadInterrupted, ForeignHost, ResultGone

CHUNK = 1024 * 1024
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
GONE = frozenset({404, 410})
HTTPS_PORT = 443


class CdnFiles:
    """Streams files from the allowed hosts.

    ``hosts`` are ``name`` or ``name:port``. A name allows its subdomains as well (``fal.media``
    allows ``v3.fal.media``); with a port it stands for itself alone.
    """

    def __init__(self, hosts: Sequence[str], transport: httpx.BaseTransport | None = None) -> None:
        self._hosts = tuple(host.lower() for host in hosts)
        self._transport = transport

    @contextmanager
    def open(self, artifact: Artifact) -> Iterator[Iterator[bytes]]:
        """The file's bytes in order.

        Raises ForeignHost before anything is fetched, ResultGone at 404, and DownloadInterrupted
        when it does not arrive whole.
        """
        url = self._allowed(artifact)
        client = httpx.Client(transport=self._transport, timeout=TIMEOUT, follow_redirects=False)
        try:
            with client, client.stream("GET", url) as response:
                if response.status_code in GONE:
                    raise ResultGone(f"{artifact.name} is gone: {response.status_code}")
                if response.status_code != httpx.codes.OK:
                    raise DownloadInterrupted(f"{artifact.name}: status {response.status_code}")
                yield _whole(response, artifact)
        except httpx.HTTPError as error:
            raise DownloadInterrupted(f"{artifact.name}: {type(error).__name__}") from error

    def _allowed(self, artifact: Artifact) -> httpx.URL:
        """The address as it will be fetched, so that no second parser sees another host in it."""
        foreign = ForeignHost(
            f"{artifact.name} lies on a host that is not on the list (ARTIFACT_HOSTS)"
        )
        try:
            url = httpx.URL(artifact.url)
        except httpx.InvalidURL as error:
            raise foreign from error
        host = url.raw_host.decode("ascii")
        plain = url.port in (None, HTTPS_PORT) and any(
            host == name or host.endswith(f".{name}") for name in self._hosts
        )
        if (
            url.scheme == "https"
            and not url.userinfo
            and artifact.url.isascii()
            and re.fullmatch(r"[a-z0-9.-]+", host)
            and (plain or f"{host}:{url.port}" in self._hosts)
        ):
            return url
        raise foreign


def _whole(response: httpx.Response, artifact: Artifact) -> Iterator[bytes]:
    """The bytes; raises DownloadInterrupted when there are fewer than the server or fal said."""
    stated = response.headers.get("Content-Length")
    packed = "Content-Encoding" in response.headers  # then the length is that of the packed bytes
    expected = int(stated) if stated is not None and not packed else artifact.size or 0
    arrived = 0
    for chunk in response.iter_bytes(CHUNK):
        arrived += len(chunk)
        yield chunk
    if arrived < expected:
        raise DownloadInterrupted(f"{artifact.name} ended after {arrived} of {expected} bytes")
