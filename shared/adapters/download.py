"""Result files from fal's CDN: only from hosts on the list, never with our key.

Whether the CDN serves ranges is documented nowhere, so both answers do: a file is read by ranges
where the first answer promises them in full, and in one go where it does not.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from ssl import SSLContext
from time import monotonic

import httpx

from shared.adapters.download_reads import InOneGo, InRanges, strong_etag
from shared.adapters.download_wire import Range, Wire
from shared.domain.artifacts import Artifact
from shared.domain.copies import OpenArtifact
from shared.domain.errors import DownloadInterrupted, ForeignHost

FIRST = 2 * 1024**2  # a quarter of a part: what is asked for to see what the server does
LANES = 4
HTTPS_PORT = 443


class CdnFiles:
    """Opens files on the allowed hosts.

    ``hosts`` are ``name`` or ``name:port``. A name allows its subdomains as well (``fal.media``
    allows ``v3.fal.media``); with a port it stands for itself alone.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        transport: httpx.BaseTransport | None = None,
        *,
        first: int = FIRST,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._hosts = tuple(host.lower() for host in hosts)
        self._transport = transport
        self._first = first
        self._now = now

    @contextmanager
    def open(
        self, artifact: Artifact, *, until: float, whole: bool = False
    ) -> Iterator[OpenArtifact]:
        """The file, to be read until that moment of the monotonic clock; ``whole``: in one go.

        Raises ForeignHost before anything is fetched, ResultGone at 404, and DownloadInterrupted.
        """
        url = self._allowed(artifact)
        with self._client() as client:
            wire = Wire(client, url, artifact.name, until, self._now)
            file = self._opened(wire, artifact, whole=whole)
            try:
                yield file
            finally:
                file.close()

    def _client(self) -> httpx.Client:
        headers = {"Accept-Encoding": "identity"}
        if self._transport:
            return httpx.Client(transport=self._transport, headers=headers)
        return httpx.Client(verify=self._certificates, headers=headers)

    @cached_property
    def _certificates(self) -> SSLContext:
        """Read once: it takes longer than a small file."""
        return httpx.create_ssl_context()

    def _opened(self, wire: Wire, artifact: Artifact, *, whole: bool) -> InRanges | InOneGo:
        response = wire.get(None if whole else Range(0, self._first))
        if response.status_code in (httpx.codes.PARTIAL_CONTENT, 416):
            served, etag = Range.served(response), strong_etag(response)
            if served and etag and served.starts(self._first):
                return InRanges(wire, response, size=served.total, etag=etag, lanes=LANES)
            # Ranges as nobody can rely on, or none of an empty file.
            response.close()
            response = wire.get(None)
        if response.status_code != httpx.codes.OK:
            response.close()
            raise DownloadInterrupted(f"{artifact.name}: status {response.status_code}")
        return InOneGo(wire, response, expected=artifact.size)

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
