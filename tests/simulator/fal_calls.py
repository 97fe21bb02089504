"""fal's protocol by hand, with the status codes and raw bytes that fal_client hides, and a receiver."""

import base64
import hashlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any, Self

import httpx
from nacl.signing import VerifyKey

from lora_drop.simulator.running import ControlClient
from tests.support.builders import APPLICATION, make_archive

LIMIT = 60.0  # seconds after which a test fails that waits for something


def data_uri(data: bytes) -> str:
    return f"data:application/zip;base64,{base64.b64encode(data).decode()}"


def path(request_id: str, application: str = APPLICATION) -> str:
    owner, app, *_ = application.split("/")
    return f"/{owner}/{app}/requests/{request_id}"


DATASET = data_uri(make_archive())


def until[T](ask: Callable[[], T], *, within: float = LIMIT) -> T:
    """Return what is asked for, once it is something; TimeoutError when it stays nothing."""
    end = time.monotonic() + within
    while not (found := ask()):
        if time.monotonic() > end:
            raise TimeoutError(ask)
        time.sleep(0.01)
    return found


@dataclass(frozen=True, slots=True)
class Received:
    """One call as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Receiver:
    """``answers`` are given in turn, each a status, before the usual 200."""

    url: str
    answers: list[int] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    calls: Queue[Received] = field(default_factory=Queue)
    first_answer: threading.Event | None = None  # the first POST is answered when it is set

    def next(self) -> Received:
        return self.calls.get(timeout=LIMIT)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Have a server on this machine take webhooks and give out files until the block ends."""
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
        receiver = self._keep(b"")
        if target := receiver.redirects.get(self.path):
            self._answer(302, location=target)
        elif self.path in receiver.files:
            self._answer(200, receiver.files[self.path])
        else:
            self._answer(403)

    def do_POST(self) -> None:
        receiver = self.server.receiver
        held, receiver.first_answer = receiver.first_answer, None
        self._keep(self.rfile.read(int(self.headers["Content-Length"])))
        if held:
            held.wait(LIMIT)
        status = receiver.answers.pop(0) if receiver.answers else 200
        self._answer(status, location=f"{receiver.url}/elsewhere" if status < 400 else None)

    def log_message(self, *_: object) -> None:
        """Keep the output of the tests clean."""

    def _keep(self, body: bytes) -> Receiver:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.receiver.calls.put(Received(self.command, self.path, headers, body))
        return self.server.receiver

    def _answer(self, status: int, body: bytes = b"", location: str | None = None) -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Calls:
    """A client that repeats nothing and raises for no status."""

    def __init__(self, sim: ControlClient) -> None:
        self.sim = sim
        self.inject = sim.inject
        self.http = httpx.Client(
            base_url=sim.base_url,
            verify=ssl.create_default_context(cafile=sim.ca_file),
            headers={"Authorization": f"Key {sim.key}"},
            trust_env=False,
            timeout=LIMIT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """The rows of one kind in the simulator's ledger."""
        rows: list[dict[str, Any]] = self.sim.ledger()[kind]
        return rows

    def accepted(self) -> list[bool]:
        """Whether each submission was accepted."""
        return [row["accepted"] for row in self.rows("submissions")]

    def submit(
        self,
        arguments: object = None,
        *,
        application: str = APPLICATION,
        webhook_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        max_queue_length: str | None = None,
    ) -> httpx.Response:
        query = {"fal_webhook": webhook_url, "fal_max_queue_length": max_queue_length}
        return self.http.post(
            f"/{application}",
            json={"images_data_url": DATASET} if arguments is None else arguments,
            params={name: value for name, value in query.items() if value is not None},
            headers=headers,
        )

    def submitted(self, arguments: object = None, **how: Any) -> str:
        """The id of a request that was accepted."""
        response = self.submit(arguments, **how)
        assert response.status_code == 200, response.text
        return str(response.json()["request_id"])

    def status(
        self, request_id: str, application: str = APPLICATION, *, logs: bool = False
    ) -> dict[str, Any]:
        query = {"logs": "1"} if logs else {}
        at = f"{path(request_id, application)}/status"
        body: dict[str, Any] = self.http.get(at, params=query).json()
        return body

    def ended(self, request_id: str, application: str = APPLICATION) -> dict[str, Any]:
        """The last status of a request, with its logs."""
        until(lambda: self.status(request_id, application)["status"] == "COMPLETED")
        return self.status(request_id, application, logs=True)

    def result(self, request_id: str, application: str = APPLICATION) -> httpx.Response:
        return self.http.get(path(request_id, application))

    def cancel(self, request_id: str) -> httpx.Response:
        return self.http.put(f"{path(request_id)}/cancel")

    def run(self, arguments: object = None, **how: Any) -> str:
        """The id of a request that has ended."""
        request_id = self.submitted(arguments, **how)
        self.ended(request_id, how.get("application", APPLICATION))
        return request_id

    def trained(self, arguments: object = None, **how: Any) -> dict[str, Any]:
        """The result of a training that succeeds."""
        response = self.result(self.run(arguments, **how), how.get("application", APPLICATION))
        assert response.status_code == 200, response.text
        result: dict[str, Any] = response.json()
        return result

    def detail(self, arguments: object = None, **how: Any) -> dict[str, Any]:
        """The one detail of a training that fails with 422."""
        application = how.get("application", APPLICATION)
        request_id = self.submitted(arguments, **how)
        status = self.ended(request_id, application)
        response = self.result(request_id, application)
        [detail] = response.json()["detail"]
        assert response.status_code == 422
        assert status["error"] == "Invalid status code: 422"
        assert status["error_type"] == detail["type"]
        assert status["logs"][-1]["level"] == "ERROR"
        return dict(detail)

    def stored(self, data: bytes, name: str = "photos.zip") -> str:
        """The URL of a file that was uploaded to the CDN."""
        token = self.http.post("/storage/auth/token", json={}).json()
        authorization = f"{token['token_type']} {token['token']}"
        headers = {"Authorization": authorization, "X-Fal-File-Name": name}
        response = self.http.post("/files/upload", content=data, headers=headers)
        return str(response.json()["access_url"])

    def nothing_more(self, receiver: Receiver) -> bool:
        """Whether the next call that comes in is that of a request that is submitted only now."""
        self.submitted(webhook_url=f"{receiver.url}/last")
        return receiver.next().path == "/last"

    def verify(self, webhook: Received) -> None:
        """Raise BadSignatureError unless fal's key has signed the webhook, as fal documents."""
        request_id, user_id, timestamp, signature = (
            webhook.headers[f"x-fal-webhook-{name}"]
            for name in ("request-id", "user-id", "timestamp", "signature")
        )
        digest = hashlib.sha256(webhook.body).hexdigest()
        message = f"{request_id}\n{user_id}\n{timestamp}\n{digest}".encode()
        [key] = self.http.get("/.well-known/jwks.json").json()["keys"]
        assert (key["kty"], key["crv"], len(key["x"])) == ("OKP", "Ed25519", 43)
        public = VerifyKey(base64.urlsafe_b64decode(key["x"] + "="))
        public.verify(message, bytes.fromhex(signature))
