"""fal on loopback, down to the socket: counts every POST, and breaks where a test wants.

The resolver is the lever: fal's real names lead here while ``faulty_fal()`` lasts, and no other name
leads anywhere, so the clients run unmodified and nothing can reach the real fal.
"""

import os
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import httpx
import trustme

from tests.support.fal_answers import (
    API,
    CDN,
    GOOD,
    UNREACHED,
    WAITS_TO_CONNECT,
    WAITS_TO_READ,
    Answer,
    Exchange,
    Fault,
    Place,
    Post,
)

FIRST, SECOND = "queue.fal.run", "queue.falrun.com"
NAMES = (FIRST, SECOND, API, CDN)
LOOPBACK = "127.0.0.1"
TIMEOUT = 10.0  # seconds that a connection lives at most


@dataclass(slots=True)
class _Strike:
    """A fault, and how many of the coming attempts it is for; None for all."""

    fault: Fault = GOOD
    remaining: int | None = 0

    def next(self) -> Fault:
        if self.remaining == 0:
            return GOOD
        if self.remaining is not None:
            self.remaining -= 1
        return self.fault


class FaultyFal:
    """The queue, its list of requests and the CDN; ``posts`` is its ledger."""

    def __init__(self, state: Path) -> None:
        self.exchange = Exchange()
        self._strike = _Strike()
        self._now = GOOD
        authority, stranger = trustme.CA(), trustme.CA()
        self.ca_file = state / "ca.pem"
        self.ca_file.write_bytes(authority.cert_pem.bytes())
        self._tls, self._strange = _context(authority), _context(stranger)
        self._listener = socket.create_server((LOOPBACK, 0))
        self._found: list[Any] = []
        self._closed = socket.socket()
        self._closed.bind((LOOPBACK, 0))  # and no one listens
        self._crowded = socket.create_server((LOOPBACK, 0), backlog=0)
        self._crowd = socket.create_connection(self._crowded.getsockname())  # fills the backlog
        self._lock = threading.Lock()
        self._talking: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self.settle()
        for each in (self._listener, self._closed, self._crowd, self._crowded):
            each.close()

    @property
    def posts(self) -> list[Post]:
        """Every POST whose headers arrived, once all that is under way has arrived."""
        self.settle()
        return self.exchange.posts

    @property
    def paid(self) -> list[Post]:
        """The POSTs that were accepted: each of them is billed."""
        return [post for post in self.posts if post.request_id]

    def strike(self, fault: Fault, *, times: int | None = 1) -> None:
        """Have this become of the next so many attempts to submit; None for all of them."""
        self._strike = _Strike(fault, times)

    def settle(self) -> None:
        """Wait until every caller has gone."""
        with self._lock:
            talking, self._talking = self._talking, []
        for each in talking:
            each.join(TIMEOUT)

    def resolve(self, host: str | bytes | None, *_: object, **__: object) -> list[Any]:
        """In place of ``socket.getaddrinfo``; an attempt begins with fal's first name."""
        name = host.decode() if isinstance(host, bytes) else str(host)
        if name == LOOPBACK:
            return self._found  # a client that looks a name up first calls the address then
        if name == FIRST:
            self._now = self._strike.next()
        fault = self._now if name in (FIRST, SECOND) else GOOD
        if name not in NAMES or fault.place is Place.NO_NAME:
            raise socket.gaierror(socket.EAI_NONAME, f"no address for {name}")
        address = self._listener
        if fault.place is Place.REFUSED or (fault.place, name) == (Place.FIRST_REFUSED, FIRST):
            address = self._closed
        elif fault.place is Place.CROWDED:
            address = self._crowded
        self._found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address.getsockname())]
        return self._found

    def _accept(self) -> None:
        with suppress(OSError):  # the end
            while True:
                raw, _ = self._listener.accept()
                fault = GOOD if self._now.place in UNREACHED else self._now
                talk = threading.Thread(target=self._serve, args=(raw, fault), daemon=True)
                with self._lock:  # a caller with an answer finds its thread in the list
                    talk.start()
                    self._talking.append(talk)

    def _serve(self, raw: socket.socket, fault: Fault) -> None:
        raw.settimeout(TIMEOUT)
        with raw, suppress(OSError):
            match fault.place:
                case Place.SILENT:
                    _outwait(raw)
                case Place.HELLO_RESET:
                    raw.recv(1)
                    _reset(raw)
                case Place.PLAIN:
                    raw.recv(4096)
                    raw.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                case place:
                    context = self._strange if place is Place.STRANGER else self._tls
                    with context.wrap_socket(raw, server_side=True) as connection:
                        if place is not Place.HUNG_UP:
                            self._talk(connection, fault)

    def _talk(self, connection: ssl.SSLSocket, fault: Fault) -> None:
        head, body = _head(connection)
        method, target, host = _first_line(head)
        if method != "POST":
            connection.sendall(self.exchange.asked(host, target))
            return
        post, fault = self.exchange.arrived(target, fault)
        if fault.place in (Place.RESET_BEFORE, Place.RESET_AMID):
            if fault.place is Place.RESET_AMID:
                _some(connection, 16)
            _reset(connection)
            return
        size = _content_length(head)
        while len(body) < size:
            body += _some(connection, size)
        self._end(connection, fault, self.exchange.whole(post, body, fault))

    @staticmethod
    def _end(connection: ssl.SSLSocket, fault: Fault, answer: Answer) -> None:
        """What becomes of a request that is there."""
        match fault.place:
            case Place.RESET_AFTER:
                _reset(connection)
            case Place.STALL:
                _outwait(connection)
            case Place.STALL_AMID | Place.CUT:
                connection.sendall(answer.half)
                if fault.place is Place.STALL_AMID:
                    _outwait(connection)
            case Place.CLOSED_AFTER:
                pass
            case _:
                connection.sendall(answer.sent)


@contextmanager
def faulty_fal() -> Iterator[FaultyFal]:
    """A fal that every name of fal's leads to, until the block ends."""
    with (
        tempfile.TemporaryDirectory(prefix="faulty-fal-") as state,
        FaultyFal(Path(state)) as fal,
        patch.dict(
            os.environ, {"SSL_CERT_FILE": str(fal.ca_file), "NO_PROXY": "*", "no_proxy": "*"}
        ),
        patch("socket.getaddrinfo", fal.resolve),
    ):
        yield fal


def timeouts(fault: Fault, seconds: float) -> httpx.Timeout:
    """Return a caller's timeouts: short in the place where this fault would have it wait."""
    connect = seconds if fault.place in WAITS_TO_CONNECT else TIMEOUT
    read = seconds if fault.place in WAITS_TO_READ else TIMEOUT
    return httpx.Timeout(TIMEOUT, connect=connect, read=read)


def _context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*NAMES).configure_cert(context)
    return context


def _head(connection: ssl.SSLSocket) -> tuple[bytes, bytes]:
    """The head of a request, and what came of its body with it."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection, 65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    return head, body


def _some(connection: socket.socket, size: int) -> bytes:
    got = connection.recv(size)
    if not got:
        raise ConnectionResetError("the caller has gone")
    return got


def _first_line(head: bytes) -> tuple[str, str, str]:
    """Method, target and host."""
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ")
    [host] = [line[5:].strip() for line in lines if line.lower().startswith("host:")]
    return method, target, host


def _content_length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return sum(int(line[15:]) for line in lines if line.startswith(b"content-length:"))


def _outwait(connection: socket.socket) -> None:
    """Say nothing until the caller goes."""
    while connection.recv(4096):
        pass


def _reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
