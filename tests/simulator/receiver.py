"""A tiny server on this machine: takes webhooks, gives out datasets, and remembers both."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue


@dataclass(frozen=True, slots=True)
class Received:
    """One call as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float


@dataclass(slots=True)
class Receiver:
    """``answers`` are given in turn, each a status, before the usual 200."""

    url: str
    answers: list[int] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0  # how long it takes to answer, the first time
    calls: Queue[Received] = field(default_factory=Queue)

    def next(self, within: float = 5.0) -> Received:
        return self.calls.get(timeout=within)

    def is_quiet(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes for a while."""
        try:
            self.calls.get(timeout=seconds)
        except Empty:
            return True
        return False


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that listens until the block ends."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.receiver = receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    receiver: Receiver


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    headers: Message

    def do_GET(self) -> None:
        receiver = self._note(b"")
        if target := receiver.redirects.get(self.path):
            self._answer(302, location=target)
        elif self.path in receiver.files:
            self._answer(200, receiver.files[self.path])
        else:
            self._answer(403)

    def do_POST(self) -> None:
        receiver = self._note(self.rfile.read(int(self.headers["Content-Length"])))
        seconds, receiver.seconds = receiver.seconds, 0.0
        time.sleep(seconds)
        status = receiver.answers.pop(0) if receiver.answers else 200
        self._answer(status, location=f"{receiver.url}/elsewhere" if status < 400 else None)

    def log_message(self, *_: object) -> None:
        """Keep the output of the tests clean."""

    def _note(self, body: bytes) -> Receiver:
        receiver = self.server.receiver
        headers = {name.lower(): value for name, value in self.headers.items()}
        receiver.calls.put(Received(self.command, self.path, headers, body, time.monotonic()))
        return receiver

    def _answer(self, status: int, body: bytes = b"", location: str | None = None) -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
