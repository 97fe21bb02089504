"""GET requests over connections of a checked network, for files.

httpx's own transport takes every record of a body through a parser, which for a large file is as much CPU as
all of TLS. Here h11 reads what frames a body, and one of stated length is taken from the connection as it comes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from ssl import SSLContext
from threading import Lock

import h11
import httpcore
import httpx

RECORD = 16 * 1024  # what TLS sends at once
STATED = frozenset({200, 206})
type Origin = tuple[str, str, int]
"""Scheme, host and port."""


class FileTransport(httpx.BaseTransport):
    """An httpx transport; a connection is used again once its answer has been read to its end."""

    def __init__(self, certificates: SSLContext, network: httpcore.NetworkBackend) -> None:
        certificates.set_alpn_protocols(["http/1.1"])
        self._certificates = certificates
        self._network = network
        self._open: set[httpcore.NetworkStream] = set()
        self._idle: list[tuple[Origin, httpcore.NetworkStream]] = []
        self._lock = Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer, its body not read yet; raises httpx.TransportError, and what the network refuses."""
        timeouts = request.extensions["timeout"]
        origin = _origin(request.url)
        with _as_httpx():
            stream = self._idle_one(origin) or self._connected(origin, timeouts["connect"])
            answer = _Answer(stream, timeouts["read"])
            try:
                head = answer.head(request)
            except BaseException:
                self._end(stream)
                raise
        body = _Body(answer, partial(self._ended, origin, answer))
        return httpx.Response(head.status_code, headers=head.headers.raw_items(), stream=body)

    def close(self) -> None:
        """Close every connection, whether or not it is in use."""
        with self._lock:
            self._idle.clear()
            while self._open:
                self._open.pop().close()

    def _idle_one(self, origin: Origin) -> httpcore.NetworkStream | None:
        with self._lock:
            for each in [idle for idle in self._idle if idle[0] == origin]:
                self._idle.remove(each)
                if not each[1].get_extra_info("is_readable"):
                    return each[1]
                self._open.discard(each[1])
                each[1].close()  # the other side has ended it
        return None

    def _connected(self, origin: Origin, timeout: float | None) -> httpcore.NetworkStream:
        scheme, host, port = origin
        stream = self._network.connect_tcp(host, port, timeout)
        if scheme == "https":
            stream = stream.start_tls(self._certificates, host, timeout)
        with self._lock:
            self._open.add(stream)
        return stream

    def _end(self, stream: httpcore.NetworkStream) -> None:
        with self._lock:
            self._open.discard(stream)
        stream.close()

    def _ended(self, origin: Origin, answer: "_Answer") -> None:
        if not answer.reusable:
            self._end(answer.stream)
            return
        with self._lock:
            if answer.stream in self._open:
                self._idle.append((origin, answer.stream))


class _Answer:
    """What comes on a connection after one request; ``reusable`` once it has come to its end."""

    def __init__(self, stream: httpcore.NetworkStream, timeout: float | None) -> None:
        self.stream = stream
        self.reusable = False
        self._timeout = timeout
        self._http = h11.Connection(h11.CLIENT)
        self._length: int | None = None
        self._stays = False

    def head(self, request: httpx.Request) -> h11.Response:
        """Send the request and return what comes before the body."""
        asked = h11.Request(
            method=request.method, target=request.url.raw_path, headers=request.headers.raw
        )
        sent = (self._http.send(asked) or b"") + (self._http.send(h11.EndOfMessage()) or b"")
        self.stream.write(sent, self._timeout)
        while not isinstance(head := self._event(), h11.Response):
            pass  # an interim one
        fields = dict(head.headers)
        connection = fields.get(b"connection", b"").lower()
        self._stays = head.http_version == b"1.1" and b"close" not in connection
        if head.status_code in STATED and b"transfer-encoding" not in fields:
            length = fields.get(b"content-length")
            self._length = None if length is None else int(length)
        return head

    def pieces(self) -> Iterator[bytes]:
        """Yield the body; raises h11's and httpcore's errors, and httpx.RemoteProtocolError where it breaks off."""
        if self._length is not None:
            yield from self._stated(self._length)
            return
        while isinstance(event := self._event(), h11.Data):
            yield bytes(event.data)
        self.reusable = self._stays and not self._http.trailing_data[0]

    def _stated(self, length: int) -> Iterator[bytes]:
        """Yield so many bytes: what has come with the head, then what comes on the connection."""
        piece = self._http.trailing_data[0]
        left = length - len(piece)
        self.reusable = self._stays and left == 0
        if piece and length:
            yield piece[:length]
        while left > 0:
            piece = self.stream.read(min(left, RECORD), self._timeout)
            if not piece:
                raise httpx.RemoteProtocolError(f"closed {left} bytes before the end")
            left -= len(piece)
            self.reusable = self._stays and left == 0
            yield piece

    def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(self.stream.read(RECORD, self._timeout))
        return event


class _Body(httpx.SyncByteStream):
    """The body of an answer; ``ended`` is called once, when nothing more is read of it."""

    def __init__(self, answer: _Answer, ended: Callable[[], None]) -> None:
        self._answer = answer
        self._ended: Callable[[], None] | None = ended

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._answer.pieces()

    def close(self) -> None:
        """Read no further."""
        ended, self._ended = self._ended, None
        if ended:
            ended()


def _origin(url: httpx.URL) -> Origin:
    port = url.port or {"https": 443, "http": 80}[url.scheme]
    return url.scheme, url.raw_host.decode(), port


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Raise what goes wrong below as httpx has it, under the same name."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, h11.ProtocolError) as error:
        kind: type[httpx.TransportError] = getattr(httpx, type(error).__name__)
        raise kind(str(error)) from error
