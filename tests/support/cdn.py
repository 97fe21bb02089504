"""A CDN that gives one answer, a file read from it, and a network that records its connections."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import httpcore
import httpx

from lora_drop.adapters.checked_network import CheckedNetwork
from lora_drop.adapters.download import CdnFiles
from lora_drop.jobs.artifacts import MAX_BYTES, Artifact

DATA = bytes(range(256)) * 16
HOSTS = ["fal.media", "127.0.0.1:8443"]
type Answer = Callable[[httpx.Request], httpx.Response]
LATER = monotonic() + 3600


class Cdn:
    """The CDN: counts what reaches it."""

    def __init__(self, answer: Answer | httpx.Response | Exception | None = None) -> None:
        self.requests: list[httpx.Request] = []
        self._answer = answer or httpx.Response(200, content=DATA)

    def files(self, hosts: Sequence[str] = HOSTS, *, most: int = MAX_BYTES) -> CdnFiles:
        return CdnFiles(hosts, transport=httpx.MockTransport(self._serve), most=most)

    def _serve(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if isinstance(self._answer, Exception):
            raise self._answer
        if isinstance(self._answer, httpx.Response):
            return self._answer
        return self._answer(request)


def artifact(url: str = "https://v3.fal.media/files/a/lora", size: int | None = None) -> Artifact:
    return Artifact(name="lora.safetensors", url=url, size=size)


def read(files: CdnFiles, what: Artifact, part: int = 1000, *, whole: bool = False) -> bytes:
    """The file, part by part, until it ends."""
    found = bytearray()
    with files.open(what, until=LATER, whole=whole) as file:
        buffer = memoryview(bytearray(part))
        while file.size is None or len(found) < file.size:
            got = file.read(len(found), buffer)
            found += buffer[:got]
            if got < part:
                break
    return bytes(found)


class Cut(httpx.SyncByteStream):
    """A body that ends early, as the connection sees it or without a word."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        yield DATA[:1000]
        if self._error:
            raise self._error


PUBLIC = "151.101.1.1"


@dataclass
class RecordingNetwork(httpcore.NetworkBackend):
    """A network that notes DNS queries and connections, and reaches no other host.

    ``names`` are what there is in the DNS, each with the answers to one look-up after another.

    Every address answers with ``says``, each a whole HTTP answer, in turn.
    """

    names: dict[str, list[Sequence[str]]] = field(default_factory=dict)
    says: list[bytes] = field(default_factory=lambda: [answer(b"the file")])
    down: Sequence[str] = ()
    looked_up: list[tuple[str, int]] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)
    streams: list["RecordingStream"] = field(default_factory=list)

    def files(self, *hosts: str, private: bool = False) -> CdnFiles:
        network = CheckedNetwork(private=private, resolve=self.resolve, network=self)
        return CdnFiles(hosts or ["fal.media", "127.0.0.1:8443"], network=network)

    def resolve(self, host: str, port: int) -> Sequence[str]:
        self.looked_up.append((host, port))
        answers = self.names.get(host)
        if answers is None:
            return [PUBLIC]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.NetworkStream:
        self.connected.append((host, port))
        if host in self.down:
            raise httpcore.ConnectError("refused")
        self.streams.append(
            RecordingStream(self.says.pop(0) if len(self.says) > 1 else self.says[0])
        )
        return self.streams[-1]

    @property
    def sent(self) -> bytes:
        """Everything that was written on any connection."""
        return b"".join(stream.written for stream in self.streams)


class RecordingStream(httpcore.NetworkStream):
    """A connection on which one answer comes."""

    def __init__(self, says: bytes) -> None:
        self._says = says
        self.written = b""
        self.certificate_of: str | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        piece, self._says = self._says[:max_bytes], self._says[max_bytes:]
        return piece

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        self.written += buffer

    def close(self) -> None:
        """Nothing is open."""

    def start_tls(
        self, ssl_context: object, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        del ssl_context, timeout
        self.certificate_of = server_hostname
        return self

    def get_extra_info(self, info: str) -> Any:
        return None if info else info


def answer(body: bytes = b"", *, status: int = 200, **headers: str) -> bytes:
    """An HTTP answer as it is on the line."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
