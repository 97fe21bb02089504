"""POSTs to receivers: bounded in time as a whole, never redirected, over verified TLS, to public addresses alone."""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import create_server, socket
from threading import Thread

import httpx
import pytest
import trustme

from lora_drop.adapters.checked_network import CheckedNetwork
from lora_drop.adapters.receivers import HttpReceiver
from lora_drop.jobs.errors import (
    ForeignCertificateError,
    HostNotAllowedError,
    ReceiverUnavailableError,
)
from lora_drop.ports.receivers import ReceiverAnswer
from tests.adapters.hostile_urls import PRIVATE

type Talk = Callable[[socket], None]


@contextmanager
def serving(talk: Talk) -> Iterator[tuple[int, list[bytes]]]:
    """A server that talks so on every connection, and what each sent first."""
    asked: list[bytes] = []
    with create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        asked.append(connection.recv(65536))
                        talk(connection)
                    except OSError:
                        pass  # the client has gone

        Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], asked


def says(answer: bytes) -> Talk:
    return lambda connection: connection.sendall(answer)


def trickle(connection: socket) -> None:
    """A byte of a header at a time: no single read ever takes long."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    for _ in range(200):
        connection.sendall(b"x")
        time.sleep(0.05)


def post(port: int, *, host: str = "127.0.0.1", patience: float = 5.0) -> ReceiverAnswer:
    until = time.monotonic() + patience
    receiver = HttpReceiver(private=True)
    return receiver.post(f"http://{host}:{port}/lora", {"webhook-id": "x"}, b"{}", until=until)


ANSWERS: dict[bytes, ReceiverAnswer] = {
    b"HTTP/1.1 204 No Content\r\n\r\n": ReceiverAnswer(204),
    b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n": ReceiverAnswer(302),
    b"HTTP/1.1 429 Too Many\r\nRetry-After: 120\r\n\r\n": ReceiverAnswer(429, 120),
    # RFC 9110, 10.2.3: a date as well, read against the receiver's own clock.
    b"HTTP/1.1 503 Busy\r\nDate: Sun, 29 Nov 2026 11:58:00 GMT\r\n"
    b"Retry-After: Sun, 29 Nov 2026 12:00:00 GMT\r\n\r\n": ReceiverAnswer(503, 120),
    b"HTTP/1.1 503 Busy\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\n": ReceiverAnswer(503),
    b"HTTP/1.1 503 Busy\r\nRetry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n\r\n": ReceiverAnswer(
        503, 9_999_999
    ),
    b"HTTP/1.1 503 Busy\r\nRetry-After: tomorrow\r\n\r\n": ReceiverAnswer(503),
    # Nothing of a body is waited for.
    b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n": ReceiverAnswer(200),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_answer_is_status_and_retry_after(answer: bytes) -> None:
    with serving(says(answer)) as (port, asked):
        assert post(port) == ANSWERS[answer]
    assert len(asked) == 1  # no redirect is followed


@pytest.mark.parametrize(
    "talk", [trickle, lambda _: time.sleep(3), says(b""), says(b"no HTTP\r\n\r\n")], ids=range(4)
)
def test_slow_or_strange_receiver_ends_in_time(talk: Talk) -> None:
    began = time.monotonic()
    with serving(talk) as (port, _), pytest.raises(ReceiverUnavailableError):
        post(port, patience=0.5)
    assert time.monotonic() - began < 2.0


def test_nothing_listens() -> None:
    with create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ReceiverUnavailableError, match="ConnectError"):
        post(port)


def test_certificate_is_verified() -> None:
    """One of an authority that is not known is refused, and nothing is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    heard: list[bytes] = []
    with create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            try:
                with context.wrap_socket(connection, server_side=True) as secure:
                    heard.append(secure.recv(65536))
            except OSError:
                pass

        thread = Thread(target=serve, daemon=True)
        thread.start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(ForeignCertificateError):
            HttpReceiver(private=True).post(url, {}, b"{}", until=time.monotonic() + 5)
        thread.join(5)
    assert heard in ([], [b""])


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("address", PRIVATE[:12])
def test_no_private_address_is_called(address: str) -> None:
    """A receiver's name that leads, or comes to lead, into a private network is not called."""
    receiver = HttpReceiver(
        network=lambda inner: CheckedNetwork(resolve=lambda *_: [address], network=inner)
    )
    with pytest.raises(HostNotAllowedError):
        receiver.post("https://hooks.example/", {}, b"{}", until=time.monotonic() + 1)


@pytest.mark.parametrize("host", ["a..h.example", "xn--a.h.example", f"{'a' * 64}.h.example"])
def test_host_that_cannot_be_called_is_unavailable(host: str) -> None:
    """IDNA and the name system raise ValueErrors, which are no error of the whole batch."""
    with pytest.raises(ReceiverUnavailableError, match=r"^(UnicodeEncodeError|InvalidCodepoint)$"):
        HttpReceiver().post(f"https://{host}/x", {}, b"{}", until=time.monotonic() + 5)


def test_error_holds_no_address() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"cannot reach {request.url}")

    receiver = HttpReceiver(transport=httpx.MockTransport(refuse))
    with pytest.raises(ReceiverUnavailableError) as raised:
        receiver.post("https://hooks.example/?key=private", {}, b"", until=time.monotonic() + 1)
    assert str(raised.value) == "ConnectError"
