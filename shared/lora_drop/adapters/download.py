"""Result files from fal's CDN: only from hosts on the list, at public addresses, never with our key.

Whether the CDN serves ranges is documented nowhere, so both answers do: a file is read by ranges
where the first answer promises them in full, and in one go where it does not.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from ssl import SSLContext
from time import monotonic

import httpx

from lora_drop.adapters.checked_network import CheckedNetwork
from lora_drop.adapters.download_connections import FileTransport
from lora_drop.adapters.download_reads import InOneGo, InRanges, strong_etag
from lora_drop.adapters.download_wire import Range, Wire
from lora_drop.fal.hosts import AllowedHosts
from lora_drop.jobs.artifacts import MAX_BYTES, Artifact
from lora_drop.jobs.errors import DownloadInterruptedError, HostNotAllowedError
from lora_drop.results.copies import OpenArtifact

FIRST = 2 * 1024**2  # a quarter of a part: what is asked for to see what the server does
LANES = 4  # of one read; two go on at a time


class CdnFiles:
    """Opens files on the allowed hosts (``AllowedHosts``), of ``most`` bytes at most.

    ``network`` is where they lie; ``transport`` stands in the place of all of it.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        transport: httpx.BaseTransport | None = None,
        *,
        network: CheckedNetwork | None = None,
        first: int = FIRST,
        most: int = MAX_BYTES,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._hosts = AllowedHosts(hosts)
        self._transport = transport
        self._network = network or CheckedNetwork()
        self._most = most
        self._first = first
        self._now = now

    @contextmanager
    def open(
        self, artifact: Artifact, *, until: float, whole: bool = False
    ) -> Iterator[OpenArtifact]:
        """Yield the file, to be read until that moment of the monotonic clock; ``whole``: in one go.

        Raises HostNotAllowedError before anything is fetched from there, ResultGoneError at 404 and the like, ResultUnusableError
        for a file that is larger than any LoRA, and DownloadInterruptedError.
        """
        url = self._allowed(artifact.url, artifact.name)
        with self._client() as client:
            wire = Wire(client, url, artifact.name, until, self._now, self._allowed, self._most)
            file = self._opened(wire, artifact, whole=whole)
            try:
                yield file
            finally:
                file.close()

    def _client(self) -> httpx.Client:
        headers = {"Accept-Encoding": "identity"}
        transport = self._transport or FileTransport(self._certificates, self._network)
        return httpx.Client(transport=transport, headers=headers)

    @cached_property
    def _certificates(self) -> SSLContext:
        """Return the certificates, read once: reading takes longer than a small file."""
        return httpx.create_ssl_context()

    def _opened(self, wire: Wire, artifact: Artifact, *, whole: bool) -> InRanges | InOneGo:
        response = wire.get(None if whole else Range(0, self._first))
        if response.status_code in (httpx.codes.PARTIAL_CONTENT, 416):
            served, etag = Range.served(response), strong_etag(response)
            if served and etag and served.starts(self._first):
                wire.check_size(served.total)
                return InRanges(wire, response, size=served.total, etag=etag, lanes=LANES)
            # Ranges that cannot be relied on, or none of an empty file.
            response.close()
            response = wire.get(None)
        if response.status_code != httpx.codes.OK:
            response.close()
            raise DownloadInterruptedError(f"{artifact.name}: status {response.status_code}")
        return InOneGo(wire, response, expected=artifact.size)

    def _allowed(self, url: str, name: str) -> httpx.URL:
        """Return the address as it will be fetched, so that no second reader sees another host in it."""
        foreign = HostNotAllowedError(
            f"{name} lies on a host that is not on the list (ARTIFACT_HOSTS)"
        )
        if not self._hosts.allow(url):
            raise foreign
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise foreign from error
        if not self._hosts.allow(str(parsed)):
            raise foreign
        return parsed
