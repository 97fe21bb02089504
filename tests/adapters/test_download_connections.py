"""Connections for files: used again only where nothing of an answer is left on them, and closed in the end."""

import ssl
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx
import pytest

from lora_drop.adapters.download_connections import FileTransport

URL = "https://v3.fal.media/files/a/lora"
BODY = b"weights" * 9000


@dataclass(eq=False)
class Line(httpcore.NetworkStream):
    """A connection on which these answers come, one after each request."""

    says: list[bytes]
    rest: bytes = b""
    closed: bool = False
    asked: int = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        assert timeout == 20
        piece, self.rest = self.rest[:max_bytes], self.rest[max_bytes:]
        return piece

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        assert buffer.startswith(b"GET /files/a/lora HTTP/1.1\r\n"), timeout
        self.asked += 1
        self.rest += self.says.pop(0)

    def close(self) -> None:
        self.closed = True

    def start_tls(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        return self

    def get_extra_info(self, info: str) -> Any:
        return bool(self.rest) if info == "is_readable" else None


@dataclass
class Lines(httpcore.NetworkBackend):
    """A network of such connections."""

    lines: list[Line]
    opened: list[Line] = field(default_factory=list)

    def connect_tcp(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        self.opened.append(self.lines.pop(0))
        return self.opened[-1]


def said(body: bytes = BODY, *, head: str = "", before: bytes = b"", after: bytes = b"") -> bytes:
    lines = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{head}\r\n"
    return before + lines.encode() + body + after


def client(*lines: Line) -> tuple[httpx.Client, Lines]:
    network = Lines(list(lines))
    transport = FileTransport(ssl.create_default_context(), network)
    return httpx.Client(transport=transport, timeout=20), network


def test_connection_is_used_again() -> None:
    http, network = client(Line([said(), said(b""), said()]))
    with http:
        assert [http.get(URL).content for _ in range(3)] == [BODY, b"", BODY]
        assert [line.closed for line in network.opened] == [False]
    assert [line.closed for line in network.opened] == [True]


@pytest.mark.parametrize(
    "first",
    [
        said(head="Connection: close\r\n"),
        said(after=b"HTTP/1.1 200 OK\r\n"),
        said().replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
    ids=["closing", "more than was said", "1.0"],
)
def test_spoilt_connection_is_closed(first: bytes) -> None:
    """What is left of one answer is never taken for the next one."""
    http, network = client(Line([first]), Line([said(b"other")]))
    with http:
        assert (http.get(URL).content, http.get(URL).content) == (BODY, b"other")
    assert [line.asked for line in network.opened] == [1, 1]
    assert all(line.closed for line in network.opened)


def test_unread_answer_closes_its_connection() -> None:
    http, network = client(Line([said()]))
    with http, http.stream("GET", URL):
        pass
    assert network.opened[0].closed


def test_interim_answers_are_passed_over() -> None:
    http, _ = client(Line([said(before=b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")]))
    with http:
        assert http.get(URL).content == BODY


@pytest.mark.parametrize(
    "broken",
    [
        said()[:-1],
        said()[:20],
        said(head="Content-Length: 7\r\n"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
    ids=["body", "head", "two lengths", "chunk"],
)
def test_broken_answer_is_no_file(broken: bytes) -> None:
    """An answer that breaks off, or says two lengths, is an error and never a shorter file."""
    http, network = client(Line([broken]))
    with http, pytest.raises(httpx.RemoteProtocolError):
        http.get(URL)
    assert network.opened[0].closed
