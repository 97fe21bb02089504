"""A CDN with ranges, in which any one answer can be another."""

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic, sleep

import httpx

from lora_drop.adapters.download import CdnFiles
from lora_drop.adapters.download_reads import LEAST
from lora_drop.jobs.artifacts import Artifact

DATA = bytes(range(256)) * 8192  # 2 MiB
FIRST = 64 * 1024
ETAG = '"5ca1ab1e"'
LORA = Artifact(name="lora.safetensors", url="https://v3.fal.media/files/a/lora")
LATER = monotonic() + 3600
type Answer = Callable[[httpx.Request, httpx.Response], httpx.Response]


@dataclass
class Ranged:
    """A CDN with ranges; ``changed`` has another answer for the nth request."""

    data: bytes = DATA
    etag: str = ETAG
    changed: dict[int, Answer] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def files(self) -> CdnFiles:
        return CdnFiles(["fal.media"], transport=httpx.MockTransport(self._serve), first=FIRST)

    def _serve(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            self.requests.append(request)
            number = len(self.requests)
        answer = self._range(request)
        changed = self.changed.get(number)
        return changed(request, answer) if changed else answer

    def _range(self, request: httpx.Request) -> httpx.Response:
        headers = {"ETag": self.etag}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        if not asked or request.headers.get("If-Range", self.etag) != self.etag:
            return httpx.Response(200, content=self.data, headers=headers)
        start, end = int(asked[1]), min(int(asked[2]) + 1, len(self.data))
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(self.data)}"
        return httpx.Response(206, content=self.data[start:end], headers=headers)

    def asked(self) -> list[tuple[int, int]]:
        """The ranges that were asked for, first byte and the one after the last."""
        found = []
        for request in self.requests:
            span = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["Range"])
            assert span
            found.append((int(span[1]), int(span[2]) + 1))
        return found


def reading(cdn: Ranged, offset: int = 0, length: int = len(DATA)) -> bytes:
    buffer = bytearray(length)
    with cdn.files().open(LORA, until=LATER) as file:
        assert file.read(offset, memoryview(buffer)) == length
    return bytes(buffer)


def headed(**headers: str | None) -> Answer:
    """The usual answer with other headers; None takes one away."""

    def answer(_: httpx.Request, usual: httpx.Response) -> httpx.Response:
        for name, value in headers.items():
            usual.headers.pop(name.replace("_", "-"), None)
            if value is not None:
                usual.headers[name.replace("_", "-")] = value
        return usual

    return answer


def status(code: int) -> Answer:
    return lambda _, __: httpx.Response(code)


class Broken(httpx.SyncByteStream):
    """A body that breaks after so many bytes, or ends there without a word."""

    def __init__(self, data: bytes, error: Exception | None) -> None:
        self._data, self._error = data, error

    def __iter__(self) -> Iterator[bytes]:
        yield self._data
        if self._error:
            raise self._error


def breaking(keep: int, error: Exception | None) -> Answer:
    def answer(_: httpx.Request, usual: httpx.Response) -> httpx.Response:
        headers = {name: usual.headers[name] for name in ("ETag", "Content-Range")}
        return httpx.Response(206, headers=headers, stream=Broken(usual.content[:keep], error))

    return answer


class Trickle(httpx.SyncByteStream):
    """A body that would take minutes."""

    def __init__(self, begun: threading.Event) -> None:
        self._begun = begun

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(LEAST):
            yield b"x"
            self._begun.set()
            sleep(0.001)


def trickling(begun: threading.Event) -> Answer:
    def answer(_: httpx.Request, usual: httpx.Response) -> httpx.Response:
        headers = {name: usual.headers[name] for name in ("ETag", "Content-Range")}
        return httpx.Response(206, headers=headers, stream=Trickle(begun))

    return answer
