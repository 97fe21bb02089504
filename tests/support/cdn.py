"""fal's CDN: without a network any answer, or ranges; over TLS whatever a test makes of its answers."""

import re
import socketserver
import ssl
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from pathlib import Path
from socket import IPPROTO_TCP, SO_LINGER, SOL_SOCKET, TCP_NODELAY
from threading import Lock, Thread
from time import monotonic
from typing import Any, Self

import httpx
import trustme

from lora_drop.adapters.download import CdnFiles
from lora_drop.jobs.artifacts import Artifact
from tests.support.wire import Body, Wire
from tests.support.wire import Said as Outcome

DATA = bytes(range(256)) * 16
LARGE = DATA * 512  # 2 MiB
FIRST = 64 * 1024
HOSTS = ["fal.media", "127.0.0.1:8443"]
ETAG = '"5ca1ab1e"'
LATER = monotonic() + 3600
type Change = Callable[[httpx.Response], Outcome]


class Cdn(Wire):
    """The CDN with these answers; the usual one is a small file."""

    def __init__(self, *answers: Outcome | Callable[[httpx.Request], Outcome]) -> None:
        super().__init__(*(answers or [httpx.Response(200, content=DATA)]))

    def files(self, hosts: Sequence[str] = HOSTS, **how: Any) -> CdnFiles:
        return CdnFiles(hosts, transport=self(), **how)


def artifact(url: str = "https://v3.fal.media/files/a/lora", size: int | None = None) -> Artifact:
    return Artifact(name="lora.safetensors", url=url, size=size)


def read(files: CdnFiles, what: Artifact, part: int = 1000) -> bytes:
    """The file, part by part, until it ends."""
    found = bytearray()
    with files.open(what, until=LATER) as file:
        buffer = memoryview(bytearray(part))
        while file.size is None or len(found) < file.size:
            got = file.read(len(found), buffer)
            found += buffer[:got]
            if got < part:
                break
    return bytes(found)


class Ranged(Cdn):
    """A CDN with ranges; ``changed`` makes another answer of that to the nth request."""

    def __init__(self, changed: Mapping[int, Change] | None = None, *, data: bytes = LARGE) -> None:
        super().__init__(self._answered)
        self.changed, self._data, self._numbers = changed or {}, data, count(1)

    def files(self, hosts: Sequence[str] = HOSTS, **how: Any) -> CdnFiles:
        return super().files(hosts, first=FIRST, **how)

    def _answered(self, request: httpx.Request) -> Outcome:
        changed = self.changed.get(next(self._numbers))
        usual = self._range(request)
        return changed(usual) if changed else usual

    def _range(self, request: httpx.Request) -> httpx.Response:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        if not asked or request.headers.get("If-Range", ETAG) != ETAG:
            return httpx.Response(200, content=self._data, headers={"ETag": ETAG})
        start, end = int(asked[1]), min(int(asked[2]) + 1, len(self._data))
        served = {"ETag": ETAG, "Content-Range": f"bytes {start}-{end - 1}/{len(self._data)}"}
        return httpx.Response(206, content=self._data[start:end], headers=served)

    def asked(self) -> list[tuple[int, int]]:
        """The ranges that were asked for, first byte and the one after the last."""
        spans = [request.headers["Range"][6:].split("-") for request in self.requests]
        return [(int(start), int(last) + 1) for start, last in spans]

    def reading(self, offset: int = 0, length: int = len(LARGE)) -> bytes:
        buffer = bytearray(length)
        with self.files().open(artifact(), until=LATER) as file:
            assert file.read(offset, memoryview(buffer)) == length
        return bytes(buffer)


def headed(**headers: str | None) -> Change:
    """The usual answer with other headers; None takes one away."""

    def change(usual: httpx.Response) -> httpx.Response:
        for name, value in headers.items():
            usual.headers.pop(name.replace("_", "-"), None)
            if value is not None:
                usual.headers[name.replace("_", "-")] = value
        return usual

    return change


def status(code: int) -> Change:
    return lambda _: httpx.Response(code)


def bodied(make: Callable[[bytes], Body]) -> Change:
    """The usual answer with a body that is made of its own, and no length."""

    def change(usual: httpx.Response) -> httpx.Response:
        headers = {name: usual.headers[name] for name in ("ETag", "Content-Range")}
        return httpx.Response(206, headers=headers, stream=make(usual.content))

    return change


def breaking(keep: int, error: Exception | None) -> Change:
    """The body breaks after so many bytes, or ends there without a word."""
    return bodied(lambda content: Body([content[:keep]], error))


RESET = struct.pack("ii", 1, 0)  # lingering for no time: closing is a reset


@dataclass(frozen=True)
class Asked:
    """A request: the range that it asks for, first byte and the one after the last."""

    number: int
    path: str
    headers: dict[str, str]
    span: tuple[int, int] | None

    @classmethod
    def read(cls, number: int, head: bytes) -> Self:
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("range", ""))
        span = (int(found[1]), int(found[2]) + 1) if found else None
        return cls(number, first.split(" ")[1], headers, span)


@dataclass(frozen=True)
class Said:
    """An answer; ``start`` is where in the file its body begins, ``cut`` where in the body it ends."""

    status: int
    body: bytes
    headers: dict[str, str]
    start: int = 0
    cut: int | None = None
    reset: bool = False
    chunked: bool = False
    raw: bytes | None = None

    def headed(self, **headers: str | None) -> "Said":
        """The same with other headers; None takes one away."""
        merged: dict[str, str] = dict(self.headers)
        for name, value in headers.items():
            merged.pop(name.replace("_", "-"), None)
            if value is not None:
                merged[name.replace("_", "-")] = value
        return replace(self, headers=merged)

    def wire(self) -> bytes:
        """Everything that is sent."""
        if self.raw is not None:
            return self.raw
        lines = [f"HTTP/1.1 {self.status} x", *(f"{k}: {v}" for k, v in self.headers.items())]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        body = self.body if self.cut is None else self.body[: self.cut]
        if self.chunked and body:
            body = f"{len(body):x}\r\n".encode() + body + b"\r\n"
        if self.chunked and self.cut is None:
            body += b"0\r\n\r\n"
        return head + body


type Fault = Callable[[Asked, Said], Said]


def faultless(_: Asked, usual: Said) -> Said:
    """Nothing goes wrong."""
    return usual


@dataclass
class FaultyCdn:
    """One file, and what goes wrong with it."""

    data: bytes
    etag: str = '"5ca1ab1e"'
    fault: Fault = faultless
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    lock: Lock = field(default_factory=Lock)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/files/lora.safetensors"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def answer(self, head: bytes) -> Said:
        """What is sent to a request."""
        with self.lock:
            asked = Asked.read(len(self.asked) + 1, head)
            self.asked.append(asked)
            return self.fault(asked, self._usual(asked))

    def _usual(self, asked: Asked) -> Said:
        headers = {"ETag": self.etag, "Accept-Ranges": "bytes"}
        fits = asked.headers.get("if-range", self.etag) == self.etag
        if asked.span is None or not fits:
            headers["Content-Length"] = str(len(self.data))
            return Said(200, self.data, headers)
        start, end = asked.span[0], min(asked.span[1], len(self.data))
        headers["Content-Length"] = str(end - start)
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(self.data)}"
        return Said(206, self.data[start:end], headers, start)


@cache
def _authority() -> tuple[trustme.CA, ssl.SSLContext]:
    """One for all tests: making keys takes longer than most of them."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return authority, context


@contextmanager
def serving(cdn: FaultyCdn, ca: Path) -> Iterator[FaultyCdn]:
    """The CDN on a free port; its CA's certificate is written to this file."""
    authority, context = _authority()
    authority.cert_pem.write_to_path(str(ca))

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                self.request.settimeout(10)
                self.request.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # or each answer takes 40 ms
                self._serve(context.wrap_socket(self.request, server_side=True))
            except OSError:
                pass  # the other side has hung up, as it may

        def _serve(self, line: ssl.SSLSocket) -> None:
            with line:
                head = b""
                while chunk := line.recv(65536):
                    head += chunk
                    while b"\r\n\r\n" in head:
                        one, _, head = head.partition(b"\r\n\r\n")
                        if not self._say(line, cdn.answer(one)):
                            return

        def _say(self, line: ssl.SSLSocket, said: Said) -> bool:
            line.sendall(said.wire())
            if said.reset:
                line.setsockopt(SOL_SOCKET, SO_LINGER, RESET)
            framed = "Content-Length" in said.headers or said.chunked
            return framed and said.cut is None and said.raw is None

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        cdn.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield cdn
        finally:
            server.shutdown()
            thread.join()
