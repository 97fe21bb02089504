"""What the fal on loopback says, and its ledger."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

API, CDN = "api.fal.ai", "v3.fal.media"
MOVED = "/moved"
PAGE = b"<html><center><h1>Sorry</h1></center><hr><center>nginx</center></html>"
CONFIG = b'{"rank": 16}'

Place = StrEnum(
    "Place",
    [
        "NO_NAME",  # the name leads nowhere
        "REFUSED",  # no one listens
        "FIRST_REFUSED",  # no one listens at fal's first address; the second one is fine
        "CROWDED",  # the connection is never taken
        "SILENT",  # the TLS handshake is never answered
        "HELLO_RESET",  # the TLS handshake is answered with a reset
        "STRANGER",  # the certificate is of an authority that is not trusted
        "PLAIN",  # the answer to the TLS handshake is not TLS
        "HUNG_UP",  # closed as soon as the handshake is done
        "RESET_BEFORE",  # reset once the headers are there
        "RESET_AMID",  # reset within the body
        "RESET_AFTER",  # reset once the request is there
        "CLOSED_AFTER",  # closed in good order once the request is there
        "STALL",  # nothing is said until the caller goes
        "STALL_AMID",  # half of the answer, and nothing more until the caller goes
        "CUT",  # half of the answer, then the end
        "ANSWER",  # a whole answer
    ],
)
# The resolver's part: these never come to the server.
UNREACHED = frozenset({Place.NO_NAME, Place.REFUSED, Place.CROWDED})
# The caller waits for its own timeout.
WAITS_TO_CONNECT = frozenset({Place.CROWDED, Place.SILENT})
WAITS_TO_READ = frozenset({Place.STALL, Place.STALL_AMID})
Body = StrEnum("Body", ["TICKET", "ID_ONLY", "NO_ID", "DETAIL", "PAGE", "GARBAGE", "NOTHING"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Where it strikes, whether the request is accepted (and billed) all the same, what is said."""

    place: Place = Place.ANSWER
    accepted: bool = False
    status: int = 200
    body: Body = Body.TICKET


GOOD = Fault(accepted=True)


def weights(size: int) -> bytes:
    """The least that is a valid safetensors file with so many bytes of a tensor."""
    tensor = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    header = json.dumps({"noise": tensor}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(size)


SMALL = weights(65_536)
# Half of it is more than boto3 sends in one piece, as a LoRA of 90 MB is.
LARGE = weights(24 * 1024**2)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, after which the connection ends."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def sent(self) -> bytes:
        """The answer on the wire; a 200 without a length ends with the connection."""
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join((*lines, "", "")).encode() + self.body

    @property
    def half(self) -> bytes:
        """The answer without the second half of its body."""
        return self.sent[: len(self.sent) - len(self.body) // 2]


def answer(status: int, body: bytes, **headers: str) -> Answer:
    """An answer with its length."""
    return Answer(status, body, {"Content-Length": str(len(body)), **headers})


def json_answer(status: int, body: object) -> Answer:
    """An answer in JSON, as fal's own are."""
    return answer(status, json.dumps(body).encode(), **{"Content-Type": "application/json"})


@dataclass(slots=True)
class Post:
    """One POST; with a request id it was accepted, and is billed."""

    application: str
    webhook_url: str
    whole: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    request_id: str | None = None

    def row(self) -> Mapping[str, Any]:
        """The request in fal's list."""
        return {
            "request_id": self.request_id,
            "endpoint_id": self.application,
            "json_input": self.arguments,
        }


@dataclass(frozen=True, slots=True)
class CdnFault:
    """A download that ends in its middle, with the whole's length in its head or without."""

    length: bool


@dataclass(slots=True)
class Exchange:
    """The ledger, and what those hear who ask."""

    weights: bytes = SMALL
    posts: list[Post] = field(default_factory=list)
    cut: list[CdnFault] = field(default_factory=list)  # the next downloads

    def clear(self) -> None:
        """Forget everything."""
        self.weights = SMALL
        self.posts.clear()
        self.cut.clear()

    def result(self) -> dict[str, Any]:
        """What the trainer answers for every request."""
        return {
            "diffusers_lora_file": _file("lora.safetensors", self.weights),
            "config_file": _file("config.json", CONFIG),
        }

    def webhook(self, post: Post) -> dict[str, Any]:
        """The webhook of a training that succeeded, in fal's form."""
        return {
            "error": None,
            "gateway_request_id": post.request_id,
            "payload": self.result(),
            "request_id": post.request_id,
            "status": "OK",
        }

    def arrived(self, target: str, fault: Fault) -> tuple[Post, Fault]:
        """The headers of a POST are there; where a redirect has led it to, all is well."""
        split = urlsplit(target)
        moved = split.path.startswith(f"{MOVED}/")
        application = split.path.removeprefix(MOVED).lstrip("/")
        [webhook_url] = parse_qs(split.query).get("fal_webhook", [""])
        post = Post(application, webhook_url)
        self.posts.append(post)
        return post, GOOD if moved else fault

    def whole(self, post: Post, body: bytes, fault: Fault) -> Answer:
        """The whole POST is there: take it or not, and what is to be said."""
        post.whole, post.arguments = True, json.loads(body)
        request_id = str(uuid4())
        if fault.accepted:
            post.request_id = request_id
        said = _said(fault.body, post.application, request_id)
        if fault.status not in (HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.TEMPORARY_REDIRECT):
            return answer(fault.status, said)
        elsewhere = f"https://queue.fal.run{MOVED}/{post.application}"
        return answer(fault.status, said, Location=elsewhere)

    def asked(self, host: str, target: str) -> bytes:
        """What a GET hears, on the wire: every accepted request has succeeded."""
        path = urlsplit(target).path
        if host == CDN:
            return self._download(path)
        if host == API:
            rows = [post.row() for post in self.posts if post.request_id]
            return json_answer(200, {"items": rows, "has_more": False, "next_cursor": None}).sent
        _, _, rest = path.partition("/requests/")
        request_id, _, what = rest.partition("/")
        if request_id not in {post.request_id for post in self.posts}:
            return json_answer(404, {"status": "NOT_FOUND"}).sent
        if what == "status":
            return json_answer(200, {"status": "COMPLETED", "request_id": request_id}).sent
        return json_answer(200, self.result()).sent

    def _download(self, path: str) -> bytes:
        data = self.weights if path.endswith(".safetensors") else CONFIG
        if not self.cut:
            return answer(200, data).sent
        if self.cut.pop(0).length:
            return answer(200, data).half
        return Answer(200, data).half


def _said(body: Body, application: str, request_id: str) -> bytes:
    """The body of an answer to a submission."""
    match body:
        case Body.PAGE:
            return PAGE
        case Body.GARBAGE:
            return b"\x00\xffnot json at all"
        case Body.NOTHING:
            return b""
    said = {
        Body.TICKET: _ticket(application, request_id),
        Body.ID_ONLY: {"request_id": request_id},
        Body.NO_ID: {"status": "IN_QUEUE"},
        Body.DETAIL: {"detail": "No."},
    }
    return json.dumps(said[body]).encode()


def _ticket(application: str, request_id: str) -> Mapping[str, Any]:
    base = f"https://queue.fal.run/{application}/requests/{request_id}"
    return {
        "status": "IN_QUEUE",
        "request_id": request_id,
        "response_url": f"{base}/response",
        "status_url": f"{base}/status",
        "cancel_url": f"{base}/cancel",
        "queue_position": 0,
    }


def _file(name: str, data: bytes) -> Mapping[str, Any]:
    return {
        "url": f"https://{CDN}/files/{name}",
        "content_type": "application/octet-stream",
        "file_name": name,
        "file_size": len(data),
    }
