"""Connections to public addresses alone, each to the very address that was looked at.

Between a look at a name and a call by that name its address can change (DNS rebinding), so the name is
resolved once, and what is connected to is the address. TLS still asks for the name's certificate.
"""

import socket
from collections.abc import Callable, Iterable, Sequence
from ssl import SSLContext

import httpcore
import httpx

from lora_drop.fal.hosts import is_public
from lora_drop.jobs.errors import HostNotAllowedError

type Resolve = Callable[[str, int], Sequence[str]]
"""(host, port) to its IP addresses; raises OSError where it has none."""
type SocketOptions = Iterable[httpcore.SOCKET_OPTION]


def resolved(host: str, port: int) -> Sequence[str]:
    """Return the addresses that this machine finds for a name, in the order in which to try them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class CheckedNetwork(httpcore.NetworkBackend):
    """A network in which only public addresses are; ``private`` allows the others as well."""

    def __init__(
        self,
        *,
        private: bool = False,
        resolve: Resolve = resolved,
        network: httpcore.NetworkBackend | None = None,
    ) -> None:
        self._private = private
        self._resolve = resolve
        self._network = network or httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        """Return a connection to one of the host's addresses.

        Raises HostNotAllowedError before anything is sent when one of them is not public, and httpcore's
        ConnectError or ConnectTimeout, the last, when none can be reached.
        """
        failed: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in self._addresses(host, port):
            try:
                return self._network.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        if not self._private and not all(is_public(address) for address in addresses):
            raise HostNotAllowedError(
                f"{host} is an address of a private network (ALLOW_PRIVATE_ARTIFACT_HOSTS)"
            )
        return addresses


class CheckedTransport(httpx.HTTPTransport):
    """httpx's own transport in such a network."""

    def __init__(self, certificates: SSLContext, network: httpcore.NetworkBackend) -> None:
        super().__init__(verify=certificates)
        # httpcore takes a network, and httpx does not hand one on: the pool is its one seam.
        self._pool = httpcore.ConnectionPool(ssl_context=certificates, network_backend=network)
