"""POSTs to the customer's own addresses: over TLS alone, to public addresses, and each bounded in time as a whole.

No redirect is followed (Standard Webhooks: "3xx: Failure"), and of the answer only status and Retry-After are read.
"""

import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import ceil
from time import monotonic

import httpcore
import httpx

from lora_drop.adapters.checked_network import CheckedNetwork, CheckedTransport, SocketOptions
from lora_drop.jobs.errors import ForeignCertificateError, ReceiverUnavailableError
from lora_drop.ports.receivers import ReceiverAnswer

CONNECT_TIMEOUT = 5.0
ANSWER_TIMEOUT = 15.0  # Standard Webhooks: "somewhere between 15 and 30s"
LONGEST_RETRY_AFTER = 7  # digits
LONGEST_WAIT = 10**LONGEST_RETRY_AFTER - 1  # seconds


class HttpReceiver:
    """The addresses; ``private`` allows those of private networks, ``transport`` stands in the place of all of it."""

    def __init__(
        self,
        *,
        private: bool = False,
        transport: httpx.BaseTransport | None = None,
        network: Callable[[httpcore.NetworkBackend], CheckedNetwork] | None = None,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._network = network or (lambda inner: CheckedNetwork(private=private, network=inner))
        self._transport = transport
        # Read once, and before several threads need them: reading takes longer than a call.
        self._certificates = httpx.create_ssl_context()
        self._now = now

    def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, until: float
    ) -> ReceiverAnswer:
        """Return the answer; raises ReceiverUnavailableError, and HostNotAllowedError before anything is sent."""
        until = min(until, self._now() + ANSWER_TIMEOUT)
        try:
            with httpx.Client(transport=self._transport or self._timed(until)) as client:
                timeout = httpx.Timeout(ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT)
                request = client.build_request(
                    "POST", url, headers=headers, content=body, timeout=timeout
                )
                response = client.send(request, stream=True, follow_redirects=False)
                response.close()
        # ValueError: a host that IDNA refuses. Its text may hold the address, which is the customer's alone.
        except (
            *(httpx.HTTPError, httpx.InvalidURL, httpx.StreamError),
            *(OSError, ValueError),
        ) as error:
            if _refuses_certificate(error):
                raise ForeignCertificateError("its certificate does not verify") from None
            raise ReceiverUnavailableError(type(error).__name__) from None
        return ReceiverAnswer(response.status_code, _seconds(response.headers))

    def _timed(self, until: float) -> httpx.BaseTransport:
        network = self._network(_TimedNetwork(until, self._now))
        return CheckedTransport(self._certificates, network)


class _TimedNetwork(httpcore.SyncBackend):
    """Connections that all end at one moment; httpcore's own timeouts begin again with every byte."""

    def __init__(self, until: float, now: Callable[[], float]) -> None:
        self._until = until
        self._now = now

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(self._until, self._now, timeout, httpcore.ConnectTimeout)
        stream = super().connect_tcp(host, port, left, local_address, socket_options)
        return _TimedStream(stream, self._until, self._now)


class _TimedStream(httpcore.NetworkStream):
    """One such connection."""

    def __init__(
        self, stream: httpcore.NetworkStream, until: float, now: Callable[[], float]
    ) -> None:
        self._stream = stream
        self._until = until
        self._now = now

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = _left(self._until, self._now, timeout, httpcore.ReadTimeout)
        return self._stream.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left = _left(self._until, self._now, timeout, httpcore.WriteTimeout)
        self._stream.write(buffer, left)

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(self._until, self._now, timeout, httpcore.ConnectTimeout)
        stream = self._stream.start_tls(ssl_context, server_hostname, left)
        return _TimedStream(stream, self._until, self._now)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def _left(
    until: float, now: Callable[[], float], timeout: float | None, over: type[Exception]
) -> float:
    if (left := until - now()) <= 0:
        raise over("the whole of it takes too long")
    return left if timeout is None else min(left, timeout)


def _refuses_certificate(error: BaseException | None) -> bool:
    """Return whether this was raised because of a certificate; httpx wraps it twice."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _seconds(headers: httpx.Headers) -> int:
    """Return what Retry-After says in seconds: a number or a date (RFC 9110, 10.2.3); 0 for none, and for a past one.

    A date is read against the receiver's own ``Date``, where it sends one: its clock may be wrong.
    """
    text = str(headers.get("Retry-After", "")).strip()
    if text.isascii() and text.isdigit():
        return int(text) if len(text) <= LONGEST_RETRY_AFTER else 0
    until, said_at = _date(text), _date(headers.get("Date", ""))
    if until is None:
        return 0
    left = (until - (said_at or datetime.now(UTC))).total_seconds()
    return int(min(max(0, ceil(left)), LONGEST_WAIT))


def _date(text: str) -> datetime | None:
    """Return an HTTP date (RFC 9110, 5.6.7); None for what is none."""
    try:
        at = parsedate_to_datetime(text.strip())
    except (ValueError, IndexError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
