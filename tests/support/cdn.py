"""A CDN that gives one answer, and a file read from it."""

from collections.abc import Callable, Iterator, Sequence
from time import monotonic

import httpx

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
